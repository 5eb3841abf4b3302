"""What a part of the benchmarks is, and how it is run as a command of its own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contest.contestant import Field
from contest.machine import machine

DEFAULT_FOLDER = Path("runs/bench")
DIGITS = Path("../shared/data/mnist10k/t10k-images-idx3-ubyte.gz")


@dataclass(frozen=True)
class Part:
    """``run`` measures, and returns what is written as JSON; ``lines`` and ``draw`` show that.

    ``draw`` gets as many of matplotlib's axes as ``axes`` says.
    """

    name: str
    title: str
    run: Callable[[argparse.Namespace, Field], dict[str, Any]]
    lines: Callable[[dict[str, Any]], list[str]]
    draw: Callable[[Sequence[Any], dict[str, Any]], None]
    axes: int


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that all parts have."""
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--small", action="store_true", help="a try: small sizes, few rounds")
    found.add_argument("--rounds", type=int, help="alternating rounds [default: by part]")
    found.add_argument("--only", nargs="+", help="contestants whose names begin so")
    found.add_argument(
        "--folder", type=Path, default=DEFAULT_FOLDER, help="for results, logs and data"
    )
    found.add_argument(
        "--digits", type=Path, default=DIGITS, help="images of the real digits, in IDX format"
    )
    return found


def measure(part: Part, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a part and print its tables; who does not take part is named."""
    print(f"{part.title}", flush=True)
    before, logs = machine(), arguments.folder.resolve() / "logs" / part.name
    field = Field(logs, only=tuple(arguments.only or ("",)))
    results = part.run(arguments, field)
    about = {"machine": before, "small": arguments.small, "kernels": field.kernels}
    found = {**about, "absent": field.absent, **results}
    print("\n".join([*part.lines(found), *kernels(found), *missing(found)]), flush=True)
    print()
    return found


def kernels(found: dict[str, Any]) -> list[str]:
    """Who computes with what: a line for all that do it alike."""
    alike: dict[str, list[str]] = {}
    for name, loaded in found["kernels"].items():
        alike.setdefault(", ".join(loaded) or "none", []).append(name)
    return [f"linear algebra: {which} ({'; '.join(names)})" for which, names in alike.items()]


def missing(found: dict[str, Any]) -> list[str]:
    return [f"missing: {name}: {why}" for name, why in found["absent"].items()]


def command(part: Part, description: str | None, words: Sequence[str] | None = None) -> None:
    """A part by itself: tables, ``NAME.json`` and ``NAME.png`` in the folder."""
    arguments = parser(description).parse_args(words)
    write([part], {part.name: measure(part, arguments)}, arguments.folder, part.name)


def write(parts: Sequence[Part], found: dict[str, Any], folder: Path, name: str) -> None:
    """Write results and figure."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{name}.json"
    place.write_text(json.dumps(found, indent=1))
    print(f"results: {place}")
    try:
        import matplotlib as mpl
        from matplotlib import pyplot
    except ModuleNotFoundError:
        print("no figure: matplotlib is not installed: pip install --group bench")
        return
    mpl.use("Agg")
    total = sum(part.axes for part in parts)
    columns = min(total, 4)
    figure, grid = pyplot.subplots(
        -(-total // columns), columns, squeeze=False, layout="constrained",
        figsize=(5.5 * columns, 4.2 * -(-total // columns)),
    )  # fmt: skip
    free = list(grid.flat)
    for part in parts:
        part.draw(free[: part.axes], found[part.name])
        del free[: part.axes]
    for axes in free:
        axes.remove()
    for kind in ("png", "svg"):
        figure.savefig(folder / f"{name}.{kind}")
    print(f"figure: {folder / name}.png, .svg")
