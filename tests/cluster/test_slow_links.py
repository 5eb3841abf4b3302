"""What ``auto`` chooses for slow links, on real servers and workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from distbelief.app.errors import ConfigError, ExitCode
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.downpour.links import Link
from distbelief.coordinator.runs import journal
from distbelief.coordinator.training import resources


def test_what_is_chosen_for_a_slow_link_is_said_recorded_and_gone_on_with(
    shared: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers are beside the servers; as if they were not."""
    slow = [Link(up=1e5, down=1e5, round_trip_s=0.001)]
    monkeypatch.setattr(resources, "replica_links", lambda *_: slow)

    def trained(*words: str) -> tuple[int, str]:
        servers = ",".join(shared.endpoints.parameter_servers)
        where = ("--broker", shared.endpoints.broker, "--parameter-servers", servers)
        folder = ("--folder", str(tmp_path), "--wait-seconds", "60", "--run", "slow")
        words = ("train", *words, *where, *folder)
        answer = CliRunner().invoke(main, words, catch_exceptions=False)
        return answer.exit_code, answer.output

    code, said = trained("--passes", "15")
    assert code == ExitCode.OK, said
    assert "auto: rounds of 16 steps, bfloat16 on the wire, for an exchange of" in said
    assert "--n-push 4 keeps to it" in said
    assert "averaged with rate 1" in said
    run = json.loads((tmp_path / "slow" / "run.json").read_text())
    known = run["record"]
    assert (known["config"]["round_steps"], known["config"]["wire"]) == (16, "bfloat16")
    assert {"wire", "round_steps", "outer_momentum"} <= {*known["chosen"]}
    events = list(journal.read(tmp_path / "slow" / "events.jsonl"))
    (began,) = (each.fields for each in events if each.kind == "surroundings")
    assert began["exchanges"]["link"]["up"] == 1e5
    units = [each.fields for each in events if each.kind == "unit"]
    assert all(each["sent"] > 4810 and each["received"] > 4810 for each in units)
    assert all(0 < each["exchange_s"] <= each["seconds"] for each in units)

    code, said = trained("--passes", "15")
    assert code == ExitCode.OK, said
    assert "run slow has finished: there is nothing left to do" in said
    with pytest.raises(ConfigError, match="was begun with wire = bfloat16, not float32"):
        trained("--passes", "15", "--wire", "float32")
