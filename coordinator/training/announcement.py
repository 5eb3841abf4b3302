"""The lines that are said before a training begins: what is trained, how, and on what."""

from __future__ import annotations

from distbelief.app.datasets.examples.column import remarks
from distbelief.app.datasets.sources.source import Generated, parse
from distbelief.app.models.registry import declared_task
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.downpour.ways import ROUNDS_FOR_EACH
from distbelief.coordinator.problem.memory_estimate import TableEstimate
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.runs.session import Session
from distbelief.coordinator.sandblaster.portion_count import portions_of
from distbelief.coordinator.views.targets import target_lines
from distbelief.coordinator.views.weights import weight_lines

_SHOWN = 10  # remarks on columns


def announcement(session: Session, problem: Problem, *, chosen: bool) -> list[str]:
    """A line on the run; on columns, targets, the memory of tables, and what was not judged.

    ``chosen`` tells that the intervals of pushes and fetches were chosen here.
    """
    layout, config = problem.layout, problem.config
    line = (
        f"run {session.record.run}: {config.model} with {problem.n_parameters:,} parameters in "
        f"{layout.n_shards} shards on {layout.n_servers} servers ({_engines(session)})"
        f"{_memory(session)}, "
        f"{problem.n_train:,} training and {problem.n_heldout:,} held-out examples "
        f"of {config.data}, "
    )
    if n_test := len(problem.data.test):
        line += f"{n_test:,} more for the test, "
    stages = []
    if "downpour" in config.stages:
        stages.append(_downpour(config) + (" (auto)" if chosen else ""))
    if "sandblaster" in config.stages:
        stages.append(_sandblaster(config, portions_of(problem)))
    line += ", then ".join(stages)
    tables = [] if problem.table_estimate is None else [_tables(problem.table_estimate)]
    found = remarks(problem.dataset.facts.columns, problem.dataset.n_examples)
    more = [f"and more of {len(found) - _SHOWN} columns: see the command data"]
    found = found if len(found) <= _SHOWN else found[:_SHOWN] + more
    return [
        line,
        *targets_line(problem),
        *weight_lines(problem.data),
        *found,
        *tables,
        *([problem.unjudged] if problem.unjudged else []),
        *few_rounds(problem),
    ]


def targets_line(problem: Problem) -> list[str]:
    """A line on the targets of a user's data; what we make ourselves is known."""
    config, dataset = problem.config, problem.dataset
    if isinstance(parse(config.data), Generated):
        return []
    own = declared_task(config) is not None or ":" in config.model
    asked = f'which model "{config.model}" is for' if own else ""
    return ["; ".join(target_lines(dataset, config.data_options, asked))]


def few_rounds(problem: Problem) -> list[str]:
    """A line if so few means are taken that the model will be worse for it."""
    config, fewest = problem.config, ROUNDS_FOR_EACH * problem.config.n_replicas
    if config.round_steps in (None, 1) or config.n_replicas == 1 or "downpour" not in config.stages:
        return []
    plan = UnitPlan.of(problem)
    rounds = plan.total_pushes // config.n_replicas
    if rounds >= fewest:
        return []
    steps = max(1, plan.total_steps // config.n_replicas // fewest)
    return [
        f"{rounds:,} rounds of each replica are few for {config.n_replicas} replicas, and cost "
        f"quality: round_steps = {steps:,} makes {fewest} of them"
    ]


def _downpour(config: RunConfig) -> str:
    rate = build_rule(config).arguments()[0]
    schedule = f", {config.schedule}," if config.schedule else ","
    replicas = f"{config.n_replicas} replicas"
    if config.comes_and_goes:
        replicas += f" on {config.n_streams} streams"
    said = f"{replicas}, {config.optimizer} with rate {rate:g}{schedule} "
    wire = "" if config.wire == "float32" else f", {config.wire} on the wire"
    if config.n_push == config.n_fetch == "auto":  # units are told theirs
        return f"{said}n_push and n_fetch by the workers at work{wire}"
    if config.round_steps is None:
        return f"{said}n_push {config.n_push}, n_fetch {config.n_fetch}{wire}"
    rounds = (
        f"{said}rounds of {config.round_steps} steps that stand for {config.step_weight:g} each, "
    )
    if config.outer_momentum:
        rounds += (
            f"outer {config.outer_optimizer} with momentum {config.outer_momentum:g} and rate "
        )
    else:
        rounds += "averaged with rate "
    return f"{rounds}{config.outer_learning_rate:g}{wire}"


def _sandblaster(config: RunConfig, n_portions: int) -> str:
    method = "OWL-QN" if config.l1 else "L-BFGS"
    return f"{method} with history {config.history} in {config.precision}, {n_portions} portions"


def _tables(estimate: TableEstimate) -> str:
    likely, most = (n_bytes / 2**20 for n_bytes in (estimate.likely, estimate.most))
    return (
        f"tables of {estimate.rows:,} rows, of which {estimate.touched:,} occur in the training "
        f"data: the servers will need up to {likely:,.0f} MiB (for all rows {most:,.0f} MiB)"
    )


def _engines(session: Session) -> str:
    """Which engine the servers compute with, and where and why not natively."""
    servers = session.servers
    text = " and ".join(sorted({f"{engine} engine" for engine in servers.engines}))
    by_reason: dict[str, list[str]] = {}
    for address, choice in zip(servers.addresses, servers.choices, strict=True):
        if choice.why:
            by_reason.setdefault(choice.why, []).append(address)
    for why, there in by_reason.items():
        text += f": {why}" if len(there) == len(servers) else f"; {', '.join(there)}: {why}"
    return text


def _memory(session: Session) -> str:
    """Whether this machine's arrays go to all servers by shared memory."""
    servers = session.servers
    shared = all(servers.shared_folder(index) for index in range(len(servers)))
    return " by shared memory" if shared else ""
