"""Builds the native engine; all else about the package is in pyproject.toml."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

#: Run, not imported: what the package needs may not be installed yet.
ENGINE = runpy.run_path("distbelief/app/store/native/sources.py")


class BuildEngine(build_ext):
    """Compiles the engine beside the list of update rules, which its sources include."""

    def build_extension(self, ext: Any) -> None:
        folder = Path(self.build_temp)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "each_rule.h").write_text(ENGINE["each_rule"](), encoding="utf-8")
        ext.include_dirs = [str(folder), str(ENGINE["RULES"])]
        super().build_extension(ext)


setup(
    cmdclass={"build_ext": BuildEngine},
    ext_modules=[
        Extension(
            "distbelief.app.store.native.engine",
            sources=list(map(str, ENGINE["compiled"]())),
            depends=[str(path) for path in (*ENGINE["headers"](), *ENGINE["mirrored"]())],
            define_macros=[("VERSION", f'"{ENGINE["version"]()}"')],
            extra_compile_args=list(ENGINE["FLAGS"]),
            optional=True,  # without a C compiler the servers' Lua does the work
        )
    ],
)
