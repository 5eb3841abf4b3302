"""A training told to other programs while it goes on: Prometheus, TensorBoard."""
