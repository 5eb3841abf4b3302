"""Prometheus and TensorBoard get a training's figures; the dashboard asks for no others."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster.flower import HOST, PORTS
from distbelief.coordinator.monitoring.metrics import Watched, facts, serving
from distbelief.coordinator.monitoring.tensorboard import writing
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.callbacks import Callbacks, together
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.status import Status
from distbelief.coordinator.training.training import train
from tests.unit.coordinator.views.statuses import DOWNPOUR, EVALUATION, SANDBLASTER, THREE, status

ROOT = Path(__file__).parents[4]

UNIT = Event(
    9.0,
    "unit",
    {
        "unit": "downpour-0-200",
        "steps": 200,
        "examples": 6400,
        "pushes": 50,
        "refused": 2,
        "waited_s": 0.5,
        "exchange_s": 1.5,
        "seconds": 6.0,
        "sent": 3000,
        "received": 5000,
        "staleness": {"0": 30, "1": 15, "3": 4, "500": 1},
    },
)
EVENTS = [
    Event(1.0, "surroundings", {"parameter_servers": [{"address": "redis://a", "engine": "lua"}]}),
    UNIT,
    UNIT,
    Event(2.0, "evaluation", {}),
    Event(3.5, "checkpoint", {"name": "000001-000001"}),
    Event(4.0, "resent", {}),
    Event(5.0, "lost", {}),
]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return prepare(RunConfig(), 2)


def exposed(events: list[Event], last: Status | None) -> str:
    """The answer of the endpoint."""
    watched = Watched("r7", {"algorithm": "downpour"}, THREE)
    for event in events:
        watched.hear(event)
    if last is not None:
        watched.show(last)
    registry = CollectorRegistry()
    registry.register(watched)
    return generate_latest(registry).decode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of all labels but the run's."""
    return {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if key != "run")): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_add_up_what_was_told() -> None:
    found = samples(exposed(EVENTS, DOWNPOUR))
    wanted = {
        "steps": 400,
        "examples": 12_800,
        "pushes": 100,
        "refused_pushes": 4,
        "waited_seconds": 1,
        "network_waited_seconds": 3,
        "unit_seconds": 12,
        "heldout_evaluations": 1,
        "checkpoints": 1,
        "resent_units": 1,
        "data_losses": 1,
    }
    assert {name: found[f"distbelief_{name}_total",] for name in wanted} == wanted
    assert found["distbelief_network_bytes_total", "sent"] == 6000
    assert found["distbelief_network_bytes_total", "received"] == 10_000
    assert found["distbelief_last_checkpoint_timestamp_seconds",] == 3.5
    assert found["distbelief_engine_info", "lua", "redis://a"] == 1


def test_staleness_is_a_histogram_of_all_pushes() -> None:
    found = samples(exposed(EVENTS, DOWNPOUR))
    bins = {name[1]: value for name, value in found.items() if name[0].endswith("pushes_bucket")}
    assert [bins[bound] for bound in ("0", "1", "2", "4", "128", "+Inf")] == [
        *(60, 90, 90, 98, 98, 100)
    ]
    assert found["distbelief_staleness_pushes_count",] == 100
    assert found["distbelief_staleness_pushes_sum",] == 2 * (15 + 12 + 500)


def test_gauges_say_how_a_downpour_run_stands() -> None:
    found = samples(exposed(EVENTS, DOWNPOUR))
    assert found["distbelief_loss",] == 0.125
    assert found["distbelief_passes",] == 2.5
    assert found["distbelief_progress_ratio",] == 0.25
    assert found["distbelief_heldout", "accuracy"] == 0.9
    assert found["distbelief_best_heldout", "loss"] == 0.25
    assert found["distbelief_shard_applied_pushes", "1"] == 500
    assert found["distbelief_workers_at_work",] == 2
    assert ("distbelief_goodput_ratio",) not in found  # nothing is known of it yet
    found = samples(exposed(EVENTS, replace(DOWNPOUR, goodput=0.93)))
    assert found["distbelief_goodput_ratio",] == 0.93


def test_gauges_say_how_a_sandblaster_run_stands() -> None:
    found = samples(exposed([], SANDBLASTER))
    assert found["distbelief_iterations",] == 7
    assert found["distbelief_gradient_norm",] == 0.5
    assert found["distbelief_portions_total",] == 400
    assert found["distbelief_portions_outstanding",] == 3
    assert found["distbelief_backups_total", "won"] == 2
    assert not any(name[0] == "distbelief_nonzero_weights" for name in found)


