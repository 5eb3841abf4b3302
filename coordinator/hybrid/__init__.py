"""The hybrid: Downpour until its loss hardly falls, then Sandblaster's L-BFGS from there."""
