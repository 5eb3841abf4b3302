"""One odd run takes the list of runs away from nobody: it is a row that says what is wrong."""

from __future__ import annotations

import copy
import json
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from distbelief.app.client.servers import Servers
from distbelief.app.errors import DistBeliefError
from distbelief.app.layout.keys import control
from distbelief.app.runs import leadership
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.snapshot import RunState
from distbelief.app.settings.config import ClusterConfig
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.report.hindsight import Hindsight
from distbelief.coordinator.runs.folder import RunFolder
from distbelief.coordinator.views.facts import describe_run
from distbelief.coordinator.views.looking import look_at_run, look_at_runs
from distbelief.coordinator.views.overview import Overview
from distbelief.coordinator.views.runs import tabulate_runs
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import existing

Fields = dict[bytes, bytes]

DEEP = b"[" * 100_000
VALUES: list[bytes] = [b"", b"x", b"[]", b"{}", b"null", b"7", b"-1", b"1e300", b"9" * 5_000, DEEP]
VALUES += [b"\xff\xfe", b'{"host": 1}', b'{"seconds": "x"}', b"NaN", b'{"a":' * 2_000]
INSIDE: list[Any] = [None, 7, -1, 1e300, True, "", "x", [], [[]], {}, {"a": 1}, 10**30, "\x1b[2J"]
MUTATIONS = 300


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer(existing(binaries.bundled())) as server:
        yield server


@pytest.fixture
def servers(server: PrivateServer) -> Iterator[Servers]:
    with connected(server.url) as servers:
        servers.one("FLUSHALL")
        yield servers


@pytest.fixture
def settings(server: PrivateServer, tmp_path: Path) -> dict[str, Any]:
    return {
        "broker": server.url,
        "parameter_servers": (server.url,),
        "folder": str(tmp_path / "runs"),
    }


def begin(servers: Servers, record: RunRecord, run: str, *, ended: bool) -> Fields:
    """A good run, which runs or has ended; the fields of its record."""
    record = replace(record, run=run)
    assert leadership.lead(servers, record, Claimant("me", "here", 17), 60.0) == 1
    leadership.keep(servers, run, "me", {"method": "Downpour"})
    if ended:
        outcome = {"seconds": 3.5, "reason": "all passes done", "heldout": {"accuracy": 0.9}}
        leadership.close(servers, run, "me", RunState.FINISHED, outcome)
    found = servers.one("HGETALL", control(run, "record"))
    return dict(zip(found[::2], found[1::2], strict=True))


def put(servers: Servers, run: str, fields: Mapping[bytes, bytes]) -> None:
    words = [word for item in fields.items() for word in item]
    servers.one("HSET", control(run, "record"), *words)


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for name, value in items:
            yield from places(value, (*path, name))


def changed(document: Any, chance: random.Random) -> Any:
    """A document with another value somewhere, or without something."""
    made = copy.deepcopy(document)
    path = chance.choice(list(places(made)))
    at = made
    for name in path[:-1]:
        at = at[name]
    if chance.random() < 0.3:
        del at[path[-1]]
    else:
        at[path[-1]] = chance.choice(INSIDE)
    return made


def mutated(fields: Fields, chance: random.Random) -> Fields:
    made = dict(fields)
    name = chance.choice(list(made))
    if chance.random() < 0.5 and made[name][:1] == b"{":
        document = json.loads(made[name])
        if document:
            return {**made, name: json.dumps(changed(document, chance)).encode()}
    if chance.random() < 0.3:
        del made[name]
    else:
        made[name] = chance.choice(VALUES)
    return made


def is_told(seen: Overview) -> bool:
    """Whether it can be shown in every way."""
    tabulate_runs([seen])
    json.dumps(seen.to_json())
    return bool(describe_run(seen, Hindsight()))


def test_odd_records_are_rows_that_say_what_is_wrong(
    servers: Servers, settings: dict[str, Any], record: RunRecord
) -> None:
    chance = random.Random(20_261)
    good = begin(servers, record, "good", ended=False), begin(servers, record, "ended", ended=True)
    for number in range(MUTATIONS):
        put(servers, f"odd-{number:03}", mutated(chance.choice(good), chance))
    rows = {each.run: each for each in look_at_runs(settings)}
    assert all(is_told(each) for each in rows.values())
    assert (rows["good"].state, rows["ended"].state) == ("running", "finished")
    assert not rows["good"].problem
    unreadable = {run for run, each in rows.items() if each.state == "unreadable"}
    assert len(unreadable) > MUTATIONS / 3
    assert all(rows[run].problem for run in unreadable)
    for run in unreadable:
        with pytest.raises(DistBeliefError):
            look_at_run(run, settings)


