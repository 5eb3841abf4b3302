"""A moment on one screen: is it learning, how fast, how healthy, how long still."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.panel import Panel as Box
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from distbelief.coordinator.views.figures import counts, duration, number, sparkline
from distbelief.coordinator.views.snapshot import (
    DownpourPart,
    Points,
    ProgressSnapshot,
    SandblasterPart,
)

#: Courses are drawn at most this wide, and not on terminals narrower than the second figure.
COURSE_WIDTH = 32
NARROW = 60

#: A speed that fell below this share of the first one is worth a colour.
SLOW = 0.5

TROUBLE, CARE = "bold red", "yellow"


@dataclass(frozen=True)
class Row:
    """A line of the panel: its name, what it says, and perhaps how that went."""

    name: str
    text: str
    course: Points = ()
    style: str = ""


@dataclass(frozen=True)
class Panel:
    """Draws a moment; there is none before the first word of a coordinator.

    ``run`` and ``state`` are told on terminals that look at a run from outside, ``note`` is
    a line on who coordinates it, or what to do.
    """

    moment: ProgressSnapshot | None
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
        if self.moment is not None:
            bar = ProgressBar(total=self.moment.total, completed=self.moment.done)
            body.add_row(_text(_progress(self.moment)))
            body.add_row(bar)
            body.add_row(_table(list(rows(self.moment)), options.max_width, plain=plain))
        if self.note:
            body.add_row(_text(self.note, "dim"))
        box = Box(body, title=_text(self._title), title_align="left", border_style=self._border)
        yield from console.render(box, options)

    @property
    def _title(self) -> str:
        method = self.moment.method if self.moment is not None else ""
        place = f"run {self.run}: {self.state}" if self.run else ""
        return ", ".join(filter(None, (place, method)))

    @property
    def _border(self) -> str:
        return TROUBLE if self.state in ("dead", "failed") else "none"


def rows(moment: ProgressSnapshot) -> Iterator[Row]:
    """What the panel says below its progress bar."""
    yield Row("loss", number(moment.loss), moment.losses)
    if moment.heldout is not None:
        best = f", best {number(moment.heldout.best)}"
        yield Row("held-out", moment.heldout.text + best, moment.heldout.course)
    yield _speed(moment)
    yield _workers(moment)
    if moment.downpour is not None:
        yield from _downpour(moment.downpour)
    elif moment.sandblaster is not None:
        yield from _sandblaster(moment.sandblaster)
    if moment.waiting:
        yield Row("waiting", moment.waiting, style=CARE)
    if moment.news:
        yield Row("last event", moment.news, style=CARE)


def _progress(moment: ProgressSnapshot) -> str:
    done = f"{moment.done:.1f}" if moment.unit == "pass" else f"{moment.done:.0f}"
    most = "at most " if moment.at_most and moment.left_s is not None else ""
    left = f"{most}{duration(moment.left_s)} left"
    return f"{moment.unit} {done}/{moment.total}, {duration(moment.seconds)} gone, {left}"


def _speed(moment: ProgressSnapshot) -> Row:
    now, first = moment.speed, moment.first_speed
    step = "steps" if moment.unit == "pass" else "iterations"
    text = f"{now.examples:,.0f} examples/s, {_short(now.steps)} {step}/s"
    share = now.examples / first.examples if first is not None and first.examples else None
    if share is not None:
        text += f", {share:.0%} of the start"
    slow = share is not None and share < SLOW
    return Row("speed", text, moment.speeds, CARE if slow else "")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _workers(moment: ProgressSnapshot) -> Row:
    text = f"{moment.workers} at work"
    if moment.workers < moment.wanted:
        text = f"{moment.workers or 'none'} of {moment.wanted} at work"
    style = CARE if moment.workers < moment.wanted else ""
    return Row("workers", text, style=style if moment.workers else TROUBLE)


def _downpour(part: DownpourPart) -> Iterator[Row]:
    again = f", {part.resent} sent again" if part.resent else ""
    yield Row("units", f"{part.units_out} out{again}", style=CARE if part.resent else "")
    refused = f"{part.refused:,} refused" if part.refused else "none refused"
    style = TROUBLE if part.refused else ""
    yield Row("updates", f"{counts(part)}, {refused}", style=style)
    waited = f", waited {part.waited_s:.1f} s for slower replicas" if part.waited_s else ""
    spread = f"median {part.staleness_median}, worst {part.staleness_worst}"
    yield Row("staleness", spread + waited)


def _sandblaster(part: SandblasterPart) -> Iterator[Row]:
    yield Row("gradient", f"{number(part.gradient_norm)}, last step {part.step:.3g}")
    if part.nonzeros is not None:
        yield Row("weights", f"{part.nonzeros:,} of {part.weights:,} not zero")
    yield Row("evaluation", f"number {part.evaluations} of the batch")
    yield Row(
        "portions",
        f"{part.portions_done}/{part.portions} done, {part.portions_out} out, "
        f"{part.portions_per_second:.0f}/s",
    )
    again = f", {part.retries} sent again" if part.retries else ""
    backups = f"{part.backups_sent} sent, {part.backups_won} won{again}"
    yield Row("backups", backups, style=CARE if part.retries else "")


def _table(found: list[Row], width: int, *, plain: bool) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    drawn = 0 if width < NARROW else min(COURSE_WIDTH, width // 4)
    if drawn:
        table.add_column(no_wrap=True, style="cyan")
    for row in found:
        cells = [Text(row.name), _text(row.text, row.style)]
        if drawn:
            cells.append(_text(sparkline(row.course, drawn, plain=plain)))
        table.add_row(*cells)
    return table


def _text(text: str, style: str = "") -> Text:
    """Words as they are: no markup in them."""
    return Text(text, style, overflow="fold")


def _c_locale(environment: Mapping[str, str]) -> bool:
    """Whether somebody asked for plain characters; Python then says UTF-8 all the same."""
    asked = environment.get("LC_ALL") or environment.get("LANG") or ""
    return asked in ("C", "POSIX")
