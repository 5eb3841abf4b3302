"""Faults, drawn at random: each hurts what is well, or says that it could not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import psutil

from fleet import WORKERS, Fleet, Keeping
from trial import Trial

PAUSE_S = (1.0, 4.0)
FROZEN_S = (1.0, 6.0)
AWAY_S = (0.0, 5.0)
#: Between what a shard has and the moment when it has that again.
OLDER_S = (0.1, 3.0)


class Faults:
    """Injects faults into a fleet and the coordinator of a trial.

    Args:
        fleet: to hurt.
        rng: what is hurt, when and for how long.
        injected: counts them by kind.
        older: whether servers come back with older data, and nothing else happens.
    """

    def __init__(
        self, fleet: Fleet, rng: random.Random, injected: Counter[str], *, older: bool = False
    ) -> None:
        self._fleet, self._rng, self._injected = fleet, rng, injected
        going_back: dict[str, Callable[[Trial], bool]] = {
            "a replica behind took over": self._fail_over,
            "a parameter server started from a snapshot": self._start_from_snapshot,
            "a shard put back": self._roll_back,
        }
        self._kinds: dict[str, Callable[[Trial], bool]] = {
            "a worker's process killed": self._kill_process,
            "a worker killed, another started": self._kill_worker,
            "a worker frozen": self._freeze_worker,
            "a server killed and started again": self._kill_server,
            "a server frozen": self._freeze_server,
            "all connections cut": self._cut,
            "a parameter server flushed": self._flush_parameters,
            "the control server flushed": self._flush_control,
            "a queue deleted": self._delete_queue,
            "the coordinator killed": self._kill_coordinator,
            "the coordinator told to end": self._end_coordinator,
            **going_back,
        }
        # Those have more moments to be tried at.
        others = 0 if older else 1
        self._weights = [2 if kind in going_back else others for kind in self._kinds]

    def pause_s(self) -> float:
        """Until the next one."""
        return self._rng.uniform(*PAUSE_S)

    def inject(self, trial: Trial) -> str | None:
        """One of a random kind; None if there is nothing that it could hurt."""
        kind = self._rng.choices(list(self._kinds), self._weights)[0]
        if not self._kinds[kind](trial):
            return None
        self._injected[kind] += 1
        return kind

    def _one_of(self, *names: str) -> str | None:
        well = self._fleet.well(*names)
        return self._rng.choice(well) if well else None

    def _kill_process(self, _: Trial) -> bool:
        worker = self._one_of(*WORKERS)
        pool = self._fleet.pool(worker) if worker else []
        if not pool:
            return False
        try:
            self._rng.choice(pool).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def _kill_worker(self, _: Trial) -> bool:
        worker = self._one_of(*WORKERS)
        if worker:
            self._fleet.kill(worker, 0.0)
        return worker is not None

    def _freeze_worker(self, _: Trial) -> bool:
        worker = self._one_of(*WORKERS)
        if worker:
            self._fleet.freeze(worker, self._rng.uniform(*FROZEN_S))
        return worker is not None

    def _kill_server(self, _: Trial) -> bool:
        snapshots = self._fleet.keeping is Keeping.SNAPSHOTS  # then that is a kind of its own
        return self._kill_one_of(*self._fleet.servers[: 1 if snapshots else None])

    def _start_from_snapshot(self, _: Trial) -> bool:
        snapshots = self._fleet.keeping is Keeping.SNAPSHOTS
        return snapshots and self._kill_one_of(*self._fleet.servers[1:])

    def _kill_one_of(self, *servers: str) -> bool:
        server = self._one_of(*servers)
        if server:
            self._fleet.kill(server, self._rng.uniform(*AWAY_S))
        return server is not None

    def _fail_over(self, _: Trial) -> bool:
        server = self._one_of(*self._fleet.servers[1:])
        return server is not None and self._fleet.fail_over(server)

    def _roll_back(self, trial: Trial) -> bool:
        server = self._one_of(*self._fleet.servers[1:])
        shards = self._fleet.shards(trial.run or "", server) if server else []
        if server is None or not shards:
            return False
        shard, seconds = self._rng.choice(shards), self._rng.uniform(*OLDER_S)
        return self._fleet.roll_back(server, trial.run or "", shard, seconds)

    def _freeze_server(self, _: Trial) -> bool:
        server = self._one_of(*self._fleet.servers)
        if server:
            self._fleet.freeze(server, self._rng.uniform(*FROZEN_S))
        return server is not None

    def _cut(self, _: Trial) -> bool:
        words = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        well = self._fleet.well(*self._fleet.servers)
        cut = [self._fleet.ask(server, *words) for server in well]  # all, not the first alone
        return any(cut)

    def _flush_parameters(self, _: Trial) -> bool:
        server = self._one_of(*self._fleet.servers[1:])
        return server is not None and self._fleet.ask(server, "FLUSHALL") is not None

    def _flush_control(self, _: Trial) -> bool:
        server = self._one_of(self._fleet.servers[0])
        return server is not None and self._fleet.ask(server, "FLUSHALL") is not None

    def _delete_queue(self, trial: Trial) -> bool:
        server = self._one_of(self._fleet.servers[0])
        if server is None:
            return False
        queue = self._rng.choice([trial.work.algorithm, "evaluation"])
        return bool(self._fleet.ask(server, "DEL", *self._fleet.queues(queue)))  # one with work

    def _kill_coordinator(self, trial: Trial) -> bool:
        return trial.kill(self._rng.uniform(*AWAY_S))

    def _end_coordinator(self, trial: Trial) -> bool:
        return trial.terminate(self._rng.uniform(*AWAY_S))
