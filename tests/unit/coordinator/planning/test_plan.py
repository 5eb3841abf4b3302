"""A plan from made-up machines: what it says, and its files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from distbelief.app.errors import ConfigError
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.planning.assumptions import Assumptions, straggler_flag
from distbelief.coordinator.planning.calibration import Calibration, SeenRate
from distbelief.coordinator.planning.costs import Crowd
from distbelief.coordinator.planning.forecast import Forecaster, numbers
from distbelief.coordinator.planning.page import write
from distbelief.coordinator.planning.plan import FleetPlan, make_plan
from distbelief.coordinator.planning.rows import fewest_servers
from distbelief.coordinator.planning.simulation import downpour
from distbelief.coordinator.planning.tables import lines, shown
from distbelief.coordinator.planning.words import duration, number
from tests.unit.coordinator.planning.synthetic import calibration, cost

SMALL = Assumptions(most_replicas=20, most_servers=5, link=1e9, processes=2)
#: A step of 10 ms and an exchange of next to nothing; then an exchange of a second.
WORTH_A_FLEET = calibration(step_s=1e-2, exchange=cost(1e-4, 1e-4, 1e4, 1e4), portions=16)
NOT_WORTH_IT = calibration(step_s=1e-3, exchange=cost(1e-3, 1.0, 1e6, 1e6), portions=16)


def plan(known: Calibration, assumptions: Assumptions = SMALL) -> FleetPlan:
    return make_plan(replace(known, sandblaster=None), assumptions, seed=0)


@pytest.fixture(scope="module", autouse=True)
def _few_steps() -> Iterator[None]:
    """Costs that are always the same need no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downpour, "STEPS", 200)
        yield


@pytest.fixture(scope="module")
def good() -> FleetPlan:
    priced = replace(SMALL, worker_price=1.0, server_price=0.25, wanted=50_000.0)
    return plan(WORTH_A_FLEET, priced)


def test_it_is_said_plainly_when_one_process_is_better() -> None:
    said = " ".join(plan(NOT_WORTH_IT).sentences())
    assert "Downpour: one process is better." in said
    assert "limited by the parameter servers' threads" in said


def test_it_is_said_from_where_on_a_fleet_is_worth_it(good: FleetPlan) -> None:
    said = " ".join(good.sentences())
    assert "one process is better than any fleet smaller than 2 replicas on 1 machine" in said
    assert "times as many, limited by computing on the workers" in said


def test_the_cheapest_fleet_does_what_is_wanted_and_none_cheaper_does(good: FleetPlan) -> None:
    assert good.choice is not None
    row = good.choice.row
    assert row is not None
    assert row.examples_s >= 50_000
    # 6,400 examples a second of each replica: eight of them do it, on four machines.
    assert (row.replicas, row.machines, row.servers) == (8, 4, 1)
    assert row.money_hour == pytest.approx(4 * 1.0 + 2 * 0.25)  # the control server's, too
    assert row.money == pytest.approx(4.5 * row.hours)
    assert (
        "the cheapest fleet is Downpour with 8 replicas on 4 machines and 1 server"
        in (good.sentences()[0])
    )


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(100.0, "one process is enough"), (1e9, "no fleet that was looked at is enough")],
)
def test_a_wish_that_needs_no_fleet_and_one_that_none_fulfils(wanted: float, said: str) -> None:
    assert said in plan(WORTH_A_FLEET, replace(SMALL, wanted=wanted)).sentences()[0]


def test_the_resource_that_saturates_is_named_with_the_fleets_where_it_does() -> None:
    known = calibration(step_s=1e-2, exchange=cost(1e-4, 2e-3, 1e3, 1e3))
    said = plan(known, replace(SMALL, most_servers=1)).sentences()[-1]
    assert "from 1 to 2 replicas by computing on the workers" in said
    assert "to 20 replicas by the parameter servers' threads" in said


def test_a_check_that_fails_is_a_warning_not_to_trust_the_plan() -> None:
    known = replace(NOT_WORTH_IT, checks=(SeenRate("downpour", 1, 1e6),))
    assert "Do not spend money by this plan" in " ".join(plan(known).notes())


def test_a_busy_machine_is_told() -> None:
    machines = replace(NOT_WORTH_IT.machines, load=7.5)
    assert "were not idle (a load of 7.5 on 2 cores" in " ".join(
        plan(replace(NOT_WORTH_IT, machines=machines)).notes()
    )


def test_what_was_not_measured_is_told() -> None:
    notes = " ".join(plan(replace(NOT_WORTH_IT, link=None), replace(SMALL, link=None)).notes())
    assert "No network was measured" in notes


def test_a_warm_start_costs_the_time_of_one_replica_before_the_others_begin() -> None:
    work = replace(WORTH_A_FLEET.work, warm_start_steps=500)
    cold, warm = plan(WORTH_A_FLEET), plan(replace(WORTH_A_FLEET, work=work))
    for before, after in zip(cold.rows, warm.rows, strict=True):
        alone_s = 0.0 if before.replicas == 1 else 500 * 1e-2
        assert 3600 * (after.hours - before.hours) == pytest.approx(alone_s, rel=0.01)
        assert after.examples_s == before.examples_s
        # The same steps, whoever takes them.
        assert after.cpu_hours == pytest.approx(before.cpu_hours, rel=0.01)
    assert "With more than 31 replicas a training refuses them" in " ".join(warm.notes())


