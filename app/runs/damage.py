"""What was found under a key of ours, once it is known to be what this program writes.

Whoever may write to the control server may have written anything there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_core import from_json

from distbelief.app.errors import RunDamaged

#: Milliseconds, fences and counts are whole numbers that JSON can hold.
Whole = Annotated[int, Field(ge=0, lt=1 << 53)]

#: Characters of a value that a message shows.
SHOWN = 120


def parsed(text: Any) -> Any:
    """What a JSON text holds, of a depth that we can follow."""
    return from_json(text, allow_inf_nan=True) if isinstance(text, bytes) else text


#: A JSON object, or the bytes of one.
Document = Annotated[dict[str, Any], BeforeValidator(parsed)]


@contextmanager
def understood(key: str) -> Iterator[None]:
    """Take apart what was found under ``key``.

    Raises:
        RunDamaged: it is not what this program writes there.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise RunDamaged(
            f"{key} is not as this program writes it ({_complaint(error)}): who else writes to "
            "this server? Remove what is nobody's; a run that ended by it can be resumed"
        ) from error


def damaged(run: str, where: str, error: Exception) -> RunDamaged:
    """The error for a run of which something was written that cannot be."""
    return RunDamaged(
        f"run {run} is not as this program writes runs ({_complaint(error)}): look at {where}, and "
        "remove it if it is nobody's"
    )


def _complaint(error: Exception) -> str:
    """What is wrong, and with which value; that may be long, and a terminal's command."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return ": ".join([".".join(map(str, first["loc"])), first["msg"], _short(first["input"])])
    return _short(str(error)) if isinstance(error, ValueError) else _short(repr(error))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else ascii(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
