"""A run as its coordinator holds it: lease, folder, checkpoints, messages, recovery."""
