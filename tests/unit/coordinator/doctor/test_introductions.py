"""What workers say of the servers: each difference is an error of its kind."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.app.errors import (
    AuthenticationFailed,
    DistBeliefError,
    ExitCode,
    ServerUnreachable,
    WorkerMismatch,
)
from distbelief.app.runs.identity import Identity
from distbelief.coordinator.doctor import workers
from distbelief.coordinator.doctor.findings import Severity
from distbelief.coordinator.doctor.introductions import (
    code_objection,
    seen_text,
    server_objections,
)
from distbelief.coordinator.doctor.trials import Expected

ADDRESSES = ("redis://ps1", "redis://ps2")


def seen(address: str, *marks: int) -> dict[str, Any]:
    return {"address": address, "marks": list(marks), "round_trip_ms": 0.25, "engine": "native"}


RIGHT = [seen("redis://ps1", 0), seen("redis://ps2", 1)]
SILENT: list[Any] = [RIGHT[0], None]
LOCKED: list[Any] = [RIGHT[0], {"error": "wrong password", "code": int(ExitCode.AUTHENTICATION)}]

WRONG: dict[str, tuple[dict[str, Any], type[DistBeliefError], tuple[str, ...]]] = {
    "another order": (
        {"servers": [seen("redis://ps2", 1), seen("redis://ps1", 0)]},
        WorkerMismatch,
        ("its number 1 (redis://ps2) is number 2 of the coordinator", "restart the worker"),
    ),
    "another server": (
        {"servers": [RIGHT[0], seen("redis://ps2")]},
        WorkerMismatch,
        ("number 2", "(redis://ps2) is another server than that of the coordinator"),
    ),
    "too few": ({"servers": RIGHT[:1]}, WorkerMismatch, ("has 1 parameter servers", "2")),
    "out of reach": (
        {"servers": SILENT},
        ServerUnreachable,
        ("worker w@h does not reach parameter server 2 (redis://ps2)", "firewall"),
    ),
    "locked": (
        {"servers": LOCKED},
        AuthenticationFailed,
        ("worker w@h cannot use parameter server 2 (redis://ps2): wrong password",),
    ),
    "no addresses": (
        {"error": "X_FILE names x, which cannot be read", "code": int(ExitCode.USAGE)},
        DistBeliefError,
        ("worker w@h does not know its servers", "X_FILE"),
    ),
}


def test_a_worker_that_sees_what_we_see_is_welcome() -> None:
    assert server_objections("w@h", {"servers": RIGHT}, ADDRESSES, {0, 1}) == []
    assert seen_text({"servers": RIGHT}) == (
        "redis://ps1 in 0.25 ms (native engine), redis://ps2 in 0.25 ms (native engine)"
    )


@pytest.mark.parametrize("case", WRONG)
def test_what_differs_is_named_with_its_kind(case: str) -> None:
    answer, kind, words = WRONG[case]
    error = server_objections("w@h", answer, ADDRESSES, {0, 1})[0]
    assert isinstance(error, kind)
    assert all(word in str(error) for word in words), error


def test_without_marks_only_reach_is_judged() -> None:
    """A user of the server that may not SET is no reason to end a training."""
    unmarked = [seen("redis://ps1"), seen("redis://ps2")]
    assert server_objections("w@h", {"servers": unmarked}, ADDRESSES, ()) == []


def test_a_worker_that_does_not_know_the_question_is_older() -> None:
    here = Identity.here()
    said = code_objection("w@h", {"error": "KeyError('distbelief_introduce')"}, here)
    assert isinstance(said, WorkerMismatch)
    assert "older version" in str(said)
    assert code_objection("w@h", {"identity": here.to_json()}, here) is None


def doctored(
    introduction: dict[str, Any] | None, marked: frozenset[int]
) -> list[tuple[Severity, str]]:
    versions = {"distbelief": "1", "code": "abc"}
    answer = {"versions": versions, "processes": 1, "cores": 1, "queues": ["q"], "threads": {}}
    worker = workers.WorkerFacts("w@h", answer, introduction=introduction)
    fleet = workers.Fleet("redis://b", (worker,), marked=marked)
    expected = Expected(versions, frozenset({"q"}), servers=ADDRESSES)
    return [(each.severity, each.what) for each in workers.judge(fleet, expected)[2:]]


def test_the_doctor_shows_how_a_worker_sees_the_servers() -> None:
    told = {"identity": {}, "servers": RIGHT}
    ((severity, what),) = doctored(told, frozenset({0, 1}))
    assert severity is Severity.OK
    assert what.endswith(seen_text(told))
    (_, (unknown, why)) = doctored(told, frozenset({0}))
    assert (unknown, why) == (
        Severity.WARNING,
        "whether redis://ps2 is the same server there could not be seen",
    )
    assert doctored(None, frozenset())[0][0] is Severity.WARNING
    turned = {"identity": {}, "servers": RIGHT[::-1]}
    assert {severity for severity, _ in doctored(turned, frozenset({0, 1}))} == {Severity.ERROR}
