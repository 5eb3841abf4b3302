"""What rules about a run need, and what must hold whatever they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, invariant

from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import BEST, PARAMETERS
from distbelief.app.layout.tensors import Vector
from distbelief.app.runs.ledger import Claim, UnitState
from distbelief.app.store.contract.parameters import ParameterStore, ShardState, Token
from distbelief.app.store.contract.standings import Standing
from tests.redis.runs.run_and_models import LAYOUT, SHARDS, VECTORS, Contents, MirroredRun

#: No lease runs out by itself.
LEASE_S = 3600.0

#: What a coordinator may ask for whose fence is not that of the shards.
STRANGE: dict[str, Callable[[ParameterStore], object]] = {
    "raise_fence": lambda store: store.raise_fence(store.fence),
    "copy": lambda store: store.copy(PARAMETERS, BEST),
    "drop": lambda store: store.drop(BEST),
    "put": lambda store: store.put(BEST, np.ones(LAYOUT.size)),
    "restore": lambda store: store.restore(
        {1: ShardState()}, dict.fromkeys(VECTORS, np.ones(LAYOUT.size))
    ),
}


def stream_of(unit: str) -> int:
    return int(unit.split("-")[0])


def token_of(claim: Claim) -> Token:
    return Token(claim.fence, stream_of(claim.unit), claim.attempt)


class RunMachine(RuleBasedStateMachine):
    """A state machine without rules: subclasses have them."""

    def __init__(self, mirrored: MirroredRun) -> None:
        super().__init__()
        self.mirrored, self.granted = mirrored, list[Claim]()
        #: The latest unit of each stream; ``pushes`` are those since the fence was raised.
        self.unit: dict[int, str] = {}
        self.numbers, self.pushes = count(), 0
        self.saved = list[Checkpoint]()
        #: The highest attempts so far, by stream, on each shard, under the fence that it has.
        self.attempts = [Counter[str]() for _ in SHARDS]
        self.fences = [0 for _ in SHARDS]

    def teardown(self) -> None:
        self.mirrored.end()

    # --- units

    def submitted(self, stream: int) -> str:
        """A new unit of a stream."""
        unit = f"{stream}-{next(self.numbers)}"
        self.enter(unit, self.mirrored.fence)
        self.unit[stream] = unit
        return unit

    def enter(self, unit: str, fence: int) -> None:
        """Enter a unit, perhaps again: what it says tells under which fence it was entered."""
        specification = {"stream": stream_of(unit), "fence": fence}
        for ledger in (self.mirrored.ledger, self.mirrored.model):
            ledger.submit(unit, specification, LEASE_S, fence)

    def claimed(self, unit: str, claimer: str) -> Claim | None:
        """What ledger and model answer to a claim."""
        ours = self.mirrored.ledger.claim(unit, claimer)
        assert ours == self.mirrored.model.claim(unit, claimer)
        self.mirrored.seen["granted" if ours else "not granted"] += 1
        if ours is not None:
            self.granted.append(ours)
        return ours

    def holder(self, stream: int) -> Claim:
        """The claim of who holds the stream's unit; a new one if it is done or outdated."""
        at = self.mirrored.model.units[self.unit[stream]]
        if at.fence < self.mirrored.fence:
            self.enter(self.unit[stream], self.mirrored.fence)
        elif at.state is UnitState.DONE:
            self.submitted(stream)
        at = self.mirrored.model.units[self.unit[stream]]
        claim = self.claimed(self.unit[stream], at.owner or "one")
        assert claim is not None
        return claim

    def renewed(self, claim: Claim) -> bool:
        """What ledger and model answer to a renewal."""
        ours = self.mirrored.ledger.renew(claim)
        assert ours == self.mirrored.model.renew(claim)
        self.mirrored.seen["renewed" if ours else "not renewed"] += 1
        return ours

    def finished(self, claim: Claim, state: UnitState) -> bool:
        """What ledger and model answer to a report."""
        report = {"by": claim.attempt, "as": state, "error": "no"}
        ours = self.mirrored.ledger.finish(claim, state, report)
        assert ours == self.mirrored.model.finish(claim, state, report)
        self.mirrored.seen["finished" if ours else "not finished"] += 1
        return ours

    def released(self, claim: Claim) -> bool:
        """What ledger and model answer when a unit is given back."""
        ours = self.mirrored.ledger.release(claim)
        assert ours == self.mirrored.model.release(claim)
        self.mirrored.seen["released" if ours else "not released"] += 1
        return ours

    # --- shards

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
    ) -> tuple[str, ...]:
        self.pushes += 1
        return self.mirrored.both(
            lambda store: store.push(token, sequence, gradient, blocks=blocks, fetch=fetch)
        )

    def save(self, best: bool, tidy: bool) -> None:
        """Write a checkpoint, unless the shards cannot be frozen."""
        written = self.mirrored.write_checkpoint(best=best, tidy=tidy)
        self.saved += [written] if written else []

    def saved_before(self, age: int | None) -> Checkpoint | None:
        """The checkpoint that ``age`` others followed, or the first; None for no age."""
        if age is None or not self.saved:
            return None
        return self.saved[max(0, len(self.saved) - 1 - age)]

    def stand(self, stream: int) -> list[int]:
        """The last sequence of a stream on every shard; a lost one stands nowhere."""
        shard_states = [
            shard_state
            for shard_state in self.mirrored.twin.shard_states()
            if shard_state is not None
        ]
        return [shard_state.sequences.get(stream, 0) for shard_state in shard_states] or [0]

    def refusal(self, token: Token) -> str | None:
        """What the first shard says that does not let ``token`` change it; None if all do."""
        for shard in self.mirrored.contents():
            if not shard:
                return "ModelMissing"
            meta = shard["meta"]
            latest = int(meta.get(f"attempt:{token.stream}", 0))
            if int(meta["fence"]) < token.fence:
                return "ShardBehind"
            if int(meta["fence"]) > token.fence or latest > token.attempt:
                return "Fenced"
        return None

    def objection(self, known: Sequence[Standing]) -> str | None:
        """What the first shard says that does not stand where it is known to; None if all do."""
        for at, expected in zip(self.mirrored.twin._shards, known, strict=True):
            if at is None:
                return "ModelMissing"
            if at.standing < expected:
                return "ShardBehind"
        return None

    # --- what must always be true

    @invariant()
    def shards_are_as_they_must_be(self) -> None:
        shards = self.mirrored.contents()
        assert shards == self.mirrored.contents_of_twin()
        for index, shard in enumerate(shards):
            if shard:
                meta = {name: value.decode() for name, value in shard["meta"].items()}
                self.every_sequence_number_was_dealt_with_once(meta)
                self.fence_and_attempts_only_grow(index, meta)

    @invariant()
    def what_is_fetched_is_finite_and_that_of_the_twin(self) -> None:
        known = [self.mirrored.twin._known(index) for index in SHARDS]
        expected = self.objection(known) or "fetched"
        assert self.mirrored.both(lambda store: store.fetch()) == (expected,)
        for at in self.mirrored.twin._shards:
            vectors = at.vectors if at is not None else {}
            for blocks in vectors.values():
                assert all(np.isfinite(values).all() for values in blocks.values())

    def every_sequence_number_was_dealt_with_once(self, meta: dict[str, str]) -> None:
        used = sum(int(number) for name, number in meta.items() if name.startswith("seq:"))
        assert int(meta["clock"]) + int(meta["refused"]) == used

    def fence_and_attempts_only_grow(self, index: int, meta: dict[str, str]) -> None:
        fence = int(meta["fence"])
        assert fence >= self.fences[index]
        if fence > self.fences[index]:
            self.start_over(index)
        self.fences[index] = fence
        for name, attempt in meta.items():
            if name.startswith("attempt:"):
                assert int(attempt) >= self.attempts[index][name]
                self.attempts[index][name] = int(attempt)

    @invariant()
    def the_ledger_knows_of_each_unit_what_its_model_does(self) -> None:
        units = self.mirrored.model.units
        for name, unit in self.mirrored.ledger.read(list(units)).items():
            at = units[name]
            assert (unit.state, unit.owner, unit.attempt, unit.tries, unit.report) == (
                (at.state, at.owner, at.attempt, at.tries, at.report)
            )
            left = unit.remaining_s
            assert (left is not None) == (at.state is UnitState.LEASED)
            assert left is None or (left > 0) == at.live

    def start_over(self, index: int) -> None:
        """From now on a shard may know lower fences and attempts than before."""
        self.attempts[index].clear()
        self.fences[index] = 0

    def unchanged(self, before: list[Contents]) -> bool:
        """Whether the shards that were there ``before`` hold what they held."""
        now = self.mirrored.contents()
        return all(old == new for old, new in zip(before, now, strict=True) if old)
