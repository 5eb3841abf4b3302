"""In which trainings numbers may cross the network in fewer bits."""

from __future__ import annotations

from typing import Any

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.settings.config import configure
from distbelief.coordinator.problem.wire import check_wire

ROWS = TensorSpec("factors", (1000, 8), sparse=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"algorithm": "sandblaster"}, "wire = int8 is for downpour: sandblaster adds up portions"),
        ({"algorithm": "hybrid"}, "those of this hybrid have 64: set precision float32, or leave"),
        ({"table_numbers": 8000}, "not for tables of rows, such as factors of mlp, .* bfloat16"),
    ],
)
def test_what_cannot_go_in_fewer_bits_is_refused_with_the_way_out(
    settings: dict[str, Any], told: str
) -> None:
    config, _ = configure({"wire": "int8", **settings})
    with pytest.raises(ConfigError, match=told):
        check_wire(config, [ROWS])
    wide, _ = configure(settings)
    check_wire(wide, [ROWS])


@pytest.mark.parametrize(
    "settings",
    [
        {"wire": "int8", "table_numbers": 8001},
        {"wire": "bfloat16", "table_numbers": 8000},
        {"wire": "bfloat16", "algorithm": "hybrid", "precision": "float32"},
    ],
)
def test_what_can_is_not(settings: dict[str, Any]) -> None:
    check_wire(configure(settings)[0], [ROWS])
