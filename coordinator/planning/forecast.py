"""Fleets of every size, simulated: the table behind a plan."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from distbelief.app.layout.layout import MAX_SHARD_NUMBERS, Layout
from distbelief.coordinator.downpour.intervals import MeasuredCosts, best_interval, longest_with
from distbelief.coordinator.planning.assumptions import GIGABIT, ROUND_TRIP_S, Assumptions
from distbelief.coordinator.planning.calibration import Calibration, SeenRate
from distbelief.coordinator.planning.costs import NO_CROWD, Crowd
from distbelief.coordinator.planning.rows import Alone, FleetRow
from distbelief.coordinator.planning.simulation import downpour, sandblaster
from distbelief.coordinator.planning.simulation.fleet import Fleet, Network, ServerShares, Trouble
from distbelief.coordinator.planning.simulation.replica import Intervals

#: The numbers that are looked at, in each decade.
IN_A_DECADE = (1, 2, 5)

#: Servers on the one machine of an embedded training.
EMBEDDED_SERVERS = (1, 2, 4)

HOUR_S = 3600.0

#: Steps of a unit without an end.
ENDLESS = 1 << 40


@dataclass(frozen=True)
class Forecaster:
    """Simulates fleets by a calibration; the same seed gives the same numbers."""

    calibration: Calibration
    assumptions: Assumptions
    seed: int = 0

    @property
    def algorithms(self) -> list[str]:
        known = {
            "downpour": self.calibration.downpour,
            "sandblaster": self.calibration.sandblaster,
        }
        return [name for name, costs in known.items() if costs is not None]

    @cached_property
    def network(self) -> Network:
        """The links of a fleet: as measured, unless they are said to be others."""
        link, assumed = self.calibration.link, self.assumptions
        if link is None:
            speed = assumed.link or GIGABIT
            server = assumed.server_link or speed
            return Network(speed, speed, server, ROUND_TRIP_S / 2)
        up = assumed.link or statistics.median(link.up)
        down = assumed.link or statistics.median(link.down)
        server = assumed.server_link or max(up, down, sum(link.at_one))
        burst = statistics.median(link.burst) if link.burst and not assumed.link else 0.0
        return Network(up, down, server, statistics.median(link.round_trip_s) / 2, burst)

    @property
    def processes(self) -> int:
        """Worker processes of a machine, and its cores."""
        return self.assumptions.processes or self.calibration.machines.cores

    def fleet(self, algorithm: str, replicas: int, servers: int, *, here: bool = False) -> Fleet:
        machines, assumed = self.calibration.machines, self.assumptions
        trouble = Trouble(
            assumed.stragglers,
            assumed.straggling,
            assumed.lives_h * HOUR_S,
            self.calibration.work.lease_s,
        )
        return Fleet(
            replicas=replicas,
            processes=self.processes,
            cores=machines.cores if here else self.processes,
            slowdown=self.calibration.slowdown(algorithm),
            servers=self._shares(algorithm, servers),
            network=None if here else self.network,
            trouble=trouble,
            crowd=self._crowd(algorithm, replicas) if here else NO_CROWD,
        )

    def _crowd(self, algorithm: str, processes: int) -> Crowd:
        """Of so many on a host as it was measured; who has no portion has no work."""
        if algorithm == "sandblaster":
            processes = min(processes, self.calibration.work.portions)
        return self.calibration.crowd(algorithm, processes / self.calibration.machines.cores)

    def _shares(self, algorithm: str, servers: int) -> ServerShares:
        """The parameters on so many servers, cut as a training would."""
        known = self.calibration.layout(algorithm)
        if known.n_servers == servers:
            return ServerShares.of(known)
        largest = known.shard_slice(0).stop - known.shard_slice(0).start
        by_default = _cut(known, known.n_servers).n_shards == known.n_shards
        return ServerShares.of(_cut(known, servers, MAX_SHARD_NUMBERS if by_default else largest))

    def row(self, algorithm: str, replicas: int, servers: int, *, here: bool = False) -> FleetRow:
        """Simulate one fleet."""
        fleet = self.fleet(algorithm, replicas, servers, here=here)
        if algorithm == "downpour":
            intervals = self.intervals(fleet)
            outcome = downpour.simulate(self.calibration, fleet, intervals, self.seed)
        else:
            outcome = sandblaster.simulate(self.calibration, fleet, self.seed)
        each, total = self._examples(algorithm), self._total(algorithm)
        hours, cpu_hours = total / outcome.rate / HOUR_S, total * outcome.cpu_s_each / HOUR_S
        warm = self.calibration.work.warm_start_steps
        if algorithm == "downpour" and warm and replicas > 1:
            # The others wait, and have all their steps before them afterwards.
            first = self.row(algorithm, 1, servers, here=here).outcome
            hours += warm / first.rate / HOUR_S
            cpu_hours += warm * (first.cpu_s_each - outcome.cpu_s_each) / HOUR_S
        machines = fleet.hosts
        money_hour = self._money(0 if here else servers, machines)
        return FleetRow(
            algorithm=algorithm,
            here=here,
            replicas=replicas,
            servers=servers,
            machines=machines,
            outcome=outcome,
            examples_s=each * outcome.rate,
            hours=hours,
            cpu_hours=cpu_hours,
            money=None if money_hour is None else money_hour * hours,
            money_hour=money_hour,
        )

    def as_calibrated(self, check: SeenRate) -> float:
        """The rate of what the calibration saw: its machines and intervals, nothing assumed.

        It saw steps within one unit.
        """
        work = replace(self.calibration.work, unit_length=ENDLESS)
        known = replace(self.calibration, work=work)
        machines, network = known.machines, Forecaster(known, Assumptions()).network
        processes = math.ceil(machines.processes / machines.workers)
        of_one = check.replicas if machines.embedded else min(check.replicas, processes)
        fleet = Fleet(
            replicas=check.replicas,
            processes=processes,
            cores=machines.cores,
            slowdown=known.slowdown(check.algorithm),
            servers=ServerShares.of(known.layout(check.algorithm)),
            network=None if machines.embedded else network,
            crowd=self._crowd(check.algorithm, of_one),
        )
        if check.algorithm == "sandblaster":
            return sandblaster.simulate(known, fleet, self.seed).rate
        intervals = Intervals(known.work.n_push, known.work.n_fetch)
        return downpour.simulate(known, fleet, intervals, self.seed).rate

    def alone(self, algorithm: str) -> Alone:
        """What one process takes for the same, with the rule in its own memory."""
        known, work = self.calibration, self.calibration.work
        if algorithm == "downpour":
            assert known.downpour is not None
            rate = 1 / statistics.fmean(known.downpour.alone)
        else:
            assert known.sandblaster is not None
            portions = [each for series in known.sandblaster.portions for each in series]
            rate = 1 / (work.portions * statistics.fmean(portions))
        hours = self._total(algorithm) / rate / HOUR_S
        price = self.assumptions.worker_price
        money = None if price is None else price * hours
        return Alone(algorithm, rate, self._examples(algorithm) * rate, hours, money)

    def intervals(self, fleet: Fleet) -> Intervals:
        """Those that a training on such a fleet would have."""
        work, costs = self.calibration.work, self.calibration.downpour
        if not work.chosen:
            return Intervals(work.n_push, work.n_fetch)
        assert costs is not None
        calls, shares = fleet.servers.calls, fleet.servers.numbers
        numbers = self.calibration.layout("downpour").size
        busiest = float(shares.max())
        server_s = costs.both.server.at(1, float(calls.max()), numbers * busiest)
        client_s = costs.both.client.at(1, float(calls.max()), numbers * busiest)
        measured = MeasuredCosts(statistics.median(costs.steps[0]), server_s + client_s)
        longest = longest_with(work.optimizer, fleet.replicas)
        chosen = best_interval(measured, longest, fleet.replicas)
        return Intervals(chosen, chosen)

    def grid(self, algorithm: str, say: Callable[[str], None] = lambda _: None) -> list[FleetRow]:
        """All fleets that are looked at, the smallest first."""
        rows = []
        for replicas in numbers(self.assumptions.most_replicas):
            say(f"simulating {algorithm}: {replicas:,} replicas")
            for servers in self._servers(algorithm, replicas):
                rows.append(self.row(algorithm, replicas, servers))
        return rows

    def here(self, algorithm: str) -> list[FleetRow]:
        """The machine itself, where all was measured on one; nothing on a fleet."""
        machines = self.calibration.machines
        if not machines.embedded:
            return []
        replicas = [each for each in (1, 2, 4, 8, 16, 32, 64) if each <= 2 * machines.cores]
        return [
            self.row(algorithm, count, servers, here=True)
            for count in replicas
            for servers in EMBEDDED_SERVERS
        ]

    def _servers(self, algorithm: str, replicas: int) -> Iterator[int]:
        """No more servers than a model has numbers, or far more than replicas."""
        most = min(self.assumptions.most_servers, self.calibration.layout(algorithm).size)
        return (each for each in numbers(most) if each <= 2 * replicas)

    def _examples(self, algorithm: str) -> int:
        """Examples of a step, or of an evaluation."""
        work = self.calibration.work
        return work.batch_size if algorithm == "downpour" else work.examples

    def _total(self, algorithm: str) -> int:
        """Steps of the whole training, or evaluations, of which an iteration has one at least."""
        work = self.calibration.work
        if algorithm == "downpour":
            return work.passes * math.ceil(work.examples / work.batch_size)
        return work.iterations

    def _money(self, servers: int, machines: int) -> float | None:
        """Money an hour; the control server has a machine, too, unless all are on one."""
        assumed = self.assumptions
        if not assumed.priced:
            return None
        server = (servers + 1 if servers else 0) * (assumed.server_price or 0.0)
        return machines * (assumed.worker_price or 0.0) + server


def _cut(known: Layout, servers: int, shard_numbers: int = MAX_SHARD_NUMBERS) -> Layout:
    return Layout.plan(
        known.tensors,
        n_servers=servers,
        table_numbers=1 if known.tables else None,
        shard_numbers=shard_numbers,
        seed=known.seed,
    )


def numbers(most: int) -> list[int]:
    """1, 2, 5, 10, ... up to ``most``."""
    return [
        digit * 10**power
        for power in range(len(str(most)))
        for digit in IN_A_DECADE
        if digit * 10**power <= most
    ]
