"""Settings: one name each, checked once, refused in one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import (
    SECTIONS,
    ClusterConfig,
    RunConfig,
    configure,
    whole_pushes,
)
from distbelief.app.settings.toml import read_toml

SETTINGS = {**RunConfig.model_fields, **ClusterConfig.model_fields}

OF_ANOTHER_KIND = {
    "optimizer": "newton",
    "activation": "gelu",
    "init": "zeros",
    "algorithm": "sandblast",
    "overlap": "perhaps",
    "passes": 1.5,
    "learning_rate": "fast",
    "model": 3,
}


#: JSON schema's words for bounds, and how far beyond them a value is just not allowed.
BEYOND = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}


def out_of_bounds() -> Iterator[tuple[str, Any]]:
    """Every setting with every bound that its type has, and the nearest value beyond it."""
    for section in (RunConfig, ClusterConfig):
        for name, schema in section.model_json_schema()["properties"].items():
            for kind in (schema, *schema.get("anyOf", ())):
                for bound, step in BEYOND.items():
                    if bound in kind:
                        yield name, kind[bound] + step
                    if bound in kind.get("items", {}):
                        yield name, [kind["items"][bound] + step]


def test_the_bounds_are_found() -> None:
    found = dict(out_of_bounds())
    assert found["learning_rate"] == 0
    assert found["block_numbers"] in {0, 65_537}
    assert found["hidden"] == [0]
    assert found["clip_norm"] == 0
    assert found["servers"] == 0


@pytest.mark.parametrize(("name", "value"), [*out_of_bounds(), *OF_ANOTHER_KIND.items()])
def test_a_value_that_is_not_allowed_gives_one_sentence(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        configure({name: value})
    message = str(raised.value)
    shown = value[0] if isinstance(value, list) else value
    assert message.startswith(f"{name} = {shown!r} is not allowed: ")
    assert "\n" not in message


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_must_be_finite(value: float) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate = (inf|nan) is not allowed: .*finite"):
        configure({"learning_rate": value})


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'replica': did you mean 'replicas'\?"):
        configure({"replica": 3})


def test_a_setting_that_resembles_nothing_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match=r"unknown setting 'xyzzy': known are .*replicas"):
        configure({"xyzzy": 3})


def test_a_broker_without_parameter_servers_is_refused() -> None:
    with pytest.raises(ConfigError, match="broker and parameter_servers go together"):
        configure({"broker": "redis://localhost"})


def test_parameter_servers_without_a_broker_are_refused() -> None:
    with pytest.raises(ConfigError, match="broker and parameter_servers go together"):
        configure({"parameter_servers": ["redis://localhost"]})


def test_a_malformed_list_of_servers_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError, match="parameter_servers = ") as raised:
        configure({"parameter_servers": "redis://:secret@localhost", "broker": "redis://localhost"})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("wish", [{"target": 0.9}, {"patience": 3}, {"metric": "auc"}])
def test_a_stop_by_metric_needs_held_out_data(wish: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="set holdout above 0"):
        configure({"holdout": 0.0, **wish})


def test_an_l1_term_is_for_sandblaster_and_downpour_is_told_of_ftrl() -> None:
    with pytest.raises(ConfigError, match=r"l1 = 0\.01 needs algorithm = sandblaster; .*ftrl_l1"):
        configure({"l1": 0.01})
    with pytest.raises(ConfigError, match=r"l1 = 0\.01 needs algorithm = sandblaster"):
        configure({"l1": 0.01, "algorithm": "hybrid"})
    configured, _ = configure({"l1": 0.01, "algorithm": "sandblaster"})
    assert configured.l1 == 0.01


@pytest.mark.parametrize(
    "terms",
    [
        {"optimizer": "ftrl", "ftrl_l1": 0.5},
        {"optimizer": "ftrl", "ftrl_l2": 0.5},
        {"optimizer": "adam", "weight_decay": 0.5},
    ],
)
def test_both_parts_of_a_hybrid_have_one_objective(terms: dict[str, Any]) -> None:
    name = list(terms)[-1]
    with pytest.raises(ConfigError, match=rf"{name} = 0\.5 is not for algorithm hybrid: .* l2"):
        configure({"algorithm": "hybrid", **terms})
    configure({"algorithm": "downpour", **terms})
    configure({"algorithm": "hybrid", "optimizer": terms["optimizer"]})


def test_adagrad_without_an_accumulator_needs_an_epsilon() -> None:
    with pytest.raises(ConfigError, match="initial_accumulator 0 needs an epsilon"):
        configure({"initial_accumulator": 0.0, "epsilon": 1e-31})


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam"])
def test_a_rule_whose_squares_begin_at_zero_needs_an_epsilon(optimizer: str) -> None:
    with pytest.raises(ConfigError, match=f"{optimizer} needs an epsilon of at least 1e-30"):
        configure({"optimizer": optimizer, "epsilon": 1e-31})


def test_ftrl_knows_no_decay_of_its_rate() -> None:
    with pytest.raises(ConfigError, match="learning_rate_decay must be 0 for ftrl"):
        configure({"optimizer": "ftrl", "learning_rate_decay": 0.1})


def test_ftrl_has_no_rate_to_scale_by_staleness() -> None:
    with pytest.raises(ConfigError, match="scale_by_staleness is not for ftrl"):
        configure({"optimizer": "ftrl", "scale_by_staleness": True})


def test_settings_go_where_they_belong() -> None:
    run, cluster = configure({"replicas": 3, "servers": 5})
    assert (run.replicas, cluster.servers) == (3, 5)


def test_a_configuration_is_frozen() -> None:
    run, _ = configure({})
    with pytest.raises(ValidationError, match="frozen"):
        run.replicas = 3  # type: ignore[misc]


OPTION = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.lists(st.integers()),
    st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    st.lists(st.text()),
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "model_options": st.dictionaries(st.text(), OPTION, max_size=3),
            "hidden": st.lists(st.integers(1, 99), max_size=3),
            "learning_rate": st.floats(1e-9, 1e9),
            "clip_norm": st.none() | st.floats(1e-9, 1e9),
            "overlap": st.booleans(),
            "warm_start_steps": st.integers(0, 10**9),
            "target": st.none() | st.floats(-1e9, 1e9),
            "shards": st.none() | st.integers(1, 10**6),
        },
    )
)
def test_a_run_survives_json(settings: dict[str, Any]) -> None:
    run, _ = configure(settings)
    document = json.dumps(run.model_dump(mode="json"))
    again = RunConfig(**json.loads(document))
    assert again == run
    assert json.dumps(again.model_dump(mode="json")) == document


def test_json_with_a_setting_that_we_do_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown setting 'inertia'"):
        RunConfig(**{**RunConfig().model_dump(mode="json"), "inertia": 0.9})


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_description(name: str) -> None:
    description = SETTINGS[name].description
    assert description
    assert not description.endswith(".")


def test_a_name_belongs_to_one_section() -> None:
    names = [name for section in SECTIONS for name in section.model_fields]
    assert len(names) == len(set(names))


def test_the_sections_make_up_all_settings() -> None:
    assert {name for section in SECTIONS for name in section.model_fields} == set(SETTINGS)


@pytest.mark.parametrize("name", RunConfig.model_fields)
def test_what_travels_to_the_workers_is_no_place_for_urls_or_secrets(name: str) -> None:
    words = f"{name} {RunConfig.model_fields[name].description}".lower()
    assert not re.search("url|broker|password|secret|token|redis://", words)


def test_the_urls_of_the_servers_stay_out_of_the_run() -> None:
    place = {"broker": "redis://:secret@a", "parameter_servers": ["redis://:secret@b"]}
    run, cluster = configure(place)
    assert "secret" not in json.dumps(run.model_dump(mode="json"))
    assert cluster.parameter_servers == ("redis://:secret@b",)


def test_the_settings_of_the_model_alone_can_be_taken_out() -> None:
    run, _ = configure({"model": "mlp", "hidden": [7, 8], "replicas": 3})
    assert run.model_settings().hidden == (7, 8)


def test_toml_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('model = "mlp"\nhidden = [8, 9]\n[model_options]\nalpha = 0.5\n')
    run, _ = configure(read_toml(file))
    assert (run.hidden, run.model_options) == ((8, 9), {"alpha": 0.5})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot read the configuration .*no\.toml: No such file"
    ):
        read_toml(tmp_path / "no.toml")


@pytest.mark.parametrize("content", [b"passes = ", b"model = '\xff'"], ids=["syntax", "encoding"])
def test_what_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "run.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"run\.toml is not valid TOML: "):
        read_toml(file)


@given(st.integers(0, 10_000), st.integers(1, 200))
def test_steps_are_rounded_up_to_whole_pushes(steps: int, n_push: int) -> None:
    rounded = whole_pushes(steps, n_push)
    assert rounded % n_push == 0
    assert 0 <= rounded - steps < n_push


def configured(kind: Any, **settings: Any) -> Any:
    """Settings that checkers of types would refuse, too."""
    return kind(**settings)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: configured(RunConfig, epochs=3),
            "unknown setting 'epochs': did you mean 'passes'?",
        ),
        (lambda: configured(ClusterConfig, brokr="x"), "did you mean 'broker'?"),
        (lambda: RunConfig(passes=-3), "passes = -3 is not allowed: input should be greater"),
        (lambda: RunConfig(holdout="part", split="rows"), "exclude each other"),
        (lambda: ClusterConfig(broker="redis://a"), "broker and parameter_servers go together"),
    ],
)
def test_a_program_is_told_as_the_command_line_is(make: Any, sentence: str) -> None:
    with pytest.raises(ConfigError) as told:
        make()
    assert sentence in str(told.value)
