"""A run under whatever happens to it, in any order: the scripts do as their models do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.layout import Vector
from app.runs.ledger import Claim, State
from tests.redis.machine import RunMachine, token_of
from tests.redis.private import PrivateServer, connected
from tests.redis.world import LAYOUT, SHARDS, STREAMS, Copy, World

A_STREAM = st.sampled_from(STREAMS)
GRADIENTS = st.integers(0, 999).map(lambda seed: np.random.default_rng(seed).normal(size=19))
SOME_BLOCKS = st.none() | st.sets(st.integers(0, LAYOUT.n_blocks - 1)).map(sorted)


class AnythingHappens(RunMachine):
    """Replicas, a coordinator and a server, each free to do what it can at any time."""

    units: Bundle[str] = Bundle("units")
    claims: Bundle[Claim] = Bundle("claims")
    copies: Bundle[Copy] = Bundle("copies")

    # --- units and leases

    @initialize(target=units)
    def begin(self) -> MultipleResults[str]:
        for stream in STREAMS:
            self.submitted(stream)
        return multiple(*self.unit.values())

    @rule(target=units, stream=A_STREAM)
    def submit(self, stream: int) -> str:
        return self.submitted(stream)

    @rule(target=claims, unit=units, claimer=st.sampled_from(["one", "two"]))
    def claim(self, unit: str, claimer: str) -> Claim | MultipleResults[Claim]:
        return self.claimed(unit, claimer) or multiple()

    @rule(unit=units)
    def the_lease_runs_out(self, unit: str) -> None:
        self.world.expire(unit)

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        self.renewed(claim)

    @rule(claim=claims, state=st.sampled_from([State.DONE, State.FAILED]))
    def finish(self, claim: Claim, state: State) -> None:
        self.finished(claim, state)

    @rule()
    def everybody_renews_and_each_unit_has_one_holder_at_most(self) -> None:
        renewed = {(claim.unit, claim.attempt) for claim in self.granted if self.renewed(claim)}
        assert len(renewed) == len({unit for unit, _ in renewed})

    @rule(target=claims, stream=A_STREAM, gradient=GRADIENTS)
    def another_takes_over_and_a_zombie_changes_nothing(
        self, stream: int, gradient: Vector
    ) -> Claim:
        zombie = self.holder(stream)
        self.world.expire(zombie.unit)
        claim = self.claimed(zombie.unit, f"successor of {zombie.attempt}")
        assert claim is not None
        assert claim.attempt > zombie.attempt
        self.world.both(lambda store: store.announce(token_of(claim)))
        sequence = min(self.stand(stream)) + 1
        assert self.push(token_of(zombie), sequence, gradient) == ("Fenced",)
        assert not self.renewed(zombie)
        assert not self.finished(zombie, State.DONE)
        return claim

    # --- pushes of whoever holds the unit of a stream

    @rule(
        stream=A_STREAM,
        gradients=st.lists(GRADIENTS, min_size=1, max_size=3),
        blocks=SOME_BLOCKS,
        fetch=st.booleans(),
    )
    def push_the_next(
        self, stream: int, gradients: list[Vector], blocks: list[int] | None, fetch: bool
    ) -> None:
        """What some shard lacks: after a loss others have it."""
        token = token_of(self.holder(stream))
        chosen = range(LAYOUT.n_blocks) if blocks is None else blocks
        for gradient in gradients:
            parts = [gradient[:0], *(gradient[LAYOUT.block_slice(block)] for block in chosen)]
            self.push(token, min(self.stand(stream)) + 1, np.concatenate(parts), blocks, fetch)

    @rule(stream=A_STREAM, gradient=GRADIENTS, back=st.integers(0, 2))
    def push_again(self, stream: int, gradient: Vector, back: int) -> None:
        token = token_of(self.holder(stream))
        self.push(token, max(1, max(self.stand(stream)) - back), gradient)

    @rule(stream=A_STREAM, gradient=GRADIENTS)
    def push_what_is_not_finite(self, stream: int, gradient: Vector) -> None:
        gradient = np.where(gradient == gradient.max(), np.nan, gradient)
        token = token_of(self.holder(stream))
        self.push(token, min(self.stand(stream)) + 1, gradient)

    @rule(stream=A_STREAM, gradient=GRADIENTS, more=st.integers(2, 3))
    def push_beyond_a_gap(self, stream: int, gradient: Vector, more: int) -> None:
        token = token_of(self.holder(stream))
        answer = self.push(token, max(self.stand(stream)) + more, gradient)
        assert answer == (("SequenceGap",) if self.is_in_force(token) else ("Fenced",))

    # --- pushes of anybody who ever held a unit

    @rule(claim=claims)
    def announce(self, claim: Claim) -> None:
        answer = self.world.both(lambda store: store.announce(token_of(claim)))
        assert answer == (("ANNOUNCED",) if self.is_in_force(token_of(claim)) else ("Fenced",))

    @rule(claim=claims, gradient=GRADIENTS, more=st.integers(0, 2))
    def push_under_an_old_claim(self, claim: Claim, gradient: Vector, more: int) -> None:
        token = token_of(claim)
        self.push(token, min(self.stand(token.stream)) + more, gradient)

    @precondition(lambda self: self.pushes > 10)
    @rule()
    def raise_the_fence(self) -> None:
        self.pushes = 0
        self.world.raise_fence()

    # --- what happens to the server

    @rule()
    def the_server_crashes_and_comes_back(self) -> None:
        self.world.crash()

    @rule(target=copies, index=st.sampled_from(SHARDS))
    def a_shard_is_as_it_is(self, index: int) -> Copy:
        return self.world.copy_of(index)

    @rule(copy=copies)
    def a_shard_loses_what_came_since(self, copy: Copy) -> None:
        self.world.put_back(copy)
        self.attempts[copy.index].clear()


#: What must have been answered at least once, or the machine tests less than it seems to.
SEEN = {"APPLIED", "DUPLICATE", "REFUSED", "SequenceGap", "Fenced", "ANNOUNCED"} | {
    *("granted", "not granted", "renewed", "not renewed", "finished", "not finished")
}


@pytest.mark.timeout(400)  # a failure is shortened for minutes, success takes seconds
def test_scripts_and_ledger_do_as_their_models_do_whatever_happens(
    private: PrivateServer, say: Callable[[str], None]
) -> None:
    seen, runs, began = Counter[str](), count(), time.monotonic()
    with connected(private.url) as servers, connected(private.url) as other:
        run_state_machine_as_test(
            lambda: AnythingHappens(World(servers, other, f"run-{next(runs)}", seen)),  # type: ignore[arg-type]
            settings=settings(
                max_examples=70, stateful_step_count=50, deadline=None, derandomize=True
            ),
        )
    figures = ", ".join(f"{name} {times}" for name, times in seen.most_common())
    say(f"{next(runs)} runs as modelled: {figures}; {time.monotonic() - began:.1f} s")
    assert all(seen[name] for name in SEEN)
