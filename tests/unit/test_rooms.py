"""The floors of the house: the folders of a package need one another in one direction only.

Whoever stands on a floor may use those below it. An import counts wherever in a file it is,
inside functions and for type checking, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Packages whose folders are rooms, and the modules that may lie beside these: doors, by which
#: users and programs come in and which need the rooms, and at most one that all rooms share.
DOORS = {
    "coordinator": {"api", "__main__"},
    "app": set[str](),
    "app/store": set[str](),
    "app/datasets": set[str](),
}

#: For each arrow from one room to another the imports that make it: "file imports name".
Arrows = Mapping[tuple[str, str], list[str]]


def imported(path: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(folder: Path, package: str) -> Arrows:
    """What the rooms of a package need of one another; ``package`` is its dotted name."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        here = path.relative_to(folder).parts[0].removesuffix(".py")
        for name in imported(path):
            there = name.removeprefix(f"{package}.").partition(".")[0]
            if name.startswith(f"{package}.") and there != here:
                text = f"{path.relative_to(folder)} imports {name}"
                found.setdefault((here, there), []).append(text)
    return found


def ring(found: Arrows) -> list[str]:
    """Rooms of which each needs the next one, and the last one the first; empty if none do."""
    needs: dict[str, list[str]] = {}
    for here, there in found:
        needs.setdefault(here, []).append(there)
    safe: set[str] = set()

    def search(trail: list[str]) -> list[str]:
        for room in needs.get(trail[-1], []):
            if room in trail:
                return trail[trail.index(room) :]
            if room not in safe and (rooms := search([*trail, room])):
                return rooms
        safe.add(trail[-1])
        return []

    return next((rooms for room in needs if (rooms := search([room]))), [])


def described(rooms: list[str], found: Arrows) -> str:
    """The ring, and under each of its arrows the imports that make it."""
    lines = [f"these rooms form a ring: {' -> '.join([*rooms, *rooms[:1]])}"]
    for here, there in zip(rooms, [*rooms[1:], *rooms[:1]], strict=True):
        lines += [f"  {here} -> {there}:", *(f"    {each}" for each in found[here, there])]
    return "\n".join(lines)


@pytest.mark.parametrize("name", DOORS)
def test_the_rooms_form_no_ring(name: str) -> None:
    found = arrows(ROOT / name, f"distbelief.{name.replace('/', '.')}")
    assert found
    rooms = ring(found)
    assert not rooms, described(rooms, found)


@pytest.mark.parametrize("name", DOORS)
def test_at_most_one_module_lies_beside_the_rooms(name: str) -> None:
    loose = {path.stem for path in (ROOT / name).glob("*.py")} - {"__init__"} - DOORS[name]
    assert len(loose) <= 1, f"loose in {name}: {', '.join(sorted(loose))}"


def write(folder: Path, files: Mapping[str, str]) -> Arrows:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return arrows(folder, "house")


def test_a_ring_is_told_with_the_imports_that_make_it(tmp_path: Path) -> None:
    files = {
        "attic/roof.py": "from house.kitchen.oven import heat\n",
        "kitchen/oven.py": "def heat():\n    from house.cellar import coal, wood\n",
        "cellar/coal.py": "import house.kitchen.oven\nimport os\n",
    }
    found = write(tmp_path, files)
    rooms = ring(found)
    assert set(rooms) == {"kitchen", "cellar"}
    assert described(["kitchen", "cellar"], found).splitlines() == [
        "these rooms form a ring: kitchen -> cellar -> kitchen",
        "  kitchen -> cellar:",
        "    kitchen/oven.py imports house.cellar.coal",
        "    kitchen/oven.py imports house.cellar.wood",
        "  cellar -> kitchen:",
        "    cellar/coal.py imports house.kitchen.oven",
    ]


def test_floors_above_one_another_are_no_ring(tmp_path: Path) -> None:
    files = {
        "attic/roof.py": "from house.kitchen.oven import heat\nfrom house.cellar import coal\n",
        "attic/beam.py": "from house.attic.roof import tile\n",
        "kitchen/oven.py": "from house.cellar.coal import burn\n",
        "door.py": "from house.attic import roof\n",
    }
    found = write(tmp_path, files)
    assert set(found) == {
        ("attic", "kitchen"), ("attic", "cellar"), ("kitchen", "cellar"), ("door", "attic"),
    }  # fmt: skip
    assert ring(found) == []
