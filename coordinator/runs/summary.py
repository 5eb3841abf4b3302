"""What lists show of a run, in a few hundred bytes beside its run.json.

To check a run.json is to build everything that it describes, which takes longer than to read it. So
what was checked once is kept in ``summary.json``, with the digest of the run.json that it was made
of: it counts as long as that is there to the byte, whoever copied, edited or replaced it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.app.files.documents import read_regular

FORMAT = 1


@dataclass(frozen=True)
class Summary:
    """A run as its run.json describes it.

    ``control`` is where its control server was, ``output`` its model's file if that was named,
    ``outcome`` how it ended, empty if it did not.
    """

    algorithm: str
    model: str
    data: str
    name: str | None
    note: str
    embedded: bool
    control: str
    output: str | None
    outcome: dict[str, Any]


def summarize(document: Mapping[str, Any]) -> Summary:
    """Summarize a run.json that is known to be right."""
    config, place = document["record"]["config"], document["place"]
    return Summary(
        algorithm=config["algorithm"],
        model=config["model"],
        data=config["data"],
        name=config.get("name"),
        note=config.get("note", ""),
        embedded=place["embedded"],
        control=place.get("control", place["broker"]),
        output=document["cluster"].get("output"),
        outcome=document["outcome"],
    )


def read(folder: Path) -> Summary | None:
    """Read the summary in a run's folder; None if there is none of the run.json of now."""
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        written = json.loads(read_regular(folder / "summary.json"))
        if written["format"] == FORMAT and written["digest"] == _digest(
            read_regular(folder / "run.json")
        ):
            return Summary(**written["summary"])
    return None


def write(folder: Path, text: bytes, document: Mapping[str, Any]) -> None:
    """Keep the summary of a run.json, which has this text; without a place for it there is none."""
    with suppress(OSError, ConfigError, KeyError):
        content = {"summary": asdict(summarize(document)), "digest": _digest(text)}
        with replacing(folder / "summary.json", flushed=False) as partial:
            partial.write_text(json.dumps({"format": FORMAT, **content}))


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Keep the summary of the run.json that is checked meanwhile, if it has none."""
    text = None if read(folder) is not None else _text(folder)
    yield
    if text is not None and text == _text(folder):
        write(folder, text, json.loads(text))


def _text(folder: Path) -> bytes | None:
    with suppress(OSError):
        return read_regular(folder / "run.json")
    return None


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()
