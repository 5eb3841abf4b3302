"""What a training uses of the network, from the reports of its units."""

from __future__ import annotations

import math

import pytest

from distbelief.coordinator.progress.network import NetworkUse, network_text


def test_use_is_a_sum_over_units_and_told_for_a_step() -> None:
    unit = {"steps": 4, "sent": 3000, "received": 5000, "exchange_s": 0.5, "seconds": 2.0}
    used = NetworkUse().with_unit(unit).with_unit(unit)
    assert used == NetworkUse(8, 6000, 10_000, 1.0, 4.0)
    assert (used.bytes_a_step, used.waiting) == (2000.0, 0.25)
    assert network_text(used.bytes_a_step, used.waiting) == "2 kB a step, 25% waiting"


def test_of_a_unit_of_an_older_program_nothing_is_known_but_its_steps() -> None:
    assert NetworkUse().with_unit({"steps": 4}) == NetworkUse(4)
    assert math.isnan(NetworkUse().bytes_a_step)
    assert network_text(NetworkUse().bytes_a_step, NetworkUse().waiting) == ""
    assert network_text(None, None) == ""


@pytest.mark.parametrize(
    ("n_bytes", "text"), [(12.0, "12 B"), (999.9, "1 kB"), (407_060.0, "407 kB"), (2.5e9, "2.5 GB")]
)
def test_bytes_are_told_as_networks_count(n_bytes: float, text: str) -> None:
    assert network_text(n_bytes, 0.0).startswith(f"{text} a step")
