"""Two deployments on one database, each with a prefix and a user who sees nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from distbelief.app.errors import ServerRefused
from distbelief.app.runs import leadership
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.runs.messages import Messages
from distbelief.coordinator.training.training import train
from tests.cluster.faults.private_fleet import worker
from tests.redis.private import PrivateServer, connected
from tests.redis.programs import existing

DEPLOY = Path(__file__).parents[2] / "deploy"
TEAMS = ("team1", "team2")


def rights(name: str) -> set[str]:
    """The commands that a user of ours may call, by the files for operators."""
    lines = (DEPLOY / f"{name}.acl").read_text().splitlines()
    own = [line for line in lines if line.startswith(("user coordinator", "user worker"))]
    words = {word.strip("()") for line in own for word in line.split()}
    return {word for word in words if word.startswith("+") and "distbelief." not in word}


@dataclass
class Deployment:
    """A team's address, worker and trainings."""

    team: str
    url: str
    folder: Path

    def train(self, **settings: object) -> str:
        """Train on the team's worker; the run."""
        cluster = ClusterConfig(
            key_prefix=f"{self.team}:",
            broker=self.url,
            parameter_servers=(self.url,),
            folder=str(self.folder),
            wait_seconds=60.0,
        )
        problem = prepare(RunConfig(**settings), 1)
        return train(problem, cluster, Callbacks(lambda _: None, lambda _: None)).run


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer(existing(binaries.bundled())) as server:
        yield server


@pytest.fixture(scope="module")
def deployments(
    server: PrivateServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Deployment]]:
    with ExitStack() as stack:
        admin, made = stack.enter_context(connected(server.url)), list[Deployment]()
        commands = sorted(rights("control") | rights("parameters"))
        for team in TEAMS:
            own = ("reset", "on", f">{team}", f"~{team}:*", f"&{team}:*", "-@all", "-@dangerous")
            admin.one("ACL", "SETUSER", team, *own, *commands)
            url = f"redis://{team}:{team}@127.0.0.1:{server.port}"
            variables = {
                "DISTBELIEF_KEY_PREFIX": f"{team}:",
                "DISTBELIEF_BROKER": url,
                "DISTBELIEF_PARAMETER_SERVERS": url,
            }
            folder = tmp_path_factory.mktemp(team)
            stack.enter_context(worker(folder, 1, variables))
            made.append(Deployment(team, url, folder))
        yield made


def test_neither_needs_or_sees_what_the_other_has(
    server: PrivateServer, deployments: list[Deployment]
) -> None:
    one, other = deployments
    runs = {
        one.team: one.train(passes=1.0),
        other.team: other.train(algorithm="sandblaster", iterations=2),
    }
    with connected(server.url) as admin:
        assert admin.one("ACL", "LOG") == []
        keys = admin.one("KEYS", "*")
        assert {key.partition(b":")[0].decode() for key in keys} == set(TEAMS)
    for each in deployments:
        url = f"{each.url}?key_prefix={each.team}:"
        with connected(url) as client, closing(Messages(url, 10.0)) as messages:
            assert leadership.runs(client) == [runs[each.team]]
            assert len(messages.answers("ping")) == 1


def test_the_keys_of_another_one_are_refused(deployments: list[Deployment]) -> None:
    one, other = deployments
    with (
        connected(f"{one.url}?key_prefix={other.team}:") as client,
        pytest.raises(ServerRefused, match="permission"),
    ):
        leadership.ask_to_stop(client, "run")
