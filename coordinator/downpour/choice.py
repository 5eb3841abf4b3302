"""How replicas exchange with the servers, where it is left to us (``auto``).

Chosen once, before the training, and recorded with the run: from what a step and an exchange cost
here, and from what the workers' links to the servers carry. Where servers are near and compute
natively, only the interval is chosen (:mod:`distbelief.coordinator.downpour.intervals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from distbelief.app.client.engine import Engine
from distbelief.app.client.servers import Servers
from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import UNIT_ROUNDS, RunConfig
from distbelief.app.settings.downpour import Wire
from distbelief.app.settings.rounds import complain
from distbelief.app.store.redis.costs import COSTS
from distbelief.coordinator.downpour.intervals import (
    MeasuredCosts,
    best_interval,
    longest_interval,
    longest_with,
    measure_costs,
)
from distbelief.coordinator.downpour.links import Link
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.downpour.ways import FleetCosts, Way, best_way, exact_way, rounds_in
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.network import size_text

#: Rules whose steps in rounds come near those of an exchange at each step (docs/rounds.md). The
#: others' means begin anew where a unit moves to another worker, which costs short trainings much.
IN_ROUNDS = ("adagrad", "sgd")

NARROW: Wire = "bfloat16"

#: A fleet of less than this share of one process's steps is slower, and not only measured so.
SLOWER = 0.9


@dataclass(frozen=True)
class Choice:
    """A problem whose exchanges are chosen.

    ``costs`` are those by which, None if nothing had to be weighed; ``way`` is that of the problem,
    ``exact`` the one that changes nothing.
    """

    problem: Problem
    costs: FleetCosts | None = None
    exact: Way | None = None
    way: Way | None = None

    @property
    def changes(self) -> bool:
        """Whether it changes the result."""
        return self.way != self.exact

    def lines(self) -> list[str]:
        """What was chosen beyond the usual, and why; and whether one process would be faster."""
        costs, exact, way = self.costs, self.exact, self.way
        if costs is None or exact is None or way is None:
            return []
        found = []
        if self.changes:
            found.append(
                f"auto: {way}, for {self._why(costs, exact)}, and {exact} would leave workers idle "
                f"for {costs.idle(exact):.0%} of their time; --n-push {exact.steps} keeps to it"
            )
        if costs.rate(way) < SLOWER * costs.one_process:
            found.append(
                f"warning: by {way}, {costs.replicas} replicas in all will take some "
                f"{costs.rate(way):,.0f} steps a second, one process alone "
                f"{costs.one_process:,.0f}: "
                f"{self._why(costs, way)}"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        if self.costs is None or self.way is None or self.exact is None:
            return {}
        costs, link = self.costs, self.costs.link
        return {
            "way": str(self.way),
            "exact": str(self.exact),
            "step_s": costs.step_s,
            "exchange_s": costs.exchange_s(self.way.wire),
            "link": None if link is None else dict(link.__dict__),
            "idle": costs.idle(self.way),
            "idle_exact": costs.idle(self.exact),
        }

    @staticmethod
    def _why(costs: FleetCosts, way: Way) -> str:
        exchange = f"an exchange of {size_text(2 * costs.bytes_of(way.wire))} takes"
        step, link = f"a step {_ms(costs.step_s)}", costs.link
        if link is None:
            return f"{exchange} {_ms(costs.server_s[way.wire])} of a server (Lua engine), {step}"
        return (
            f"{exchange} {_ms(costs.exchange_s(way.wire))} by a worker's link "
            f"({size_text(link.up)}/s up, {size_text(link.down)}/s down), {step}"
        )


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:,.0f} ms" if seconds >= 0.01 else f"{1e3 * seconds:.2g} ms"


def left_to_us(config: RunConfig) -> bool:
    """Whether all of the exchanges is to be chosen, and not only one of two intervals."""
    return (
        "downpour" in config.stages
        and config.n_push == config.n_fetch == "auto"
        and config.round_steps is None
    )


def is_weighed(problem: Problem) -> bool:
    """Whether there is more to choose than an interval where links or servers are slow."""
    return left_to_us(problem.config) and not problem.layout.tables


def choose_exchanges(problem: Problem, servers: Servers, links: Sequence[Link] = ()) -> Choice:
    """Choose ``n_push`` and ``n_fetch`` if they are ``auto``, by measuring where there is a choice.

    Where workers' ``links`` are slow, or servers are, by rounds and in fewer bits: whatever is
    given stays. Raises the ServerError family if a server cannot be used.
    """
    config, tables = problem.config, bool(problem.layout.tables)
    if "downpour" not in config.stages or "auto" not in (config.n_push, config.n_fetch):
        return Choice(problem)
    longest = longest_interval(config, tables=tables)
    rounds = _rounds(problem) if is_weighed(problem) else []
    weighed = is_weighed(problem) and (links or (rounds and Engine.LUA in servers.engines))
    if not left_to_us(config) or (longest == 1 and not weighed):
        return Choice(problem.with_interval(1))
    if config.comes_and_goes and not weighed:
        return Choice(problem)  # each unit is told its own interval: the workers at work decide
    measured = measure_costs(problem, servers)
    interval = best_interval(measured, longest, config.n_replicas)
    if not weighed:
        return Choice(problem.with_interval(interval))
    costs = fleet_costs(problem, servers, measured, links)
    longest = min(longest, longest_with(config.optimizer, config.n_replicas))
    exact = exact_way(costs, interval, longest, config.wire)
    way = best_way(costs, exact, _wires(config), rounds)
    return Choice(settled(problem, way), costs, exact, way)


def fleet_costs(
    problem: Problem, servers: Servers, measured: MeasuredCosts, links: Sequence[Link]
) -> FleetCosts:
    """What was measured, for a fleet whose workers have such links: the middle one counts.

    Where there are links, what the coordinator measured of servers has its own link in it: they are
    known well enough.
    """
    config, layout = problem.config, problem.layout
    numbers = [0] * layout.n_servers
    for shard in range(layout.n_dense_shards):
        part = layout.shard_slice(shard)
        numbers[layout.server(shard)] += part.stop - part.start
    slots = len(shard_rule(config).slots)

    def known_s(wire: Wire) -> float:
        coded = wire != "float32"
        by_server = (
            count * COSTS[engine].pushing(slots, coded=coded)
            for count, engine in zip(numbers, servers.engines, strict=True)
        )
        return max(by_server) / 1e9

    server_s = {wire: known_s(wire) for wire in (config.wire, NARROW)}
    middle = None
    if links:
        n_bytes = config.dtype.itemsize * layout.size
        ordered = sorted(links, key=lambda each: each.exchange_s(n_bytes, n_bytes))
        middle = ordered[len(ordered) // 2]
    else:
        beyond = measured.exchange_s - server_s[config.wire]
        server_s = {wire: max(0.0, known + beyond) for wire, known in server_s.items()}
    return FleetCosts(
        step_s=measured.step_s,
        numbers=layout.size,
        replicas=config.n_replicas,
        server_s=server_s,
        link=middle,
        itemsize=config.dtype.itemsize,
        overlap=config.overlap,
    )


def settled(problem: Problem, way: Way) -> Problem:
    """The problem whose replicas exchange in this way; rounds bring an outer rule."""
    update: dict[str, Any] = {"wire": way.wire} if way.wire != problem.config.wire else {}
    if way.by_rounds:
        update["round_steps"] = way.steps
        if "unit_steps" not in problem.config.model_fields_set:
            update["unit_steps"] = _unit_steps(way)
        outer = OuterSettings.of(problem.config.model_copy(update=update))
        update |= outer.to_json()
    config = problem.config.model_copy(update=update)
    if way.by_rounds or not config.comes_and_goes:  # else each unit is told its interval
        config = config.with_interval(way.steps)
    first = problem.initial_values
    if way.by_rounds:
        slots = shard_rule(config).initial_slots(first.parameters.astype(np.float64), first.slots)
        first = replace(first, slots=slots)
    return replace(problem, config=config, initial_values=first, chosen=(*update,))


def _unit_steps(way: Way) -> int:
    """Some rounds at least: the last push of a unit goes in full width, and is waited for."""
    default: int = RunConfig.model_fields["unit_steps"].default
    return max(default, UNIT_ROUNDS * way.steps)


def _wires(config: RunConfig) -> list[Wire]:
    """What may cross the network: what is given, or else also fewer bits."""
    given = "wire" in config.model_fields_set or config.dtype.itemsize != 4
    return [config.wire] if given else [config.wire, NARROW]


def _rounds(problem: Problem) -> list[int]:
    """The lengths of rounds that there may be: none for what rounds are not for."""
    config = problem.config
    if config.optimizer not in IN_ROUNDS or config.max_staleness is not None:
        return []
    if complain({**config.__dict__, "round_steps": 1}) is not None:
        return []
    steps = sum(UnitPlan.of(problem).steps_per_pass) * config.n_passes
    return rounds_in(steps // config.n_replicas, config.n_replicas)
