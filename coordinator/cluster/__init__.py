"""An embedded cluster: servers and workers as child processes."""
