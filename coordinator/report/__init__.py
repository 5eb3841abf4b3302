"""A run's report: its folder is read into plain data, drawn, and put on one page."""
