"""The servers: version, eviction, persistence, memory, engine, self-test, latency."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.info import server_name
from distbelief.app.client.servers import Servers
from distbelief.app.errors import DistBeliefError, ExitCode, ServerRefused
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import WantedEngine
from distbelief.app.store.engines import choose_engines
from distbelief.coordinator.doctor import preflight, support
from distbelief.coordinator.doctor.findings import Finding, error, failed, note, ok, warning
from distbelief.coordinator.problem.memory_estimate import bytes_text

#: How long a server has for each answer.
PATIENCE_S = 3.0
ROUND_TRIPS = 20

#: A median round trip beyond which replicas wait for the network more than they compute.
SLOW_MS = 5.0
#: Share of the free memory that a run may take without a word.
TIGHT = 0.8

#: Settings of a server that are looked at.
SETTINGS = ("save", "bind", "protected-mode", "port", "tls-port")


@dataclass(frozen=True)
class ServerFacts:
    """Facts on one server that answers.

    ``parameters`` tells parameter servers from the control server. ``info`` are the fields of
    INFO, ``config`` is what CONFIG GET says, each None where it is not allowed. ``failures``
    are what checks raised. ``clustered`` tells a node of a cluster, ``at`` is where its sentinels
    say that it is, ``arrays`` the folder where it shares memory with this machine.
    """

    address: str
    parameters: bool
    info: Mapping[str, str] | None
    config: Mapping[str, str] | None
    round_trips_ms: tuple[float, ...]
    engine: Choice | None = None
    failures: tuple[DistBeliefError, ...] = field(default=())
    clustered: bool = False
    at: str = ""
    arrays: str = ""


def gather(
    servers: Servers, index: int, parameters: bool, wanted: WantedEngine, configs: list[RunConfig]
) -> ServerFacts:
    """Look at one server; ``configs`` are what its self-test computes.

    Raises the ServerError family if it does not answer us at all.
    """
    one = servers.only(index)
    round_trips = tuple(_round_trip_ms(one) for _ in range(1 + ROUND_TRIPS))[1:]
    info = support.look(one, 0, PATIENCE_S)
    failures = _failures_of(lambda: preflight.check_eviction(one.addresses[0], info or {}))
    engine = None
    if parameters:
        choosing = _failures_of(lambda: choose_engines(one, wanted, PATIENCE_S))
        engine = one.choices[0] if not choosing else None
        tests = [lambda config=each: preflight.check_scripts(one, config) for each in configs]
        failures += [*choosing, *(failure for test in tests for failure in _failures_of(test))][:1]
    else:
        failures += _failures_of(lambda: preflight.check_control(one))
    return ServerFacts(
        address=servers.addresses[index],
        parameters=parameters,
        info=info,
        config=_config(one),
        round_trips_ms=round_trips,
        engine=engine,
        failures=tuple(failures),
        clustered=servers.is_cluster(index),
        at=servers.master(index),
        arrays=str(one.shared_folder() or ""),
    )


def judge(facts: ServerFacts, need_bytes: int | None = None) -> list[Finding]:
    """The findings on a server; ``need_bytes`` is what a run will take there."""
    subject = f"{'parameter' if facts.parameters else 'control'} server {facts.address}"
    if facts.info is None:
        what = "it does not let us ask INFO: version, memory and eviction were not looked at"
        seen = [warning(subject, what, "allow +info to its user (ACL)")]
    else:
        seen = [
            _version(subject, facts.info, facts),
            _persistence(subject, facts.info, facts),
            _memory(subject, facts.info, need_bytes),
        ]
    found = [*seen[:1], *(failed(subject, each) for each in facts.failures)]
    if not facts.failures:
        found.append(ok(subject, "it computes what it should, and throws nothing away"))
    found += seen[1:]
    if facts.engine is not None:
        found.append(_engine(subject, facts.engine, facts.arrays))
    return [*found, _latency(subject, facts.round_trips_ms)]


def _version(subject: str, info: Mapping[str, str], facts: ServerFacts) -> Finding:
    why = support.unfit(info, parameters=facts.parameters, clustered=facts.clustered)
    if why is not None:
        return error(subject, *why, ExitCode.SERVER)
    return ok(subject, f"{server_name(info)}{_whereabouts(facts, info)}")


def _whereabouts(facts: ServerFacts, info: Mapping[str, str]) -> str:
    """What stands behind an address that is not that of one server."""
    if facts.clustered:
        return f", one of {info.get('cluster_size', '?')} masters of a cluster"
    if facts.at:
        return f", which the sentinels call the master: {facts.at}"
    return ""


def _persistence(subject: str, info: Mapping[str, str], facts: ServerFacts) -> Finding:
    aof = info.get("aof_enabled") == "1"
    saves = (facts.config or {}).get("save", "")
    if info.get("rdb_last_bgsave_status") == "err":
        return warning(subject, "its last snapshot failed", "look into its log; is the disk full?")
    if not facts.parameters:
        if aof:
            return ok(subject, "it keeps an append-only file")
        what = "it keeps no append-only file: a restart loses who works on what"
        return note(subject, what, "runs recover from that; 'appendonly yes' spares them")
    if saves:
        what = f"it takes snapshots (save {saves}), which fork it in the middle of training"
        return warning(subject, what, "set save to ''; checkpoints are kept by the coordinator")
    if aof:
        what = "it keeps an append-only file, which grows by the updated numbers with each push"
        return note(subject, what, "'appendonly no', unless nothing at all may be lost")
    return ok(subject, "it keeps nothing on disk: checkpoints bring back what it loses")


def _memory(subject: str, info: Mapping[str, str], need: int | None) -> Finding:
    used, limit = int(info["used_memory"]), int(info.get("maxmemory", 0))
    total = limit or int(info.get("total_system_memory", 0))
    free = max(0, total - used)
    whose = "maxmemory" if limit else "the machine"
    have = f"{bytes_text(free)} are free of the {bytes_text(total)} of {whose}"
    if need is None or not total:
        return ok(subject, have)
    what = f"the run needs about {bytes_text(need)}; {have}"
    todo = "raise maxmemory" if limit else "take more memory, or more parameter servers"
    if need > free:
        return error(subject, what, todo, ExitCode.SERVER)
    return warning(subject, what, todo) if need > TIGHT * free else ok(subject, what)


def _engine(subject: str, choice: Choice, arrays: str) -> Finding:
    if choice.engine is Engine.LUA and choice.why:
        what = f"Lua computes, some forty times as slow as the native engine: {choice.why}"
        return warning(subject, what, "load the module, see deploy/README.md")
    shared = f", arrays by shared memory in {arrays}" if arrays else ""
    return ok(subject, f"{choice.engine} engine{shared}")


def _latency(subject: str, round_trips_ms: tuple[float, ...]) -> Finding:
    median, worst = statistics.median(round_trips_ms), max(round_trips_ms)
    what = (
        f"a round trip takes {median:.2g} ms (median of {len(round_trips_ms)}; worst {worst:.2g})"
    )
    if median > SLOW_MS:
        todo = "bring it nearer, or exchange less often: --n-push 10 --n-fetch 10"
        return warning(subject, what, todo)
    return ok(subject, what)


def _round_trip_ms(servers: Servers) -> float:
    began = time.perf_counter()
    servers.one("PING", timeout_s=PATIENCE_S)
    return 1000 * (time.perf_counter() - began)


def _failures_of(check: Callable[[], object]) -> list[DistBeliefError]:
    try:
        check()
    except DistBeliefError as failure:
        return [failure]
    return []


def _config(servers: Servers) -> dict[str, str] | None:
    found: dict[str, str] = {}
    try:
        for name in SETTINGS:
            reply = servers.one("CONFIG", "GET", name, timeout_s=PATIENCE_S)
            found[name] = reply[1].decode() if reply else ""
    except ServerRefused:
        return None
    return found
