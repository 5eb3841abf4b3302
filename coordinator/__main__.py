"""``python -m coordinator``."""

from coordinator.cli import run

if __name__ == "__main__":
    run()
