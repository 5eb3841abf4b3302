"""Makes from the code what the documentation says of settings, keys and scripts: ``make docs``.

A page has ``<!-- generated: NAME -->`` and ``<!-- end -->``; what lies between is replaced. So are
the native engine's commands in the access list of ``deploy/``.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from distbelief.app.client.scripts import COMMANDS, Script
from distbelief.app.client.segments import MEET
from distbelief.app.layout import keys
from distbelief.app.optimizers.outer import OUTER
from distbelief.app.optimizers.registry import NAMES, OPTIMIZERS, build_rule, script_of
from distbelief.app.optimizers.rule import Rule
from distbelief.app.runs import blobs, demand, events, leadership, ledger
from distbelief.app.settings.config import SECTIONS
from distbelief.app.settings.section import Section
from distbelief.app.settings.sections import ObjectiveSettings
from distbelief.app.store.engines import ASK
from distbelief.app.store.redis import calls, parameters, shards, vectors

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent

BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SAID_DEFAULT = re.compile(r" \[default: (.*)\]$")
PART = re.compile(r"(KEYS|ARGV|Reply|Error) +(.*)")
ANSWER = re.compile(r" +([A-Z]{2,})(,| |$)")

#: The modules with the scripts of each kind of server.
ON_PARAMETER_SERVERS: tuple[ModuleType, ...] = (calls, shards, parameters, vectors)
ON_CONTROL_SERVER: tuple[ModuleType, ...] = (ledger, blobs, demand, events, leadership)

#: Shared parts of scripts that are commands together with an update rule.
SHELLS = ("push", "push_rows")
PUSHES = ("protocol", *SHELLS)

#: Parts of other scripts that say what some arguments are.
SHARED = ("changes", "behind", "tables")

#: Scripts by which workers work, beside pushes.
WORKING = (parameters.ANNOUNCE, shards.FETCH, shards.FETCH_ROWS, vectors.ACCUMULATE)

#: Scripts that change nothing: of the native engine's commands a reader may call these.
READING = (shards.FETCH, shards.FETCH_ROWS, vectors.DOTS, vectors.SPARSITY)

ACCESS_LIST = ROOT / "deploy" / "parameters.acl"
NATIVE_COMMANDS = re.compile(rf"\+{COMMANDS}\.\w+(?: \+{COMMANDS}\.\w+)*")


def settings() -> str:
    """A table for each section of the settings."""
    return "\n".join(f"## {each.__doc__}\n\n{_table(each)}" for each in SECTIONS)


def control_scripts() -> str:
    """What the control server is asked to do."""
    return "\n".join(_described("runs", each) for each in _scripts(ON_CONTROL_SERVER))


def store_scripts() -> str:
    """What parameter servers are asked to do, beside pushes."""
    scripts = (_described("store", each) for each in _scripts(ON_PARAMETER_SERVERS))
    shared = (_parted(name, _opening("store", name)) for name in SHARED)
    return "\n".join(chain(shared, scripts))


def pushes() -> str:
    """What all pushes have in common, and the update rules."""
    shells = (_opening("store", name) for name in PUSHES)
    common = (_parted(name, text) for name, text in zip(PUSHES, shells, strict=True))
    return "\n".join(chain(common, map(_rule, NAMES)))


def key_names() -> str:
    """Every key, as the file that builds them tells."""
    text = (inspect.getdoc(keys) or "").replace("``", "")
    return f"```text\n{text[text.index('Parameter servers') :].strip()}\n```\n"


BLOCKS: Mapping[str, Callable[[], str]] = {
    each.__name__: each for each in (settings, key_names, control_scripts, store_scripts, pushes)
}


def current(page: str) -> str:
    """A page as it should be, given as it is."""
    return BLOCK.sub(lambda found: found[1] + "\n" + BLOCKS[found[2]]() + "\n" + found[3], page)


def native_commands() -> list[str]:
    """All commands of the native engine."""
    pushes = chain.from_iterable(map(_push_scripts, NAMES))
    twins = (each.twin for each in chain(_scripts(ON_PARAMETER_SERVERS), pushes))
    return sorted([ASK, MEET, *(twin for twin in twins if twin)])


def working_commands() -> list[str]:
    """Those of them that workers call."""
    pushes = chain.from_iterable(map(_push_scripts, NAMES))
    return sorted([ASK, MEET, *(each.twin for each in chain(WORKING, pushes) if each.twin)])


def reading_commands() -> list[str]:
    """Those of them that change nothing."""
    return sorted([ASK, MEET, *(each.twin for each in READING if each.twin)])


def current_access(text: str) -> str:
    """An access list as it should be, given as it is: a line for each user."""
    commands = {
        "coordinator": native_commands(),
        "worker": working_commands(),
        "reader": reading_commands(),
    }

    def current_line(line: str) -> str:
        may = commands.get(line.split()[1], [])
        return NATIVE_COMMANDS.sub(" ".join(f"+{name}" for name in may), line)

    return "".join(map(current_line, text.splitlines(keepends=True)))


def main() -> None:
    """Bring all pages and the access list up to date."""
    for path in sorted(FOLDER.glob("*.md")):
        path.write_text(current(path.read_text(encoding="utf-8")), encoding="utf-8")
    ACCESS_LIST.write_text(current_access(ACCESS_LIST.read_text()))


def _table(section: type[Section]) -> str:
    schema = section.model_json_schema()
    rows = ["| setting | allowed | default | meaning |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        text = field["description"]
        said = SAID_DEFAULT.search(text)
        default = said[1] if said else _shown(field.get("default"))
        meaning = _cell(SAID_DEFAULT.sub("", text))
        rows.append(f"| `{name}` | {_allowed(field)} | {_cell(default)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _shown(default: object) -> str:
    """A default as it is written in a TOML file."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str):
        return f'"{default}"'
    if isinstance(default, int | float):
        return f"{default:g}" if isinstance(default, float) else f"{default}"
    return str(default) if default else "none"


