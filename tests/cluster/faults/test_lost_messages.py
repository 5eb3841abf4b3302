"""Messages that the broker loses are sent again, long before a lease would run out."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.app.runs.ledger import Ledger, LedgerUnit
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child
from distbelief.coordinator.runs.dispatch import TAKEN_S
from tests.cluster.fleets import clocks, workers
from tests.cluster.processes import children_of

Start = Callable[..., Any]
Until = Callable[..., None]

LEASE_S = 60.0
#: What a message that is sent again may take beyond the dispatcher's patience.
SLACK_S = 15.0
QUEUE = f"{CELERY_PREFIX}downpour"
SHARDS = 2
#: A message that stays away for so long is on its way to nobody.
AWAY_S = 0.5
#: What a worker's pop may last, and a bit: after that none is in flight any more.
POP_S = 1.2


def start_training(command: Start, fleet: LocalCluster, *words: str) -> Any:
    """Twenty minibatches are a pass."""
    words = ("--data=synthetic:softmax", "--data-option=examples=400", "--batch-size=16", *words)
    words += (f"--shards={SHARDS}", "--block-numbers=16", "--evaluate-every=1000")
    return command("train", *words, f"--lease-seconds={LEASE_S}", endpoints=fleet.endpoints)


def waiting(control: Servers) -> int:
    return int(control.one("LLEN", QUEUE))


def test_a_message_that_is_deleted_from_the_queue_costs_seconds_and_no_update(
    fleet: LocalCluster, control: Servers, command: Start, tmp_path: Path, until: Until
) -> None:
    with workers(fleet, "busy"):
        model = ("--model=usermodels:Waiting", f"--model-option=folder={tmp_path}")
        words = (*model, "--model-option=calls=5", "--replicas=2", "--passes=5")
        training = start_training(command, fleet, *words)
        until(lambda: list(tmp_path.glob("waiting-*")), "a unit at work")
        until(lambda: waiting(control) == 1, "the message of the other unit")
        assert control.one("DEL", QUEUE) == 1
        deleted = time.monotonic()
        until(lambda: waiting(control) == 1, "the message again", TAKEN_S + SLACK_S)
        print(f"sent again {time.monotonic() - deleted:.2f} s after it was lost")
        (tmp_path / "go").touch()
        assert training.ends() == 0, training.err
    assert clocks(fleet, training.run, SHARDS) == [100] * SHARDS
    assert "updates applied: 100 on each of 2 shards, 100 planned" in training.out


class Race:
    """A run of many short units: two workers, of which one is always idle and pops."""

    def __init__(self, fleet: LocalCluster, control: Servers, run: str, passes: int) -> None:
        self._fleet = fleet
        self._control = control
        self.run = run
        self._ledger = Ledger(control, run)
        self._names = [f"downpour-0-{stop}" for stop in range(5, 20 * passes + 1, 5)]

    def unit(self) -> LedgerUnit | None:
        """The unit that is out, if one is just now."""
        return next((u for u in self._ledger.read(self._names).values() if u.state != "done"), None)

    def idle_of(self, pair: list[Child]) -> Child | None:
        """The worker that does not hold the unit, while the other does."""
        unit = self.unit()
        if unit is None or unit.state != "leased":
            return None
        holder = int(unit.owner.partition("@")[0])
        pools = [{each.pid for each in children_of(w.process.pid)} for w in pair]
        return pair[1] if holder in pools[0] else pair[0]

    def is_away(self) -> bool:
        """Whether nobody takes the unit that is out, although its message does not wait."""
        deadline = time.monotonic() + AWAY_S
        while time.monotonic() < deadline:
            unit = self.unit()
            if unit is None or unit.state != "open" or waiting(self._control):
                return False
            time.sleep(0.02)
        return True

    def swallow(self, pair: list[Child], until: Until) -> Child:
        """Stop the idle worker so that it pops a message and never reads it."""
        for _ in range(20):
            until(lambda: self.idle_of(pair), "a worker that waits for a message")
            idle = self.idle_of(pair)
            if idle is None:
                continue  # the unit has just ended
            os.killpg(idle.process.pid, signal.SIGSTOP)
            deadline = time.monotonic() + POP_S
            while time.monotonic() < deadline:
                if self.is_away():
                    return idle
            os.killpg(idle.process.pid, signal.SIGCONT)  # its pop had just ended
        raise AssertionError("no message was swallowed")


def test_a_message_that_a_worker_pops_and_dies_with_costs_seconds_and_no_update(
    fleet: LocalCluster, control: Servers, command: Start, until: Until
) -> None:
    passes, steps = 20, 400
    with workers(fleet, "first", "second") as pair:
        for each in pair:
            until(lambda: "ready." in each.log.read_text(), "two workers")  # noqa: B023
        model = ("--model=slowmodels:Sleepy", "--model-option=seconds=0.02", "--unit-steps=5")
        training = start_training(command, fleet, *model, "--replicas=1", f"--passes={passes}")
        race = Race(fleet, control, training.run, passes)
        doomed = race.swallow(pair, until)
        os.killpg(doomed.process.pid, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: not race.is_away(), "the message again", TAKEN_S + SLACK_S)
        print(f"at work again {time.monotonic() - killed:.2f} s after the kill")
        assert training.ends() == 0, training.err
    assert clocks(fleet, training.run, SHARDS) == [steps] * SHARDS
    assert f"updates applied: {steps} on each of 2 shards, {steps} planned" in training.out
    assert "sent again" in training.err
