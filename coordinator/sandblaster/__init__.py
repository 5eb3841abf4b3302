"""Sandblaster L-BFGS: the minimisers, the portions, and their driver."""
