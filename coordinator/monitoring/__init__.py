"""What a training tells to other programs while it goes on: Prometheus, TensorBoard."""
