"""What rules about a run need, and what must hold whatever they do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count

import numpy as np
from hypothesis.stateful import RuleBasedStateMachine, invariant

from app.layout import Vector
from app.runs.ledger import Claim, State
from app.store.contract import Token
from tests.redis.world import SHARDS, VECTORS, World

#: No lease runs out by itself.
LEASE_S = 3600.0


def stream_of(unit: str) -> int:
    return int(unit.split("-")[0])


def token_of(claim: Claim) -> Token:
    return Token(claim.fence, stream_of(claim.unit), claim.attempt)


class RunMachine(RuleBasedStateMachine):
    """A state machine without rules: subclasses have them."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world, self.granted = world, list[Claim]()
        #: The latest unit of each stream; ``pushes`` are those since the fence was raised.
        self.unit: dict[int, str] = {}
        self.numbers, self.pushes = count(), 0
        #: The highest attempts so far, by stream, on each shard.
        self.attempts = [Counter[str]() for _ in SHARDS]

    def submitted(self, stream: int) -> str:
        """A new unit of a stream."""
        unit = f"{stream}-{next(self.numbers)}"
        for ledger in (self.world.ledger, self.world.model):
            ledger.submit(unit, {"stream": stream}, LEASE_S)
        self.unit[stream] = unit
        return unit

    def claimed(self, unit: str, claimer: str) -> Claim | None:
        """What ledger and model answer to a claim."""
        ours = self.world.ledger.claim(unit, claimer)
        assert ours == self.world.model.claim(unit, claimer)
        self.world.seen["granted" if ours else "not granted"] += 1
        if ours is not None:
            self.granted.append(ours)
        return ours

    def holder(self, stream: int) -> Claim:
        """The claim of who holds the stream's unit, or takes a new one if that is done."""
        at = self.world.model.units[self.unit[stream]]
        if at.state is State.DONE:
            self.submitted(stream)
        claim = self.claimed(self.unit[stream], at.owner or "one")
        assert claim is not None
        return claim

    def renewed(self, claim: Claim) -> bool:
        """What ledger and model answer to a renewal."""
        ours = self.world.ledger.renew(claim)
        assert ours == self.world.model.renew(claim)
        self.world.seen["renewed" if ours else "not renewed"] += 1
        return ours

    def finished(self, claim: Claim, state: State) -> bool:
        """What ledger and model answer to a report."""
        report = {"by": claim.attempt, "as": state}
        ours = self.world.ledger.finish(claim, state, report)
        assert ours == self.world.model.finish(claim, state, report)
        self.world.seen["finished" if ours else "not finished"] += 1
        return ours

    def push(
        self,
        token: Token,
        sequence: int,
        gradient: Vector,
        blocks: Sequence[int] | None = None,
        fetch: bool = False,
    ) -> tuple[str, ...]:
        self.pushes += 1
        return self.world.both(
            lambda store: store.push(token, sequence, gradient, blocks=blocks, fetch=fetch)
        )

    def stand(self, stream: int) -> list[int]:
        """The last sequence of a stream on every shard."""
        positions = self.world.twin.fetch(stream=stream).positions
        return [int(sequence) for sequence in positions.sequences]

    def is_in_force(self, token: Token) -> bool:
        """Whether no shard knows a newer attempt, or another fence."""
        metas = [self.world.meta(index) for index in SHARDS]
        return all(
            int(meta["fence"]) == token.fence
            and int(meta.get(f"attempt:{token.stream}", 0)) <= token.attempt
            for meta in metas
        )

    # --- what must always be true

    @invariant()
    def vectors_are_those_of_the_twin_to_the_bit(self) -> None:
        for name in VECTORS:
            ours, theirs = (s.fetch(name).vector for s in (self.world.script, self.world.twin))
            assert ours.tobytes() == theirs.tobytes()
            assert np.isfinite(ours).all()

    @invariant()
    def each_shard_stands_where_its_twin_stands(self) -> None:
        for index in SHARDS:
            assert self.world.meta(index) == self.world.meta_of_twin(index)

    @invariant()
    def every_sequence_number_was_dealt_with_once(self) -> None:
        for index in SHARDS:
            meta = self.world.meta(index)
            used = sum(int(number) for name, number in meta.items() if name.startswith("seq:"))
            assert int(meta["clock"]) + int(meta["refused"]) == used

    @invariant()
    def attempts_only_grow(self) -> None:
        for index in SHARDS:
            for name, attempt in self.world.meta(index).items():
                if name.startswith("attempt:"):
                    assert int(attempt) >= self.attempts[index][name]
                    self.attempts[index][name] = int(attempt)

    @invariant()
    def the_ledger_knows_of_each_unit_what_its_model_does(self) -> None:
        units = self.world.model.units
        for name, unit in self.world.ledger.read(list(units)).items():
            at = units[name]
            assert (unit.state, unit.owner, unit.tries, unit.report) == (
                (at.state, at.owner, at.tries, at.report)
            )
            left = unit.remaining_s
            assert (left is not None) == (at.state is State.LEASED)
            assert left is None or (left > 0) == at.live
