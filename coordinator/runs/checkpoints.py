"""Checkpoints of a run, written to the disk in the background while training goes on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from distbelief.app.errors import CheckpointError, ServerError, StoreError
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.coordinator.runs.checkpoint_copies import CheckpointCopies


@dataclass(frozen=True)
class Capture:
    """A run's state at one time.

    Args:
        document: JSON.
        vectors: reads them one after another, on another thread.
        release: what there is to tidy up once they were read.
        rank: how good the state is; higher is better, None if that is not known.
    """

    document: dict[str, Any]
    vectors: Callable[[], Iterator[tuple[str, npt.NDArray[Any]]]]
    release: Callable[[], None]
    rank: float | None


@dataclass(frozen=True)
class _Writing:
    name: str
    capture: Capture
    future: Future[Path]


class Checkpoints:
    """The checkpoints of a run in ``folder``.

    Args:
        folder: for this run alone.
        every_s: seconds between two, counted from the end of one to the begin of the next.
        keep: the last so many stay, and the one with the highest rank.
        say: told of what could not be written, and of what is damaged.
        tell: told of each that is written.
        copies: where each is copied to, if anywhere.
    """

    def __init__(
        self,
        folder: Path,
        every_s: float,
        keep: int,
        say: Callable[[str], None],
        tell: Callable[..., None] = lambda *_, **__: None,
        copies: CheckpointCopies | None = None,
    ) -> None:
        self.folder = folder
        self._every_s = every_s
        self._keep = keep
        self._say = say
        self._tell = tell
        self._copies = copies
        self._ranks: dict[str, Any] = {}  # of copies that are not here
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: _Writing | None = None
        self._at = time.monotonic()
        #: Checkpoints written by this process.
        self.written = 0

    def latest(self) -> Checkpoint:
        """The newest checkpoint that is whole; raises CheckpointError if there is none."""
        found = checkpoint.latest(
            self.folder, lambda why: self._say(f"{why}; trying the checkpoint before it")
        )
        if found is None:
            raise CheckpointError(f"there is no checkpoint to go back to in {self.folder}")
        return found

    def highest_fence(self) -> int:
        """The fence of the newest one; with a higher one a coordinator writes newer ones."""
        names = [*checkpoint.names(self.folder), *self._names_of_copies()]
        fences = [name.partition("-")[0] for name in names]
        return max((int(each) for each in fences if each.isdigit()), default=0)

    def advance(self, fence: int, capture: Callable[[], Capture]) -> None:
        """Begin a checkpoint when it is time, and conclude one that is written."""
        if self._writing is not None:
            if self._writing.future.done():
                self._conclude()
        elif time.monotonic() - self._at >= self._every_s:
            self._begin(fence, capture())

    def write(self, fence: int, capture: Callable[[], Capture]) -> Path | None:
        """Write one now and wait for it; None if it could not be written (which is said)."""
        self.settle()
        self._begin(fence, capture())
        return self._conclude()

    def settle(self) -> None:
        """Wait for the one that is being written, if any."""
        if self._writing is not None:
            self._conclude()

    def note_run(self, file: Path) -> None:
        """Copy what says what the run is, and how it ended, beside the copies of checkpoints."""
        self._copy(lambda copies: copies.put_run(file), file.name)

    def close(self) -> None:
        """Wait for the one that is being written, and forget it."""
        self._writer.shutdown()

    def _begin(self, fence: int, capture: Capture) -> None:
        # Fences order the checkpoints of one coordinator after another.
        numbers = [name.partition("-")[2] for name in checkpoint.names(self.folder)]
        number = 1 + max((int(each) for each in numbers if each.isdigit()), default=0)
        name = f"{fence:06d}-{number:06d}"
        document = {**capture.document, "rank": capture.rank}

        def write() -> Path:
            path = checkpoint.write(self.folder, name, document, capture.vectors())
            self._copy(lambda copies: copies.put(path), f"checkpoint {name}")
            return path

        self._writing = _Writing(name, capture, self._writer.submit(write))

    def _copy(self, copy: Callable[[CheckpointCopies], None], what: str) -> None:
        """Copy something to where copies go; that it cannot be is said, and training goes on."""
        if self._copies is None:
            return
        try:
            copy(self._copies)
        except ServerError as error:
            self._say(f"{what} is on this machine only: {error}")

    def _conclude(self) -> Path | None:
        writing, self._writing = self._writing, None
        assert writing is not None
        try:
            path = writing.future.result()
        except (OSError, ServerError, StoreError) as error:
            self._say(f"checkpoint {writing.name} could not be written: {error}")
            path = None
        else:
            self.written += 1
            self._tell("checkpoint", name=writing.name)
            self._prune()
        finally:
            self._at = time.monotonic()
        writing.capture.release()
        return path

    def _prune(self) -> None:
        """Remove all but the last ones and the best, here and among the copies."""
        here = checkpoint.names(self.folder)
        there = self._names_of_copies()
        names = sorted({*here, *there})
        ranks = {
            name: rank
            for name in names
            if isinstance(rank := self._rank(name, here), int | float) and not math.isnan(rank)
        }
        best = [max(ranks, key=lambda name: ranks[name])] if ranks else []
        kept = {*names[-self._keep :], *best}
        checkpoint.prune(self.folder, kept)
        for name in set(there) - kept:
            with suppress(ServerError):  # the next checkpoint tries it again
                assert self._copies is not None
                self._copies.remove(name)

    def _names_of_copies(self) -> list[str]:
        if self._copies is None:
            return []
        try:
            return self._copies.names()
        except ServerError:
            return []

    def _rank(self, name: str, here: list[str]) -> Any:
        """How good the state in a checkpoint is; None where that cannot be read."""
        try:
            if name in here:
                return checkpoint.manifest(self.folder / name)["document"].get("rank")
            if name not in self._ranks and self._copies is not None:
                self._ranks[name] = self._copies.rank(name)  # which does not change
        except (CheckpointError, ServerError):
            return None
        return self._ranks.get(name)
