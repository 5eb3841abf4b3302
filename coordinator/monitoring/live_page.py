"""The report of a running training, on a page of this machine that redraws itself.

What is drawn is what the command ``report`` draws, by a process of its own: drawing takes seconds,
and the training is not to wait for it. Only while somebody looks, and once more at the end.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from distbelief.app.settings.extras import needed
from distbelief.coordinator.cluster.processes import Child, end, import_path
from distbelief.coordinator.monitoring.page_server import open_server
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.runs.folder import RunFolder

#: Whoever has not asked for so long looks no more.
LOOKED_S = 5.0

#: A page is drawn again after at least so many seconds, and this many times what drawing took.
REST_S, REST_TIMES = 1.0, 2.0

#: For drawing once; and for those who look to fetch the last page.
DRAWING_S, FAREWELL_S = 120.0, 3.0

POLL_S = 0.1
END_GRACE_S = 1.0

#: Draws the page of a run; None if there is nothing to draw yet, or it could not be drawn.
Draw = Callable[[], bytes | None]


@dataclass
class LivePage:
    """The last page that was drawn, and who looks at it. Asked on threads of the server."""

    draw: Draw
    content: bytes | None = None
    tag: str = ""
    asked_at: float = -1e9
    given: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, known: str) -> tuple[str, bytes | None]:
        """The tag of the page, and the page; None if it is the ``known`` one, or not drawn yet."""
        self.asked_at = time.monotonic()
        tag, content = self.tag, self.content
        self.given = tag
        return tag, None if known == tag else content

    def redraw(self) -> None:
        """Draw it anew."""
        content = self.draw()
        if content is not None:
            self.content, self.tag = content, hashlib.sha256(content).hexdigest()[:16]

    def keep_up(self) -> None:
        """Redraw as long as somebody looks, until it is over; then once more."""
        while not self.over.is_set():
            if time.monotonic() - self.asked_at > LOOKED_S:
                self.over.wait(POLL_S)
                continue
            began = time.monotonic()
            self.redraw()
            self.over.wait(max(REST_S, REST_TIMES * (time.monotonic() - began)))
        self.redraw()

    def say_farewell(self) -> None:
        """Wait until those who look have the last page, for a moment at most."""
        deadline = time.monotonic() + FAREWELL_S
        while time.monotonic() - self.asked_at < LOOKED_S and self.given != self.tag:
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_S)


@contextmanager
def serving_page(
    port: int, folder: RunFolder, say: Callable[[str], None], draw: Draw | None = None
) -> Iterator[Callbacks]:
    """Serve the page of a run on a port of this machine (0: any that is free) while this is open.

    Raises:
        ConfigError: the port is taken, or a package is missing.
    """
    for module in ("matplotlib", "jinja2"):
        needed(module, f"a page needs the package {module}", "report")
    page = LivePage(draw or (lambda: _drawn(folder)))
    with open_server(port, page.answer, folder.path / "report.html") as found:
        say(f"page: http://127.0.0.1:{found}")
        drawing = threading.Thread(target=page.keep_up, name="page", daemon=True)
        drawing.start()
        try:
            yield Callbacks(lambda _: None, lambda _: None)
        finally:
            page.over.set()
            drawing.join(DRAWING_S)
            page.say_farewell()


def _drawn(folder: RunFolder) -> bytes | None:
    """Have another process write the report, and read it."""
    if not folder.journal.exists():
        return None
    words = ["report", folder.run, "--folder", str(folder.path.parent), "--no-figures"]
    words += [] if folder.outcome() else ["--running"]
    command = [sys.executable, "-P", "-m", "distbelief", *words]
    environment = {**os.environ, "PYTHONPATH": import_path()}
    child = Child.start("page", command, folder.make_logs(), environment)
    deadline = time.monotonic() + DRAWING_S
    while child.process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    end([child], END_GRACE_S)
    with suppress(OSError):
        return Path(folder.path / "report.html").read_bytes()
    return None
