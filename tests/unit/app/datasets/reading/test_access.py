"""What may be opened as data: some protocols, no chains, and for workers only some places."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distbelief.app.datasets.cache.opening import open_cached
from distbelief.app.datasets.formats.registry import open_reader
from distbelief.app.datasets.reading import access, files
from distbelief.app.datasets.reading.access import only_under
from distbelief.app.datasets.reading.whole_files import open_file
from distbelief.app.errors import DataError
from distbelief.app.settings.config import RunConfig
from distbelief.worker_tasks.data import open_here

CSV = "a,y\n1,2\n3,4\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Data in a folder that is allowed, and beside it, and links between them."""
    for name in ("allowed", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.csv").write_text(CSV)
        np.savez(tmp_path / name / "a.npz", x=[[1.0], [2.0]], y=[0, 1])
    (tmp_path / "allowed" / "out.csv").symlink_to(tmp_path / "other" / "a.csv")
    (tmp_path / "allowed" / "out.npz").symlink_to(tmp_path / "other" / "a.npz")
    (tmp_path / "allowed" / "elsewhere").symlink_to(tmp_path / "other")
    (tmp_path / "allowed" / "[ab].csv").symlink_to(tmp_path / "other" / "a.csv")
    return tmp_path


@pytest.mark.parametrize("name", ["a.csv", "a.npz", "../allowed/a.csv", "a.*sv"])
def test_data_under_a_root_are_opened(house: Path, name: str) -> None:
    with only_under([str(house / "allowed")]):
        assert open_cached(f"{house}/allowed/{name}", {}, house / "cache").n_examples == 2
        assert open_cached("synthetic:softmax", {"examples": 9}, house / "cache").n_examples == 9


@pytest.mark.parametrize(
    "name",
    ["../other/a.csv", "../other/a.npz", "out.csv", "out.npz", "elsewhere/a.csv", "o*.csv",
     "[ab].csv", "../*er/a.csv", "../other", "elsewhere", "../none.csv"],
)  # fmt: skip
def test_data_outside_of_all_roots_are_not_opened_whatever_leads_there(
    house: Path, name: str
) -> None:
    source = f"{house}/allowed/{name}"
    for written in (source, f"file://{source}") if "npz" not in name else (source,):
        with (
            only_under([str(house / "allowed"), "s3://bucket"]),
            pytest.raises(DataError, match="only under") as raised,
        ):
            open_cached(written, {}, house / "cache")
        assert "DISTBELIEF_DATA_ROOTS" in str(raised.value)


def test_arrays_that_were_handed_over_are_data_too(house: Path) -> None:
    with only_under([str(house / "allowed")]), pytest.raises(DataError, match="only under"):
        open_cached(f"arrays:{house}/other", {}, house / "cache")


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("s3://bucket/part/a.csv", True),
        ("s3://bucket/part", True),
        ("s3://bucket/party/a.csv", False),
        ("s3://bucket/part/../b.csv", False),
        ("s3://bucket/part/%2e%2e/b.csv", False),
        ("https://bucket/part/a.csv", False),
        ("/part/a.csv", False),
    ],
)
def test_urls_are_held_to_roots_by_their_names(name: str, inside: bool) -> None:
    with only_under(["s3://bucket/part/"]):
        if inside:
            access.check_access(name)
            return
        with pytest.raises(DataError, match="only under"):
            access.check_access(name)


@pytest.mark.parametrize(
    "url",
    [
        "reference://?fo=x.json",
        "http://host/a.csv",
        "github://a/c.csv",
        "ssh://host/a.csv",
        "simplecache::https://host/a.csv",
        "reference://::file:///tmp/x.json",
        "filecache::s3://b/*.csv",
        "https://host/a.csv::zip://b.csv",
        "memory://a*::b.csv",
    ],
)
def test_other_protocols_and_chains_are_refused_before_anything_is_asked(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "_file_system", None)
    with pytest.raises(DataError, match=r"are not opened") as raised:
        open_cached(url, {"format": "csv"}, tmp_path)
    assert str(raised.value).startswith(url)


