"""What default settings reach on fourteen tables, beside scikit-learn's.

    PYTHONPATH=. python tests/benchmarks/defaults.py --json defaults.json
    PYTHONPATH=. python tests/benchmarks/defaults.py --problems iris wine --seeds 0
    PYTHONPATH=. python tests/benchmarks/defaults.py --read defaults.json --markdown

Nothing is tuned and nothing is prepared: columns are as they are, and once more as StandardScaler
makes them. Of each table a quarter is held out (of classes the same share each), another one for
each seed. The estimators of Downpour and Sandblaster and the command line (``train`` on a CSV,
``predict`` for another) are held against the best of scikit-learn of their kind: linear models
against linear ones, a network against MLPClassifier or MLPRegressor. The score is the accuracy, the
balanced one of "3 % positive", or R2 of numbers; mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from untuned.contestants import CONTESTANTS, trained
from untuned.fits import Fit
from untuned.problems import PROBLEMS
from untuned.tables import NAMES, tables
from untuned.verdict import misses


def measured(arguments: argparse.Namespace) -> Iterator[Fit]:
    for problem in (each for each in PROBLEMS if each.name in arguments.problems):
        for scaled in (False,) if arguments.raw else NAMES:
            for seed in arguments.seeds:
                for each in CONTESTANTS:
                    if each.name in arguments.contestants:
                        yield trained(problem, seed, each, scaled=scaled)
        print(f"{problem.name} done", file=sys.stderr)


def read(file: Path) -> list[Fit]:
    return [Fit.from_json(each) for each in json.loads(file.read_text())]


def main() -> None:
    problems, contestants = ([each.name for each in some] for some in (PROBLEMS, CONTESTANTS))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", choices=problems, default=problems)
    parser.add_argument("--contestants", nargs="+", choices=contestants, default=contestants)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--raw", action="store_true", help="raw columns only")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    parser.add_argument(
        "--read", nargs="+", type=Path, help="show what --json wrote, train nothing"
    )
    parser.add_argument("--markdown", action="store_true", help="tables for a document")
    arguments = parser.parse_args()
    if arguments.read:
        fits = [each for file in arguments.read for each in read(file)]
    else:
        fits = []
        for each in measured(arguments):
            fits.append(each)
            if arguments.json:  # each time: it takes long, and something may fail on the way
                arguments.json.write_text(json.dumps([fit.to_json() for fit in fits], indent=1))
    print("\n".join(tables(fits, markdown=arguments.markdown)))
    for scaled, title in NAMES.items():
        for sentence in misses(fits, scaled=scaled):
            print(f"missed, {title}: {sentence}")


if __name__ == "__main__":
    main()
