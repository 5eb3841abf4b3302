"""Runs and data as people see them: figures, tables, progress."""
