"""Flags made from the settings: one definition for help, TOML file and validation."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from distbelief.app.errors import ExitCode
from distbelief.app.settings.synonyms import advice
from distbelief.coordinator.commands.wording import misplaced, no_pair, whereabouts
from distbelief.coordinator.progress.program import program

if TYPE_CHECKING:  # commands without settings begin sooner without them
    from pydantic.fields import FieldInfo

    from distbelief.app.settings.section import Section

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


#: Settings that most trainings are about: ``--help`` shows these, ``--help-all`` all of them.
USUAL = {
    *("algorithm", "name", "init_from", "model", "hidden", "data", "data_options", "holdout"),
    *("optimizer", "learning_rate", "replicas", "iterations", "passes", "target", "patience"),
    *("broker", "parameter_servers", "folder", "output", "page"),
}

#: Whether all settings are to be shown, in the context of a command.
_ALL = "distbelief.help_all"

#: Exit codes that any command may give.
ALWAYS = (ExitCode.OK, ExitCode.INTERNAL, ExitCode.USAGE)


def describe_codes(codes: Iterable[ExitCode], width: int) -> str:
    """Exit codes and their names, in lines; each number stays beside its name."""
    bound = ", ".join(f"{code}\N{NO-BREAK SPACE}{code.name.lower()}" for code in codes)
    return textwrap.fill(f"Exit codes: {bound}", width).replace("\N{NO-BREAK SPACE}", " ")


class SectionedCommand(click.Command):
    """A command whose help groups the settings as the configuration does.

    Each takes ``--debug`` as the program does.

    Args:
        args: as of any command of click, and so are ``kwargs``.
        examples: command lines without the program's name, which is that of this process.
        codes: exit codes that it may give beside those that any command may.
        kwargs: see ``args``.
    """

    def __init__(
        self,
        *args: Any,
        examples: Sequence[str] = (),
        codes: Iterable[ExitCode] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._examples = examples
        self._codes = sorted({*ALWAYS, *codes})
        debug = click.Option(
            ["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error."
        )
        self.params.append(debug)
        if any(isinstance(each, SettingOption) and not each.usual for each in self.params):
            self.params.append(
                click.Option(
                    ["--help-all"],
                    is_flag=True,
                    is_eager=True,
                    expose_value=False,
                    callback=_show_all,
                    help="Show this with all settings.",
                )
            )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed = [*args]  # parsing takes them out of it
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            given = next(each for each in typed if each.startswith(error.option_name))
            hint = self._hint(word := given.partition("=")[0])
            raise click.UsageError(f"No such option '{word}'{hint}", ctx) from None
        except click.MissingParameter as error:
            said = error.format_message().rstrip(".")
            raise click.UsageError(f"{said}{whereabouts(error)}", ctx) from None
        except click.UsageError as error:
            lists = [each.opts[0] for each in self.params if getattr(each, "is_list", False)]
            pairs = [each.opts[0] for each in self.params if each.metavar == "KEY=VALUE"]
            flags = [name for each in self.params for name in each.opts]
            extra = " extra argument" in error.message
            hint = misplaced(typed, flags, lists, pairs) if extra else ""
            if not hint:
                raise
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def _hint(self, word: str) -> str:
        """A hint for a flag that does not exist; for ``--no-shuffle`` that of shuffling."""
        flags = {
            name: each.opts[0]
            for each in self.params
            if isinstance(each, click.Option)
            for name in (str(each.name), *map(_name, each.opts))
        }
        found = advice(_name(word).removeprefix("no_"), flags, flags.__getitem__)
        return f": {found}" if found else "."

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, SettingOption) and not (parameter.usual or ctx.meta.get(_ALL)):
                continue
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples keep their lines, and so does what is below them."""
        formatter.write_paragraph()
        formatter.write("Examples:\n" if len(self._examples) > 1 else "Example:\n")
        for each in self._examples:
            formatter.write(f"  {program()} {each}\n")
        if left_out := self._left_out(ctx):
            formatter.write(f"\n{left_out} more settings: {program()} {self.name} --help-all\n")
        formatter.write(self.epilog or "")
        formatter.write_paragraph()
        formatter.write(f"{describe_codes(self._codes, formatter.width)}\n")

    def _left_out(self, ctx: click.Context) -> int:
        """How many settings the help does not show."""
        settings = (each for each in self.params if isinstance(each, SettingOption))
        return 0 if ctx.meta.get(_ALL) else sum(not each.usual for each in settings)


