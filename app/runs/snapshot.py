"""A run as its control server knows it: its record, once that is known to be one.

Whoever may write to the server may have written anything there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from distbelief.app.errors import ExitCode, RunDamaged
from distbelief.app.runs.damage import Document, Whole, damaged, parsed


class RunState(StrEnum):
    """State of a run. Stopped and failed ones can be resumed.

    One is ``REMOVED`` while some of its servers still hold keys of it.
    """

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"
    FINISHED = "finished"
    REMOVED = "removed"


@dataclass(frozen=True)
class Owner:
    """The coordinator of a run: for how long, and when it was last heard of."""

    host: str
    process: int
    age_s: float
    silent_s: float

    def __str__(self) -> str:
        return (
            f"process {self.process} on {self.host} (for {self.age_s:.0f} s, "
            f"last heard of {self.silent_s:.1f} s ago)"
        )


@dataclass(frozen=True)
class Snapshot:
    """A run as the control server knows it. ``status`` is what its coordinator told last.

    ``idle_s`` is for how long nothing was heard of it, ``goes_s`` when the servers will remove
    its keys, None if never.
    """

    state: RunState
    fence: int
    document: dict[str, Any]
    owner: Owner | None
    status: dict[str, Any]
    outcome: dict[str, Any]
    idle_s: float = 0.0
    goes_s: float | None = None


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, defer_build=True)


class _Measures(_Part):
    """The figures of a model that are shown."""

    rmse: float | None = None
    accuracy: float | None = None
    loss: float | None = None
    auc: float | None = None
    log_loss: float | None = None
    precision: float | None = None
    recall: float | None = None


class _Outcome(_Part):
    """How a run ended, as far as others make use of it."""

    state: RunState | None = None
    seconds: float = Field(0.0, ge=0)
    exit_code: ExitCode | None = None
    reason: str | None = None
    error: str | None = None
    kept: dict[str, float] = {}
    heldout: _Measures | None = None


class _Owner(_Part):
    host: str
    process: Whole


def _outcome(text: Any) -> Any:
    document = parsed(text)
    _Outcome.model_validate(document)
    return document


class _Fields(_Part):
    """The fields of a record that make a snapshot; older programs wrote fewer."""

    document: Document
    state: Annotated[RunState, BeforeValidator(bytes.decode)]
    fence: Whole
    owner: Annotated[_Owner | None, BeforeValidator(parsed)] = None
    since: Whole = 0
    expires: Whole = 0
    lease: Whole = 0
    status: Document = {}
    outcome: Annotated[dict[str, Any], BeforeValidator(_outcome)] = {}
    ended: Whole = 0
    goes: Whole = 0


FIELDS = tuple(_Fields.model_fields)


def read_snapshot(run: str, key: str, fields: Mapping[str, bytes], now_ms: int) -> Snapshot:
    """What the ``fields`` of the record under ``key`` say at the server's time ``now_ms``.

    Raises:
        RunDamaged: one of them says what cannot be.
    """
    try:
        record = _Fields.model_validate({name: text for name, text in fields.items() if text})
    except ValidationError as error:
        raise damaged(run, key, error) from None
    if record.state is not RunState.RUNNING:
        # Who ended it before there was "ended" told how long it took.
        ended = record.ended or record.since + 1000 * float(record.outcome.get("seconds", 0))
        owner, idle_s = None, max(0.0, (now_ms - ended) / 1000)
    elif record.owner is None:
        raise RunDamaged(f"run {run} runs, and its record does not say who coordinates it: {key}")
    else:
        silent_ms = now_ms - record.expires + record.lease
        if silent_ms < 0:  # the clock was set back: nobody knows, and the lease has run out
            silent_ms = record.lease + 1
        age_s = max(0.0, (now_ms - record.since) / 1000)
        owner = Owner(record.owner.host, record.owner.process, age_s, silent_ms / 1000)
        idle_s = owner.silent_s
    goes_s = (record.goes - now_ms) / 1000 if record.goes else None
    return Snapshot(
        record.state,
        record.fence,
        record.document,
        owner,
        record.status,
        record.outcome,
        idle_s,
        goes_s,
    )


def read_owner(run: str, key: str, text: bytes, age_ms: int, silent_ms: int) -> Owner:
    """The coordinator that a record names; raises RunDamaged."""
    try:
        owner = _Owner.model_validate(parsed(text))
    except ValueError as error:
        raise damaged(run, key, error) from None
    return Owner(owner.host, owner.process, age_ms / 1000, silent_ms / 1000)


def check_outcome(document: Any) -> None:
    """Raise ValueError unless a run can have ended so."""
    _Outcome.model_validate(document)
