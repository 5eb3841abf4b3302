"""The command line: its commands, their flags, and how errors become exit codes."""
