"""Drivers of the algorithms, the embedded cluster, and the command line."""
