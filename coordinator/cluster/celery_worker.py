"""The program of an embedded worker: ``celery worker`` for our application, and nothing else.

``celery`` itself imports all of its commands and those of other packages (Flower's, a shell's),
which takes as much time as all that a worker needs.
"""

from __future__ import annotations

import gc
import logging
import sys
from typing import Any


def main() -> None:
    """Run a worker: ``python -m ... NAME PROCESSES``; its log goes to no terminal."""
    worker = made(*sys.argv[1:])
    worker.start()
    sys.exit(worker.exitcode)


def made(name: str, processes: str) -> Any:
    """A worker that has imported all that its tasks need, and is to be started."""
    # What is imported stays: looking for garbage in it would take a sixth of this time, and copy
    # the memory that processes share after a fork.
    gc.disable()
    from celery.utils.nodenames import host_format

    from distbelief.app.broker.application import worker_application

    application = worker_application()
    application.loader.init_worker()
    gc.freeze()
    gc.enable()
    return application.Worker(
        hostname=host_format(f"{name}@%h"),
        pool_cls="prefork",
        concurrency=int(processes),
        without_gossip=True,
        without_mingle=True,
        loglevel=logging.INFO,
        no_color=True,
    )


if __name__ == "__main__":
    main()
