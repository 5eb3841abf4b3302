"""One contestant in a process of its own: ``python child.py PEER OPTIONS``.

``PEER`` is a module of ``peers`` with a context manager ``contestant(options)`` that yields the
work: a function from a request to an answer, both JSON. Requests come on standard input, a line
each, and answers go to what was standard output; what libraries print there goes to the log.
The process ends when its input does, so it does not outlive who asked for it.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import TextIO

from contest.machine import kernels

#: Where a missing module comes from.
INSTALL = "pip install --group bench"


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    name, options = sys.argv[1], json.loads(sys.argv[2])
    try:
        peer = importlib.import_module(f"peers.{name}")
        with peer.contestant(options) as work:
            _answer(answers, {"ready": True, "kernels": kernels()})
            for line in sys.stdin:
                _answer(answers, work(json.loads(line)))
    except ModuleNotFoundError as error:
        _answer(answers, {"absent": f"{error.name} is not installed: {INSTALL}"})
        raise
    except Exception as error:
        said = (str(error) or repr(error)).splitlines()[0]
        _answer(answers, {"absent": f"{type(error).__name__}: {said}"})
        raise


def _answer(answers: TextIO, document: object) -> None:
    print(json.dumps(document), file=answers, flush=True)


if __name__ == "__main__":
    main()
