"""What all contestants of part (e) learn, and what they answer.

Clicks drawn from a seed, of which a fifth is held out, by the same split for all. ``pairs`` asks
for a problem in which pairs of values matter, for factorization machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contest.clock import Clock
from distbelief.app.datasets.examples.sparse import Csr
from distbelief.app.datasets.sources.clicks import clicks
from distbelief.app.datasets.split.division import Shares, at_random

HELD_OUT, SEED = 0.2, 0
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Features as a CSR matrix, and labels 0 and 1."""

    features: Csr
    labels: Labels


def source(options: dict[str, Any]) -> dict[str, int]:
    """The options of ``synthetic:clicks``."""
    return {name: options[name] for name in ("examples", "features", "fields", "rank")}


def drawn(options: dict[str, Any]) -> tuple[Examples, Examples]:
    """What is trained on, and what is held out."""
    made, n = clicks(**source(options)), options["examples"]
    parts = at_random(Shares(n, HELD_OUT), SEED)
    rows = parts.train[:], parts.heldout[:]
    trained, held_out = (
        Examples(_narrow(made.features[each]), made.targets[each].astype(np.int64)) for each in rows
    )
    return trained, held_out


def _narrow(features: Csr) -> Csr:
    """With columns and places in 32 bits, as scikit-learn wants them."""
    features.indices, features.indptr = (
        part.astype(np.int32) for part in (features.indices, features.indptr)
    )
    return features


def log_loss(chances: npt.NDArray[Any], labels: Labels) -> float:
    """Mean negative log-likelihood of labels that were given these chances of a 1."""
    right = np.where(labels == 1, chances, 1 - np.asarray(chances, np.float64))
    return float(-np.log(np.clip(right, 1e-15, 1.0)).mean())


def answer(clock: Clock, examples: int, loss: float | None = None) -> dict[str, Any]:
    """Of a training that has just ended, which went over so many examples."""
    seconds, cpu = clock.wall, clock.cpu
    return {"seconds": seconds, "cpu": cpu, "rate": examples / seconds, "log_loss": loss}


def vw_file(place: Path, examples: Examples) -> Path:
    """Examples as Vowpal Wabbit reads them; a feature's number is where its weight lies."""
    rows, labels = examples.features, 2 * examples.labels - 1
    with place.open("w") as out:
        for label, start, stop in zip(labels, rows.indptr, rows.indptr[1:], strict=False):
            entries = (f"{column}:1" for column in rows.indices[start:stop].tolist())
            out.write(f"{label} | {' '.join(entries)}\n")
    return place
