"""All parts of the benchmarks, beside their peers, on this machine: ``make bench``.

Prints a table for each part, and writes ``bench.json``, ``bench.png`` and ``bench.svg``. The
README beside this file says what is compared and why that is fair.
"""

from __future__ import annotations

import descent
import downpour
import growth
import sparse
import transfer
from contest.part import Part, measure, parser, write

PARTS: tuple[Part, ...] = (transfer.PART, downpour.PART, descent.PART, growth.PART, sparse.PART)


def main() -> None:
    flags = parser(__doc__)
    names = [part.name for part in PARTS]
    flags.add_argument("--parts", nargs="+", choices=names, default=names, help="which ones")
    arguments = flags.parse_args()
    chosen = [part for part in PARTS if part.name in arguments.parts]
    found = {}
    for part in chosen:
        found[part.name] = measure(part, arguments)
        # After each part, so that a failure of a later one costs only that.
        write(chosen[: len(found)], found, arguments.folder, "bench")


if __name__ == "__main__":
    main()
