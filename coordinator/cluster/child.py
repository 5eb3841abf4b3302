"""Run a command that ends with its parent: ``python child.py COMMAND [ARGUMENT ...]``.

A coordinator that is killed outright cannot clean up. On Linux the kernel can do it:
the command gets SIGKILL when the parent dies (a worker that was only asked to end would
try its lost servers for minutes; the processes of a killed worker end with it, Celery
sees to that). Standard library only: this file is run by its path, before anything is
imported.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main() -> None:
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the kernel knew
            sys.exit(1)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  (no shell, on purpose)


if __name__ == "__main__":
    main()
