"""What the documents say that can be tried: blocks of code, command lines, names of files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "examples").glob("*.md")),
    ROOT / "deploy" / "README.md",
]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PROGRAM = re.compile(
    r"(?:[A-Z_]+=\S+ )?(?:python|distbelief|celery|make|pip|source|redis-server|"
    r"valkey-server|docker|systemctl)\s+\S|\.ci/"
)


@dataclass(frozen=True)
class Block:
    """A fenced piece of a page."""

    page: Path
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is, if its first line says one."""
        found = re.match(r"# (\S+\.\w+)\n", self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[str]:
        """The lines behind a prompt, with those that they go on in."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(page, language, inside) for language, inside in FENCE.findall(text)]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def code(page: Path) -> Iterator[str]:
    """What is set as code within sentences."""
    return (re.sub(r"\s+", " ", found) for found in CODE.findall(prose(page)))


def mentioned(page: Path) -> list[str]:
    """Command lines within sentences."""
    return [each for each in code(page) if PROGRAM.match(each)]
