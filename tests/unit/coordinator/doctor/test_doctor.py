"""What a doctor makes of facts: how bad each is, in which words, and with which exit code."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from distbelief.app.client.engine import Choice, Engine
from distbelief.app.errors import ExitCode, ServerRefused, UnsafeEviction
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster.binaries import ServerProgram
from distbelief.coordinator.doctor import clocks, examination, machine, security, servers, workers
from distbelief.coordinator.doctor.clocks import ClockFacts
from distbelief.coordinator.doctor.findings import (
    Finding,
    Severity,
    error,
    exit_code,
    note,
    ok,
    warning,
)
from distbelief.coordinator.doctor.trials import Expected
from distbelief.coordinator.views.diagnosis import show, verdict

MIB = 1 << 20
INFO = {
    "redis_version": "7.0.15",
    "aof_enabled": "0",
    "rdb_last_bgsave_status": "ok",
    "used_memory": str(100 * MIB),
    "maxmemory": "0",
    "total_system_memory": str(1100 * MIB),
}
HEALTHY = servers.ServerFacts(
    address="redis://ps1:6379",
    parameters=True,
    info=INFO,
    config={"save": ""},
    round_trips_ms=(0.1, 0.2, 0.3),
    engine=Choice(Engine.NATIVE),
)
CONTROL = replace(HEALTHY, parameters=False, engine=None)

#: Changes of a healthy server, what it will hold, and: severity, code, words of what is said.
SERVERS: dict[str, tuple[servers.ServerFacts, int | None, Severity, ExitCode, tuple[str, ...]]] = {
    "old": (
        replace(HEALTHY, info={**INFO, "redis_version": "6.2.14"}),
        None,
        Severity.ERROR,
        ExitCode.SERVER,
        ("Redis 6.2.14", "7.0"),
    ),
    "of a cluster": (
        replace(HEALTHY, info={**INFO, "redis_mode": "cluster", "cluster_size": "3"}),
        None,
        Severity.ERROR,
        ExitCode.SERVER,
        ("cluster mode", "3 shards", "redis+cluster://"),
    ),
    "of a cluster, for Celery": (
        replace(CONTROL, info={**INFO, "redis_mode": "cluster", "aof_enabled": "1"}),
        None,
        Severity.ERROR,
        ExitCode.SERVER,
        ("cluster mode", "not named so", "redis+cluster://"),
    ),
    "silent about itself": (
        replace(HEALTHY, info=None),
        None,
        Severity.WARNING,
        ExitCode.OK,
        ("INFO", "+info"),
    ),
    "evicting": (
        replace(HEALTHY, failures=(UnsafeEviction("allkeys-lru, set it to noeviction"),)),
        None,
        Severity.ERROR,
        ExitCode.EVICTION,
        ("allkeys-lru", "noeviction"),
    ),
    "without the module that is wanted": (
        replace(HEALTHY, engine=None, failures=(ServerRefused("cannot use the native engine"),)),
        None,
        Severity.ERROR,
        ExitCode.SERVER,
        ("native engine",),
    ),
    "without the module": (
        replace(HEALTHY, engine=Choice(Engine.LUA, "the module is not loaded")),
        None,
        Severity.WARNING,
        ExitCode.OK,
        ("not loaded", "deploy/README.md"),
    ),
    "snapshots": (
        replace(HEALTHY, config={"save": "3600 1"}),
        None,
        Severity.WARNING,
        ExitCode.OK,
        ("save 3600 1",),
    ),
    "a snapshot that failed": (
        replace(HEALTHY, info={**INFO, "rdb_last_bgsave_status": "err"}),
        None,
        Severity.WARNING,
        ExitCode.OK,
        ("snapshot failed",),
    ),
    "an append-only file": (
        replace(HEALTHY, info={**INFO, "aof_enabled": "1"}),
        None,
        Severity.NOTE,
        ExitCode.OK,
        ("grows",),
    ),
    "control without one": (CONTROL, None, Severity.NOTE, ExitCode.OK, ("no append-only file",)),
    "slow": (
        replace(HEALTHY, round_trips_ms=(7.0, 8.0, 30.0)),
        None,
        Severity.WARNING,
        ExitCode.OK,
        ("8 ms", "worst 30", "--n-push"),
    ),
    "too small": (HEALTHY, 1001 * MIB, Severity.ERROR, ExitCode.SERVER, ("1,001 MiB", "1,000 MiB")),
    "just large enough": (HEALTHY, 900 * MIB, Severity.WARNING, ExitCode.OK, ("900 MiB",)),
    "limited": (
        replace(HEALTHY, info={**INFO, "maxmemory": str(150 * MIB)}),
        60 * MIB,
        Severity.ERROR,
        ExitCode.SERVER,
        ("60 MiB", "50 MiB", "raise maxmemory"),
    ),
}


@pytest.mark.parametrize("case", SERVERS)
def test_what_is_wrong_with_a_server_is_named(case: str) -> None:
    facts, need, severity, code, words = SERVERS[case]
    found = [each for each in servers.judge(facts, need) if each.severity is not Severity.OK]
    assert [each.severity for each in found] == [severity]
    assert exit_code(found) == code
    said = f"{found[0].what} {found[0].todo}"
    assert all(word in said for word in words), said


def test_all_is_well_with_a_healthy_server() -> None:
    assert {each.severity for each in servers.judge(HEALTHY, 500 * MIB)} == {Severity.OK}


def test_what_stands_behind_an_address_is_said() -> None:
    node = replace(HEALTHY, info={**INFO, "redis_mode": "cluster", "cluster_size": "3"})
    found = servers.judge(replace(node, clustered=True), 500 * MIB)
    assert found[0] == ok(found[0].subject, "Redis 7.0.15, one of 3 masters of a cluster")
    found = servers.judge(replace(HEALTHY, at="10.0.0.7:6379"), 500 * MIB)
    assert found[0].what.endswith(", which the sentinels call the master: 10.0.0.7:6379")


def test_a_managed_server_that_hides_its_settings_is_judged_by_the_rest() -> None:
    assert {each.severity for each in servers.judge(replace(HEALTHY, config=None))} == {Severity.OK}


def access(**changes: Any) -> security.AccessFacts:
    facts = security.AccessFacts("a", "redis", "127.0.0.1", False, (), protected=True)
    return replace(facts, **changes)


ACCESS = {
    "password, on this machine": (access(), Severity.OK, None),
    "no password, on this machine": (access(open=True), Severity.NOTE, None),
    "no password, protected": (access(open=True, reachable=("10.0.0.8",)), Severity.NOTE, None),
    "no password, not protected": (
        access(open=True, reachable=("10.0.0.8",), protected=False),
        Severity.ERROR,
        "10.0.0.8",
    ),
    "no password, over the network": (
        access(open=True, host="ps1", scheme="rediss", reachable=None, protected=None),
        Severity.ERROR,
        "ps1",
    ),
    "plain, over the network": (access(host="10.0.0.7"), Severity.WARNING, "not encrypted"),
    "encrypted": (access(host="10.0.0.7", scheme="rediss"), Severity.OK, None),
    "not tried": (access(open=None), Severity.NOTE, "could not be tried"),
    "no password, and silent about who reaches it": (
        access(open=True, reachable=None, protected=None),
        Severity.NOTE,
        "does not say",
    ),
}
RANKS = list(Severity)


@pytest.mark.parametrize("case", ACCESS)
def test_an_open_door_is_an_error_where_others_can_come_to_it(case: str) -> None:
    facts, worst, word = ACCESS[case]
    found = security.judge(facts)
    last = max(found, key=lambda each: RANKS.index(each.severity))
    assert last.severity is worst
    assert word is None or word in last.what
    assert exit_code(found) == (ExitCode.AUTHENTICATION if worst is Severity.ERROR else 0)


@pytest.mark.parametrize(
    ("config", "addresses"),
    [
        ({"bind": "127.0.0.1 -::1", "port": "6379"}, ()),
        ({"bind": "* -::*", "port": "6379"}, ("*", "::*")),
        ({"bind": "", "port": "6379"}, ("every address",)),
        ({"bind": "127.0.0.1 10.0.0.7", "port": "6379"}, ("10.0.0.7",)),
        ({"bind": "", "port": "0", "tls-port": "0"}, ()),
        ({"bind": "10.0.0.8", "port": "0", "tls-port": "6380"}, ("10.0.0.8",)),
    ],
)
def test_where_a_server_listens_beyond_its_machine(
    config: dict[str, str], addresses: tuple[str, ...]
) -> None:
    assert security.reachable(config) == addresses


HERE = {"distbelief": "1", "code": "abc", "python": "3.11.7", "numpy": "2.4.0"}
EXPECTED = Expected(HERE, frozenset({"downpour", "evaluation"}), "f00", examples=9, nbytes=100)
ANSWER = {
    "versions": HERE,
    "processes": 2,
    "cores": 2,
    "queues": ["downpour", "evaluation"],
    "threads": {"OMP_NUM_THREADS": "1"},
}


def fleet(answer: dict[str, Any], trial: Any = None, silent: tuple[str, ...] = ()) -> workers.Fleet:
    return workers.Fleet("redis://b", (workers.WorkerFacts("w@h", answer, None, trial),), silent)


FLEETS: dict[str, tuple[workers.Fleet, Severity, ExitCode, tuple[str, ...]]] = {
    "two of one name": (
        replace(fleet(ANSWER), workers=fleet(ANSWER).workers * 2),
        Severity.WARNING,
        ExitCode.OK,
        ("2 workers are called w@h", "only one was asked for data and model", "--hostname NAME@%h"),
    ),
    "nobody": (
        workers.Fleet("redis://b", ()),
        Severity.ERROR,
        ExitCode.NO_WORKERS,
        ("no worker answers at redis://b", "celery -A distbelief worker"),
    ),
    "nobody on a queue": (
        fleet({**ANSWER, "queues": ["downpour"]}),
        Severity.ERROR,
        ExitCode.NO_WORKERS,
        ("nobody listens on evaluation",),
    ),
    "an older version": (
        fleet({}),
        Severity.ERROR,
        ExitCode.MISMATCH,
        ("older version",),
    ),
    "another version": (
        fleet({**ANSWER, "versions": {**HERE, "distbelief": "2"}}),
        Severity.ERROR,
        ExitCode.MISMATCH,
        ("distbelief 2 (here 1)", "restart the workers"),
    ),
    "other code of the same version": (
        fleet({**ANSWER, "versions": {**HERE, "code": "abd"}}),
        Severity.ERROR,
        ExitCode.MISMATCH,
        ("code abd (here abc)",),
    ),
    "another NumPy": (
        fleet({**ANSWER, "versions": {**HERE, "numpy": "2.0.1"}}),
        Severity.WARNING,
        ExitCode.OK,
        ("numpy 2.0.1 (here 2.4.0)",),
    ),
    "more processes than cores": (
        fleet({**ANSWER, "processes": 5}),
        Severity.WARNING,
        ExitCode.OK,
        ("5 processes on 2 cores", "--concurrency 2"),
    ),
    "threads": (
        fleet({**ANSWER, "threads": {"OMP_NUM_THREADS": "8"}}),
        Severity.NOTE,
        ExitCode.OK,
        ("OMP_NUM_THREADS=8",),
    ),
    "no data": (
        fleet(ANSWER, {"data": "x.csv: no such file"}),
        Severity.ERROR,
        ExitCode.DATA,
        ("x.csv: no such file", "same path", "--stage-data"),
    ),
    "other data": (
        fleet(ANSWER, {"fingerprint": "bad"}),
        Severity.ERROR,
        ExitCode.DATA,
        ("fingerprint bad, here f00",),
    ),
    "other data, of another size": (
        fleet(ANSWER, {"fingerprint": "bad", "examples": 8}),
        Severity.ERROR,
        ExitCode.DATA,
        ("fingerprint bad, here f00; 8 examples, here 9",),
    ),
    "no room for staged data": (
        fleet(ANSWER, {"cache": {"folder": "/c", "free": 99, "writable": True}}),
        Severity.ERROR,
        ExitCode.DATA,
        ("its cache /c has room for 99 bytes", "DISTBELIEF_CACHE"),
    ),
    "a cache that cannot be written": (
        fleet(ANSWER, {"cache": {"folder": "/c", "free": 999, "writable": False}}),
        Severity.ERROR,
        ExitCode.DATA,
        ("cannot write staged data into its cache /c",),
    ),
    "a worker that opens anything": (
        fleet({**ANSWER, "open_to": "whoever may write to redis://b"}),
        Severity.WARNING,
        ExitCode.OK,
        ("whoever may write to redis://b reaches it", "DISTBELIEF_DATA_ROOTS=/data"),
    ),
    "no model": (
        fleet(ANSWER, {"fingerprint": "f00", "model": "no module mine"}),
        Severity.ERROR,
        ExitCode.MODEL,
        ("no module mine",),
    ),
    "still at it": (
        fleet(ANSWER, {"pending": True}),
        Severity.WARNING,
        ExitCode.OK,
        ("not known", "30 s"),
    ),
    "silent": (
        fleet(ANSWER, silent=("x@h",)),
        Severity.WARNING,
        ExitCode.OK,
        ("no answer", "frozen"),
    ),
}


@pytest.mark.parametrize("case", FLEETS)
def test_what_is_wrong_with_workers_is_named(case: str) -> None:
    seen, severity, code, words = FLEETS[case]
    found = [each for each in workers.judge(seen, EXPECTED) if each.severity is not Severity.OK]
    assert [each.severity for each in found] == [severity]
    assert exit_code(found) == code
    said = f"{found[0].what} {found[0].todo}"
    assert all(word in said for word in words), said


def test_all_is_well_with_a_worker_that_sees_the_same_data() -> None:
    found = workers.judge(fleet(ANSWER, {"fingerprint": "f00"}), EXPECTED)
    assert {each.severity for each in found} == {Severity.OK}
    assert "the same data" in found[-1].what


def test_it_says_what_a_worker_has() -> None:
    cache = {"folder": "/c", "there": True, "free": 100, "writable": True}
    trial = {"fingerprint": "f00", "examples": 9, "cache": cache}
    found = workers.judge(fleet(ANSWER, trial), EXPECTED)
    said = " ".join(each.what for each in found)
    assert "distbelief 1, python 3.11.7, numpy 2.4.0" in said
    assert "sees the same data (9 examples, digest f00), in its cache /c, and can build" in said
    (*_, last) = workers.judge(fleet(ANSWER, {"cache": cache}), EXPECTED)
    assert last.what.startswith("it will fetch the data into its cache /c, and can build")
    lacking = workers.judge(fleet(ANSWER, {"data": "no x.csv", "model": "no mine"}), EXPECTED)
    assert [each.code for each in lacking[-2:]] == [ExitCode.DATA, ExitCode.MODEL]


def test_a_clock_is_wrong_when_it_is_off_by_more_than_can_be_told() -> None:
    told = clocks.judge([ClockFacts("a", 2.4, 0.5), ClockFacts("b", -7.0), ClockFacts("c", 0.0)])
    assert [(each.subject, each.severity) for each in told] == [("clock of b", Severity.WARNING)]
    assert "7.0 s behind" in told[0].what
    (fine,) = clocks.judge([ClockFacts("a", 0.3)])
    assert fine.severity is Severity.OK


MACHINE = machine.MachineFacts(
    program=ServerProgram("/bin/valkey-server", (9, 1)),
    module="/engine.so",
    cores=4,
    memory=1000 * MIB,
    free={"/runs": 1 << 40},
    temporary="/t",
    versions=HERE,
)


def test_all_is_well_with_a_machine_that_has_everything() -> None:
    found = machine.judge(MACHINE, 4, 100 * MIB, 100 * MIB)
    assert {each.severity for each in found} == {Severity.OK}


@pytest.mark.parametrize(
    ("facts", "severity", "word"),
    [
        (replace(MACHINE, program=ServerRefused("no server")), Severity.ERROR, "no server"),
        (replace(MACHINE, module=None), Severity.WARNING, "not built"),
        (replace(MACHINE, cores=3), Severity.WARNING, "--replicas 3"),
        (replace(MACHINE, memory=400 * MIB), Severity.ERROR, "500 MiB"),
        (replace(MACHINE, free={"/runs": 5 * MIB}), Severity.WARNING, "5 MiB"),
        (replace(MACHINE, temporary="/" + 80 * "x"), Severity.NOTE, "too long"),
    ],
)
def test_what_a_machine_lacks_is_named(
    facts: machine.MachineFacts, severity: Severity, word: str
) -> None:
    found = machine.judge(facts, 4, 100 * MIB, 100 * MIB)
    (bad,) = [each for each in found if each.severity is not Severity.OK]
    assert bad.severity is severity
    assert word in f"{bad.what} {bad.todo}"


FINDINGS = [
    ok("a", "fine"),
    note("a", "as you like", "do this"),
    warning("b", "hm", "do that"),
    error("b", "bad", "stop", ExitCode.EVICTION),
    error("c", "worse", "stop", ExitCode.DATA),
]


def test_a_run_whose_work_cannot_be_divided_is_an_error(tmp_path: Path) -> None:
    config = RunConfig(data="synthetic:softmax", model="softmax", warm_start_steps=10_000)
    cluster = ClusterConfig(folder=str(tmp_path))
    first = examination.examine(config, cluster, described=True)[0]
    assert (first.subject, first.severity, first.code) == ("run", Severity.ERROR, ExitCode.USAGE)
    assert first.what.startswith("warm_start_steps = 10000 is more than the")


def test_the_exit_code_is_that_of_the_first_error() -> None:
    assert exit_code(FINDINGS) == ExitCode.EVICTION
    assert exit_code(FINDINGS[:3]) == ExitCode.OK


def shown(findings: list[Finding], *, terminal: bool) -> str:
    out = io.StringIO()
    show(Console(file=out, force_terminal=terminal, width=80, _environ={}), findings)
    return out.getvalue()


def test_findings_stand_below_their_subjects_with_what_to_do() -> None:
    assert shown(FINDINGS, terminal=False).splitlines() == [
        "a",
        "  ok       fine",
        "  note     as you like",
        "           -> do this",
        "b",
        "  warning  hm",
        "           -> do that",
        "  error    bad",
        "           -> stop",
        "c",
        "  error    worse",
        "           -> stop",
        "5 things looked at: 2 errors, 1 warning, 1 note",
    ]


def test_there_is_colour_only_on_a_terminal() -> None:
    assert "\x1b[" in shown(FINDINGS, terminal=True)
    assert "\x1b[" not in shown(FINDINGS, terminal=False)


def test_all_is_well_is_said() -> None:
    assert verdict(FINDINGS[:1]) == "1 things looked at: all is well"