@pytest.mark.parametrize(("processes", "growth"), [(1, 1.0), (2, 1.0), (4, 1.1), (8, 1.3)])
def test_processes_that_take_turns_on_cores_are_slower_by_what_was_measured(
    processes: int, growth: float
) -> None:
    assert WORTH_A_FLEET.downpour is not None
    machines = replace(WORTH_A_FLEET.machines, embedded=True)
    crowds = (Crowd(2.0, 1.1), Crowd(4.0, 1.3))
    costs = replace(WORTH_A_FLEET.downpour, crowds=crowds)
    known = replace(WORTH_A_FLEET, machines=machines, downpour=costs)
    row = Forecaster(known, SMALL).row("downpour", processes, 1, here=True)
    quiet = replace(known, downpour=WORTH_A_FLEET.downpour)
    before = Forecaster(quiet, SMALL).row("downpour", processes, 1, here=True)
    assert row.outcome.cpu_s_each == pytest.approx(growth * before.outcome.cpu_s_each, rel=0.01)
    assert row.outcome.rate == pytest.approx(before.outcome.rate / growth, rel=0.02)


def test_between_two_numbers_of_processes_crowding_grows_with_their_logarithm() -> None:
    assert WORTH_A_FLEET.downpour is not None
    costs = replace(WORTH_A_FLEET.downpour, crowds=(Crowd(4.0, 1.3, 2e-3),))
    known = replace(WORTH_A_FLEET, downpour=costs)
    found = known.crowd("downpour", 2.0)
    assert (found.growth, found.wait_s) == pytest.approx((1.15, 1e-3))
    # Beyond what was seen nothing is made up.
    assert known.crowd("downpour", 64.0).growth == 1.3


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(WORTH_A_FLEET).to_json() == plan(WORTH_A_FLEET).to_json()


def test_both_algorithms_have_a_table_with_one_process_first() -> None:
    made = make_plan(WORTH_A_FLEET, SMALL, seed=0)
    assert [caption.partition(" ")[0] for caption, _ in shown(made)] == ["Downpour", "Sandblaster"]
    for _, cells in shown(made):
        assert cells[1][0] == "one process"
        assert [row[0] for row in cells[2:]] == ["1", "2", "5", "10", "20"]
        assert len({len(row) for row in cells}) == 1
        assert len(lines(cells, None)) == len(cells)
        assert max(len(line) for line in lines(cells, 80)) <= 80


def test_fewest_servers_are_as_few_as_are_as_fast(good: FleetPlan) -> None:
    assert {row.servers for row in fewest_servers(good.of("downpour"))} == {1}


def test_on_one_machine_there_is_a_table_of_that_machine() -> None:
    embedded = replace(WORTH_A_FLEET.machines, embedded=True)
    made = plan(replace(WORTH_A_FLEET, machines=embedded))
    assert {row.replicas for row in made.here} == {1, 2, 4}
    assert all(row.machines == 1 for row in made.here)


def test_the_size_of_a_layout_follows_the_servers() -> None:
    forecaster = Forecaster(WORTH_A_FLEET, SMALL)
    for servers in (1, 3, 50):
        shares = forecaster.fleet("downpour", 1, servers).servers
        assert len(shares) == servers
        assert shares.numbers.sum() == pytest.approx(1.0)
        assert shares.numbers.max() <= 1.5 / servers


def test_numbers_that_are_looked_at_go_up_to_ten_thousand() -> None:
    assert numbers(10_000) == [*(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)]


@pytest.mark.parametrize("text", ["0.1", "a:b", "2:4", "0.1:0.5", "0.1:inf", "0.1:nan", ":"])
def test_odd_stragglers_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected SHARE:FACTOR"):
        straggler_flag(text)


def test_numbers_and_times_as_people_read_them() -> None:
    assert [number(each) for each in (0.01234, 12.34, 1234.5, 1234567.0)] == [
        *("0.0123", "12.3", "1,230", "1,230,000")
    ]
    assert [duration(each) for each in (0.001, 0.5, 30.0)] == ["3.6 s", "30 min", "30 h"]


def test_the_page_is_one_file_that_loads_nothing(good: FleetPlan, tmp_path: Path) -> None:
    written = write(good, tmp_path / "plan.html", "distbelief plan --throughput 50000")
    page = (tmp_path / "plan.html").read_text()
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert page.count("<figure") == 3
    assert all(sentence.split("'")[0] in page for sentence in good.sentences())
    assert "distbelief plan --throughput 50000" in re.sub(r"</?code>", "", page)
    document = json.loads((tmp_path / "plan.json").read_text())
    assert document["cheapest"]["replicas"] == 8
    assert len(document["fleets"]) == len(good.rows)
    assert all(file.exists() for file in written)


def test_the_command_plans_again_from_a_calibration(good: FleetPlan, tmp_path: Path) -> None:
    write(good, tmp_path / "first.html", "")
    words = ["plan", "--calibration", str(tmp_path / "first.json"), "--most-replicas", "5"]
    words += ["--most-servers", "1", "--throughput", "1e4", "--page", str(tmp_path / "p.html")]
    words += ["--link", "100", "--stragglers", "0.5:2", "--lives-hours", "5"]
    answer = CliRunner().invoke(main, words)
    assert answer.exit_code == 0, answer.output
    assert "Downpour on a fleet" in answer.output
    assert "For 10,000 examples a second" in answer.output
    document = json.loads((tmp_path / "p.json").read_text())
    assert max(row["outcome"]["rate"] for row in document["fleets"]) < 5 * 100
    assert math.isfinite(document["fleets"][0]["hours"])
