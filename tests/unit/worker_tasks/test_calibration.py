"""What workers measure for a plan, from readings that are made up."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.settings.config import TURNS, RunConfig
from distbelief.coordinator.planning.asking import Asker
from distbelief.worker_tasks.link_speed import at_once, slope
from distbelief.worker_tasks.observations import MOST_SAMPLES, sampled, until
from distbelief.worker_tasks.server_meter import ServerMeter


class Told:
    """Servers whose INFO costs 10 us and 100 bytes each time, beside what they are made to do."""

    def __init__(self, count: int, names: Sequence[str]) -> None:
        self._names = names
        self.cpu_s = [0.0] * count
        self.received = [0] * count

    def __len__(self) -> int:
        return len(self.cpu_s)

    def call(self, commands: Sequence[Command]) -> list[bytes]:
        return [self._info(command.server) for command in commands]

    def _info(self, server: int) -> bytes:
        self.cpu_s[server] += 1e-5
        self.received[server] += 100
        user, system = self._names
        lines = ["# CPU", f"{user}:{self.cpu_s[server] - 1e-6:.6f}", f"{system}:0.000001"]
        lines += [f"total_net_input_bytes:{self.received[server]}", "total_net_output_bytes:7"]
        return "\r\n".join(lines).encode()


MAIN = ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")


@pytest.mark.parametrize("names", [MAIN, ("used_cpu_user", "used_cpu_sys")])
def test_a_meter_tells_what_servers_spent_without_what_the_reading_costs(
    names: Sequence[str],
) -> None:
    servers = Told(2, names)
    meter = ServerMeter(cast("Servers", servers))
    before = meter.read()
    servers.cpu_s[0] += 0.25
    servers.cpu_s[1] += 0.5
    servers.received[1] += 4000
    spent = meter.since(before)
    assert spent.cpu_s == pytest.approx(0.75, abs=1e-5)
    assert spent.received == 4000
    assert spent.shared(2).cpu_s == pytest.approx(spent.cpu_s / 2)


def test_the_speed_of_a_link_is_what_more_bytes_take_longer() -> None:
    latency_s, ahead, speed = 0.2, 256_000, 1e6
    sizes = (1_000_000, 4_000_000)
    seconds = [latency_s + (size - ahead) / speed for size in sizes]
    assert slope(sizes, seconds) == pytest.approx([speed])
    assert slope(sizes, [0.5, 0.4]) == []
    # And what it lets through at once is what the shorter one was too fast by.
    assert at_once(sizes[0], seconds[0] - latency_s, speed) == pytest.approx(256_000)
    assert at_once(sizes[0], 2.0, speed) == 0.0


def test_many_observations_are_sampled_evenly() -> None:
    found = sampled([float(number) for number in range(1000)])
    assert len(found) <= MOST_SAMPLES
    assert found[:3] == [0.0, 5.0, 10.0]
    assert sampled([0.123456789]) == [0.12346]


def test_a_measurement_is_repeated_until_its_time_is_up_and_can_be_stopped() -> None:
    assert list(until(0.0, lambda: None, least=4)) == [0, 1, 2, 3]

    def check() -> Any:
        raise RuntimeError("the lease was lost")

    with pytest.raises(RuntimeError, match="the lease was lost"):
        next(until(1.0, check))


def test_short_measurements_in_a_row_are_one() -> None:
    """Where others wait for the processes: each round is a unit for each process."""
    sent: list[tuple[str, float]] = []

    class Dispatcher:
        def submit(self, task: str, unit: str, specification: dict[str, Any]) -> None:
            sent.append((unit, specification["seconds"]))
            self.out = [*getattr(self, "out", []), specification]

        def collect(self, timeout_s: float) -> list[Any]:
            out, self.out = self.out, []
            return [
                SimpleNamespace(
                    report={
                        "process": f"process{each['subset']}",
                        "worker": "w",
                        "steps": 10,
                        "rate": 4.0 + len(sent),
                        "push": {"wall_s": [each["seconds"]], "calls": 2},
                    }
                )
                for each in out
            ]

    config = RunConfig(unit_seconds=TURNS * 0.5)
    session = SimpleNamespace(dispatcher=Dispatcher(), config=config)
    resources = SimpleNamespace(session=session, hooks=SimpleNamespace(check=lambda: None))
    asker = Asker(cast("Any", resources))
    found = asker.several("steps", range(2), 1.2)
    assert [seconds for _, seconds in sent] == pytest.approx([0.4] * 6)
    assert len({unit for unit, _ in sent}) == 6
    assert [(each["process"], each["steps"], each["rate"]) for each in found] == [
        ("process0", 30, 8.0),
        ("process1", 30, 8.0),
    ]
    assert found[0]["push"] == {"wall_s": pytest.approx([0.4] * 3), "calls": 2}
    assert asker.one("steps", 1.0)["steps"] == 20
    sent.clear()
    assert len(asker.several("nothing", range(3), 0.0)) == len(sent) == 3
