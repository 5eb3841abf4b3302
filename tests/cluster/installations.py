"""The package as pip installs it, in environments with what its users have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 300.0

#: What is made beside the sources.
MADE = ("__pycache__", "*.so")
MADE_AT_THE_TOP = (".*", "runs", "build", "dist", "*.egg-info")


@dataclass(frozen=True)
class Project:
    """Somebody's folder with packages of their own, and an environment with our wheel in it."""

    folder: Path
    environment: Path

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def packages(self) -> Path:
        """Where packages are installed."""
        (found,) = self.environment.glob("lib/python*/site-packages")
        return found

    def run(self, *words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, by default in the project's folder."""
        program, *rest = map(str, words)
        return subprocess.run(
            [self.environment / "bin" / program, *rest],
            cwd=folder or self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=DEADLINE_S,
        )

    @property
    def variables(self) -> dict[str, str]:
        """As in a shell of the user's: nothing of ours says where modules are."""
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def build(folder: Path) -> None:
    """Write the archive of the sources, and the wheel that is built from it alone."""
    sources = folder / "sources"
    made, at_the_top = shutil.ignore_patterns(*MADE), shutil.ignore_patterns(*MADE_AT_THE_TOP)

    def left_out(path: str, names: list[str]) -> set[str]:
        return made(path, names) | (at_the_top(path, names) if path == str(REPOSITORY) else set())

    shutil.copytree(REPOSITORY, sources, symlinks=True, ignore=left_out)
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(sources)]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)


def install(built: Path, at: Path, folder: Path, packages: Sequence[Path] = ()) -> Project:
    """Install the wheel in an environment that also has the packages of other folders."""
    environment = at / "environment"
    venv.create(environment)  # a pip of its own takes seconds
    (wheel,) = built.glob("*.whl")
    project = Project(folder, environment)
    pip = [sys.executable, "-m", "pip", "--python", str(project.python)]
    pip += ["--quiet", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=60)
    (project.packages / "needed.pth").write_text("".join(f"{each}\n" for each in packages))
    return project


def install_needed(built: Path, at: Path, folder: Path, *extras: str) -> Project:
    """Install the wheel in an environment with what it needs with these extras, and no more."""
    project = install(built, at, folder)
    (information,) = project.packages.glob("distbelief-*.dist-info")
    for needed in requirements(Distribution.at(information), {"", *extras}):
        for file in needed.files or ():
            top = file.parts[0]
            link = project.packages / top
            if top not in ("..", "__pycache__") and not link.exists():
                link.symlink_to(Path(str(needed.locate_file(top))))
    return project


def requirements(
    of: Distribution, extras: set[str], seen: set[tuple[str, str]] | None = None
) -> Iterator[Distribution]:
    """The distributions that one needs with these extras, by what they say themselves."""
    seen = seen if seen is not None else set()
    for text in of.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in extras):
            continue
        wanted = {(requirement.name, extra) for extra in {"", *requirement.extras}} - seen
        if wanted:
            seen |= wanted
            found = distribution(requirement.name)
            yield found
            yield from requirements(found, {extra for _, extra in wanted}, seen)
