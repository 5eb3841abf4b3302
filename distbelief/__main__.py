"""The command line: ``distbelief``, and ``python -m distbelief``."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends quietly, too."""
    try:
        from distbelief.coordinator.commands.cli import run
    except KeyboardInterrupt:
        sys.exit(130)  # app.errors.ExitCode.INTERRUPTED, which may not be imported yet
    run()


if __name__ == "__main__":
    main()
