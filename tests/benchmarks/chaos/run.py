"""Hurt a cluster for some minutes, and see that its runs end as they do undisturbed.

``PYTHONPATH=. python tests/benchmarks/chaos/run.py --minutes 10 --seed 0``: two servers and two
workers, runs of four kinds of work one after another, a fault every few seconds. Each parameter
server is a primary and a replica behind an address that moves. A third of the time servers keep
nothing on their disks, a third an append-only file, a third snapshots. The seed fixes what is hurt
and when; what it hits still depends on the machine. With ``--team`` the workers are those of an
application that has joined, with late acknowledgement, a prefetch of 4, messages that are
delivered again after 5 seconds, and time limits (``team/shop.py``). Exit code 1 if an update is
lost or counts twice, a run ends with an error or not at all, or with another result than it should.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn, get_args

from rich.console import Console

from distbelief.app.settings.downpour import Wire
from distbelief.app.settings.rounds import OuterOptimizer
from faults import Faults
from fleet import Fleet, Keeping, hurt
from report import Results, table
from trial import Trial, Work
from verdict import Reference, judge

MODELS = Path(__file__).parents[2] / "cluster"
TEAM = Path(__file__).parent / "team"
TICK_S = 0.1

#: So that leases run out and checkpoints are written between two faults, and the run lasts
#: for several; work may be lost more often than a healthy cluster would lose it.
COMMON = [
    *("--shards", 3, "--block-numbers", 64),
    *("--lease-seconds", 3, "--checkpoint-seconds", 1, "--unit-attempts", 50),
]
DENSE = ["--model", "slowmodels:Sleepy"]
#: 24 steps in a pass, as the digits make with these replicas.
SPARSE = [
    *("--model", "slowmodels:sleepy_clicks"),
    *("--data", "synthetic:clicks", "--data-option", "examples=1797"),
]
TABLES = [*SPARSE, "--table-numbers", 1]
DOWNPOUR = [
    *("--model-option", "seconds=0.05", "--passes", 15, "--replicas", 6, "--unit-steps", 10),
    *("--learning-rate", 0.02),
]
SANDBLASTER = [
    *("--algorithm", "sandblaster", "--model-option", "seconds=0.15", "--l2", "1e-3"),
    *("--iterations", 40),
]
WORKS = [
    Work("downpour", "downpour", [*COMMON, *DENSE, *DOWNPOUR]),
    Work("sandblaster", "sandblaster", [*COMMON, *DENSE, *SANDBLASTER]),
    Work("sandblaster on sparse data", "sandblaster", [*COMMON, *SPARSE, *SANDBLASTER]),
    Work("downpour with tables", "downpour", [*COMMON, *TABLES, *DOWNPOUR]),
]


def by_rounds(steps: int) -> list[Work]:
    """Only work that has rounds: tables, each outer rule, and as many steps as time allows."""
    rounds = [*COMMON, *DOWNPOUR, "--round-steps", steps]
    words = [*rounds, *DENSE]
    works = [
        Work(
            f"rounds, {rule}",
            "downpour",
            [*words, "--outer-optimizer", rule, "--outer-momentum", 0.5],
        )
        for rule in get_args(OuterOptimizer)
    ]
    lasting = [*words, "--round-seconds", 0.3 * steps]
    return [
        Work("rounds with tables", "downpour", [*rounds, *TABLES]),
        *works,
        Work("rounds that last as long", "downpour", lasting),
    ]


def narrow(works: list[Work], wire: Wire) -> list[Work]:
    """Only work that may have that wire; whole rows of tables cross the network in 16 bits only."""
    fitting = (each for each in works if each.algorithm == "downpour")
    return [
        Work(f"{each.name}, {wire}", each.algorithm, [*each.words, "--wire", wire])
        for each in fitting
        if wire != "int8" or "--table-numbers" not in each.words
    ]


console = Console(soft_wrap=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="a new folder in which all logs are kept")
    parser.add_argument("--rounds", type=int, help="only Downpour in rounds of so many steps")
    parser.add_argument("--wire", choices=get_args(Wire), help="only Downpour, with that wire")
    parser.add_argument("--older", action="store_true", help="no faults but older data")
    parser.add_argument(
        "--team", action="store_true", help="on workers of another application, with its settings"
    )
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    results, rng = Results(), random.Random(given.seed)
    works = by_rounds(given.rounds) if given.rounds else WORKS
    works = narrow(works, given.wire) if given.wire else works
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as home:
        path = os.pathsep.join(map(str, [MODELS, TEAM] if given.team else [MODELS]))
        os.environ |= {"PYTHONPATH": path, "DISTBELIEF_ALLOWED_IMPORTS": "slowmodels"}
        try:
            for keeping in Keeping:
                part = (given.folder or Path(home)) / keeping.name.lower()
                with hurt(part / "logs", keeping, team=given.team) as fleet:
                    faults = Faults(fleet, rng, results.injected, older=given.older)
                    _part(part, works, given.minutes * 60 / len(Keeping), faults, results, fleet)
                    results.ended += fleet.ended
        except KeyboardInterrupt:
            results.failures.append("interrupted")
        shown = table(results)  # it reads what the runs have printed
    for failure in results.failures:
        console.print(f"FAILED: {failure}", markup=False, highlight=False)
    console.print(shown)
    sys.exit(1 if results.failures else 0)


def _part(
    folder: Path,
    works: list[Work],
    seconds: float,
    faults: Faults,
    results: Results,
    fleet: Fleet,
) -> None:
    """A part of the time, on servers that keep something on their disks, or nothing."""
    console.print(f"servers that keep {fleet.keeping.name.lower()} on their disks")
    if not results.references:
        for number, work in enumerate(works):
            place = folder / f"undisturbed-{number}"
            results.references[work.name] = _undisturbed(work, fleet, place)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        number = len(results.trials)
        trial = Trial(works[number % len(works)], fleet.place, folder / f"trial{number}")
        _storm(trial, fleet, faults, until)
        fleet.heal()
        verdict = None
        if not trial.failure:
            verdict = judge(trial, results.references[trial.work.name], fleet)
        results.add(trial, verdict)
        _tell(trial)


def _undisturbed(work: Work, fleet: Fleet, folder: Path) -> Reference:
    trial = Trial(work, fleet.place, folder)
    try:
        while not trial.done:
            trial.advance()
            time.sleep(TICK_S)
    finally:
        trial.close()
    if trial.failure:
        sys.exit(f"a run that nobody disturbed failed: {trial.failure}")
    _tell(trial)
    return Reference.of(trial)


def _storm(trial: Trial, fleet: Fleet, faults: Faults, until: float) -> None:
    """Hurt what there is while the run goes on; after ``until`` it may end in peace."""
    next_fault = time.monotonic() + faults.pause_s()
    try:
        while not trial.done:
            fleet.advance()
            trial.advance()
            now = time.monotonic()
            if next_fault <= now < until and trial.run is not None:
                fault = faults.inject(trial)
                if fault is not None:
                    console.print(f"{trial.seconds:6.1f} s  {fault}", highlight=False)
                    next_fault = now + faults.pause_s()
            time.sleep(TICK_S)
    finally:
        trial.close()


def _tell(trial: Trial) -> None:
    how = "failed" if trial.failure else "ended well"
    console.print(
        f"{trial.work.name} {trial.run} {how} after {trial.seconds:.1f} s, "
        f"{trial.resumes} times resumed",
        highlight=False,
    )
    for refusal in trial.refusals:
        console.print(f"    start refused: {refusal}", markup=False, highlight=False)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
