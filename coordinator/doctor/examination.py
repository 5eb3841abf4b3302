"""A whole examination: of servers and workers that run elsewhere, or of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from distbelief.app.client.servers import Servers
from distbelief.app.errors import DistBeliefError
from distbelief.app.runs.identity import Identity
from distbelief.app.runs.versions import versions
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.doctor import (
    broker,
    clocks,
    machine,
    neighbours,
    network,
    odd_messages,
    security,
    workers,
)
from distbelief.coordinator.doctor import servers as server
from distbelief.coordinator.doctor.clocks import ClockFacts
from distbelief.coordinator.doctor.division import check_division
from distbelief.coordinator.doctor.findings import Finding, failed, note, ok
from distbelief.coordinator.doctor.servers import PATIENCE_S
from distbelief.coordinator.doctor.trials import Expected
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.runs.messages import Messages


def examine(
    config: RunConfig, cluster: ClusterConfig, *, described: bool, source: str = "a program"
) -> list[Finding]:
    """Examine all that a run needs; its data and model only if they are ``described``.

    ``source`` is what names the broker. Raises ConfigError for URLs that are none.
    """
    found, problem = _problem(config, cluster) if described else ([], None)
    found += broker.judge(cluster.broker, source, cluster.celery_app)
    if cluster.embedded:
        return [*found, *_here(config, cluster, problem)]
    return [*found, *_there(config, cluster, problem, described=described)]


def _problem(config: RunConfig, cluster: ClusterConfig) -> tuple[list[Finding], Problem | None]:
    try:
        problem = prepare(config, len(cluster.parameter_servers) or cluster.servers)
        check_division(problem)
    except DistBeliefError as failure:
        return [failed("run", failure)], None
    what = (
        f"{problem.n_train:,} training and {problem.n_heldout:,} held-out examples, "
        f"{config.model} with {problem.n_parameters:,} parameters"
    )
    unjudged = [note("run", problem.unjudged)] if problem.unjudged else []
    return [ok("run", what), *unjudged], problem


def _here(config: RunConfig, cluster: ClusterConfig, problem: Problem | None) -> list[Finding]:
    need = None if problem is None else problem.memory
    return machine.judge(
        machine.gather(Path(cluster.folder)),
        cluster.processes or config.n_replicas,
        None if need is None else need.servers,
        None if need is None else need.process,
    )


def _there(
    config: RunConfig,
    cluster: ClusterConfig,
    problem: Problem | None,
    *,
    described: bool,
) -> list[Finding]:
    endpoints, need = Endpoints.of(cluster), None
    if problem is not None:
        need = problem.memory.servers // len(cluster.parameter_servers)
    configs = [config] if described else [RunConfig(), RunConfig(algorithm="sandblaster")]
    found, told = list[Finding](), list[ClockFacts]()
    reached = True
    for urls, parameters in (([endpoints.control], False), (cluster.parameter_servers, True)):
        with closing(Servers(urls)) as clients:
            clients.hurry(PATIENCE_S)  # a frozen one, too, is not waited for longer
            for index, url in enumerate(urls):
                try:
                    nodes = clients.parts(index)
                    share = need // len(nodes) if parameters and need is not None else None
                    for node in nodes:
                        facts = server.gather(node, 0, parameters, cluster.engine, configs)
                        told.append(clocks.gather(node, 0))
                        found += server.judge(facts, share)
                        if parameters or url not in cluster.parameter_servers:
                            engine = facts.engine.engine if facts.engine is not None else None
                            others = neighbours.gather(node, 0)
                            found += neighbours.judge(
                                facts.address, others, engine, configs[0].call_ms
                            )
                    if not parameters:
                        found += odd_messages.judge(odd_messages.gather(clients))
                    if parameters and url == endpoints.control:
                        continue  # one server may be both
                    found += security.judge(security.gather(url, facts.config))
                except DistBeliefError as failure:
                    found.append(
                        failed(_server_name(clients.addresses[index], parameters), failure)
                    )
                    reached &= parameters
    if reached:
        tried = config if described else None
        is_staged = cluster.stage_data is not None
        found += _workers(cluster, tried, problem, told, is_staged=is_staged)
    return [*found, *clocks.judge(told)]


def _server_name(address: str, parameters: bool) -> str:
    return f"{'parameter' if parameters else 'control'} server {address}"


def _workers(
    cluster: ClusterConfig,
    config: RunConfig | None,
    problem: Problem | None,
    told: list[ClockFacts],
    *,
    is_staged: bool,
) -> Sequence[Finding]:
    """The findings on the workers and their links; their clocks are added to ``told``."""
    endpoints = Endpoints.of(cluster)
    with (
        closing(Messages(endpoints, PATIENCE_S)) as messages,
        closing(Servers(endpoints.parameter_servers, deadline_s=PATIENCE_S)) as servers,
    ):
        servers.hurry(PATIENCE_S)
        try:
            tried = None if problem is None else problem.config
            fits = None if problem is None else problem.data.fits
            staged = problem.dataset.schema if problem is not None and is_staged else None
            fleet = workers.gather(messages, servers, tried, fits, staged)
            kinds = workers.needed_work(config)
            queues = frozenset(name for each in kinds if (name := messages.queue_of(each)))
        except DistBeliefError as failure:
            return [failed("broker", failure)]
        names = [each.name for each in fleet.workers]
        links = network.examine(messages, servers, names, problem, cluster.engine)
    told += [each.clock for each in fleet.workers if each.clock is not None]
    return [*workers.judge(fleet, _expected(queues, problem, servers.addresses)), *links]


def _expected(
    queues: frozenset[str], problem: Problem | None, addresses: Sequence[str]
) -> Expected:
    known = versions()
    if problem is None:
        return Expected(known, queues, servers=addresses)
    data = problem.data
    return Expected(
        known,
        queues,
        data.fingerprint,
        Identity.here(problem.config).modules,
        problem.model.tensors,
        addresses,
        data.dataset.n_examples,
        data.dataset.facts.cached_bytes,
    )