def test_what_is_not_known_yet_is_left_out() -> None:
    text = exposed([], status(training_loss=float("nan"), evaluation=None, best=None))
    assert "NaN" not in text
    assert ("distbelief_loss",) not in samples(text)
    assert ("distbelief_run_info", "downpour") in samples(exposed([], None))


def test_every_metric_has_the_run_a_prefix_and_a_sentence() -> None:
    text = exposed(EVENTS, DOWNPOUR) + exposed(EVENTS, SANDBLASTER)
    for line in text.splitlines():
        if line.startswith("# HELP"):
            assert re.fullmatch(r"# HELP distbelief_\w+ [A-Z1].*\.", line), line
        elif not line.startswith("#"):
            assert line.startswith("distbelief_"), line
            assert 'run="r7"' in line, line


def names_in_dashboard() -> set[str]:
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "distbelief.json").read_text())
    queries = [each["expr"] for panel in dashboard["panels"] for each in panel.get("targets", [])]
    queries += [str(each.get("query")) for each in dashboard["templating"]["list"]]
    names = r"\b(?:distbelief|flower|process)_[a-z_]+\b"
    return {name for query in queries for name in re.findall(names, query)}


def test_the_dashboard_asks_only_for_metrics_that_a_run_has() -> None:
    text = exposed(EVENTS, DOWNPOUR) + exposed(EVENTS, SANDBLASTER)
    known = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }
    asked = {name for name in names_in_dashboard() if name.startswith("distbelief_")}
    assert len(asked) > 20
    assert asked <= known


def test_the_dashboard_asks_only_for_metrics_that_flower_has() -> None:
    flower = pytest.importorskip("flower.events", reason="Flower is not installed")
    source = Path(flower.__file__).read_text()
    asked = {name for name in names_in_dashboard() if name.startswith("flower_")}
    assert asked
    for name in asked:
        assert re.search(rf"'{name.removesuffix('_bucket')}'", source), name


def test_an_endpoint_answers_as_long_as_it_is_open(problem: Problem) -> None:
    said: list[str] = []
    with serving(("127.0.0.1", 0), problem, "r7", said.append) as callbacks:
        callbacks.on_status(DOWNPOUR)
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", said[0])
        with urllib.request.urlopen(url) as answer:  # noqa: S310 (our own)
            text = answer.read().decode()
        port = int(url.split(":")[2].split("/")[0])
        with (
            pytest.raises(ConfigError, match=rf"metrics_port = {port} cannot be used on 127"),
            serving(("127.0.0.1", port), problem, "r8", said.append),
        ):
            pass
    assert 'distbelief_passes{run="r7"} 2.5' in text
    assert 'model="mlp"' in text
    assert "process_cpu_seconds_total" in text
    with serving(("127.0.0.1", port), problem, "r9", said.append):
        pass  # the port is free again


def test_a_port_that_is_taken_is_found_before_anything_is_started(
    problem: Problem, tmp_path: Path
) -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cluster = ClusterConfig(metrics_port=port, folder=str(tmp_path / "runs"))
        with pytest.raises(ConfigError, match=rf"metrics_port = {port} cannot be used"):
            train(problem, cluster, Callbacks(said.append, lambda _: None))
    assert said == []
    assert list(tmp_path.rglob("logs")) == []


