"""The page of a running training redraws itself in a real browser; only this machine has it."""

from __future__ import annotations

import itertools
import re
import shutil
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError
from distbelief.coordinator.monitoring import live_page
from distbelief.coordinator.monitoring.live_page import Draw, LivePage, serving_page
from distbelief.coordinator.report import writing
from distbelief.coordinator.report.reading import read
from distbelief.coordinator.runs.folder import RunFolder
from tests.unit.coordinator.report import journals

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--virtual-time-budget=100000", "--dump-dom"),
]


def numbered() -> Draw:
    """Pages of which each is another one."""
    numbers = itertools.count(1)
    return lambda: b"<title>run</title><style></style><p>drawing %d</p>" % next(numbers)


def url_of(said: list[str]) -> str:
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+$", said[0])
    return str(url)


def asked(url: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (our own)
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_only_browsers_of_this_machine_that_ask_for_it_by_its_name_are_answered(
    tmp_path: Path,
) -> None:
    said: list[str] = []
    with serving_page(0, RunFolder(tmp_path / "r"), said.append, lambda: None):
        url = url_of(said)
        assert asked(url, Host="evil.example")[0] == 421
        assert asked(url)[0] == asked(url, Host=url[7:].replace("127.0.0.1", "localhost"))[0] == 200
        assert asked(f"{url}/report") == (204, "")  # nothing is drawn yet
        assert asked(f"{url}/../etc/passwd")[0] == 404


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=rf"page = {port} cannot be used on 127\.0\.0\.1"),
            serving_page(port, RunFolder(tmp_path / "r"), print, lambda: None),
        ):
            pass


def test_nothing_is_drawn_while_nobody_looks_and_the_end_is_always() -> None:
    page = LivePage(numbered())
    thread = threading.Thread(target=page.keep_up)
    thread.start()
    page.over.set()
    thread.join()
    assert page.content is not None
    assert b"drawing 1" in page.content
    tag, first = page.answer("")
    assert first is not None
    assert page.answer(tag) == (tag, None)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_browser_shows_one_drawing_after_another_and_the_report_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_page, "REST_S", 0.0)
    monkeypatch.setattr(live_page, "POLL_S", 0.001)  # the browser's seconds are none
    monkeypatch.setattr(writing, "PLOTS", writing.PLOTS[:1])
    report = tmp_path / "report.html"
    writing.write([read(journals.downpour(tmp_path / "run"))], report, beside=False)
    numbers, said = itertools.count(1), list[str]()

    def draw() -> bytes:
        mark = b"<p>drawing %d</p></main>" % next(numbers)
        return report.read_bytes().replace(b"</main>", mark)

    with serving_page(0, RunFolder(tmp_path / "run"), said.append, draw):
        words = [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'browser'}", url_of(said)]
        shown = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    (number,) = re.findall(r"<p>drawing (\d+)</p>", shown.stdout)
    assert int(number) >= 2, "it was not redrawn"
    assert "Live: redrawn as the training goes" in shown.stdout
    assert '<svg class="hints"' in shown.stdout
