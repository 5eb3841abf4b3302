"""Says in which trainings numbers may cross the network in fewer bits."""

from __future__ import annotations

from collections.abc import Iterable

from distbelief.app.errors import ConfigError
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.settings.config import RunConfig


def check_wire(config: RunConfig, tensors: Iterable[TensorSpec]) -> None:
    """Refuse a wire that a training cannot have; raises ConfigError."""
    if config.wire == "float32":
        return
    if config.algorithm == "sandblaster":
        raise ConfigError(
            f"wire = {config.wire} is for downpour: sandblaster adds up portions exactly, in full "
            "width; leave wire out"
        )
    if config.dtype.itemsize != 4:
        raise ConfigError(
            f"wire = {config.wire} is for numbers of 32 bits, and those of this hybrid have "
            f"{8 * config.dtype.itemsize}: set precision float32, or leave wire out"
        )
    rows = [each for each in tensors if each.sparse and each.size >= config.table_numbers]
    if config.wire == "int8" and rows:
        raise ConfigError(
            f"wire = int8 is not for tables of rows, such as {rows[0].name} of {config.model}, "
            "which are too short to share a scale: set wire bfloat16"
        )
