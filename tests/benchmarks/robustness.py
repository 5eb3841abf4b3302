"""What a fixed rate, Adagrad and a warm start bear: ``python tests/benchmarks/robustness.py``.

It uses the trials of ``distbelief compare``, with faults of :mod:`fault_plan` beside them, and
writes ``robustness.html``, tables as Markdown and a heat map into its folder. Trials that were made
are kept there. Parts: ``rates`` (from too small to too large, over numbers of replicas),
``staleness`` (longer and longer intervals), ``faults`` (a replica slowed or paused) and ``backups``
(Sandblaster's backup tasks on and off, with a straggler).
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.comparison.folder import ComparisonFolder
from distbelief.coordinator.comparison.heat_map import heat_map
from distbelief.coordinator.comparison.outcome import End, Outcome, Trial
from distbelief.coordinator.comparison.running import Runner
from distbelief.coordinator.comparison.tables import markdown
from distbelief.coordinator.report.drawing import WHOLE, render, uri
from distbelief.coordinator.report.plots.theme import DARK, LIGHT, Theme
from fault_plan import NONE, PAUSED, SLOWED, FaultPlan, injected, pool_of

METHODS = ("downpour", "downpour-adagrad", "downpour-warm")
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
REPLICAS = (1, 2, 4, 8)
INTERVALS = (1, 4, 16, 64)

#: Of the rates: for the parts that have one, the best that the map shows for most replicas.
RATE = {"downpour": 0.3, "downpour-adagrad": 0.1, "downpour-warm": 0.1}

#: Of the loss of the first values: whoever comes there has learned.
LOW = 0.01

#: Few enough for one of eight replicas in its passes.
WARM_START_STEPS = 40

#: No backup is sent before a portion is so old: never.
NEVER_S = 1e6
STRAGGLERS = (NONE, PAUSED)
BACKUPS = {"backups on": 0.05, "backups off": NEVER_S}

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Robustness</title>
<style>{% include "style.css" %} .figures { grid-template-columns: minmax(0, 1fr); }</style></head>
<body><h1>Robustness</h1>
{% for title, sentence, picture, table in parts %}
<h2>{{ title }}</h2><div class="card"><p>{{ sentence }}</p>
{% if picture %}<picture><source media="(prefers-color-scheme: dark)" srcset="{{ picture[1] }}">
<img style="width: 100%" src="{{ picture[0] }}" alt="{{ sentence }}"></picture>{% endif %}
<div class="scroll"><table>
<thead><tr>{% for cell in table[0] %}<th>{{ cell }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div></div>
{% endfor %}</body></html>
"""


@dataclass(frozen=True)
class Part:
    """A part of the page: what it says, its table, and a drawing."""

    title: str
    sentence: str
    table: Sequence[Sequence[str]]
    losses: np.ndarray | None = None


@dataclass(frozen=True)
class Bench:
    """Makes trials, and keeps them in ``folder``."""

    folder: Path
    settings: Mapping[str, Any]
    budget_s: float = 300.0

    def trials(
        self,
        name: str,
        trials: Sequence[Trial],
        plan: FaultPlan = NONE,
        **settings: Any,
    ) -> dict[str, Outcome]:
        """The outcomes of trials that have as many replicas, by their keys, with faults beside."""
        kept, processes = ComparisonFolder(self.folder / name), trials[0].replicas
        whole = {**self.settings, **settings}
        kept.begin({"settings": whole, "plan": plan.name})
        outcomes = kept.outcomes()
        if all(trial.key in outcomes for trial in trials):
            return outcomes
        with LocalCluster(servers=2, processes=processes, folder=kept.path / "logs") as local:
            at = ClusterConfig(
                broker=local.endpoints.broker,
                parameter_servers=local.endpoints.parameter_servers,
                wait_seconds=60,
            )
            runner = Runner(kept, whole, at, self.budget_s, lambda text: print(f"{name}: {text}"))
            (worker,) = local.children[-1:]
            with injected(plan, _pool(worker.process.pid, processes)):
                runner.run(trials, len(trials), outcomes)
        return outcomes


def _pool(worker: int, processes: int) -> Any:
    """The pool's processes, once they are there."""
    deadline = time.monotonic() + 60
    while len(found := pool_of(worker)) < processes:
        assert time.monotonic() < deadline, "the worker's processes: not within 60 s"
        time.sleep(0.1)
    return found


def rates(bench: Bench, replicas: Sequence[int], tried: Sequence[float]) -> Part:
    """The final loss over rate and replicas."""
    names, losses = [], []
    good = Counter[str]()
    for count in replicas:
        trials = [Trial(method, count, rate, 1) for method in METHODS for rate in tried]
        found = bench.trials(f"rates-{count}", trials)
        for method in METHODS:
            own = [found[Trial(method, count, rate, 1).key] for rate in tried]
            good[method] += sum(each.last_loss <= LOW * each.points[0].loss for each in own)
            names.append(f"{method}, {count}")
            losses.append([each.last_loss for each in own])
    head = ["method, replicas", *(f"{rate:g}" for rate in tried)]
    table = [[name, *map(told, row)] for name, row in zip(names, losses, strict=True)]
    total = len(tried) * len(replicas)
    counted = ", ".join(f"{method} in {good[method]} of {total}" for method in METHODS)
    sentence = (
        f"To {LOW:g} of the loss of the first values came, over rates and replicas: {counted}."
    )
    return Part("Rates and replicas", sentence, [head, *table], np.array(losses))


