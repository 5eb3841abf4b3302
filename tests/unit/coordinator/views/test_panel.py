"""The panel, letter by letter: what a terminal shows of a snapshot."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from distbelief.app.models.metrics import Score
from distbelief.app.store.contract.parameters import ShardCounts
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.outcome import HeldoutEvaluation
from distbelief.coordinator.progress.status import Outstanding, Status, Tally
from distbelief.coordinator.views.panel import Panel
from distbelief.coordinator.views.snapshot import MOST_POINTS, ProgressSnapshot
from distbelief.coordinator.views.tracker import ProgressTracker
from tests.unit.coordinator.views.statuses import EVALUATION, SANDBLASTER, THREE, status


def snapshot(statuses: Sequence[Status], events: Sequence[Event] = ()) -> ProgressSnapshot:
    """That of the last status."""
    tracker = ProgressTracker(THREE)
    for event in events:
        tracker.hear(event)
    for each in statuses:
        tracker.see(each)
    return tracker.snapshot(statuses[-1])


def drawn(panel: Panel, width: int = 80, encoding: str = "utf-8") -> str:
    """The panel on a terminal of that width, without spaces at line ends."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width, force_terminal=True, color_system=None).print(panel)
    file.seek(0)
    return "\n".join(line.rstrip() for line in file.read().splitlines()) + "\n"


def learned(number: int, right: int) -> HeldoutEvaluation:
    return HeldoutEvaluation(number, number / 2, number * 1.0, Score(200, 50.0, right, 0.0))


#: Thirty seconds in which speed, loss and accuracy go somewhere; a replica lost its worker.
STATUSES = [
    status(
        passes=second / 4,
        steps=50 * second,
        examples=1600 * second,
        seconds=float(second),
        training_loss=2.0 / second,
        evaluation=learned(second // 5, 150 + second) if second >= 5 else None,
        best=learned(second // 5, 150 + second) if second >= 5 else None,
        resent=1,
        waited_s=3.21,
        workers=1,
    )
    for second in range(1, 31)
]

HEALTHY = snapshot([*STATUSES[:-1], replace(STATUSES[-1], resent=0, waited_s=0.0, workers=2)])

WIDE = """\
╭─ Downpour SGD ───────────────────────────────────────────────────────────────────────────────────────────────────────╮
│ pass 7.5/10, 0:00:30 gone, 0:00:10 left                                                                              │
│ ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                              │
│ loss       0.06667                                                                    ████▆▅▄▄▃▃▃▃▂▂▂▂▂▂▂▁▁▁▁▁▁▁▁▁▁▁ │
│ held-out   accuracy 0.9000, loss 0.25; best accuracy 0.9 at pass 3                    ▁▂▄▅▇█                         │
│ speed      1,600 examples/s, 50 steps/s, 100% of the start                            ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄ │
│ workers    2 at work                                                                                                 │
│ units      2 out                                                                                                     │
│ updates    499/500, none refused                                                                                     │
│ staleness  median 1, worst 7                                                                                         │
╰──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────╯
"""  # noqa: E501

NARROW = """\
╭─ run 7: dead, Downpour SGD ──────────────────────────────────────────────────╮
│ pass 7.5/10, 0:00:30 gone, 0:00:10 left                                      │
│ ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                    │
│ loss        0.06667                                     ███▆▄▄▃▃▂▂▂▂▁▁▁▁▁▁▁▁ │
│ held-out    accuracy 0.9000, loss 0.25; best accuracy   ▁▂▄▅▇█               │
│             0.9 at pass 3                                                    │
│ speed       1,600 examples/s, 50 steps/s, 100% of the   ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄ │
│             start                                                            │
│ workers     1 of 2 at work                                                   │
│ units       2 out, 1 sent again                                              │
│ updates     499/500, none refused                                            │
│ staleness   median 1, worst 7, waited 3.2 s for slower                       │
│             replicas                                                         │
│ last event  restored: shard 1 from a checkpoint                              │
│ nobody coordinates it                                                        │
╰──────────────────────────────────────────────────────────────────────────────╯
"""

BATCH = """\
+- Sandblaster OWL-QN ------------------------------------+
| iteration 7/100, 0:00:04 gone, at most 0:00:53 left     |
| ---                                                     |
| loss        0.125                                       |
| held-out    accuracy 0.9000, loss 0.25; best accuracy   |
|             0.9 at iteration 2                          |
| speed       10,000 examples/s, 1.8 iterations/s         |
| workers     2 at work                                   |
| gradient    0.5, last step 0.25                         |
| weights     1,230 of 7,840 not zero                     |
| evaluation  number 9 of the batch                       |
| portions    20/64 done, 3 out, 100/s                    |
| backups     4 sent, 2 won                               |
+---------------------------------------------------------+
"""


def test_a_wide_terminal_shows_a_healthy_run_like_this() -> None:
    assert drawn(Panel(HEALTHY), 120) == WIDE


def test_eighty_columns_show_a_run_in_trouble_like_this(monkeypatch: pytest.MonkeyPatch) -> None:
    event = Event(0.0, "restored", {"what": "shard 1 from a checkpoint"})
    found = snapshot(STATUSES, [event])
    assert found.news == f"{found.news[:8]} restored: shard 1 from a checkpoint"
    found = found.model_copy(update={"news": found.news[9:]})  # the hour is that of the place
    assert drawn(Panel(found, "7", "dead", "nobody coordinates it")) == NARROW


def test_a_narrow_terminal_without_unicode_shows_sandblaster_like_this() -> None:
    found = snapshot([replace(SANDBLASTER, nonzeros=1230)])
    assert drawn(Panel(found), 59, "ascii") == BATCH


def test_the_c_locale_gets_plain_characters_although_python_writes_utf_8(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "C")
    assert drawn(Panel(HEALTHY), 120).isascii()
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert drawn(Panel(HEALTHY), 120) == WIDE


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 200])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    text = drawn(
        Panel(HEALTHY, "20261123-070213-93a4", "running", "coordinator: 17 on here"), width
    )
    assert max(map(len, text.splitlines())) == width


