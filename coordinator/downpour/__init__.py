"""Downpour SGD: the plan of units, its driver, and the sums of reports."""
