"""The command line: ``distbelief``, and ``python -m distbelief``."""

import gc
import sys

from distbelief.coordinator.progress.program import lacking

#: Objects that are made before Python looks for garbage among them, far more than by default: what
#: is imported stays, and to look through it would take a sixth of the time until a command begins.
OBJECTS = 50_000


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends quietly, too.

    A model is found in the folder where the command is typed, as with ``python -m``, but behind
    everything else: a module there may have the name of one that we need.
    """
    gc.set_threshold(OBJECTS)
    sys.path.append("")
    try:
        from distbelief.coordinator.commands.cli import run
    except KeyboardInterrupt:
        sys.exit(130)  # app.errors.ExitCode.INTERRUPTED, which may not be imported yet
    except ModuleNotFoundError as missing:
        sys.exit(f"error: {lacking(missing)}")
    run()


if __name__ == "__main__":
    main()
