"""The plan of Downpour's units: pure, so that it can be tested by counting.

Each subset of the data is a stream of steps: ``passes`` times over its minibatches. A
unit is the next stretch of one stream. A stream has at most one unit in flight, streams
do not wait for one another (no barrier between passes) unless there is a bound on their
staleness, and push number k of a stream covers its steps (k-1) * n_push to k * n_push:
where a unit ends never changes that. Units end where an evaluation is due, so that on small
data, too, there is one when ``evaluate_every`` says; in a hybrid they end with each pass, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from distbelief.app.datasets.split.partition import Subset
from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import RunConfig, whole_pushes
from distbelief.coordinator.problem.problem import Problem
from distbelief.worker_tasks.staleness import StalenessBound

#: Passes are quotients: so little less than an evaluation's is as many.
ROUNDING = 1e-9


@dataclass(frozen=True)
class PlannedUnit:
    """Steps ``start`` to ``stop`` of a subset's stream."""

    subset: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        return f"downpour-{self.subset}-{self.stop}"

    @property
    def specification(self) -> dict[str, int]:
        """What a worker is told of it."""
        return {"subset": self.subset, "start": self.start, "stop": self.stop}


@dataclass
class _Stream:
    steps_per_pass: int
    total: int
    done: int = 0
    owed: int = 0
    in_flight: bool = False

    @property
    def waits(self) -> bool:
        """Whether there is more to do, and nobody does it."""
        return not self.in_flight and self.done < self.total


