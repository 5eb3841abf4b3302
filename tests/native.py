"""The native engine, built from the sources that are here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from distbelief.app.store.native import sources

#: The file that is built.
ENGINE = "engine.so"

#: Wrong accesses of memory and undefined operations end the server.
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def compiler() -> str:
    """The C compiler; without one the test is skipped on a laptop, and fails in CI."""
    found = shutil.which("cc")
    if found is None:
        give_up = pytest.fail if "CI" in os.environ else pytest.skip
        give_up("there is no C compiler to build the native engine with")
    return found


def build_engine(folder: Path, *more: str) -> None:
    """Build the engine as an installation does, with ``more`` arguments of the compiler."""
    (folder / "each_rule.h").write_text(sources.each_rule())
    flags = ["-fPIC", "-shared", f'-DVERSION="{sources.version()}"', *sources.FLAGS, *more]
    included = [f"-I{folder}", f"-I{sources.RULES}"]
    files = map(str, sources.compiled())
    command = [compiler(), *flags, *included, "-o", str(folder / ENGINE), *files, "-lm"]
    subprocess.run(command, check=True)


#: Valkey has a module prefer its own symbols, which a sanitizer cannot have.
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
void *dlopen(const char *path, int flags) {
    void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return next(path, flags & ~RTLD_DEEPBIND);
}
"""


@contextmanager
def sanitizer() -> Iterator[dict[str, str]]:
    """Variables with which a server that was built without it loads a sanitized engine.

    It then checks the server's own strings as well, which are its C library's.
    """
    where = [compiler(), "-print-file-name=libasan.so"]
    library = subprocess.run(where, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("the C compiler has no libasan.so")
    with tempfile.TemporaryDirectory(prefix="distbelief-native-") as folder:
        source, shim = Path(folder) / "shim.c", Path(folder) / "shim.so"
        source.write_text(SHIM)
        subprocess.run(
            [compiler(), "-fPIC", "-shared", "-o", str(shim), str(source), "-ldl"], check=True
        )
        options = "detect_leaks=0:verify_asan_link_order=0:max_free_fill_size=65536"
        yield {"LD_PRELOAD": f"{shim}:{library}", "ASAN_OPTIONS": options}
