"""Live progress: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from app.models.metrics import metric_name
from app.models.model import Task
from coordinator.outcome import Evaluation, Outcome
from coordinator.status import DownpourStatus, SandblasterStatus, Status, median
from coordinator.training import Display

#: Plain output: a line at every held-out evaluation, but not more often than the first
#: figure, and after as many seconds as the second without one.
LINE_AT_MOST_EVERY_S = 0.5
LINE_AT_LEAST_EVERY_S = 2.0

#: A wait longer than this is shown.
WAIT_WORTH_SAYING_S = 3.0


@contextmanager
def display(console: Console, task: Task) -> Iterator[Display]:
    """Show a training on ``console`` as it goes."""
    if not console.is_terminal:
        lines = _Lines(console, task)
        yield Display(lines.say, lines.show)
        lines.finish()
        return
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        yield Display(
            lambda text: console.print(text, markup=False, highlight=False),
            lambda status: live.update(_panel(status, task)),
        )


def summary(outcome: Outcome, task: Task) -> list[str]:
    """What a person wants to know at the end, a line each."""
    lines = [f"finished: {outcome.reason}, after {outcome.seconds:.1f} s", *outcome.details]
    if outcome.heldout is not None:
        number, n_evaluations = outcome.heldout.number, len(outcome.evaluations)
        when = f"{outcome.heldout.passes:.3g} {outcome.unit}"
        lines.append(
            f"held-out {_score(outcome.heldout, task)} "
            f"(evaluation {number} of {n_evaluations}, after {when})"
        )
    return [*lines, f"model: {outcome.model_file}"]


class _Lines:
    """Plain lines for logs and pipes."""

    def __init__(self, console: Console, task: Task) -> None:
        self._console, self._task = console, task
        self._shown_at, self._shown = -math.inf, 0
        self._held_back: Status | None = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, status: Status) -> None:
        number = status.evaluation.number if status.evaluation else 0
        now = time.monotonic()
        every = LINE_AT_LEAST_EVERY_S if number == self._shown else LINE_AT_MOST_EVERY_S
        if now - self._shown_at < every:
            self._held_back = status
            return
        self._shown_at, self._shown = now, number
        self._print(status)

    def finish(self) -> None:
        """Show how it ended, if that was held back."""
        if self._held_back is not None:
            self._print(self._held_back)

    def _print(self, status: Status) -> None:
        self._held_back = None
        self.say("  ".join(f"{name} {value}" for name, value in _figures(status, self._task)))


def _panel(status: Status, task: Task) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in _figures(status, task):
        table.add_row(name, value)
    if isinstance(status, DownpourStatus):
        title = "Downpour SGD" + (", warm start" if status.warming else "")
        bar = ProgressBar(total=status.total_steps, completed=status.steps, width=40)
    else:
        title = "Sandblaster L-BFGS"
        bar = ProgressBar(total=status.n_portions, completed=status.portions_done, width=40)
    table.add_row("", bar)
    return Panel(table, title=title, title_align="left")


def _figures(status: Status, task: Task) -> Iterator[tuple[str, str]]:
    """Everything that a display shows, as (name, text)."""
    if isinstance(status, DownpourStatus):
        yield from _downpour(status, task)
    else:
        yield from _sandblaster(status, task)


def _downpour(status: DownpourStatus, task: Task) -> Iterator[tuple[str, str]]:
    yield "pass", f"{status.passes:.1f}/{status.total_passes}"
    yield "steps/s", f"{status.steps_per_second:,.0f}"
    yield "loss", _number(status.training_loss)
    if status.evaluation is not None:
        yield "held-out", _score(status.evaluation, task)
    yield "updates", _counts([shard.applied for shard in status.shards])
    if status.refused:
        yield "refused", str(status.refused)
    worst = max(status.staleness, default=0)
    yield "staleness", f"median {median(status.staleness)}, worst {worst}"
    if status.resent:
        yield "sent again", str(status.resent)
    if status.idle_s > WAIT_WORTH_SAYING_S:
        yield "waiting", f"{status.idle_s:.0f} s for a worker"
    left = status.seconds_left
    yield "left", "?" if left is None else str(timedelta(seconds=round(left)))


def _sandblaster(status: SandblasterStatus, task: Task) -> Iterator[tuple[str, str]]:
    yield "iteration", f"{status.iteration}/{status.total_iterations}"
    yield "loss", _number(status.loss)
    yield "gradient", _number(status.gradient_norm)
    yield "step", f"{status.step:.3g}"
    yield "evaluations", str(status.evaluations)
    if status.evaluation is not None:
        yield "held-out", _score(status.evaluation, task)
    yield (
        "portions",
        f"{status.portions_done}/{status.n_portions} done, "
        f"{status.portions_outstanding} outstanding, {status.portions_per_second:.0f}/s",
    )
    yield "backups", f"{status.tally.sent} sent, {status.tally.won} won"
    if status.tally.retries:
        yield "retries", str(status.tally.retries)
    if status.slow is not None and status.slow[1] > WAIT_WORTH_SAYING_S:
        yield "waiting", f"{status.slow[1]:.0f} s for portion {status.slow[0]}"


def _score(evaluation: Evaluation, task: Task) -> str:
    score = evaluation.score
    return f"{metric_name(task)} {score.metric(task):.4f}, loss {_number(score.loss)}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"


def _counts(counts: list[int]) -> str:
    """Each shard's count while they fit, else the range."""
    if len(counts) > 8:
        return f"{min(counts)} to {max(counts)} on {len(counts)} shards"
    return "/".join(map(str, counts)) or "-"
