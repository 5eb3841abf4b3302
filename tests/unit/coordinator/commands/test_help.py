"""Every command says what it does, what it takes and how it is used."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner
from pydantic.fields import FieldInfo

from distbelief.app.errors import ExitCode
from distbelief.app.settings.config import SECTIONS
from distbelief.coordinator.commands.cli import main
from distbelief.coordinator.commands.options import USUAL

SETTINGS = {name: field for section in SECTIONS for name, field in section.model_fields.items()}
COMMANDS = main.list_commands(click.Context(main))


def command_of(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def help_of(*command: str, flag: str = "--help") -> str:
    """The help on lines of any length."""
    answer = CliRunner().invoke(main, [*command, flag], terminal_width=1000, max_content_width=1000)
    assert answer.exit_code == 0, answer.output
    return re.sub(r"\n {4,}(?=\S)", " ", answer.output)  # long flags have a line of their own


def flag_of(name: str) -> str:
    """model_options is given as --model-option, once for each pair."""
    flag = "--" + name.replace("_", "-")
    return flag.removesuffix("s") if name in {"model_options", "data_options"} else flag


def default_of(field: FieldInfo) -> str:
    """The default as a person would type it."""
    default = field.default
    if default is None or default in ((), {}):
        return "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.fixture(scope="module")
def train_help() -> str:
    return help_of("train", flag="--help-all")


@pytest.mark.parametrize("name", SETTINGS)
def test_help_shows_what_a_setting_means_and_its_default(name: str, train_help: str) -> None:
    (line,) = re.findall(rf"^  {flag_of(name)}(?: .*)?$", train_help, re.MULTILINE)
    description = SETTINGS[name].description or ""
    assert description
    assert description in line
    if "[default: " not in description:  # said in words there
        assert line.endswith(f"[default: {default_of(SETTINGS[name])}]")


def test_help_shows_what_most_trainings_are_about_and_how_to_see_the_rest() -> None:
    text = help_of("train")
    assert len(text.splitlines()) < 80
    assert len(USUAL - SETTINGS.keys()) == 0
    assert all(re.search(rf"^  {flag_of(name)}\b", text, re.MULTILINE) for name in USUAL)
    assert "--ftrl-beta" not in text
    assert f"{len(SETTINGS) - len(USUAL)} more settings: distbelief train --help-all" in text


def test_help_groups_the_settings_as_the_configuration_does(train_help: str) -> None:
    titles = re.findall(r"^(\S.*):$", train_help, re.MULTILINE)
    assert [title for title in titles if title not in {"Options", "Examples"}] == [
        section.__doc__ for section in SECTIONS
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_sentence_and_an_example(command: str) -> None:
    assert re.search(r"^  [A-Z].*\.$", help_of(command), re.MULTILINE)
    assert f"distbelief {command}" in help_of(command).partition("Example")[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_and_every_word_of_every_command_is_explained(command: str) -> None:
    for parameter in command_of(command).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
        else:  # click has no help for it: the command's own sentence speaks of it
            assert re.search(rf"\b{parameter.name}\b", command_of(command).help or "")


def test_the_program_lists_its_commands_and_exit_codes() -> None:
    text = help_of()
    assert all(command in text for command in COMMANDS)
    assert all(f"{code.value} {code.name.lower()}" in text for code in ExitCode)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_can_be_typed(command: str) -> None:
    examples = re.findall(r"^  distbelief (.*)$", help_of(command), re.MULTILINE)
    assert examples
    for line in examples:
        typed = re.split(r"\s[>#]", line)[0]  # without what is the shell's
        name, *words = typed.replace("\\", "").split()
        with command_of(name).make_context(name, words) as context:
            assert context.params
