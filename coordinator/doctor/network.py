"""The network between workers and parameter servers: what it carries, and what a run needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from distbelief.app.client.servers import Servers
from distbelief.app.errors import DistBeliefError
from distbelief.app.settings.sections import WantedEngine
from distbelief.app.store.engines import choose_engines
from distbelief.coordinator.doctor.findings import Finding, note, ok, warning
from distbelief.coordinator.doctor.servers import PATIENCE_S
from distbelief.coordinator.downpour.choice import choose_exchanges, fleet_costs
from distbelief.coordinator.downpour.intervals import measure_costs
from distbelief.coordinator.downpour.links import Link, measure_links
from distbelief.coordinator.downpour.ways import MOST_IDLE, Way
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.network import size_text
from distbelief.coordinator.runs.messages import Messages

#: Bytes of messages where no run is described.
USUAL_BYTES = 1 << 20

SUBJECT = "network"


def examine(
    messages: Messages,
    servers: Servers,
    workers: Sequence[str],
    problem: Problem | None,
    engine: WantedEngine,
) -> list[Finding]:
    """Have workers measure their links, and judge these, and what a run makes of them."""
    if not workers:
        return []
    n_bytes = USUAL_BYTES
    if problem is not None:
        n_bytes = problem.layout.size * problem.config.dtype.itemsize
    try:
        choose_engines(servers, engine, PATIENCE_S)
        links = measure_links(messages, servers, workers, n_bytes)
        run = [] if problem is None else judge_run(problem, servers, links)
    except DistBeliefError:  # a server that fails is judged by itself
        return []
    return [*judge_links(links), *run]


def judge_links(links: Mapping[str, Link]) -> list[Finding]:
    """What each worker has measured; of those on the servers' machine nothing."""
    return [
        ok(
            f"worker {name}",
            f"its link to the parameter servers carries {size_text(link.up)}/s up and "
            f"{size_text(link.down)}/s down, while others use theirs",
        )
        for name, link in links.items()
    ]


def judge_run(problem: Problem, servers: Servers, links: Mapping[str, Link]) -> list[Finding]:
    """Bytes of a minibatch and the share of time that workers will wait, as they would train.

    Raises the ServerError family if a server cannot be used.
    """
    if "downpour" not in problem.config.stages or problem.layout.tables:
        return []
    choice = choose_exchanges(problem, servers, list(links.values()))
    config = choice.problem.config.with_interval(1)
    way = Way(config.push_interval, config.wire, by_rounds=config.round_steps is not None)
    costs = choice.costs or fleet_costs(
        choice.problem, servers, measure_costs(choice.problem, servers), list(links.values())
    )
    idle = costs.idle(way)
    what = (
        f"by {way} a step takes {size_text(costs.bytes_a_step(way))}, and workers will wait for "
        f"exchanges for some {idle:.0%} of their time"
    )
    found = [note(SUBJECT, line) for line in choice.lines() if line.startswith("auto: ")]
    if idle <= MOST_IDLE:
        return [ok(SUBJECT, what), *found]
    todo = "exchange less often, or in fewer bits: docs/guide.md, rounds and numbers in fewer bits"
    return [warning(SUBJECT, what, todo), *found]
