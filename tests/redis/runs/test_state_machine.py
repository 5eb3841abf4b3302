"""A run under whatever happens to it, in any order: the scripts do as their models do."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

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

from distbelief.app.layout.keys import BEST, PARAMETERS
from distbelief.app.layout.tensors import Vector
from distbelief.app.runs.ledger import Claim, UnitState
from distbelief.coordinator.downpour.shard_states import from_json
from tests.redis.private import PrivateServer, connected
from tests.redis.runs.run_and_models import LAYOUT, SHARDS, STREAMS, VECTORS, Copy, MirroredRun
from tests.redis.runs.run_machine import STRANGE, RunMachine, token_of

A_STREAM = st.sampled_from(STREAMS)
GRADIENTS = st.integers(0, 999).map(lambda seed: np.random.default_rng(seed).normal(size=19))
#: Of a checkpoint: how many were written since.
AN_AGE = st.integers(0, 2)
SOME_SHARDS = st.sets(st.sampled_from(SHARDS), min_size=1)
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
        self.mirrored.expire(unit)

    @rule(hours=st.sampled_from([-1, 1]))
    def the_clock_jumps(self, hours: int) -> None:
        self.mirrored.jump(hours)

    @rule(claim=claims)
    def renew(self, claim: Claim) -> None:
        self.renewed(claim)

    @rule(claim=claims, state=st.sampled_from([UnitState.DONE, UnitState.FAILED]))
    def finish(self, claim: Claim, state: UnitState) -> None:
        self.finished(claim, state)

    @rule(claim=claims)
    def give_back(self, claim: Claim) -> None:
        self.released(claim)

    @rule(stream=A_STREAM)
    def give_back_what_is_held(self, stream: int) -> None:
        claim = self.holder(stream)
        tries = self.mirrored.model.units[claim.unit].tries
        assert self.released(claim)
        assert self.mirrored.ledger.read([claim.unit])[claim.unit].tries == tries - 1
        assert not self.renewed(claim)

    @rule(unit=units, older=st.integers(0, 2))
    def enter_again(self, unit: str, older: int) -> None:
        """By the coordinator of today, or by one that does not know that it was replaced."""
        self.enter(unit, self.mirrored.fence - older)

    @rule()
    def everybody_renews_and_each_unit_has_one_holder_at_most(self) -> None:
        renewed = {(claim.unit, claim.attempt) for claim in self.granted if self.renewed(claim)}
        assert len(renewed) == len({unit for unit, _ in renewed})

    @rule(target=claims, stream=A_STREAM, gradient=GRADIENTS)
    def another_takes_over_and_a_zombie_changes_nothing(
        self, stream: int, gradient: Vector
    ) -> Claim:
        zombie = self.holder(stream)
        self.mirrored.expire(zombie.unit)
        claim = self.claimed(zombie.unit, f"successor of {zombie.attempt}")
        assert claim is not None
        assert claim.attempt > zombie.attempt
        self.mirrored.both(lambda store: store.announce(token_of(claim)))
        before, sequence = self.mirrored.contents(), min(self.stand(stream)) + 1
        refused = self.refusal(token_of(zombie))
        assert refused is not None
        assert self.push(token_of(zombie), sequence, gradient) == (refused,)
        assert self.mirrored.contents() == before
        assert not self.renewed(zombie)
        assert not self.finished(zombie, UnitState.DONE)
        assert not self.released(zombie)
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
        expected = self.refusal(token) or "ShardBehind"
        assert self.push(token, max(self.stand(stream)) + more, gradient) == (expected,)

    # --- pushes of anybody who ever held a unit

    @rule(claim=claims)
    def announce(self, claim: Claim) -> None:
        expected = self.refusal(token_of(claim)) or "announced"
        assert self.mirrored.both(lambda store: store.announce(token_of(claim))) == (expected,)

    @rule(claim=claims, gradient=GRADIENTS, more=st.integers(0, 2))
    def push_under_an_old_claim(self, claim: Claim, gradient: Vector, more: int) -> None:
        token = token_of(claim)
        self.push(token, min(self.stand(token.stream)) + more, gradient)

    # --- coordinators

    @precondition(lambda self: self.pushes > 10)
    @rule()
    def raise_the_fence(self) -> None:
        self.pushes = 0
        expected = self.objection(self.mirrored.twin.standings)
        assert self.mirrored.raise_fence() == ((expected,) if expected else ())

    @precondition(lambda self: self.pushes > 10 or self.mirrored.lost)
    @rule(age=AN_AGE | st.none())
    def the_run_is_taken_up(self, age: int | None) -> None:
        """Lost shards come back from whatever checkpoint, the others stay as they are.

        Without an age the checkpoints are lost as well.
        """
        self.pushes, lost, saved = 0, self.mirrored.lost, self.saved_before(age)
        before = self.mirrored.contents()
        (answer,) = self.mirrored.restore(saved)
        if not lost or saved is None:
            assert answer == ("CheckpointError" if lost else "taken up")
            return
        assert answer == "restored"
        expected = from_json(LAYOUT, saved.document["shards"])
        shard_states = self.mirrored.script.shard_states()
        assert [shard_states[index] for index in lost] == [expected[index] for index in lost]
        for old, new in zip(before, self.mirrored.contents(), strict=True):
            assert not old or all(old[name] == new[name] for name in VECTORS)
            assert set(new) <= {"meta", *VECTORS, BEST}  # nothing is left of a checkpoint
        for stream in STREAMS:
            self.push_the_next(stream, [np.ones(LAYOUT.size)], None, True)

    @rule(best=st.booleans(), tidy=st.booleans())
    def a_checkpoint_is_written(self, best: bool, tidy: bool) -> None:
        self.save(best, tidy)

    @rule(older=st.integers(0, 2))
    def somebody_creates_the_run_again(self, older: int) -> None:
        """Whoever comes late never resets what is there."""
        before = self.mirrored.contents()
        expected = "created" if len(self.mirrored.lost) == len(SHARDS) else "there already"
        fence, values = max(0, self.mirrored.fence - older), np.full(LAYOUT.size, 5.0)
        assert self.mirrored.under(fence, lambda store: store.create(values)) == (expected,)
        assert self.unchanged(before)

    @rule(act=st.sampled_from(sorted(STRANGE)), early=st.booleans())
    def a_coordinator_under_another_fence_changes_nothing(self, act: str, early: bool) -> None:
        """One that was replaced, or one that has not raised the fence yet."""
        early = early and act not in ("raise_fence", "restore")  # with these it takes over
        before, fence = self.mirrored.contents(), self.mirrored.fence + (1 if early else -1)
        self.mirrored.under(fence, STRANGE[act])
        for old, new in zip(before, self.mirrored.contents(), strict=True):
            if old and (early or int(old["meta"]["fence"]) > fence):  # one set back knows less
                assert new == old

    # --- what happens to the server

    @rule()
    def the_server_crashes_and_comes_back(self) -> None:
        self.mirrored.crash()

    @rule(target=copies, index=st.sampled_from(SHARDS))
    def a_shard_is_as_it_is(self, index: int) -> Copy:
        return self.mirrored.copy_of(index)

    @rule(copy=copies)
    def a_shard_loses_what_came_since(self, copy: Copy) -> None:
        self.mirrored.put_back(copy)
        self.start_over(copy.index)

    @rule(copy=copies, stream=A_STREAM, gradient=GRADIENTS)
    def a_shard_goes_back_and_whoever_had_seen_more_notices_until_the_run_is_taken_up(
        self, copy: Copy, stream: int, gradient: Vector
    ) -> None:
        """A replica took over that was behind, or the server started from a snapshot."""
        self.a_shard_loses_what_came_since(copy)
        at, known = copy.twin, self.mirrored.twin.standings[copy.index]
        behind = at is not None and at.standing < known
        for use in (
            lambda store: store.counts(),
            lambda store: store.copy(PARAMETERS, BEST),
            lambda store: store.drop(BEST),
        ):
            before = self.mirrored.contents_of_twin()
            answer = self.mirrored.both(use)
            if behind:
                assert answer in (("ShardBehind",), ("ModelMissing",), ("Fenced",))
                assert self.mirrored.contents_of_twin()[copy.index] == before[copy.index]
        last = max(self.stand(stream))
        self.the_run_is_taken_up(0)
        if self.mirrored.lost:
            return  # there was no checkpoint
        while min(self.stand(stream)) < last:
            self.push_the_next(stream, [gradient], None, True)
        assert self.objection(self.mirrored.twin.standings) is None

    @precondition(lambda self: self.saved or self.pushes > 5)
    @rule(indices=SOME_SHARDS)
    def shards_lose_everything(self, indices: set[int]) -> None:
        for index in indices:
            self.mirrored.lose(index)
            self.start_over(index)

    @rule(indices=SOME_SHARDS, stream=A_STREAM, age=AN_AGE)
    def shards_lose_everything_and_the_run_goes_on(
        self, indices: set[int], stream: int, age: int
    ) -> None:
        """Nothing works without them, all of it as soon as they are back."""
        if self.saved_before(age) is None:
            self.the_run_is_taken_up(age)  # then the shards agree, if none is lost
            self.save(best=True, tidy=False)
        self.shards_lose_everything(indices)
        token, gradient = token_of(self.holder(stream)), np.ones(LAYOUT.size)
        for use in (
            lambda store: store.fetch(),
            lambda store: store.counts(),
            lambda store: store.copy(PARAMETERS, BEST),
        ):
            assert self.mirrored.both(use)[0] in ("ModelMissing", "Fenced", "ShardBehind")
        self.push(token, max(self.stand(stream)) + 1, gradient)
        before = self.mirrored.contents()
        self.the_run_is_taken_up(None)
        assert self.mirrored.contents() == before
        self.the_run_is_taken_up(age)
        if self.mirrored.lost:
            return  # there was no checkpoint
        last = max(self.stand(stream))
        while min(self.stand(stream)) < last:
            self.push_the_next(stream, [gradient], None, True)
        token = token_of(self.holder(stream))
        assert self.push(token, last + 1, gradient) == ("APPLIED",) * len(SHARDS)


#: What must have been answered at least once, or the machine tests less than it seems to.
SEEN = {"APPLIED", "DUPLICATE", "REFUSED", "ShardBehind", "Fenced", "ModelMissing"} | {
    *("granted", "not granted", "renewed", "not renewed", "finished", "not finished"),
    *("released", "not released", "announced", "fetched", "captured", "created", "there already"),
    *("taken up", "restored", "CheckpointError"),
}


@pytest.mark.timeout(400)  # a failure is shortened for minutes, success takes seconds
def test_scripts_and_ledger_do_as_their_models_do_whatever_happens(
    private: PrivateServer, say: Callable[[str], None], tmp_path: Path
) -> None:
    seen, runs, began = Counter[str](), count(), time.monotonic()
    with connected(private.url) as servers, connected(private.url) as other:

        def machine() -> AnythingHappens:
            return AnythingHappens(MirroredRun(servers, other, f"run-{next(runs)}", seen, tmp_path))

        run_state_machine_as_test(
            machine,  # type: ignore[arg-type]
            settings=settings(
                max_examples=50,
                stateful_step_count=50,
                deadline=None,
                derandomize=True,
                phases=[__import__("hypothesis").Phase.generate],
            ),
        )
    figures = ", ".join(f"{name} {times}" for name, times in seen.most_common())
    say(f"{next(runs)} runs as modelled: {figures}; {time.monotonic() - began:.1f} s")
    assert {name for name in SEEN if not seen[name]} == set()