def test_an_address_of_somebody_else_is_refused_in_a_sentence(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_METRICS_PASSWORD", "secret")
    with (
        pytest.raises(ConfigError, match=r"metrics_port = 9100 cannot be used on 192\.0\.2\.1: "),
        serving(("192.0.2.1", 9100), problem, "r7", lambda _: None),
    ):
        pass


def test_figures_are_served_to_other_machines_with_a_password_only(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(ConfigError, match="needs a password: let DISTBELIEF_METRICS_PASSWORD_FILE"),
        serving(("0.0.0.0", 0), problem, "r7", lambda _: None),  # noqa: S104
    ):
        pass
    (tmp_path / "metrics").write_text("s3cret\n")
    monkeypatch.setenv("DISTBELIEF_METRICS_PASSWORD_FILE", str(tmp_path / "metrics"))
    said: list[str] = []

    def answers(authorization: str | None) -> int:
        headers = {} if authorization is None else {"Authorization": authorization}
        request = urllib.request.Request(said[0].split(" ")[1], headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with serving(("127.0.0.1", 0), problem, "r7", said.append):
        good = base64.b64encode(b"prometheus:s3cret").decode()
        bad = base64.b64encode(b"prometheus:guess").decode()
        asked = (None, "", f"Basic {bad}", f"Bearer {good}", "Basic \xff", f"Basic {good}")
        assert [answers(each) for each in asked] == [401, 401, 401, 401, 401, 200]
    assert "s3cret" not in said[0]


def test_what_is_trained_is_among_the_facts(problem: Problem) -> None:
    assert facts(problem)["parameters"] == "4810"
    assert facts(problem)["optimizer"] == "adagrad"


def records(folder: Path) -> Iterator[tuple[str, int, float]]:
    """The scalars in TensorBoard's event files: frames of TFRecord with a protocol buffer each."""
    from tensorboardX.proto.event_pb2 import Event as Written

    for file in sorted(folder.glob("events.out.tfevents.*")):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Written.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                yield value.tag, event.step, value.simple_value


def test_curves_are_written_over_steps(problem: Problem, tmp_path: Path) -> None:
    statuses = [
        status(seconds=second, steps=100 * second, training_loss=1 / (second + 1), evaluation=None)
        for second in range(3)
    ]
    with writing(str(tmp_path), problem, "r7", lambda _: None) as callbacks:
        for each in [*statuses, status(seconds=2.5, steps=210), status(seconds=3.5, steps=350)]:
            callbacks.on_status(each)
    found = list(records(tmp_path / "r7"))
    losses = [(step, value) for tag, step, value in found if tag == "training/loss"]
    assert [step for step, _ in losses] == [0, 100, 200, 350]
    assert [value for _, value in losses] == pytest.approx([1.0, 0.5, 1 / 3, 0.125])
    # Two of ten passes were done when the snapshot was taken, so 400 of 2,000 steps.
    heldout = [(step, value) for tag, step, value in found if tag == "heldout/accuracy"]
    assert [step for step, _ in heldout] == [400]
    assert heldout[0][1] == pytest.approx(EVALUATION.score.accuracy)
    tags = {tag for tag, _, _ in found}
    assert {"staleness/median", "staleness/worst", "speed/examples_per_second"} <= tags


def test_curves_of_sandblaster_are_over_iterations(problem: Problem, tmp_path: Path) -> None:
    with writing(str(tmp_path), problem, "r7", lambda _: None) as callbacks:
        callbacks.on_status(SANDBLASTER)
    found = {tag: (step, value) for tag, step, value in records(tmp_path / "r7")}
    assert found["training/gradient_norm"] == (7, 0.5)
    assert found["portions/backups_sent"] == (7, 4)


def test_a_missing_package_is_a_sentence(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with (
        pytest.raises(ConfigError, match=r"pip install '\.\[tensorboard\]'"),
        writing(str(tmp_path), problem, "r7", lambda _: None),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_a_sentence(problem: Problem, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"cannot write curves to .*file/r7: Not a directory"),
        writing(str(tmp_path / "file"), problem, "r7", lambda _: None),
    ):
        pass


def test_displays_together_all_hear_everything() -> None:
    heard: list[tuple[str, Any]] = []
    callbacks = [
        Callbacks(
            lambda text: heard.append(("say", text)),
            lambda status: heard.append(("on_status", status)),
            lambda event: heard.append(("on_event", event)),
        )
    ] * 2
    both = together(*callbacks)
    both.say("hello")
    both.on_status(DOWNPOUR)
    both.on_event(UNIT)
    assert heard == [
        (kind, what)
        for kind, what in (("say", "hello"), ("on_status", DOWNPOUR), ("on_event", UNIT))
        for _ in range(2)
    ]


def test_the_example_for_prometheus_asks_where_we_and_flower_answer() -> None:
    example = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text())
    targets = {
        each["job_name"]: each["static_configs"][0]["targets"] for each in example["scrape_configs"]
    }
    assert targets == {"distbelief": ["127.0.0.1:9100"], "flower": [f"{HOST}:{PORTS[0]}"]}


def test_what_is_wanted_is_told_before_any_worker_is_there() -> None:
    told = samples(exposed([Event(1.0, "wanted", {"processes": 3})], None))
    assert told["distbelief_workers_wanted",] == 3
    assert told["distbelief_workers_at_work",] == 0
