"""In how many bits the pushes of a unit go, and what becomes of that which rounding takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import ParameterStore


class Narrowing:
    """What rounding takes from a push is added to the next; the last one goes in full width.

    So whoever takes the next unit of the stream begins with nothing owed.
    """

    def __init__(self, config: RunConfig, store: ParameterStore) -> None:
        self._wire = config.wire
        narrow = config.wire != "float32"
        self._residual = np.zeros(store.layout.size, store.dtype) if narrow else None

    def words(self, *, last: bool) -> dict[str, Any]:
        """How a push is to go: arguments of ``ParameterStore.push``."""
        return {"wire": "float32" if last else self._wire, "residual": self._residual}
