"""Shows the conversion of data to whoever waits for it, if it takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most data are converted already
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from distbelief.app.datasets.reading.reader import Progress as Told

#: Shorter conversions show nothing; without a terminal there is a line from time to time.
SILENT_S = 1.0
LINE_EVERY_S = 10.0


@contextmanager
def show_conversion(console: Console) -> Iterator[Told]:
    """Give a function that shows bytes read and bytes in all (0: nobody knows) when told."""
    bar: tuple[Progress, TaskID] | None = None
    shown_at = time.monotonic() + SILENT_S - LINE_EVERY_S

    def tell(n_bytes: int, total: int) -> None:
        nonlocal shown_at, bar
        if time.monotonic() - shown_at < LINE_EVERY_S:
            return
        if console.is_terminal:
            bar = bar or _bar(console)
            progress, task = bar
            progress.update(task, completed=n_bytes, total=total or None)
            return
        shown_at = time.monotonic()
        share = f", {n_bytes / total:.0%}" if total else ""
        console.print(f"converting data: {n_bytes / 1e6:,.0f} MB read{share}", highlight=False)

    try:
        yield tell
    finally:
        if bar is not None:
            bar[0].stop()


def _bar(console: Console) -> tuple[Progress, TaskID]:
    """A bar that is drawn from now on."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("converting data"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("")
    bar.start()
    return bar, task
