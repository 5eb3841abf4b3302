"""A training on one screen: is it learning, how fast, how healthy, how long still."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.panel import Panel as Box
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distbelief.coordinator.progress.digits import TITLES
from distbelief.coordinator.progress.outcome import WORSE_FOR
from distbelief.coordinator.views.figures import (
    counts,
    duration,
    network,
    number,
    sparkline,
)
from distbelief.coordinator.views.snapshot import (
    DownpourPart,
    HeldoutProgress,
    Points,
    ProgressSnapshot,
    SandblasterPart,
)

#: Sparklines are at most this wide, and not on terminals narrower than the second figure.
SPARKLINE_WIDTH = 32
NARROW = 60

#: A speed that fell below this share of the first one is worth a colour.
SLOW = 0.5

TROUBLE, CARE = "bold red", "yellow"


@dataclass(frozen=True)
class PanelRow:
    """A line of the panel: its name, what it says, and perhaps how that was until now."""

    name: str
    text: str
    points: Points = ()
    style: str = ""


@dataclass(frozen=True)
class Panel:
    """Draws a snapshot; there is none before the first word of a coordinator.

    ``run`` and ``state`` are told on terminals that look at a run from outside, ``note`` is
    a line on who coordinates it, or what to do.
    """

    snapshot: ProgressSnapshot | None
    run: str = ""
    state: str = ""
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only or _c_locale(os.environ)
        if plain:
            options = options.copy()
            options.encoding = "ascii"
        body = Table.grid(expand=True)
        body.add_column()
        if self.snapshot is not None:
            bar = ProgressBar(total=self.snapshot.total, completed=self.snapshot.done)
            body.add_row(_text(_progress(self.snapshot)))
            body.add_row(bar)
            body.add_row(_table(list(rows(self.snapshot)), options.max_width, plain=plain))
        if self.note:
            body.add_row(_text(self.note, "dim"))
        box = Box(body, title=_text(self._title), title_align="left", border_style=self._border)
        yield from console.render(box, options)

    @property
    def _title(self) -> str:
        method = self.snapshot.method if self.snapshot is not None else ""
        run = f"run {self.run}: {self.state}" if self.run else ""
        return ", ".join(filter(None, (run, method)))

    @property
    def _border(self) -> str:
        return TROUBLE if self.state in ("dead", "failed") else "none"


def rows(snapshot: ProgressSnapshot) -> Iterator[PanelRow]:
    """The lines of the panel below its progress bar."""
    yield PanelRow("loss", number(snapshot.loss), snapshot.losses)
    if snapshot.heldout is not None:
        yield _heldout(snapshot, snapshot.heldout)
    yield _speed(snapshot)
    yield _workers(snapshot)
    if snapshot.downpour is not None:
        yield from _downpour(snapshot.downpour)
    elif snapshot.sandblaster is not None:
        yield from _sandblaster(snapshot.sandblaster)
    if snapshot.waiting:
        yield PanelRow("waiting", snapshot.waiting, style=CARE)
    if snapshot.news:
        yield PanelRow("last event", snapshot.news, style=CARE)


def _progress(snapshot: ProgressSnapshot) -> str:
    done = f"{snapshot.done:.1f}" if snapshot.unit == "pass" else f"{snapshot.done:.0f}"
    most = "at most " if snapshot.at_most and snapshot.left_s is not None else ""
    left = f"{most}{duration(snapshot.left_s)} left"
    return f"{snapshot.unit} {done}/{snapshot.total}, {duration(snapshot.seconds)} gone, {left}"


def _heldout(snapshot: ProgressSnapshot, found: HeldoutProgress) -> PanelRow:
    best = f"; best {TITLES.get(found.metric, found.metric)} {number(found.best)}"
    if found.best_at is not None:
        best += f" at {snapshot.unit} {found.best_at:.3g}"
    worse = found.since_best >= WORSE_FOR
    if worse:
        best += f", {found.since_best} evaluations ago: --patience ends that"
    return PanelRow("held-out", found.text + best, found.course, CARE if worse else "")


def _speed(snapshot: ProgressSnapshot) -> PanelRow:
    now, first = snapshot.speed, snapshot.first_speed
    step = "steps" if snapshot.unit == "pass" else "iterations"
    text = f"{now.examples:,.0f} examples/s, {_short(now.steps)} {step}/s"
    share = now.examples / first.examples if first is not None and first.examples else None
    if share is not None:
        text += f", {share:.0%} of the start"
    slow = share is not None and share < SLOW
    return PanelRow("speed", text, snapshot.speeds, CARE if slow else "")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _workers(snapshot: ProgressSnapshot) -> PanelRow:
    text = f"{snapshot.workers} at work"
    if snapshot.workers < snapshot.wanted:
        text = f"{snapshot.workers or 'none'} of {snapshot.wanted} at work"
    style = CARE if snapshot.workers < snapshot.wanted else ""
    return PanelRow("workers", text, style=style if snapshot.workers else TROUBLE)


def _downpour(part: DownpourPart) -> Iterator[PanelRow]:
    again = f", {part.resent} sent again" if part.resent else ""
    if part.goodput is not None:
        again += f", goodput {part.goodput:.0%}"
    yield PanelRow("units", f"{part.units_out} out{again}", style=CARE if part.resent else "")
    refused = f"{part.refused:,} refused" if part.refused else "none refused"
    style = TROUBLE if part.refused else ""
    yield PanelRow("updates", f"{counts(part)}, {refused}", style=style)
    waited = f", waited {part.waited_s:.1f} s for slower replicas" if part.waited_s else ""
    spread = f"median {part.staleness_median}, worst {part.staleness_worst}"
    yield PanelRow("staleness", spread + waited)
    if text := network(part):
        yield PanelRow("network", text)


def _sandblaster(part: SandblasterPart) -> Iterator[PanelRow]:
    yield PanelRow("gradient", f"{number(part.gradient_norm)}, last step {part.step:.3g}")
    if part.nonzeros is not None:
        yield PanelRow("weights", f"{part.nonzeros:,} of {part.weights:,} not zero")
    yield PanelRow("evaluation", f"number {part.evaluations} of the batch")
    yield PanelRow(
        "portions",
        f"{part.portions_done}/{part.portions} done, {part.portions_out} out, "
        f"{part.portions_per_second:.0f}/s",
    )
    again = f", {part.retries} sent again" if part.retries else ""
    backups = f"{part.backups_sent} sent, {part.backups_won} won{again}"
    yield PanelRow("backups", backups, style=CARE if part.retries else "")


def _table(found: list[PanelRow], width: int, *, plain: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    drawn = 0 if width < NARROW else min(SPARKLINE_WIDTH, width // 4)
    if drawn:
        table.add_column(no_wrap=True, style="cyan")
    for row in found:
        cells = [Text(row.name), _text(row.text, row.style)]
        if drawn:
            cells.append(_text(sparkline(row.points, drawn, plain=plain)))
        table.add_row(*cells)
    return table


def _text(text: str, style: str = "") -> Text:
    """Words as they are: no markup in them."""
    return Text(text, style, overflow="fold")


def _c_locale(environment: Mapping[str, str]) -> bool:
    """True if somebody asked for plain characters; Python then says UTF-8 all the same."""
    asked = environment.get("LC_ALL") or environment.get("LANG") or ""
    return asked in ("C", "POSIX")
