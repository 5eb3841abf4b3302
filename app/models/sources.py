"""Digests of a user's modules, taken when they are imported: what a process really computes with.

A file that changes afterwards changes nothing here, as it changes nothing in this process.
Covered are the module that is named and whatever else of its top-level package is loaded; of a
module without a package, those that lie beside it. The source counts, with any line endings;
what has none that can be read (a compiled module) has an empty digest.
"""

from __future__ import annotations

import hashlib
import importlib
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import CodeType, ModuleType

#: Of packages with more loaded modules only the one that is named is looked at: reading all
#: of a large library takes too long, and its version says as much.
MOST_MODULES = 200

#: By module: what it was loaded from, which is another one after a reload, and the digest.
_taken: dict[str, tuple[object, str]] = {}

#: Modules whose files had changed already when their digests were taken.
_older: set[str] = set()


def take(module_path: str) -> None:
    """Take the digests of a module that was just imported, and of those it brought along."""
    for name in _related(module_path):
        module = sys.modules.get(name)
        if module is None:
            continue
        origin = getattr(module, "__spec__", None) or module
        if name not in _taken or _taken[name][0] is not origin:
            source = _source(module)
            _taken[name] = origin, _digest(source)
            _older.discard(name)
            if source is not None and not _holds(module, source):
                _older.add(name)


def digests(module_paths: Iterable[str]) -> dict[str, str]:
    """The digests of these modules and their companions, by name; of those that are loaded."""
    found: dict[str, str] = {}
    for path in module_paths:
        take(path)  # what was imported since
        found |= {name: _taken[name][1] for name in _related(path) if name in _taken}
    return dict(sorted(found.items()))


def outdated(module_paths: Iterable[str]) -> list[str]:
    """Of these modules and their companions those whose files changed since they were imported."""
    taken = digests(module_paths)
    return [
        name
        for name, digest in taken.items()
        if name in _older or (digest and _digest(_source(sys.modules[name])) not in ("", digest))
    ]


def forget(module_paths: Iterable[str]) -> None:
    """Have these modules and their companions imported anew when they are needed next."""
    for path in module_paths:
        for name in _related(path):
            sys.modules.pop(name, None)
            _taken.pop(name, None)
            _older.discard(name)
    importlib.invalidate_caches()


def differing(here: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """The modules that both have, and whose sources, read in both, are not the same."""
    return [
        name
        for name, digest in here.items()
        if digest and expected.get(name) and expected[name] != digest
    ]


def _related(module_path: str) -> list[str]:
    top = module_path.partition(".")[0]
    tops = {top, *_beside(top)}
    names = sorted(name for name in list(sys.modules) if name.partition(".")[0] in tops)
    if len(names) > MOST_MODULES:
        return [module_path] if module_path in sys.modules else []
    return names


def _beside(top: str) -> set[str]:
    """Top-level modules in the folder of a module of one file, unless packages are installed there.

    Our own are looked at elsewhere, and a program's main module has another name in a worker.
    """
    module = sys.modules.get(top)
    folder = None if module is None or hasattr(module, "__path__") else _folder(module)
    if folder is None or folder in _installed():
        return set()
    others = [(name, each) for name, each in list(sys.modules.items()) if "." not in name]
    ours = {"__main__", "distbelief"}
    return {name for name, each in others if name not in ours and _folder(each) == folder}


def _folder(module: ModuleType) -> Path | None:
    """Where a top-level module, or the folder of a package, lies."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return None
    folder = Path(file).parent
    return folder.parent if hasattr(module, "__path__") else folder


def _installed() -> set[Path]:
    folders = [*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()]
    return {Path(folder) for folder in folders}


def _source(module: ModuleType) -> str | None:
    """The source as it is now; None for what is compiled, or was made by a program."""
    spec = getattr(module, "__spec__", None)
    try:
        found: str | None = spec.loader.get_source(spec.name)  # type: ignore[union-attr]
    except (AttributeError, ImportError, OSError, SyntaxError, ValueError):
        return None
    return found


def _digest(source: str | None) -> str:
    if source is None:
        return ""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _holds(module: ModuleType, source: str) -> bool:
    """Whether the functions and methods of a module are those of ``source``."""
    file = getattr(module, "__file__", None) or ""
    try:
        compiled = compile(source, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    there = set(_codes(compiled))
    owners = [module, *(each for each in vars(module).values() if isinstance(each, type))]
    found = (getattr(each, "__code__", None) for owner in owners for each in vars(owner).values())
    return all(
        code in there for code in found if isinstance(code, CodeType) and code.co_filename == file
    )


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)
