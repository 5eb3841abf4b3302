"""The journal of a run, in its folder: a line of JSON for each event.

The control server keeps only the last events, and an embedded one ends with its run; a
report is made from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from distbelief.app.errors import ConfigError
from distbelief.app.files.documents import parse_object
from distbelief.coordinator.progress.events import Event

#: The year 9999, after which there are no dates.
LAST_S = 253_370_764_800


class Journal:
    """Appends events to a file. A full disk ends the journal, not the training.

    Args:
        path: the file; events of a coordinator before stay there.
        say: told once when the journal ends early.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._over = False

    def append(self, event: Event) -> None:
        """Write an event down; a listener of a session."""
        if self._over:
            return
        line = json.dumps({"at": round(event.at, 4), "kind": event.kind, **event.fields})
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            self._over = True
            self._say(f"no more events are written to {self._path}: {error.strerror}")


def read(path: Path, odd: Callable[[], None] = lambda: None) -> Iterator[Event]:
    """The events of a journal, oldest first; none if there is no file.

    A line that is cut off, as a kill may leave it, is passed over; so are others that are no
    events, each of which ``odd`` is told.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                try:
                    document = parse_object(line)
                    at, kind = float(document.pop("at")), str(document.pop("kind"))
                    if not 0 <= at < LAST_S:
                        raise ValueError(f"an event at {at}")
                except (ValueError, KeyError, TypeError, OverflowError):
                    if line.endswith("\n"):
                        odd()
                    continue
                yield Event(at, kind, document)
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
