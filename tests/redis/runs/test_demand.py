"""What runs want of workers is one number that a scaler counts, and that goes by itself."""

from __future__ import annotations

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.keys import WANTED
from distbelief.app.runs import demand
from distbelief.coordinator.runs.demand import demand as demanding


@pytest.fixture
def servers(control_server: Servers) -> Servers:
    control_server.one("DEL", WANTED)
    return control_server


def test_all_runs_together_want_the_sum_and_each_changes_its_own(servers: Servers) -> None:
    demand.want(servers, "one", 3)
    demand.want(servers, "one", 3)
    demand.want(servers, "other", 2)
    assert demand.wanted(servers) == 5
    demand.want(servers, "one", 1)
    assert {*servers.one("ZRANGE", WANTED, 0, -1)} == {b"one/1", b"other/1", b"other/2"}
    demand.want(servers, "one", 0)
    demand.want(servers, "other", 0)
    assert not servers.one("EXISTS", WANTED)


def test_what_a_dead_coordinator_wanted_is_forgotten(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand.want(servers, "living", 1)
    monkeypatch.setattr(demand, "HOLDS_S", -1.0)
    demand.want(servers, "dead", 4)
    monkeypatch.setattr(demand, "HOLDS_S", 60.0)
    demand.want(servers, "living", 1)
    assert demand.wanted(servers) == 1
    assert 0 < servers.one("PTTL", WANTED) <= 60_000


@pytest.mark.parametrize("going_on", [False, True])
def test_it_is_wanted_as_long_as_the_training_lasts_or_goes_on(
    servers: Servers, going_on: bool
) -> None:
    said: list[str] = []
    with demanding(servers, "run", lambda: 2, said.append, lambda: going_on):
        assert demand.wanted(servers) == 2
    assert demand.wanted(servers) == (2 if going_on else 0)
    assert said == []


def test_a_server_that_does_not_let_us_is_told_of_and_no_reason_not_to_train(
    servers: Servers,
) -> None:
    servers.one("SET", WANTED, "somebody else's")
    said: list[str] = []
    with demanding(servers, "run", lambda: 2, said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith("warning: dist:wanted does not say that 2 processes are wanted")
    with pytest.raises(ServerRefused):
        demand.want(servers, "run", 2)
    servers.one("DEL", WANTED)