@dataclass
class UnitPlan:
    """Hands out units and takes them back; see the module's docstring.

    Args:
        steps_per_pass: for each subset, the minibatches of one pass.
        config: the run's.

    Raises:
        ConfigError: the warm start asks for more steps than its replica has.
    """

    steps_per_pass: Sequence[int]
    config: RunConfig
    _streams: list[_Stream] = field(init=False)
    _warm_until: int = field(init=False)
    _bound: StalenessBound | None = field(init=False)

    def __post_init__(self) -> None:
        passes = self.config.n_passes
        self._streams = [_Stream(steps, steps * passes) for steps in self.steps_per_pass]
        first = self._streams[0].total
        if self.config.warm_start_steps > first:
            raise ConfigError(
                f"warm_start_steps = {self.config.warm_start_steps} is more than the {first} "
                f"steps that one replica takes in {passes} passes: at most {first} are possible"
            )
        warm = whole_pushes(self.config.warm_start_steps, self.config.push_interval)
        self._warm_until = min(warm, first)
        self._bound = StalenessBound.of(self.config, self.steps_per_pass)

    @classmethod
    def of(cls, problem: Problem) -> UnitPlan:
        """The plan of a problem, with pushes at every step where ``n_push`` is not chosen yet.

        Raises:
            DataError: there are fewer training examples than streams.
            ConfigError: as the class says, or there are fewer streams than replicas.
        """
        config, train = problem.config.with_interval(1), problem.data.train
        if config.n_streams < config.n_replicas:
            raise ConfigError(
                f"streams = {config.n_streams} are fewer than replicas = {config.n_replicas}, each "
                "of which works on one at a time: leave streams out, or have more of them"
            )
        subsets = [Subset(train, r, config.n_streams, config.seed) for r in range(config.n_streams)]
        return cls([subset.steps_per_pass(config.batch_size) for subset in subsets], config)

    @property
    def warming(self) -> bool:
        """Whether one replica works alone."""
        return self._streams[0].done < self._warm_until

    @property
    def holding(self) -> bool:
        """Whether a stream waits for slower ones."""
        return any(stream.waits for stream in self._streams) and not self.warming

    @property
    def whole_passes(self) -> int:
        """Passes that all streams have made."""
        return min(stream.done // stream.steps_per_pass for stream in self._streams)

    def pass_of(self, unit: PlannedUnit) -> int:
        """The pass that a unit begins in, the first being 0."""
        return unit.start // self._streams[unit.subset].steps_per_pass

    def pushes_before(self, unit: PlannedUnit) -> int:
        """Pushes of its stream before a unit begins."""
        return math.ceil(unit.start / self.config.push_interval)

    @property
    def done(self) -> bool:
        return all(stream.done == stream.total for stream in self._streams)

    @property
    def passes_done(self) -> float:
        """Passes over the data, the mean over the streams."""
        passes = [stream.done / stream.steps_per_pass for stream in self._streams]
        return sum(passes) / len(passes)

    @property
    def steps_done(self) -> int:
        return sum(stream.done for stream in self._streams)

    @property
    def total_steps(self) -> int:
        return sum(stream.total for stream in self._streams)

    @property
    def total_units(self) -> int:
        """Units if none is cut short; a warm start may add one."""
        return sum(self._units_of(stream.steps_per_pass) for stream in self._streams)

    @property
    def total_pushes(self) -> int:
        """Pushes of all streams, which every shard's clock shows when the plan is done."""
        return sum(math.ceil(stream.total / self.config.push_interval) for stream in self._streams)

    @property
    def acknowledged(self) -> list[int]:
        """The last push of each stream in units that were done: all shards had these."""
        return [math.ceil(stream.done / self.config.push_interval) for stream in self._streams]

    @property
    def owes(self) -> bool:
        """Whether steps that were done are to be taken again, for shards that lost them."""
        return any(stream.done < stream.owed for stream in self._streams)

    def take(self, sequences: Sequence[int] = (), room: int | None = None) -> list[PlannedUnit]:
        """The units that may start now; they count as in flight from here on.

        With a bound on the staleness, ``sequences`` are the last pushes of all streams:
        one that is too far ahead has to wait. If there is ``room`` only for so many, the streams
        that are behind the others have it.
        """
        streams = self._streams[:1] if self.warming else self._streams
        ready = [
            (subset, stream)
            for subset, stream in enumerate(streams)
            if stream.waits and self._in_reach(subset, sequences)
        ]
        if room is not None:
            ready = sorted(ready, key=lambda each: each[1].done / each[1].steps_per_pass)[:room]
        units = []
        for subset, stream in ready:
            stream.in_flight = True
            units.append(PlannedUnit(subset, stream.done, self._stop_of(stream)))
        return units

    def restart_from(self, sequences: Sequence[int]) -> None:
        """Go on from each stream's last push on the shards; nothing is in flight."""
        for stream, last in zip(self._streams, sequences, strict=True):
            stream.owed = max(stream.owed, stream.done)
            stream.done = min(last * self.config.push_interval, stream.total)
            stream.in_flight = False

    def finish(self, unit: PlannedUnit, reached: int) -> None:
        """Take a unit back, which ended at its stop or before: too far ahead, or out of time."""
        stream = self._streams[unit.subset]
        stream.done, stream.in_flight = min(reached, unit.stop), False

    def _in_reach(self, subset: int, sequences: Sequence[int]) -> bool:
        if self._bound is None:
            return True
        made = math.ceil(self._streams[subset].done / self.config.push_interval)
        return self._bound.allows(subset, made, sequences)

    def _stop_of(self, stream: _Stream) -> int:
        stop = self._cut(stream.done, stream.steps_per_pass)
        return min(stop, self._warm_until) if self.warming else stop

    def _cut(self, done: int, steps_per_pass: int) -> int:
        """Where a unit ends that begins after ``done`` steps, if nobody warms up."""
        length = self.config.unit_length
        if self._bound is not None and self.config.comes_and_goes:
            # Streams that nobody works on do not move: a longer unit would wait for them.
            length = min(length, (self._bound.bound + 1) * self.config.push_interval)
        stop = min(done + length, steps_per_pass * self.config.n_passes)
        for every in self._cut_every:
            due = next_evaluation(done / steps_per_pass, every)
            steps = max(done + 1, math.ceil(due * steps_per_pass * (1 - ROUNDING)))
            stop = min(stop, whole_pushes(steps, self.config.push_interval))
        return stop

    @property
    def _cut_every(self) -> Iterator[float]:
        """Passes after which units end: for an evaluation, or because passes are judged."""
        if self.config.evaluates:
            yield self.config.evaluate_every
        if self.config.algorithm == "hybrid":
            yield 1.0

    def _units_of(self, steps_per_pass: int) -> int:
        """Units of a stream."""
        done, units = 0, 0
        while done < steps_per_pass * self.config.n_passes:
            done, units = self._cut(done, steps_per_pass), units + 1
        return units


def next_evaluation(passes: float, every: float) -> float:
    """The passes at which the next evaluation is due after so many."""
    return (math.floor(passes / every * (1 + ROUNDING)) + 1) * every


def reached(passes: float, due: float) -> bool:
    """Whether an evaluation is due after so many passes."""
    return passes >= due * (1 - ROUNDING)
