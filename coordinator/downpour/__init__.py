"""Downpour SGD: the plan of units, its driver, and what reports add up to."""
