"""Settings that change nothing are told, for every choice that leaves some out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from distbelief.app.optimizers.registry import OPTIMIZERS
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.unheeded import HEEDED, unheeded, unheeded_sentences

#: Words in the descriptions of settings for what heeds them.
WORDS = {"FTRL": "ftrl", "RMSProp": "rmsprop", "Adagrad": "adagrad", "Adam": "adam"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"algorithm": "sandblaster", "learning_rate": 0.1},
            "learning_rate = 0.1 has no effect with algorithm = sandblaster: leave it out, or "
            "choose algorithm = downpour or hybrid",
        ),
        (
            {"iterations": 7, "precision": "float32"},
            "iterations = 7 and precision = float32 have no effect with algorithm = downpour: "
            "leave them out, or choose algorithm = sandblaster or hybrid",
        ),
        (
            {"optimizer": "adam", "momentum": 0.5, "overlap": False},
            "momentum = 0.5 has no effect with optimizer = adam: leave it out, or choose "
            "optimizer = momentum",
        ),
        (
            {"model": "softmax", "hidden": (32, 16)},
            "hidden = 32,16 has no effect with model = softmax: leave it out, or choose "
            "model = mlp or wide_deep",
        ),
        (
            {"algorithm": "sandblaster", "optimizer": "adam", "momentum": 0.5, "overlap": False},
            "momentum = 0.5, optimizer = adam and overlap = false have no effect with "
            "algorithm = sandblaster: leave them out, or choose algorithm = downpour or hybrid",
        ),
    ],
)
def test_a_setting_without_an_effect_is_told(settings: dict[str, Any], sentence: str) -> None:
    assert [*unheeded_sentences(RunConfig(**settings))] == [sentence]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"algorithm": "sandblaster", "replicas": 4, "batch_size": 64, "l1": 0.1, "iterations": 9},
        {"algorithm": "hybrid", "learning_rate": 0.1, "iterations": 9, "handover_decrease": 0.2},
        {"optimizer": "momentum", "momentum": 0.5, "round_steps": 10, "outer_momentum": 0.5},
    ],
)
def test_one_with_an_effect_is_not(settings: dict[str, Any]) -> None:
    assert not unheeded(RunConfig(**settings))


def test_one_that_says_what_holds_anyway_is_not() -> None:
    """As a file with every setting does, which a dry run prints."""
    for algorithm in ("downpour", "sandblaster", "hybrid"):
        config = RunConfig(algorithm=algorithm)
        assert not unheeded(RunConfig(**config.model_dump()))


def test_each_setting_whose_description_says_what_heeds_it_is_known() -> None:
    known = {**HEEDED["optimizer"], **HEEDED["model"]}
    for name, field in RunConfig.model_fields.items():
        first, colon, _ = (field.description or "").partition(":")
        said = [WORDS.get(word, word) for word in re.split(r", ", first)] if colon else []
        if said and {*said} <= {*OPTIMIZERS, "mlp", "fm", "wide_deep", "torch"}:
            assert known[name] == tuple(said), name
        if colon and first in ("Downpour", "rounds"):
            assert HEEDED["algorithm"][name] == ("downpour", "hybrid"), name
        if colon and first == "hybrid":
            assert HEEDED["algorithm"][name] == ("hybrid",), name
