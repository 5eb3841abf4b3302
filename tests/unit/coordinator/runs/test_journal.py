"""A run's journal keeps what happened, whatever happens to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.runs.journal import Journal, read


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    events = [Event(1.5, "unit", {"steps": 3}), Event(2.5, "end", {"why": "ü\n"})]
    for event in events:
        Journal(tmp_path / "events.jsonl", print).append(event)
    assert list(read(tmp_path / "events.jsonl")) == events


def test_a_run_without_a_journal_has_no_events(tmp_path: Path) -> None:
    assert list(read(tmp_path / "events.jsonl")) == []


def test_a_line_that_was_cut_off_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path, print).append(Event(1.0, "unit", {}))
    with path.open("a") as stream:
        stream.write('{"at": 2.0, "ki\n')
    Journal(path, print).append(Event(3.0, "end", {}))
    assert [event.kind for event in read(path)] == ["unit", "end"]


def test_a_journal_that_cannot_be_written_says_so_once_and_nothing_fails(tmp_path: Path) -> None:
    said: list[str] = []
    journal = Journal(tmp_path / "no" / "events.jsonl", said.append)
    for _ in range(3):
        journal.append(Event(1.0, "unit", {}))
    assert len(said) == 1
    assert "No such file or directory" in said[0]


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=str(tmp_path)):
        list(read(tmp_path))
