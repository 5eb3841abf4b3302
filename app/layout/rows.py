"""Rows of tables, as stores take and give them and model files hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distbelief.app.layout.tensors import Vector

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TableRows:
    """Some rows of a table: ``ids`` ascending, shape (n,); ``values`` of shape (n, width)."""

    ids: Ids
    values: Vector


#: For each table of the layout, in its order; or empty where there are no rows to speak of.
Tables = Sequence[TableRows]

NO_TABLES: Mapping[str, Tables] = {}
