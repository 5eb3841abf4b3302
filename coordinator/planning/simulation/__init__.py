"""A discrete-event model of both algorithms on a fleet: pure, and the same for the same seed."""
