"""A shard goes back to what it was, at every step of a Downpour run: nothing is left out.

The run is one in this process, with all that recovers it. Whatever the coordinator, a replica or
a scoring worker asks of the shards is a step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from distbelief.app.errors import ShardBehind
from distbelief.app.models.auc import AucBy
from distbelief.app.models.metrics import score
from distbelief.app.models.parameters import whole
from distbelief.app.store.contract.standings import Standing
from distbelief.app.store.memory.calls import MemoryShard
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.runs.checkpoints import Checkpoints
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.training.recovery import MOST_LOSSES, Ending, train_to_the_end
from distbelief.coordinator.training.resources import TrainingResources
from tests.unit.coordinator.downpour import test_driver
from tests.unit.coordinator.downpour.test_driver import Training, training

STEPS = (
    *("announce", "push", "fetch", "touched", "freeze", "drop", "put", "counts", "shard_states"),
    *("raise_fence", "restore", "named_vectors", "sequences"),
)

DENSE: dict[str, Any] = {"shards": 3, "block_numbers": 4, "passes": 2, "unit_steps": 2}
TABLES: dict[str, Any] = {
    "data": "synthetic:clicks",
    "data_options": {"examples": 120, "features": 40},
    "model": "logistic",
    "table_numbers": 1,
    "passes": 2,
    "unit_steps": 2,
    "shards": 3,
}
NOTHING = (Standing(),) * 3
#: Of the steps so many are passed over, to be fast; every one was tried.
STRIDE = 13
KINDS = {"dense": DENSE, "tables": TABLES, "bounded": {**DENSE, "max_staleness": 1}}


class Older(MemoryParameterStore):
    """Shards of which one goes back, before step ``at``, to what it was ``by`` steps before."""

    at: ClassVar[float] = math.inf
    by: ClassVar[int] = 1
    shard: ClassVar[int] = 1
    again: ClassVar[bool] = False

    def __init__(self, *args: Any, **words: Any) -> None:
        super().__init__(*args, **words)
        self.steps = 0
        self.older: list[MemoryShard | None] = []

    def step(self) -> None:
        self.steps += 1
        if self.steps > self.at and not self.again:
            return
        self.older.append(deepcopy(self._shards[self.shard]))
        if self.steps >= self.at:
            self._shards[self.shard] = deepcopy(self.older[max(0, len(self.older) - 1 - self.by)])


def _stepping(name: str) -> Callable[..., Any]:
    plain = getattr(MemoryParameterStore, name)

    def call(self: Older, *args: Any, **words: Any) -> Any:
        self.step()
        return plain(self, *args, **words)

    return call


for _name in STEPS:
    setattr(Older, _name, _stepping(_name))


@dataclass
class Run:
    """A run from its creation to its end, and what was said."""

    training: Training
    ending: Ending
    said: list[str] = field(default_factory=list)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    monkeypatch.setattr(test_driver, "MemoryParameterStore", Older)
    monkeypatch.setattr(AucBy, "of", lambda *_: AucBy.NONE)  # needs no control server
    folders = (tmp_path / str(number) for number in range(10**6))

    def run(settings: dict[str, Any], at: float = math.inf, by: int = 1, **words: Any) -> Run:
        for name, value in {"at": at, "by": by, "shard": 1, "again": False, **words}.items():
            monkeypatch.setattr(Older, name, value)
        made, said = training(**settings), list[str]()
        checkpoints = Checkpoints(next(folders), math.inf, 3, said.append)
        hooks = made.driver._hooks
        hooks = DriverHooks(hooks.on_status, hooks.check, hooks.should_stop, checkpoints)
        made.driver._hooks = hooks
        resources = SimpleNamespace(hooks=hooks, session=made.session, say=said.append)
        try:
            ending = train_to_the_end(
                cast("TrainingResources", resources), made.driver, lambda: None, resumed=False
            )
        finally:
            checkpoints.close()
        return Run(made, ending, said)

    return run


def assert_whole(run: Run, undisturbed: Run) -> None:
    """Every shard has every planned push once, and the model saved is the best that was scored."""
    plan, store = run.training.plan, run.training.store
    assert plan.done
    assert f"{plan.total_pushes} on each of" in run.ending.details[0]
    assert run.ending.final.heldout == run.training.driver.evaluations.best
    assert np.isfinite(run.ending.final.parameters).all()
    if run.ending.final.complaint:
        return  # it went back when the model had been read
    for state in MemoryParameterStore.shard_states(store):
        assert state is not None
        assert state.applied == sum(state.sequences.values()) == plan.total_pushes
        assert state.sequences == undisturbed.training.store._shards[0].sequences  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", [4, 40])
def test_a_shard_may_go_back_at_every_step(kind: str, by: int, run: Callable[..., Run]) -> None:
    undisturbed = run(KINDS[kind])
    store, told = cast("Older", undisturbed.training.store), 0
    n_shards = store.layout.n_shards
    for number, at in enumerate(range(2 + by % 3, store.steps + 1, STRIDE)):
        older = run(KINDS[kind], at, by, shard=n_shards - 1 - number % 2)
        assert_whole(older, undisturbed)
        told += any("came back with older data: " in line for line in older.said)
    assert told > store.steps / STRIDE / 5


def test_what_is_said_names_the_shard_and_what_it_lost(run: Callable[..., Run]) -> None:
    undisturbed = run(DENSE)
    pushes = list[int]()

    def noting(self: Older, *args: Any, **words: Any) -> Any:
        self.step()
        if self.steps > 25 and not pushes:
            pushes.append(self._shards[1].clock - self.older[0].clock)  # type: ignore[union-attr]
            self._shards[1] = deepcopy(self.older[0])
        return MemoryParameterStore.push(self, *args, **words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Older, "push", noting)
        older = run(DENSE)
    assert_whole(older, undisturbed)
    kinds = [kind for kind, _ in older.training.session.events]
    assert kinds.count("lost") == 1
    assert older.said[0].startswith("data lost: shard 1 ")
    lost, fence = older.said[1], older.said[-1]
    assert lost.startswith("shard 1 came back with older data: ")
    assert "updates were lost and are made again" in lost
    assert fence == "taken up under fence 2"


def test_the_best_model_is_never_an_older_one(run: Callable[..., Run]) -> None:
    """Its copy has one name; what is saved is what was scored, bit for bit."""
    settings = {**DENSE, "passes": 4, "unit_steps": 6}
    undisturbed = run(settings)
    steps = cast("Older", undisturbed.training.store).steps
    for at in range(steps - 40, steps + 1, 5):
        older = run(settings, at, 60)
        scored = older.ending.final.heldout
        assert scored is not None
        problem, model = older.training.problem, older.ending.final.parameters
        rows = older.training.desk._heldout[0 : problem.n_heldout]
        again = score(
            whole(problem.model, model),
            problem.dataset.features[rows],
            problem.dataset.targets[rows],
        )
        assert again.loss_sum == pytest.approx(scored.score.loss_sum, rel=1e-12)
        said = [line for line in older.said if line.startswith("the model is read, but")]
        left = MemoryParameterStore.fetch(older.training.store, known=NOTHING).vector
        assert said or np.array_equal(left, model)


def test_a_server_that_goes_back_again_and_again_ends_the_run_with_the_remedy(
    run: Callable[..., Run],
) -> None:
    with pytest.raises(
        ShardBehind, match=r"6 times in a row.*appendonly yes.*min-replicas-to-write"
    ):
        run(DENSE, 30, 3, again=True)
    assert MOST_LOSSES == 5


@pytest.mark.parametrize("ends", ["max_seconds", "target"])
def test_a_run_that_ends_early_makes_again_what_one_shard_lost_of_whole_units(
    ends: str, run: Callable[..., Run]
) -> None:
    settings = {**DENSE, "passes": 40, ends: {"max_seconds": 0.3, "target": 0.6}[ends]}
    older = run(settings, 100, 40)
    states = MemoryParameterStore.shard_states(older.training.store)
    acknowledged = older.training.plan.acknowledged
    for state in states:
        assert state is not None
        assert all(state.sequences.get(s, 0) >= n for s, n in enumerate(acknowledged))
    assert not older.training.plan.owes