def staleness(bench: Bench, replicas: int, intervals: Sequence[int]) -> Part:
    """The final loss where replicas push and fetch more and more seldom."""
    rows = []
    trials = [Trial(method, replicas, RATE[method], 1) for method in METHODS]
    columns = [
        bench.trials(f"interval-{each}", trials, n_push=each, n_fetch=each) for each in intervals
    ]
    for trial in trials:
        rows.append([trial.method, *(told(found[trial.key].last_loss) for found in columns)])
    head = ["method", *(f"every {each} steps" for each in intervals)]
    sentence = f"Training loss at the end with {replicas} replicas that push and fetch so seldom."
    return Part("Staleness", sentence, [head, *rows])


def faults(bench: Bench, replicas: int) -> Part:
    """The final loss, and how long it took, with one replica slowed or paused."""
    plans = (NONE, SLOWED, PAUSED)
    trials = [Trial(method, replicas, RATE[method], 1) for method in METHODS]
    columns = [bench.trials(f"fault-{i}", trials, plan) for i, plan in enumerate(plans)]
    rows = []
    for trial in trials:
        found = [column[trial.key] for column in columns]
        rows.append(
            [trial.method, *(f"{told(e.last_loss)} ({e.costs.seconds:.1f} s)" for e in found)]
        )
    head = ["method", *(plan.name for plan in plans)]
    sentence = f"Training loss at the end with {replicas} replicas, and the time that they took."
    return Part("Slow and paused replicas", sentence, [head, *rows])


def backups(bench: Bench, replicas: int, seeds: int) -> Part:
    """The time of Sandblaster's iterations, with and without backups."""
    trials = [Trial("sandblaster", replicas, None, seed) for seed in range(1, seeds + 1)]
    rows, medians = [], {}
    for plan in STRAGGLERS:
        for name, age_s in BACKUPS.items():
            part = f"backups-{plan.stopped_s:g}-{age_s:g}"
            found = bench.trials(part, trials, plan, backup_seconds=age_s)
            took = [found[trial.key].costs.seconds for trial in trials]
            losses = [found[trial.key].last_loss for trial in trials]
            medians[plan, name] = statistics.median(took)
            spread = f"{statistics.median(took):.1f} ({min(took):.1f}-{max(took):.1f})"
            rows.append([plan.name, name, spread, told(statistics.median(losses))])
    share = medians[PAUSED, "backups on"] / medians[PAUSED, "backups off"]
    sentence = f"With a straggler and backups the iterations take {share:.2f} of the time without."
    head = ["fault", "", "seconds", "training loss at the end"]
    return Part("Backup tasks", sentence, [head, *rows])


def told(loss: float) -> str:
    return f"{loss:.3g}" if math.isfinite(loss) else str(End.DIVERGED)


def write(parts: Sequence[Part], folder: Path) -> None:
    """Write the page, and its tables as Markdown."""
    environment = Environment(
        loader=PackageLoader("distbelief.coordinator.report", "templates"), autoescape=True
    )
    shown = [(part.title, part.sentence, _picture(part, folder), part.table) for part in parts]
    page = environment.from_string(PAGE).render(parts=shown)
    (folder / "robustness.html").write_text(page, "utf-8")
    lines: list[str] = []
    for part in parts:
        lines += [f"{part.title}: {part.sentence}", "", *markdown(part.table), ""]
    (folder / "robustness.md").write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
    print(f"written: {folder / 'robustness.html'}")


def _picture(part: Part, folder: Path) -> list[str]:
    """The losses of a part as a heat map, for light and dark; nothing without any."""
    if part.losses is None:
        return []
    losses, head, names = part.losses, part.table[0], [row[0] for row in part.table[1:]]

    def draw(figure: Figure, theme: Theme) -> None:
        heat_map(figure, theme, losses, head[1:], names)

    height = 1.4 + 0.34 * len(names)
    (folder / "rates.png").write_bytes(render(draw, WHOLE, height, LIGHT, "png"))
    return [uri(render(draw, WHOLE, height, theme, "svg")) for theme in (LIGHT, DARK)]


def parts_of(bench: Bench, names: Iterable[str], *, small: bool) -> list[Part]:
    """The parts of these names; ``small`` is a try of some minutes."""
    many, few = (REPLICAS[1:2], RATES[1::2]) if small else (REPLICAS, RATES)
    made = {
        "rates": lambda: rates(bench, many, few),
        "staleness": lambda: staleness(bench, 4, INTERVALS[1:3] if small else INTERVALS),
        "faults": lambda: faults(bench, 4),
        "backups": lambda: backups(bench, 4, 1 if small else 3),
    }
    return [made[name]() for name in names]


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("parts", nargs="*", default=["rates", "staleness", "faults", "backups"])
    said.add_argument("--folder", type=Path, default=Path("runs/robustness"))
    said.add_argument("--passes", type=int, default=20, help="of each trial of Downpour")
    said.add_argument("--iterations", type=int, default=30, help="of each one of Sandblaster")
    said.add_argument("--small", action="store_true", help="few trials: a try")
    arguments = said.parse_args()
    work = {"passes": arguments.passes, "iterations": arguments.iterations}
    common = {"data": "digits", "l2": 0.0, "warm_start_steps": WARM_START_STEPS}
    bench = Bench(arguments.folder, {**common, **work})
    write(parts_of(bench, arguments.parts, small=arguments.small), arguments.folder)


if __name__ == "__main__":
    main()