def _allowed(field: Mapping[str, Any]) -> str:
    """What a setting may be, in words."""
    if "anyOf" in field:
        options = [_allowed(each) for each in field["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(options))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum") or [field["const"]])
    kind = field["type"]
    if kind == "array":
        return f"list: {_allowed(field['items'])}"
    if kind == "object":
        return "table: KEY = VALUE"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "switch"}
    return " ".join([words[kind], *_bounds(field)])


def _bounds(field: Mapping[str, Any]) -> Iterator[str]:
    words = {
        "minimum": "from {:,}",
        "exclusiveMinimum": "above {:,}",
        "maximum": "to {:,}",
        "exclusiveMaximum": "below {:,}",
    }
    for bound, word in words.items():
        if bound in field:
            number = field[bound]
            yield word.format(int(number) if number == int(number) else number)


def _scripts(modules: tuple[ModuleType, ...]) -> list[Script]:
    found = chain.from_iterable(vars(module).values() for module in modules)
    scripts = {each.name: each for each in found if isinstance(each, Script)}
    return [scripts[name] for name in sorted(scripts)]


def _rule(name: str) -> str:
    """An update rule: its formula, and what its script takes beside the others."""
    native = " and ".join(f"`{each.twin}`" for each in _push_scripts(name))
    text = "\n".join(_comment(script_of(_default(name))))
    return f"**`push_{name}`** (native: {native})\n\n```text\n{text}\n```\n"


def _push_scripts(name: str) -> list[Script]:
    return [parameters.push_script(_default(name), shell) for shell in SHELLS]


def _default(name: str) -> Rule:
    if name not in OPTIMIZERS:
        return OUTER[name](1.0, 0.9, 1)  # type: ignore[index]
    return build_rule(ObjectiveSettings.model_validate({"optimizer": name}))


def _described(package: str, script: Script) -> str:
    return _parted(script.name, _opening(package, script.name), script.twin)


def _parted(name: str, lines: list[str], twin: str | None = None) -> str:
    """A script's first lines: what it does as a text, what it takes and replies as a table."""
    prose, parts = [""], dict[str, str]()
    inside = ""
    for line in lines:
        part = PART.fullmatch(line)
        if part:
            inside = part[1]
            parts[inside] = _cell(part[2])
        elif inside and line.startswith(" "):
            answers = inside == "Reply" and ANSWER.match(line)
            parts[inside] += ("<br>" if answers else " ") + _cell(line.strip())
        elif line:
            inside = ""
            prose[-1] = f"{prose[-1]} {_cell(line)}".lstrip()
        else:
            inside = ""
            prose.append("")
    native = f" (native: `{twin}`)" if twin else ""
    text = "\n\n".join(each for each in prose if each)
    rows = "\n".join(f"| {part} | {said} |" for part, said in parts.items())
    return f"**`{name}`**{native}: {text}\n\n| | |\n|---|---|\n{rows}\n"


def _opening(package: str, name: str) -> list[str]:
    return _comment(ROOT / "app" / package / "lua" / f"{name}.lua")


def _comment(script: Traversable) -> list[str]:
    """The comment that a script begins with."""
    lines = []
    for line in script.read_text(encoding="utf-8").splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").removeprefix(" "))
    return lines


def _cell(text: str) -> str:
    """Text as Markdown shows it in a table."""
    return re.sub(r"([|*_])", r"\\\1", html.escape(text, quote=False))


if __name__ == "__main__":
    main()