def _show_all(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _name(flag: str) -> str:
    """The name of a setting, from its flag."""
    return flag.lstrip("-").replace("-", "_")


class SettingOption(click.Option):
    """The flag of one setting. It hands on text; the configuration validates it."""

    def __init__(self, name: str, field: FieldInfo, section: str) -> None:
        self.section = section
        self.usual = name in USUAL
        self._choices = _choices(field)
        kind = _kind(field)
        self.is_list = kind == "list"
        flag = "--" + name.replace("_", "-")
        if kind == "switch":
            declaration = f"{flag}/--no-{flag[2:]}"
            super().__init__([declaration, name], default=None, help=_help(field))
        else:
            repeated, alone = kind == "pairs", _alone(field)
            optional: dict[str, Any] = {} if alone is None else {"flag_value": alone}
            super().__init__(
                [flag.removesuffix("s") if repeated else flag, name],
                metavar=_metavar(field) if alone is None else f"[{_metavar(field)}]",
                multiple=repeated,
                default=None,
                help=_help(field),
                is_flag=False,
                **optional,
            )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(each) for each in self._choices if each.startswith(incomplete)]


def settings_options(*sections: type[Section]) -> Decorator:
    """Add the flags of every setting in ``sections`` to a command."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        flags: list[click.Option] = [
            SettingOption(name, field, section.__doc__ or "")
            for section in sections
            for name, field in section.model_fields.items()
        ]
        attached = function.__dict__.setdefault("__click_params__", [])
        attached.extend(reversed(flags))
        return function

    return decorate


def given_settings(flags: Mapping[str, Any], sections: tuple[type[Section], ...]) -> dict[str, Any]:
    """The settings among ``flags`` that were really given, in the form of a TOML file.

    Raises:
        click.UsageError: an option of the form KEY=VALUE is not.
    """
    settings = {}
    for section in sections:
        for name, field in section.model_fields.items():
            value = flags.get(name)
            if value is None or value == ():
                continue
            settings[name] = _parse(name, value, _kind(field))
    return settings


def pairs(name: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """``KEY=VALUE`` texts as a dictionary; values are JSON, or else plain text."""
    result = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise click.UsageError(no_pair(name, text))
        try:
            result[key] = json.loads(value)
        except ValueError:
            result[key] = value
    return result


def _parse(name: str, value: Any, kind: str) -> Any:
    if kind == "pairs":
        return pairs(name, value)
    if kind == "list":
        from distbelief.app.settings.environment import split_urls

        if "://" in value:
            return split_urls(value)
        return [part.strip() for part in value.strip("[]()").split(",") if part.strip()]
    return value


def _kind(field: FieldInfo) -> str:
    if bool in (field.annotation, *get_args(field.annotation)):
        return "switch"
    origin = get_origin(field.annotation)
    if origin is dict:
        return "pairs"
    return "list" if origin is tuple else "plain"


def _choices(field: FieldInfo) -> list[str]:
    """The words that a setting may be."""
    annotation = field.annotation
    return [each for part in (annotation, *get_args(annotation)) for each in _words(part)]


def _metavar(field: FieldInfo) -> str:
    annotation, words = field.annotation, _choices(field)
    names = {
        int: "INTEGER",
        float: "NUMBER",
        str: "TEXT",
        dict: "KEY=VALUE",
        tuple: "LIST",
    }
    candidates = (annotation, get_origin(annotation), *get_args(annotation))
    candidates += tuple(a for part in get_args(annotation) for a in get_args(part))
    kinds = [names[c] for c in candidates if c in names]
    return "|".join([*kinds[:1], *words])


def _alone(field: FieldInfo) -> str | None:
    """What a flag without a value means; None if it must have one."""
    extra = field.json_schema_extra
    return str(extra["alone"]) if isinstance(extra, dict) and "alone" in extra else None


def _words(annotation: Any) -> tuple[str, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _help(field: FieldInfo) -> str:
    text, default = field.description or "", field.default
    if "[default" in text:
        return text
    if default is None or default in ((), {}):
        default = "none"
    if isinstance(default, bool):
        default = "yes" if default else "no"
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    if isinstance(default, float):
        default = f"{default:g}"
    return f"{text} [default: {default}]"
