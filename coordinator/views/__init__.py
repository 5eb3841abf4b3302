"""What people see of a run, and of data: figures, tables, progress."""
