"""What a stranger puts among reports and events is left out, and ends nobody."""

from __future__ import annotations

import math

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import RunDamaged
from distbelief.app.layout.keys import control
from distbelief.app.runs import batch, events, leadership, offers
from distbelief.app.runs.batch import Report, ShiftNews
from distbelief.app.runs.offers import Offer, Shift

ODD: list[str | bytes] = ["oops", "[]", "7", "null", "{}", "[" * 100_000, '{"fence": "x"}', b"\xff"]


def test_what_is_no_report_is_left_out(control_server: Servers, run_id: str) -> None:
    good = Report(1, 2, 3, 0, "me@here", 0.5, 1.5, 0.25)
    lost = Report(1, 2, 4, 0, "me@here", math.nan, math.inf, 0.25, "it failed", mismatch=True)
    begun = ShiftNews(1, 7, over=False)
    for each in (good, lost, begun):
        for odd in ODD:
            control_server.one("RPUSH", control(run_id, "portions"), odd)
        control_server.call(batch.telling(run_id, each))
    found = batch.collect(control_server, run_id, 5.0)
    assert list(map(str, found)) == list(map(str, (good, lost, begun)))  # NaN is not itself


def test_what_is_no_offer_is_not_found_and_ends_a_shift_that_takes_it(
    control_server: Servers, run_id: str
) -> None:
    key, shift = control(run_id, "offers:1"), Shift(run_id, 1, 7)
    short, long = [Offer(2, 4, 0), Offer(2, 5, 0)], [Offer(2, 6, 1)]
    for odd in ("oops", "1:2", "1:2:3:4", b"\xff"):
        control_server.one("RPUSH", key, odd)
        assert offers.taken(control_server.call(offers.taking(shift, 0.1))) == []
    control_server.call(offers.offering(run_id, 1, [short, long]))
    control_server.one("RPUSH", key, "oops")
    assert offers.taken(control_server.call(offers.taking(shift, 0.1))) == short
    found = offers.find(control_server, run_id, 1, [7, 8])
    assert found == {**dict.fromkeys(short, 7), long[0]: None}
    control_server.call([offers.withdrawing(run_id, 1), offers.leaving(shift)])
    assert offers.find(control_server, run_id, 1, [7, 8]) == {}


def test_what_is_no_event_is_left_out(control_server: Servers, run_id: str) -> None:
    key = control(run_id, "events")
    for odd in ODD:
        control_server.one("XADD", key, "*", "kind", "unit", "event", odd)
        control_server.one("XADD", key, "*", "something", odd)
    events.append(control_server, run_id, "unit", unit="0-7")
    found = [fields for _, _, fields in events.read(control_server, run_id) if fields]
    assert {"unit": "0-7"} in found
    assert len(found) <= 2


@pytest.mark.parametrize("odd", ["oops", "[]", "7", "[" * 100_000])
def test_an_odd_commit_is_told_in_one_sentence(
    control_server: Servers, run_id: str, odd: str
) -> None:
    control_server.one("SET", control(run_id, "state"), odd)
    with pytest.raises(RunDamaged, match="is not as this program writes runs"):
        leadership.committed(control_server, run_id)
