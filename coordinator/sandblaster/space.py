"""The minimiser's vectors, on the shards under names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import PARAMETERS, named
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.parameters import ShardState
from distbelief.app.store.contract.vectors import VectorStore
from distbelief.coordinator.sandblaster.descent import Evaluate


class Space:
    """The vector space of a run, which lies on its shards; an ``OrthantSpace``.

    ``live`` are the vectors that are there. Those that a checkpoint reads are pinned: they
    outlive the iteration that would drop them, so that training goes on meanwhile.
    """

    def __init__(self, store: VectorStore) -> None:
        self._store = store
        self._pinned: set[str] = set()
        self._doomed: set[str] = set()
        self.live: set[str] = set()

    def dots(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return self._store.dots([(named(a), named(b)) for a, b in pairs])

    def combine(self, out: str, terms: Sequence[tuple[float, str]]) -> None:
        self.live.add(out)
        self._store.combine(named(out), [(c, named(name)) for c, name in terms])

    def pseudo_gradient(self, out: str, point: str, gradient: str, l1: float) -> None:
        self.live.add(out)
        self._store.pseudo_gradient(named(out), named(point), named(gradient), l1)

    def orthant_step(
        self, out: str, point: str, pseudo_gradient: str, direction: str, step: float
    ) -> None:
        self.live.add(out)
        self._store.orthant_step(
            named(out), named(point), named(pseudo_gradient), named(direction), step
        )

    def sparsity(self, name: str) -> tuple[float, int]:
        return self._store.sparsity(named(name))

    def drop(self, names: Sequence[str]) -> None:
        free = [name for name in names if name not in self._pinned]
        self._doomed.update(set(names) - set(free))
        self._store.drop(*map(named, free))
        self.live.difference_update(free)

    def note_evaluation(self, request: Evaluate) -> None:
        """Note the vector that an evaluation writes."""
        self.live.add(request.gradient)

    def pin(self, names: Iterable[str]) -> None:
        self._pinned = set(names)

    def unpin(self) -> None:
        """Drop what was to be dropped while it was pinned."""
        doomed, self._doomed, self._pinned = self._doomed, set(), set()
        self.drop(sorted(doomed))

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Vector]]:
        """The parameters and vectors, one after another, by their names on the shards."""
        for name in (PARAMETERS, *map(named, names)):
            yield name, self._store.fetch(name).vector

    def restore(self, saved: Checkpoint, names: Iterable[str]) -> None:
        """Replace what the shards hold by the parameters and vectors of a checkpoint."""
        everywhere = dict.fromkeys(range(self._store.layout.n_shards), ShardState())
        wanted = (PARAMETERS, *map(named, names))
        self._store.restore(everywhere, {name: saved.vector(name) for name in wanted})

    def clear(self) -> None:
        """Drop all that are there."""
        self._pinned.clear()
        self._doomed.clear()
        self.drop(sorted(self.live))

    def reset(self, names: Iterable[str]) -> None:
        """Drop all vectors but these, which are there."""
        wanted = set(names)
        self._store.drop(*sorted(self._store.named_vectors() - {named(each) for each in wanted}))
        self.live = wanted
        self._pinned.clear()
        self._doomed.clear()
