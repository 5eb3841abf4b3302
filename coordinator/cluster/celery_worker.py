"""The program of an embedded worker: ``celery worker`` for our application, and nothing else.

``celery`` itself imports all of its commands and those of other packages (Flower's, a shell's),
which takes as much time as all that a worker needs.
"""

from __future__ import annotations

import sys

from celery.bin.base import CLIContext
from celery.bin.worker import worker

from distbelief.app.broker.application import worker_application


def main() -> None:
    """Run Celery's worker with the options of its command line; its log goes to no terminal."""
    context = CLIContext(worker_application(), no_color=True, workdir=None)
    worker.main(sys.argv[1:], "celery worker", obj=context)


if __name__ == "__main__":
    main()
