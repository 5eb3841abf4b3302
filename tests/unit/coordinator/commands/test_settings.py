"""A TOML file and flags are two spellings of the same configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from distbelief.app.models.imports import allowed_imports
from distbelief.app.models.metric import Metric
from distbelief.app.models.model import Task
from distbelief.app.settings.config import SECTIONS, ClusterConfig, RunConfig, configure
from distbelief.app.settings.rounds import RoundSettings
from distbelief.coordinator.cluster import joined
from distbelief.coordinator.commands import cli
from distbelief.coordinator.problem import problem as problems
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.training import training

Configured = tuple[RunConfig, ClusterConfig]
Configure = Callable[..., Configured]

#: For each setting a value that is not its default.
OTHER: dict[str, Any] = {
    "algorithm": "sandblaster",
    "name": "wide",
    "note": "twice as wide",
    "seed": 7,
    "init_from": "old.safetensors",
    "model": "mine:Model",
    "hidden": [32, 16],
    "activation": "tanh",
    "init": "he",
    "rank": 4,
    "embedding": 16,
    "spread": 0.01,
    "module": "mine:net",
    "loss": "mse",
    "model_options": {"width": 3, "name": "wide", "rate": 0.5, "deep": True, "sizes": [1, 2]},
    "threshold": 0.75,
    "negative_rate": 0.5,
    "data": "mine.npz",
    "data_options": {"classes": 3},
    "holdout": 0.25,
    "holdout_data": "held.npz",
    "split": "day",
    "test": 0.1,
    "test_data": "test.npz",
    "standardize": False,
    "class_weight": "balanced",
    "optimizer": "sgd",
    "learning_rate": 0.5,
    "learning_rate_decay": 0.001,
    "initial_accumulator": 0.2,
    "epsilon": 1e-6,
    "momentum": 0.5,
    "smoothing": 0.8,
    "beta1": 0.7,
    "beta2": 0.99,
    "weight_decay": 0.02,
    "ftrl_beta": 0.5,
    "ftrl_l1": 3.0,
    "ftrl_l2": 4.0,
    "l1": 0.02,
    "l2": 0.01,
    "clip_norm": 2.5,
    "replicas": 5,
    "streams": 9,
    "batch_size": 16,
    "n_fetch": 3,
    "n_push": 4,
    "wire": "bfloat16",
    "overlap": False,
    "schedule": "inverse",
    "warm_up": 0.5,
    "max_staleness": 6,
    "scale_by_staleness": True,
    "warm_start_steps": 9,
    "unit_steps": 50,
    "round_steps": 8,
    "round_seconds": 2.5,
    "outer_optimizer": "nesterov",
    "outer_learning_rate": 0.7,
    "outer_momentum": 0.5,
    "step_weight": 1.5,
    "iterations": 12,
    "history": 4,
    "gradient_tolerance": 0.001,
    "decrease_tolerance": 0.01,
    "precision": "float32",
    "portions": 6,
    "backup_seconds": 0.25,
    "handover_decrease": 0.125,
    "passes": 3,
    "max_seconds": 60.5,
    "metric": "log_loss",
    "target": 0.9,
    "patience": 2,
    "evaluate_every": 0.5,
    "checkpoint_seconds": 12.5,
    "keep_checkpoints": 8,
    "shards": 4,
    "table_numbers": 7,
    "block_numbers": 128,
    "call_ms": 5.0,
    "lease_seconds": 3.5,
    "server_seconds": 30.0,
    "stall_seconds": 45.0,
    "unit_attempts": 2,
    "unit_seconds": 1.5,
    "key_prefix": "team1:",
    "broker": "redis://control:6379/1?key_prefix=team1:",
    "control": "redis://ledger:6379/2?key_prefix=team1:",
    "celery_app": "shop.celery:app",
    "parameter_servers": ["redis://one?key_prefix=team1:", "redis://two?key_prefix=team1:"],
    "servers": 3,
    "processes": 7,
    "engine": "lua",
    "durability": "aof",
    "folder": "elsewhere",
    "output": "best.safetensors",
    "wait_seconds": 2.5,
    "wait_for_workers": 300.0,
    "checkpoint_address": "s3://bucket/runs",
    "stage_data": "s3://bucket/staged",
    "stage_limit": "2GB",
    "keep_on_servers": "7d",
    "flower": True,
    "page": 8080,
    "metrics_port": 9100,
    "metrics_address": "0.0.0.0",  # noqa: S104 (a value that is not the default)
    "tensorboard": "curves",
}

#: Settings that are allowed only together.
TOGETHER = (
    {"key_prefix", "broker", "control", "celery_app", "parameter_servers"},
    {"algorithm", "l1"},
    {"schedule", "learning_rate_decay"},
    {*RoundSettings.model_fields},
)


def as_flags(settings: Mapping[str, Any]) -> list[str]:
    words = []
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, dict):
            for key, item in value.items():
                text = item if isinstance(item, str) else json.dumps(item)
                words += [flag.removesuffix("s"), f"{key}={text}"]
        elif isinstance(value, list):
            words += [flag, ",".join(map(str, value))]
        else:
            words += [flag, str(value)]
    return words


def as_toml(settings: Mapping[str, Any]) -> str:
    """JSON's scalars and arrays are TOML's, too."""
    lines = []
    for name, value in settings.items():
        if isinstance(value, dict):
            items = ", ".join(f"{key} = {json.dumps(item)}" for key, item in value.items())
            lines.append(f"{name} = {{{items}}}")
        else:
            lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Configure:
    """The configuration that ``train`` makes of its arguments; nothing is trained."""
    seen: list[RunConfig | ClusterConfig] = []

    def prepare(config: RunConfig, n_servers: int, progress: object) -> Any:
        seen.append(config)
        return SimpleNamespace(score_formatter=ScoreFormatter(Task.MULTICLASS, Metric.ACCURACY))

    def train(problem: Any, cluster: ClusterConfig, display: Any, run: str | None) -> Any:
        seen.append(cluster)
        raise click.exceptions.Exit(0)

    monkeypatch.setattr(problems, "prepare", prepare)
    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(joined, "complete", lambda settings: None)  # there is no such application

    def configure_by(*arguments: str) -> Configured:
        seen.clear()
        cli.main.main(["train", *arguments], standalone_mode=False)
        config, cluster = seen
        assert isinstance(config, RunConfig)
        assert isinstance(cluster, ClusterConfig)
        return config, cluster

    return configure_by


def test_every_setting_is_tried_here() -> None:
    names = [name for section in SECTIONS for name in section.model_fields]
    assert list(OTHER) == names
    changed = configure(OTHER)
    for model, default in zip(changed, configure({}), strict=True):
        assert all(getattr(model, n) != getattr(default, n) for n in type(model).model_fields)


def test_flags_and_file_give_the_same_configuration(configured: Configure, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(as_toml(OTHER))
    assert configured("--config", str(file)) == configured(*as_flags(OTHER)) == configure(OTHER)


@pytest.mark.parametrize("name", OTHER)
def test_one_setting_is_the_same_by_flag_and_by_file(
    name: str, configured: Configure, tmp_path: Path
) -> None:
    names = next((group for group in reversed(TOGETHER) if name in group), {name})
    settings = {each: OTHER[each] for each in OTHER if each in names}
    file = tmp_path / "run.toml"
    file.write_text(as_toml(settings))
    assert configured("--config", str(file)) == configured(*as_flags(settings))


def test_nothing_given_means_the_defaults(configured: Configure) -> None:
    assert configured() == configure({})


def test_flags_override_the_file(configured: Configure, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("seed = 1\nreplicas = 3\noverlap = false\nlearning_rate = 0.5")
    config, _ = configured("--config", str(file), "--seed", "2", "--overlap")
    assert (config.seed, config.overlap) == (2, True)
    assert (config.replicas, config.learning_rate) == (3, 0.5)


def test_a_flag_overrides_the_file_with_a_default_too(
    configured: Configure, tmp_path: Path
) -> None:
    file = tmp_path / "run.toml"
    file.write_text("replicas = 3")
    assert configured("--config", str(file), "--replicas", "2")[0].replicas == 2


def test_servers_may_come_from_the_environment(
    configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_BROKER", "redis://control")
    monkeypatch.setenv("DISTBELIEF_PARAMETER_SERVERS", "redis://one, redis://two")
    _, cluster = configured()
    assert cluster.broker == "redis://control"
    assert cluster.parameter_servers == ("redis://one", "redis://two")


def test_servers_that_are_named_go_before_the_environment(
    configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_BROKER", "redis://control")
    monkeypatch.setenv("DISTBELIEF_PARAMETER_SERVERS", "redis://one,redis://two")
    _, cluster = configured("--broker", "redis://b", "--parameter-servers", "redis://p")
    assert (cluster.broker, cluster.parameter_servers) == ("redis://b", ("redis://p",))


def test_naming_a_model_on_the_command_line_allows_its_import(
    configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTBELIEF_ALLOWED_IMPORTS")
    configured("--model", "package.module:Model")
    assert allowed_imports() == ("package.module",)


def test_naming_a_torch_module_and_its_loss_allows_their_import(
    configured: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISTBELIEF_ALLOWED_IMPORTS")
    configured("--model", "torch", "--module", "package.nets:net", "--loss", "losses:hinge")
    assert allowed_imports() == ("package.nets", "losses")


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("0.5", 0.5), ("true", True), ("wide", "wide"), ("a=b", "a=b")]
)
def test_values_of_options_are_json_or_else_text(
    configured: Configure, text: str, value: Any
) -> None:
    config, _ = configured("--model-option", f"key={text}")
    assert config.model_options == {"key": value}


def test_the_workers_read_the_configuration_that_was_given(configured: Configure) -> None:
    config, _ = configured(*as_flags(OTHER))
    assert RunConfig.model_validate_json(config.model_dump_json()) == config
