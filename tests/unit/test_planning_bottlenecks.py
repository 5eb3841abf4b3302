"""The list of set-ups that the planning benchmark holds: their bottlenecks are named right."""

from __future__ import annotations

from planning.bottlenecks import SETUPS, judged


def test_at_least_nine_of_ten_bottlenecks_are_named_right() -> None:
    found = judged()
    wrong = {
        setup.name: f"{said}, not {setup.known}" for setup, said in found if said != setup.known
    }
    assert len(SETUPS) >= 10
    assert len(wrong) <= len(SETUPS) / 10, wrong
    assert len({setup.known for setup in SETUPS}) >= 7
