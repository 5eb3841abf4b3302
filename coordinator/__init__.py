"""The coordinating side: command line, embedded cluster, drivers."""
