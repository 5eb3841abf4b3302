"""Sandblaster on a simulated fleet: portions to whoever is free, backups at the end of a batch."""

from __future__ import annotations

import math
import statistics
from collections import deque
from functools import partial

import numpy as np

from distbelief.coordinator.planning.calibration import Calibration, SandblasterCosts
from distbelief.coordinator.planning.simulation.batch_state import (
    PortionProcess,
    SentPortion,
    SimulatedEvaluation,
)
from distbelief.coordinator.planning.simulation.draws import drawn
from distbelief.coordinator.planning.simulation.exchanges import (
    OneHost,
    OwnHosts,
    ServerModel,
    carry_out,
    exchange,
)
from distbelief.coordinator.planning.simulation.fleet import Fleet
from distbelief.coordinator.planning.simulation.outcome import FleetOutcome, limit_of
from distbelief.coordinator.planning.simulation.timeline import Cores, Do, SerialThread, Timeline
from distbelief.coordinator.sandblaster.portions import ENOUGH, PATIENCE

#: Evaluations that are simulated, after one that does not count.
EVALUATIONS = 2

#: Questions that the coordinator asks the servers, one after another, from one evaluation to the
#: next: the step, the new point, the dot products, and whether every portion was counted.
ROUND_TRIPS = 6

#: The age before which no backup is sent (the default of ``backup_seconds``), and how often
#: somebody looks.
FLOOR_S, LOOK_S = 0.5, 0.05


def simulate(
    calibration: Calibration, fleet: Fleet, seed: int, evaluations: int = EVALUATIONS
) -> FleetOutcome:
    """The evaluations a second of Sandblaster on a fleet, and what limits them."""
    assert calibration.sandblaster is not None
    return _Batch(calibration, calibration.sandblaster, fleet, seed).run(evaluations)