def test_the_records_that_ended_the_list_are_rows(
    servers: Servers, settings: dict[str, Any], record: RunRecord
) -> None:
    good = begin(servers, record, "good", ended=False)
    put(servers, "no-json", {**good, b"document": b"oops"})
    put(servers, "a-list", {**good, b"document": b"[]"})
    put(servers, "unknown-state", {**good, b"state": b"dancing"})
    put(servers, "no-owner", {**good, b"owner": b"{}"})
    put(servers, "no-lease", {name: text for name, text in good.items() if name != b"expires"})
    put(servers, "bad-outcome", {**good, b"state": b"finished", b"outcome": b'{"seconds": []}'})
    put(servers, "../../etc", good)
    servers.one("SET", control("a-string", "record"), "oops")
    servers.one("HSET", b"dist:run:{\xff\xfe}:record", *[w for item in good.items() for w in item])
    rows = {each.run: each for each in look_at_runs(settings)}
    bad = rows.keys() - {"good", "no-lease"}
    assert bad == {
        *("no-json", "a-list", "unknown-state", "no-owner", "bad-outcome", "../../etc", "a-string"),
        "\\xff\\xfe",
    }
    assert all(rows[run].state == "unreadable" for run in bad)
    assert rows["good"].state == "running"
    words = ["runs", "--broker", settings["broker"], "--folder", settings["folder"]]
    listed = CliRunner().invoke(main, words)
    assert listed.exit_code == 0, listed.output
    for run in bad - {"\\xff\\xfe"}:
        begins = [line for line in listed.output.splitlines() if line.startswith(run)]
        assert len(begins) == 2, listed.output
        assert "unreadable" in begins[0]
        assert begins[1] == f"{run}: {rows[run].problem}"


def huge(file: Path) -> None:
    file.touch()
    os.truncate(file, 1 << 30)


def describe(folder: Path, record: RunRecord, run: str, broker: str, *, embedded: bool) -> Path:
    place = {"embedded": embedded, "broker": broker, "parameter_servers": ["unix:///gone/0.sock"]}
    cluster = ClusterConfig(folder=str(folder))
    RunFolder(folder / run).describe(replace(record, run=run).to_json(), cluster, place)
    return folder / run / "run.json"


def test_odd_folders_are_rows_and_a_pipe_is_not_waited_for(
    record: RunRecord, tmp_path: Path
) -> None:
    good = describe(tmp_path, record, "good", "unix:///gone/control.sock", embedded=True)
    text, odd = good.read_text(), list[str]()

    def place(run: str, make: Callable[[Path], object]) -> None:
        (tmp_path / run).mkdir()
        make(tmp_path / run / "run.json")
        odd.append(run)

    chance, document = random.Random(7), json.loads(text)
    for number in range(100):
        made = json.dumps(changed(document, chance))
        place(f"mutated-{number:03}", lambda path, made=made: path.write_text(made))  # type: ignore[misc]
    mutated_runs, odd = odd, []
    place("pipe", os.mkfifo)
    place("folder", Path.mkdir)
    place("device", lambda path: path.symlink_to("/dev/zero"))
    place("deep", lambda path: path.write_bytes(DEEP))
    place("bytes", lambda path: path.write_bytes(b"\xff\xfe"))
    place("huge", huge)
    place("list", lambda path: path.write_text("[]"))
    place("half", lambda path: path.write_text(text[: len(text) // 2]))
    place("loop", lambda path: path.symlink_to(path))
    rows = {each.run: each for each in look_at_runs({"folder": str(tmp_path)})}
    assert all(is_told(each) for each in rows.values())
    assert rows["good"].state == "dead"
    assert {run: rows[run].state for run in odd if run != "loop"} == {
        run: "unreadable" for run in odd if run != "loop"
    }
    assert all(rows[run].state in ("dead", "unreadable") for run in mutated_runs)


def test_sockets_that_refuse_are_not_waited_for(record: RunRecord, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:  # as a killed server leaves it
        listener.bind(str(tmp_path / "left.sock"))
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        port = once.getsockname()[1]
    places = [f"unix://{tmp_path}/left.sock", f"unix://{tmp_path}/gone.sock"]
    places += [f"redis://127.0.0.1:{port}"]
    for number, broker in enumerate(places * 5):
        describe(tmp_path, record, f"run-{number}", broker, embedded=number % 2 == 0)
    began = time.monotonic()
    rows = look_at_runs({"folder": str(tmp_path)})
    assert [each.state for each in rows] == ["dead"] * len(places) * 5
    assert time.monotonic() - began < 2.0 * 5, "one of them alone would be waited for 2 s"
