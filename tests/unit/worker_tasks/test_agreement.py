"""Which model a worker builds after its source has changed: the run's, or none."""

from __future__ import annotations

import hashlib
import importlib
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ServerUnreachable, WorkerMismatch
from distbelief.app.layout.layout import Layout
from distbelief.app.models import sources
from distbelief.app.models.imports import ALLOWED_IMPORTS_VARIABLE
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.worker_tasks import agreement

SOURCE = """
from distbelief.app.models.linear import SoftmaxRegression


class Model(SoftmaxRegression):
    version = 1
"""


@pytest.fixture
def record_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[int], RunRecord]]:
    """Write a version of the model to disk, and give the record of a coordinator that has it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(ALLOWED_IMPORTS_VARIABLE, "changing")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    layout = Layout.plan(SoftmaxRegression(4, 3).tensors, n_servers=1)

    def record(version: int) -> RunRecord:
        text = SOURCE.replace("1", str(version))
        (tmp_path / "changing.py").write_text(text)
        importlib.invalidate_caches()
        config = RunConfig(model="changing:Model")
        here = Identity.here()
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        identity = Identity(here.version, here.code, {"changing": digest})
        return RunRecord("run", config, layout, (), "f", Schema(4, 3), (), identity)

    yield record
    sources.forget(["changing"])


def test_a_worker_of_ours_imports_a_changed_model_anew(
    record_of: Callable[[int], RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "is_ours", lambda: True)
    for version in (1, 2):
        model = agreement.build_agreed_model(record_of(version))
        assert getattr(model, "version", None) == version


def test_the_modules_of_another_program_are_left_alone_and_the_run_is_refused(
    record_of: Callable[[int], RunRecord],
) -> None:
    agreement.build_agreed_model(record_of(1))
    imported = sys.modules["changing"]
    with pytest.raises(WorkerMismatch, match=r"imported another changing .* restart the worker"):
        agreement.build_agreed_model(record_of(2))
    assert sys.modules["changing"] is imported


def test_a_coordinator_with_a_newer_model_than_lies_here_is_refused(
    record_of: Callable[[int], RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "is_ours", lambda: True)
    newer = record_of(2)
    record_of(1)
    with pytest.raises(WorkerMismatch, match="imported another changing"):
        agreement.build_agreed_model(newer)


def test_a_worker_that_cannot_reach_a_server_waits_in_all_its_tries_as_long_as_others_once(
    record_of: Callable[[int], RunRecord],
) -> None:
    record = record_of(1)
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{bound.getsockname()[1]}"
        config = record.config.model_copy(update={"server_seconds": 0.5, "unit_attempts": 5})
        with (
            closing(Servers([url], deadline_s=60.0)) as servers,
            pytest.raises(ServerUnreachable, match=r"no answer within 0\.1 s"),
        ):
            agreement.check_order(replace(record, config=config), servers)