class _Batch:
    """Everything on the fleet, and the evaluation that is under way."""

    def __init__(
        self, calibration: Calibration, costs: SandblasterCosts, fleet: Fleet, seed: int
    ) -> None:
        self._costs = costs
        self._fleet = fleet
        self._n_portions = calibration.work.portions
        #: More processes than portions have nothing to do.
        self._n_working = min(fleet.replicas, self._n_portions)
        timeline, rng = Timeline(), np.random.default_rng(seed)
        self._timeline = timeline
        self._rng = rng
        hosts = [fleet.host(timeline) for _ in range(fleet.hosts)]
        self._hosts = hosts
        one = hosts[0] if fleet.network is None else None
        self._servers: ServerModel = (
            OneHost(timeline, fleet, hosts[0])
            if fleet.network is None
            else OwnHosts(timeline, fleet, fleet.network)
        )
        self._coordinator = SerialThread(timeline, one)
        self._control = SerialThread(timeline, one)
        self._mains = [SerialThread(timeline, one) for _ in range(fleet.hosts)]
        numbers = calibration.layout("sandblaster").size
        self._add = exchange(costs.add, fleet, numbers, rng, fleet.waits(costs.waits))
        self._fetch = exchange(costs.fetch, fleet, numbers, rng)
        #: Of a worker process for each portion, beside computing.
        own_s = costs.process_s
        self._claim_s = calibration.dispatch.process_s if own_s is None else own_s
        self._compute_s = [drawn(rng, series) for series in costs.portions]
        self._idle = deque(self._process(index) for index in range(self._n_working))
        self._ready: deque[int] = deque()
        self._state = SimulatedEvaluation(-1, deque())
        self._computed_s = 0.0
        self._exchanged_s = 0.0
        self._minimised_s = 0.0
        self._looking = False

    def _process(self, index: int) -> PortionProcess:
        trouble, rng, fleet = self._fleet.trouble, self._rng, self._fleet
        slow = trouble.factor if rng.random() < trouble.share else 1.0
        lives = trouble.lives_s
        dies_at = rng.exponential(lives) if lives < math.inf else math.inf
        host = 0 if fleet.network is None else index // fleet.processes
        return PortionProcess(host, slow, dies_at)

    def run(self, evaluations: int) -> FleetOutcome:
        self._begin()
        self._timeline.run(lambda: self._state.number < 1)
        before = self._clocks()
        self._timeline.run(lambda: self._state.number < 1 + evaluations)
        after = self._clocks()
        return self._outcome({name: after[name] - before[name] for name in after}, evaluations)

    def _begin(self) -> None:
        """Begin an evaluation: twice as many portions go out as there are processes."""
        self._state = SimulatedEvaluation(self._state.number + 1, deque(range(self._n_portions)))
        self._ready.clear()
        for _ in range(2 * self._n_working):
            self._send_next()

    def _send_next(self) -> None:
        if self._state.waiting:
            self._send(self._state.waiting.popleft())

    def _send(self, portion: int) -> None:
        """The coordinator writes a message, which goes through the control server to a worker."""
        now, entry = self._timeline.now, self._state.portions.get(portion)
        if entry is None:
            self._state.portions[portion] = SentPortion(now, now)
        else:
            entry.last = now
            entry.backups += 1
        number = self._state.number
        arrived = partial(self._arrived, number, portion)
        controlled = partial(self._control.take, self._costs.control_s, arrived)
        self._coordinator.take(self._costs.coordinator_s / 2, controlled)

    def _arrived(self, number: int, portion: int) -> None:
        if number == self._state.number:
            self._ready.append(portion)
            self._match()

    def _match(self) -> None:
        """Give portions to processes that are free."""
        while self._ready and self._idle:
            process, portion = self._idle.popleft(), self._ready.popleft()
            begin = partial(self._begin_portion, process, self._state.number, portion)
            self._mains[process.host].take(self._costs.main_s, begin)

    def _begin_portion(self, process: PortionProcess, number: int, portion: int) -> None:
        cores, kind = self._hosts[process.host], process.host % len(self._compute_s)
        seconds = next(self._compute_s[kind]) * process.slow + self._claim_s
        began = self._timeline.now

        def compute() -> None:
            self._exchanged_s += self._timeline.now - began
            self._clocked(seconds, cores, computed)

        def computed() -> None:
            done = partial(self._added, process, number, portion, self._timeline.now)
            carry_out(cores, self._servers, process.host, self._add, done)

        if process.evaluation == number:
            compute()
            return
        process.evaluation = number
        carry_out(cores, self._servers, process.host, self._fetch, compute)

    def _clocked(self, seconds: float, cores: Cores, done: Do) -> None:
        """Compute a portion, and count the time that it takes."""
        began = self._timeline.now

        def end() -> None:
            self._computed_s += self._timeline.now - began
            done()

        cores.burn(seconds, end)

    def _added(self, process: PortionProcess, number: int, portion: int, began: float) -> None:
        """The process is free again, unless it died; the coordinator reads its report."""
        now, trouble = self._timeline.now, self._fleet.trouble
        self._exchanged_s += now - began
        if now >= process.dies_at:
            process.dies_at = now + trouble.lease_s + self._rng.exponential(trouble.lives_s)
            self._timeline.after(trouble.lease_s, partial(self._free, process))
        else:
            self._free(process)
        reported = partial(self._reported, number, portion)
        self._coordinator.take(self._costs.coordinator_s / 2, reported)

    def _free(self, process: PortionProcess) -> None:
        self._idle.append(process)
        self._match()

    def _reported(self, number: int, portion: int) -> None:
        state = self._state
        if number != state.number or state.portions[portion].done:
            return
        entry = state.portions[portion]
        entry.done = True
        state.done += 1
        state.took.append(self._timeline.now - entry.sent)
        self._send_next()
        if state.done == self._n_portions:
            self._minimise()
        elif not state.waiting and not self._looking:
            self._looking = True
            self._timeline.after(LOOK_S, self._look)

    def _look(self) -> None:
        """Send backups of portions that take too long, to processes that are free."""
        self._looking = False
        state, now = self._state, self._timeline.now
        if state.waiting or state.done == self._n_portions:
            return
        self._looking = True
        self._timeline.after(LOOK_S, self._look)
        if not self._idle or state.done < ENOUGH * self._n_portions:
            return
        patience = max(PATIENCE * statistics.median(state.took), FLOOR_S)
        late = [
            portion
            for portion, entry in state.portions.items()
            if not entry.done and now - entry.last > patience * 2**entry.backups
        ]
        for portion in late[: len(self._idle)]:
            self._send(portion)

    def _minimise(self) -> None:
        """L-BFGS on the servers, side by side, and the coordinator's questions; then go on."""
        network = self._fleet.network
        seconds = self._costs.vectors_s * self._fleet.servers.numbers
        self._minimised_s += self._costs.vectors_s
        if network is not None:
            latency_s = 2 * ROUND_TRIPS * network.latency_s
            self._timeline.after(latency_s + float(seconds.max()), self._begin)
            return
        waiting = len(seconds)

        def done() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                self._begin()

        for each in seconds.tolist():
            self._hosts[0].burn(each, done)

    def _clocks(self) -> dict[str, float]:
        return {
            "now": self._timeline.now,
            "bytes": self._servers.moved,
            "cores": sum(each.busy_s() for each in self._hosts),
            "servers' CPU": self._servers.cpu_s() + self._minimised_s,
            "computing": self._computed_s,
            "exchanges": self._exchanged_s,
            "coordinator": self._coordinator.worked_s,
            "control server": self._control.worked_s,
            "main processes": max(each.worked_s for each in self._mains),
            **self._servers.busy(1.0),
        }

    def _outcome(self, spent: dict[str, float], evaluations: int) -> FleetOutcome:
        elapsed, fleet = max(spent["now"], 1e-12), self._fleet
        names = (*self._servers.busy(1.0), "coordinator", "control server", "main processes")
        busy = {name: spent[name] / elapsed for name in names}
        busy["cores"] = spent["cores"] / elapsed / fleet.cores / fleet.hosts
        apart = 0.0 if fleet.network is None else spent["servers' CPU"]
        few = fleet.replicas > self._n_portions
        own, exchanged = (
            spent[name] / elapsed / self._n_working for name in ("computing", "exchanges")
        )
        busy |= {"portions" if few else "computing": own, "exchanges": exchanged}
        busy["between"] = max(0.0, 1 - own - exchanged)
        judged = dict(busy)
        if fleet.network is not None and fleet.processes <= fleet.cores:
            del judged["cores"]
        return FleetOutcome(
            rate=evaluations / elapsed,
            staleness=(0.0, 0.0),
            bytes_each=spent["bytes"] / evaluations,
            cpu_s_each=(spent["cores"] + apart) / evaluations,
            busy=busy,
            limit=limit_of(judged),
        )