def test_a_narrow_terminal_has_room_for_words_only() -> None:
    assert "█" in drawn(Panel(HEALTHY), 60)
    assert "█" not in drawn(Panel(HEALTHY), 59)


def test_before_the_first_word_of_a_coordinator_there_is_only_the_state() -> None:
    text = drawn(Panel(None, "7", "running", "coordinator: 17 on here"))
    assert text.splitlines()[0].startswith("╭─ run 7: running ─")
    assert "coordinator: 17 on here" in text
    assert "loss" not in text


def test_a_run_that_stands_still_says_who_is_missing_and_what_it_waits_for() -> None:
    oldest = Outstanding("unit downpour-0-200", 14.0, "")
    stalled = status(workers=0, idle_s=12.0, oldest=oldest)
    text = drawn(Panel(snapshot([stalled])), 120)
    assert "workers    none of 2 at work" in text
    assert "waiting    12 s for a worker to take unit downpour-0-200" in text


def test_a_limit_of_time_ends_a_run_before_its_passes_do() -> None:
    text = drawn(Panel(snapshot([status(seconds=4.0, limit_s=9.0)])))
    assert "at most 0:00:05 left" in text


def test_portions_sent_again_are_counted_with_the_backups() -> None:
    text = drawn(Panel(snapshot([replace(SANDBLASTER, tally=Tally(retries=2))])))
    assert "0 sent, 0 won, 2 sent again" in text


def test_markup_in_what_workers_are_called_is_text() -> None:
    event = Event(0.0, "resent", {"unit": "downpour-1-4", "worker": "7@[red]", "attempt": 1})
    assert "downpour-1-4 sent again after 7@[red]" in drawn(Panel(snapshot(STATUSES, [event])), 120)


def test_a_moment_is_small_and_the_same_after_its_way_over_the_server() -> None:
    long = [
        status(
            seconds=second,
            examples=int(second * 9),
            training_loss=1 / (second + 1),
            shards=[ShardCounts(9, 0)] * 5000,
            staleness=Counter(range(999)),
        )
        for second in range(500)
    ]
    found = snapshot(long)
    assert len(found.losses) <= MOST_POINTS
    assert len(found.model_dump_json()) < 5000
    assert ProgressSnapshot.from_json(found.to_json()) == found


def test_the_document_of_another_version_is_no_moment() -> None:
    assert ProgressSnapshot.from_json({}) is None
    assert ProgressSnapshot.from_json({"figures": [["loss", "0.5"]]}) is None
    known = snapshot([status()]).to_json()
    assert ProgressSnapshot.from_json({**known, "new": 1}) == snapshot([status()])


def test_what_is_not_a_number_is_none_in_the_document() -> None:
    found = snapshot([status(training_loss=float("nan"), evaluation=EVALUATION)])
    assert found.loss is None
    assert "NaN" not in found.model_dump_json()
