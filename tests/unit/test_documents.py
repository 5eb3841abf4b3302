"""What the documents say is there: files, names, links, flags, settings, command lines."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from functools import cache
from pathlib import Path

import click
import pytest
from celery.bin.celery import celery
from flower import options as _flower  # noqa: F401  (defines them)
from tornado.options import options

from distbelief.app.datasets.cache import opening as data_cache
from distbelief.app.datasets.cache import upkeep
from distbelief.app.datasets.reading import access
from distbelief.app.errors import ExitCode
from distbelief.app.models import imports
from distbelief.app.settings import environment
from distbelief.app.settings.config import configure
from distbelief.app.settings.extras import installation
from distbelief.coordinator.commands.cli import main
from tests.documents import PAGES, ROOT, blocks, code, mentioned, prose

FILE = re.compile(
    r"((?:app|coordinator|worker_tasks|tests|docs|deploy|\.ci)/[\w./-]+?)/?(?::([A-Za-z_][\w.]*))?$"
)
LINK = re.compile(r"\]\(([^)]+)\)")
#: Programs whose flags are ours to know.
OURS = re.compile(r"python|^distbelief|celery|make")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9_-]+")

#: Flags of other programs.
CELERY = {"--pool", "--concurrency", "--without-gossip", "--without-mingle"}
CELERY |= {"--address", "--hostname", "--read_only"}
OTHERS = {
    *("--scan", "--pattern", "--requirepass", "--loadmodule", "--pairs", "--raw", "--config"),
    *("--minutes", "--older", "--team", "--workers", "--rounds", "--seeds", "--torch"),
    *("--part", "--calibrate", "--links", "--digits", "--only", "--clicks"),
    *CELERY,
}

#: A page of flags that are not there, all of which are typed by a test of its own.
MISTAKES = ROOT / "docs" / "mistakes.md"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def project() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = tomllib.loads((ROOT / "pyproject.toml").read_text())[
        "project"
    ]
    return found


@cache
def names_in(path: Path) -> set[str]:
    """Functions, classes and constants of a file, with those of its classes as Class.name."""

    def inside(body: list[ast.stmt], before: str) -> set[str]:
        names = set()
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(before + node.name)
                names |= inside(node.body, f"{node.name}.") if not before else set()
            elif isinstance(node, ast.Assign):
                names |= {each.id for each in node.targets if isinstance(each, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
        return names

    return inside(ast.parse(path.read_text(encoding="utf-8")).body, "")


def files(package: str) -> list[Path]:
    """The texts of a package."""
    endings = {".py", ".lua", ".c", ".h", ".html"}
    return [path for path in (ROOT / package).rglob("*") if path.suffix in endings]


def anchors(page: Path) -> set[str]:
    """What links may name within a page, as GitHub makes it of headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_there_are_pages_and_all_are_reached_from_the_readme() -> None:
    linked = {(ROOT / target).resolve() for target in LINK.findall(prose(PAGES[0]))}
    assert len(PAGES) > 5
    assert set(PAGES[1:]) <= linked


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_and_names_in_the_text_exist(page: Path) -> None:
    for text in code(page):
        found = FILE.match(text)
        if found is None or "NAME" in text:
            continue
        path, name = ROOT / found[1], found[2]
        assert path.exists(), text
        assert name is None or name in names_in(path), text


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_scripts_in_the_text_exist(page: Path) -> None:
    scripts = {path.name for path in (ROOT / "app").rglob("*.lua")}
    said = {text for text in code(page) if re.fullmatch(r"[a-z_]+\.lua", text)}
    assert said <= scripts