def test_a_reference_file_runs_nothing(tmp_path: Path) -> None:
    """As an older fsspec did: the file said what to import and what to call."""
    target = tmp_path / "ran"
    template = "{% for c in [].__class__.__base__.__subclasses__() %}{% endfor %}"
    reference = {"version": 1, "templates": {"u": template}, "refs": {"a": [f"file://{target}"]}}
    written = "data:application/json," + json.dumps(reference)
    for url in (f"reference://a?fo={written}", f"reference://::{written}"):
        with pytest.raises(DataError, match="are not opened"):
            open_cached(url, {"format": "csv"}, tmp_path)
    assert not target.exists()


def test_the_operator_names_protocols(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/named.csv", CSV.encode())
    with pytest.raises(
        DataError, match="DISTBELIEF_DATA_PROTOCOLS=file,https,s3,gs,abfs,hf,memory"
    ):
        open_cached("memory://named.csv", {}, tmp_path)
    monkeypatch.setenv(access.PROTOCOLS_VARIABLE, "s3, memory")
    assert open_cached("memory://named.csv", {}, tmp_path).n_examples == 2
    memory.rm("/named.csv")


def test_an_old_fsspec_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setattr(sys.modules["fsspec"], "__version__", "2026.5.9")
    with pytest.raises(DataError, match=r"fsspec 2026\.5\.9 is installed.*2026\.6 or newer.*pip"):
        open_cached("s3://a/b.csv", {}, tmp_path)


def test_a_file_that_might_never_end_is_refused() -> None:
    with pytest.raises(DataError, match="no regular file"), open_file("/dev/zero"):
        raise AssertionError
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_reader("/dev/zer[o]", {"format": "csv"})


# --- workers


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))

    def open_data(source: Path, **settings: Any) -> int:
        config = RunConfig(data=str(source), holdout=0, **settings)
        return open_here(config).dataset.n_examples

    return open_data


@pytest.mark.parametrize("source", ["none.csv", "none", "arrays:/nowhere/data", "file:///none.csv"])
def test_a_worker_that_lacks_what_the_coordinator_has_says_what_helps(
    worker: Any, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=r"not on the machine of worker .* train with --stage-data"):
        worker(source)
    monkeypatch.setenv(access.ROOTS_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"only under .*, or train with --stage-data"):
        worker(source)


SECRET = "root:$6$hunter2:0:0\nbin:*:1\n"


@pytest.mark.parametrize("options", [{}, {"delimiter": ":"}, {"target": "x"}, {"header": True}])
def test_a_worker_tells_nothing_of_what_is_in_a_file_that_is_no_data(
    worker: Any, tmp_path: Path, options: Any
) -> None:
    (tmp_path / "shadow").write_text(SECRET)
    shadow = tmp_path / "shado[w]"  # its name alone is that of no data, and is refused
    for form in ("csv", "libsvm", "npy", "parquet"):
        said = options if form == "csv" else {}
        with pytest.raises(DataError) as raised:
            worker(shadow, data_options={"format": form, **said})
        assert "hunter2" not in str(raised.value)
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None
        assert f"'distbelief data {shadow}'" in str(raised.value)


def test_a_worker_says_what_is_wrong_with_data(worker: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,y\nnone,1\n2,2\n")
    with pytest.raises(DataError, match=r"a\.csv: line 2: .*'none' is not a number"):
        worker(tmp_path / "a.csv", data_options={"categorical": ""})
    with pytest.raises(DataError, match="no file matches this pattern"):
        worker(tmp_path / "part-?", data_options={"format": "csv"})
    (tmp_path / "part-0").write_text(CSV)
    assert worker(tmp_path / "part-?", data_options={"format": "csv"}) == 2


def test_a_worker_opens_only_what_its_operator_allows(
    worker: Any, house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker(house / "other" / "a.csv") == 2
    monkeypatch.setenv(access.ROOTS_VARIABLE, f"{house}/allowed, s3://bucket")
    assert worker(house / "allowed" / "a.csv") == 2
    for settings in (
        {"source": house / "other" / "a.csv"},
        {"source": house / "allowed" / "a.csv", "holdout_data": str(house / "other" / "a.csv")},
    ):
        with pytest.raises(DataError, match="only under"):
            worker(**settings)
