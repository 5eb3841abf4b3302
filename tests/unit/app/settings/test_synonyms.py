"""Whoever writes the words of another library is told ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import ClusterConfig, RunConfig, configure
from distbelief.app.settings.synonyms import SENTENCES, SYNONYMS, advice, settings_in
from distbelief.app.settings.toml import read_toml

SETTINGS = {*RunConfig.model_fields, *ClusterConfig.model_fields}

PLAIN = [(word, name) for name, words in SYNONYMS.items() for word in words.split()]
EXPLAINED = [(word, text) for words, text in SENTENCES.items() for word in words.split()]
WORDS = [word for word, _ in (*PLAIN, *EXPLAINED)]

#: What people write who come from scikit-learn, PyTorch, Keras or XGBoost, and what they need.
EXPECTED = {
    "C": r"set l2 = 1 / \(C \* n\)",
    "alpha": "l2",
    "batch": "batch_size",
    "dropout": "there is no dropout",
    "early_stopping": "patience",
    "epochs": "passes",
    "eta": "learning_rate",
    "eta0": "learning_rate",
    "hidden_layer_sizes": "hidden",
    "lr": "learning_rate",
    "max_iter": "iterations.*passes",
    "minibatch": "batch_size",
    "n_epochs": "passes",
    "n_estimators": "no trees",
    "n_iter_no_change": "patience",
    "n_jobs": "replicas.*processes",
    "num_workers": "replicas.*processes",
    "optimiser": "optimizer",
    "penalty": "l2.*l1",
    "random_state": "seed",
    "shuffle": "always shuffled.*seed",
    "step_size": "learning_rate",
    "test_size": "holdout",
    "tol": "gradient_tolerance.*decrease_tolerance",
    "validation_fraction": "holdout",
    "validation_split": "holdout",
    "verbose": "--json.*say=",
    "wd": "weight_decay.*l2",
    "workers": "replicas.*processes",
}


@pytest.mark.parametrize("name", SYNONYMS)
def test_a_synonym_is_of_a_setting(name: str) -> None:
    assert name in SETTINGS


@pytest.mark.parametrize("sentence", SENTENCES.values())
def test_a_sentence_names_settings(sentence: str) -> None:
    assert set(settings_in(sentence)) <= SETTINGS


def test_a_word_stands_for_one_thing_and_is_no_setting_of_ours() -> None:
    assert len(WORDS) == len(set(WORDS))
    assert not SETTINGS & set(WORDS)


@pytest.mark.parametrize(("word", "name"), PLAIN)
def test_whoever_writes_a_synonym_is_told_our_name(word: str, name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configure({word: 1})
    assert str(raised.value) == f"unknown setting '{word}': did you mean '{name}'?"


@pytest.mark.parametrize(("word", "sentence"), EXPLAINED)
def test_whoever_writes_a_word_that_is_no_synonym_is_told_more(word: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configure({word: 1})
    names = {name: name for name in settings_in(sentence)}
    assert str(raised.value) == f"unknown setting '{word}': {sentence.format_map(names)}"


@pytest.mark.parametrize(("word", "hint"), EXPECTED.items())
def test_the_words_of_the_field_lead_to_ours(word: str, hint: str) -> None:
    assert re.search(hint, advice(word, SETTINGS) or "")


@pytest.mark.parametrize("word", ["batchSize", "BATCH-SIZE", "batchsize", "Mini-Batch"])
def test_case_and_hyphens_are_no_matter(word: str) -> None:
    assert advice(word, SETTINGS) == "did you mean 'batch_size'?"


def test_a_word_whose_setting_may_not_stand_there_gets_no_hint() -> None:
    assert advice("epochs", ["processes", "servers"]) is None
    assert advice("C", ["servers"]) is None


def test_names_are_written_as_they_are_there() -> None:
    def flag(name: str) -> str:
        return "--" + name.replace("_", "-")

    assert advice("lr", SETTINGS, flag) == "did you mean '--learning-rate'?"
    assert (advice("C", SETTINGS, flag) or "").startswith("set --l2 = ")


def test_a_word_in_a_file_gets_its_hint(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("n_epochs = 3\n")
    with pytest.raises(ConfigError, match="unknown setting 'n_epochs': did you mean 'passes'"):
        configure(read_toml(file))