@pytest.mark.parametrize("page", [each for each in PAGES if each != MISTAKES], ids=named)
def test_flags_in_the_text_exist(page: Path) -> None:
    ours = {
        flag
        for command in (main, *main.load_commands())
        for option in command.params
        for flag in (*option.opts, *option.secondary_opts)
    } | {"--help", "--version"}
    # Of blocks only what is typed: the rest is what programs print.
    typed = [line for block in blocks(page) for line in block.commands if OURS.search(line)]
    said = {flag for text in [*code(page), *typed] for flag in FLAG.findall(text)}
    assert said <= ours | OTHERS


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_environment_variables_in_the_text_exist(page: Path) -> None:
    places = (environment.BROKER, environment.CONTROL, environment.PARAMETER_SERVERS)
    known = {imports.ALLOWED_IMPORTS_VARIABLE, *places, *(f"{place}_FILE" for place in places)}
    known |= {environment.METRICS_PASSWORD, f"{environment.METRICS_PASSWORD}_FILE"}
    known |= {access.PROTOCOLS_VARIABLE, access.ROOTS_VARIABLE, environment.KEY_PREFIX}
    assert data_cache.default_cache_folder.__doc__ is not None
    known |= set(re.findall(r"DISTBELIEF_\w+", data_cache.default_cache_folder.__doc__))
    known.add(upkeep.LIMIT_VARIABLE)
    assert set(re.findall(r"DISTBELIEF_\w+", page.read_text(encoding="utf-8"))) <= known


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_toml_in_the_text_is_a_configuration(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            configure(tomllib.loads(block.text))


def test_what_is_made_from_the_code_is_current() -> None:
    import reference  # docs/reference.py

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text == reference.current(text), f"{named(page)} is not current: run make docs"


def test_the_access_list_knows_the_commands_of_the_native_engine() -> None:
    import reference

    text = reference.ACCESS_LIST.read_text()
    assert f"+{reference.native_commands()[0]} " in text
    assert text == reference.current_access(text), "it is not current: run make docs"


def test_every_generated_part_is_in_some_page() -> None:
    import reference

    said = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert all(f"<!-- generated: {name} -->" in said for name in reference.BLOCKS)


def test_every_exit_code_has_its_advice() -> None:
    table = re.findall(
        r"^\| (\d+) \| (\w+) \| \S", (ROOT / "docs" / "operations.md").read_text(), re.MULTILINE
    )
    assert [(int(code), name) for code, name in table] == [
        (code.value, code.name.lower()) for code in ExitCode
    ]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_command_lines_within_sentences_can_be_typed(page: Path) -> None:
    for line in mentioned(page):
        words = [each for each in shlex.split(line) if "=" not in each.partition("/")[0]]
        check(words, line)


def check(words: list[str], line: str) -> None:
    """As far as it goes without running it."""
    match words:
        case ["python", "-m", "coordinator" | "distbelief", *rest] | ["distbelief", *rest]:
            parse(main, [each for each in rest if each != "..."], line)
        case ["python", "-m", module, *_]:
            assert (ROOT / f"{module.replace('.', '/')}.py").exists(), line
        case ["python", script, *_]:
            assert (ROOT / script).exists(), line
        case ["celery", "-A", "app" | "distbelief", "flower", *rest]:
            assert {each.strip("-").partition("=")[0] for each in rest} <= set(options.as_dict())
        case ["celery", "-A", "app" | "distbelief" | "shop", *rest]:
            parse(celery, rest, line)
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        case ["pip", "install" | "wheel", wanted]:
            here = re.fullmatch(r"\.(?:\[(\w+)\])?", wanted)
            assert here, line
            assert here[1] in {None, *project()["optional-dependencies"]}, line
        case ["source", ".venv/bin/activate"]:
            assert "VENV := .venv\n" in (ROOT / "Makefile").read_text()
        case [".ci/run"]:
            assert (ROOT / ".ci" / "run").exists()
        case _:
            pytest.fail(f"nobody knows how to try '{line}'")


def parse(group: click.Group, words: list[str], line: str) -> None:
    """Raise for unknown commands and flags; a command's own checks come later."""
    context = click.Context(group)
    names = group.list_commands(context)
    place = next((i for i, each in enumerate(words) if each in names), len(words))
    known = {flag for option in group.params for flag in option.opts} | {"--help"}
    assert set(words[:place]) <= known, line
    rest = words[place + 1 :]
    if rest and rest != ["--help"]:
        command = group.get_command(context, words[place])
        assert command is not None
        command.make_parser(click.Context(command)).parse_args(rest)


def test_a_command_that_is_not_there_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        check(["python", "-m", "coordinator", "train", "--lerning-rate", "1"], "")
    with pytest.raises(click.UsageError):
        check(["distbelief", "train", "--lerning-rate", "1"], "")
    with pytest.raises(AssertionError):
        check(["make", "tea"], "")


EXTRAS = [
    "flower",
    "parquet",
    "remote",
    "report",
    "sklearn",
    "sparse",
    "tensorboard",
    "torch",
    "zstd",
]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_that_a_message_names_is_one(extra: str) -> None:
    assert extra in project()["optional-dependencies"]
    command = installation(extra).partition(" in the ")[0]
    check(shlex.split(command), command)


def test_all_extras_but_pytorch_come_with_one_name() -> None:
    (found,) = project()["optional-dependencies"]["all"]
    assert found == f"distbelief[{','.join(sorted({*EXTRAS} - {'torch'}))}]"


def test_nobody_is_sent_to_an_index_for_a_name_that_anybody_could_register() -> None:
    texts = [*(ROOT / "deploy").iterdir(), *PAGES]
    texts += [path for name in ("app", "worker_tasks", "coordinator") for path in files(name)]
    for path in texts:
        if path.is_file():
            assert not re.search(r"install ['\"]?distbelief", path.read_text("utf-8")), path
