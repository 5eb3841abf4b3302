"""Converting a file takes no more memory when the file is larger."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CONVERTER = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from distbelief.app.datasets.cache.opening import open_cached

    source, folder = sys.argv[1:3]
    open_cached(source + ".small.csv", {}, Path(folder))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data = open_cached(source, {}, Path(folder))
    print(data.n_examples, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str) -> None:
    word = "red" if kind == "sparse" else "7"
    lines = "".join(f"{i}.25,{i % 97},{word},{i % 3}\n" for i in range(50_000))
    for name, repeats in (("a.csv.small.csv", 3), ("a.csv", 15)):
        (tmp_path / name).write_text("a,b,c,label\n" + lines * repeats)
    done = subprocess.run(
        [sys.executable, "-c", CONVERTER, tmp_path / "a.csv", tmp_path / "cache"],
        cwd=Path(__file__).parents[5],
        capture_output=True,
        text=True,
        check=True,
    )
    n_examples, grown_kb = map(int, done.stdout.split())
    assert n_examples == 750_000
    assert grown_kb < 5_000  # the arrays alone take 15 MB, and half the file is 5 MB
