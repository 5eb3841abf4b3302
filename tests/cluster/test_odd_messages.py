"""Whatever lies in a queue ends no worker: ours is done, the rest is taken out and counted."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from distbelief.app.broker.messages import OddKind, OddMessage, read_task
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import CELERY_PREFIX, ODD_MESSAGES
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.runs.messages import Messages
from tests.cluster.fleets import workers

Start = Callable[..., Any]
Until = Callable[..., None]
Json = Any

QUEUES = ("downpour", "sandblaster", "evaluation")
DEEP = "[" * 100_000

#: What was seen to end a worker, or to be put back for ever, and more of its kinds.
TEXTS = [
    "oops",
    "[]",
    "1",
    "null",
    '""',
    DEEP,
    '{"a":' * 5_000,
    "9" * 5_000,
    "NaN",
    "\0",
    "{}",
    " ",
]
VALUES: list[Json] = [None, 7, -1, 1e300, True, "", "x", "\x1b[2J", [], [[]], {}, {"a": 1}]
VALUES += [["x", "y"], "9" * 5_000, 10**30, {"__type__": "uuid", "__value__": "no"}]

MUTATIONS = 400
PIDBOX = f"{CELERY_PREFIX}/0.celery.pidbox"


def paths(document: Json, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something is in a document, from its root to its leaves."""
    yield path
    if isinstance(document, dict | list):
        items = document.items() if isinstance(document, dict) else enumerate(document)
        for name, value in items:
            yield from paths(value, (*path, name))


def changed(document: Json, path: tuple[Any, ...], value: Json, *, remove: bool) -> Json:
    """The document with another value at one place, or without that place."""
    if not path:
        return value
    made = copy.deepcopy(document)
    place = made
    for name in path[:-1]:
        place = place[name]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


def mutated(message: bytes, chance: random.Random) -> bytes:
    """A message of ours with one thing or several changed, inside its body as well."""
    envelope = json.loads(message)
    for _ in range(chance.randint(1, 3)):
        if chance.random() < 0.4 and isinstance(envelope, dict) and envelope.get("body"):
            try:
                body = json.loads(base64.b64decode(envelope["body"]))
            except (ValueError, TypeError):
                continue
            where = chance.choice(list(paths(body)))
            body = changed(body, where, chance.choice(VALUES), remove=chance.random() < 0.3)
            envelope["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        else:
            where = chance.choice(list(paths(envelope)))
            envelope = changed(envelope, where, chance.choice(VALUES), remove=chance.random() < 0.3)
    text = json.dumps(envelope).encode()
    if chance.random() < 0.1:
        cut = chance.randrange(len(text) + 1)
        text = text[:cut] + bytes(chance.randrange(256) for _ in range(chance.randrange(4)))
    return text


def kind_of(message: bytes) -> OddKind | None:
    try:
        read_task(message)
    except OddMessage as odd:
        return odd.kind
    return None


def sent(fleet: LocalCluster, control: Servers) -> list[bytes]:
    """A message of ours for each task, taken out of its queue."""
    with closing(Messages(fleet.endpoints.broker)) as messages:
        messages.send("downpour", "no-such-run", "unit", shown="unit")
        messages.send("evaluation", "no-such-run", "unit", shown="unit")
        messages.send("sandblaster", "no-such-run", 1, 3, shown="3")
    return [bytes(control.one("RPOP", f"{CELERY_PREFIX}{queue}")) for queue in QUEUES]


def test_odd_messages_end_no_worker_and_are_counted(
    fleet: LocalCluster, control: Servers, command: Start, until: Until
) -> None:
    originals, chance = sent(fleet, control), random.Random(20_260)
    odd = [text.encode() for text in TEXTS] + [b"\xff\xfe", b""]
    odd += [mutated(chance.choice(originals), chance) for _ in range(MUTATIONS)]
    expected = Counter(kind for kind in map(kind_of, odd) if kind is not None)
    assert set(expected) == set(OddKind) - {OddKind.CONTROL}
    for message in odd:
        control.one("LPUSH", f"{CELERY_PREFIX}{chance.choice(QUEUES)}", message)
    with workers(fleet, "worker") as (worker,):
        until(lambda: not any(control.one("LLEN", f"{CELERY_PREFIX}{q}") for q in QUEUES), "empty")

        for text in TEXTS:
            control.one("PUBLISH", PIDBOX, text)
        expected[OddKind.CONTROL] = len(TEXTS)

        def counted() -> Counter[OddKind]:
            found = control.one("HMGET", control.celery_key(ODD_MESSAGES), *OddKind)
            return Counter({k: int(n) for k, n in zip(OddKind, found, strict=True) if n})

        until(lambda: counted() == expected, "all counted")
        training = command(
            "train",
            "--data=synthetic:softmax",
            "--data-option=examples=400",
            "--passes=2",
            endpoints=fleet.endpoints,
        )
        assert training.ends() == 0, training.err
        worker.check()
        log = worker.log.read_text()
        assert log.count("was removed that is not ours") == len(expected), "each kind once"
        assert "Traceback" not in log
        told = command("doctor", endpoints=fleet.endpoints)
        assert told.ends() == 0, told.out
        assert f"workers removed {expected.total():,} messages that are not ours" in told.out
        for kind, number in expected.items():
            assert f"{number} {kind.sentence}" in told.out
