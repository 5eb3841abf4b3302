"""Messages as they lie in their queues: ours are read, and everything else is known as odd.

Whoever may write to the control server may put anything there. A message that gets to Celery is
made anew from what was read here, so that nothing in it is a stranger's but the run's name, the
arguments, and words to be shown.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

#: Arguments of a task after the first, which is the run.
Arguments = tuple[str | int, ...]

#: A queue for each task: long units of one kind must not starve short ones of another, and an
#: operator can give each its own workers with -Q.
DOWNPOUR, SANDBLASTER, EVALUATION = "downpour", "sandblaster", "evaluation"

#: The types of a task's arguments, by the name of its queue.
TYPES: dict[str, tuple[type, ...]] = {
    DOWNPOUR: (str,),
    SANDBLASTER: (int, int),
    EVALUATION: (str,),
}


#: A task without a queue of its own: it waits where the run's work does.
CALIBRATION = "calibration"


def task_of(queue: str) -> str:
    """The name of the task whose messages lie in that queue, or of one without a queue."""
    return f"distbelief.{queue}"


#: Ours have some hundred bytes.
LONGEST_MESSAGE = 64 << 10
LONGEST_TEXT = 1 << 10
LARGEST = 1 << 53


_TYPES_BY_TASK = {task_of(queue): types for queue, types in TYPES.items()}
_TYPES_BY_TASK[task_of(CALIBRATION)] = (str,)


class OddKind(StrEnum):
    """What is wrong with a message that is not ours."""

    TEXT = "text"
    ENVELOPE = "envelope"
    TASK = "task"
    ARGUMENTS = "arguments"
    CONTROL = "control"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    OddKind.TEXT: "no JSON object, or a very long one",
    OddKind.ENVELOPE: "not packed as messages for our tasks are",
    OddKind.TASK: "for a task that is none of ours",
    OddKind.ARGUMENTS: "for a task of ours, with arguments that are not",
    OddKind.CONTROL: "an odd control message or answer",
}


#: Beside the counts of each kind, in their hash: when the last one came, in seconds since 1970.
LAST = "last"


class OddMessage(ValueError):
    """A message is not ours; ``kind`` says why."""

    def __init__(self, kind: OddKind) -> None:
        super().__init__(kind.sentence)
        self.kind = kind


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _DeliveryInfo(_Part):
    exchange: str
    routing_key: str


class _Properties(_Part):
    body_encoding: Literal["base64"]
    delivery_tag: str
    delivery_info: _DeliveryInfo


class _Envelope(_Part):
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Literal["utf-8"] = Field(alias="content-encoding")
    properties: _Properties
    body: str


class _TaskHeaders(_Part):
    """Those of a task that is to be done at once, once, and by itself: we send no others."""

    task: str
    id: str = Field(min_length=1, max_length=LONGEST_TEXT)
    argsrepr: str | None = Field(None, max_length=LONGEST_TEXT)
    origin: str | None = Field(None, max_length=LONGEST_TEXT)
    shadow: None = None
    eta: None = None
    expires: None = None
    group: None = None
    compression: None = None
    timelimit: list[None] | None = None


class _TaskEnvelope(_Envelope):
    headers: _TaskHeaders


class _AnswerHeaders(_Part):
    clock: int | None = None
    expires: float | None = None
    ticket: str | None = None
    compression: None = None


class _Answer(_Envelope):
    headers: _AnswerHeaders


@dataclass(frozen=True)
class TaskMessage:
    """A message for a task of ours. ``shown`` is what logs and Flower show of its arguments."""

    task: str
    run: str
    arguments: Arguments
    id: str
    shown: str = ""
    origin: str = ""

    def packed(self, queue: str) -> bytes:
        """The message as Celery's protocol (version 2) and kombu have it in ``queue``."""
        body = json.dumps([[self.run, *self.arguments], {}, {}]).encode()
        headers = {
            "lang": "py",
            "task": self.task,
            "id": self.id,
            "root_id": self.id,
            "parent_id": None,
            "argsrepr": self.shown,
            "kwargsrepr": "",
            "origin": self.origin,
            "retries": 0,
        }
        properties = {
            "correlation_id": self.id,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        }
        message = {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
        return json.dumps(message).encode()


def read_task(message: bytes) -> TaskMessage:
    """Read a message from the queue of a task; raises OddMessage if it is not ours."""
    envelope = _read(_TaskEnvelope, message)
    headers = envelope.headers
    types = _TYPES_BY_TASK.get(headers.task)
    if types is None:
        raise OddMessage(OddKind.TASK)
    match _body(envelope):
        case [[str(run), *arguments], {} as words, embedded] if not words and _is_plain(embedded):
            pass
        case _:
            raise OddMessage(OddKind.ARGUMENTS)
    if not run or not _fit(arguments, types):
        raise OddMessage(OddKind.ARGUMENTS)
    shown, origin = headers.argsrepr or "", headers.origin or ""
    return TaskMessage(headers.task, run, tuple(arguments), headers.id, shown, origin)


def tasks_in(queue: Iterable[bytes]) -> Iterator[TaskMessage]:
    """Those of the messages in a queue that are ours: workers will remove the others."""
    for message in queue:
        with suppress(OddMessage):
            yield read_task(message)


def check_answer(message: bytes) -> None:
    """Check a message from elsewhere: control, event or answer; raises OddMessage if it is none."""
    try:
        body = _body(_read(_Answer, message))
    except OddMessage as error:
        raise OddMessage(OddKind.CONTROL) from error
    if not isinstance(body, dict | list):  # a list of events
        raise OddMessage(OddKind.CONTROL)


AnyEnvelope = TypeVar("AnyEnvelope", bound=_Envelope)


def _read(kind: type[AnyEnvelope], message: bytes) -> AnyEnvelope:
    if len(message) > LONGEST_MESSAGE and kind is _TaskEnvelope:
        raise OddMessage(OddKind.TEXT)
    document = _json(message)
    if not isinstance(document, dict):
        raise OddMessage(OddKind.TEXT)
    try:
        return kind.model_validate(document)
    except ValidationError:
        raise OddMessage(OddKind.ENVELOPE) from None


def _body(envelope: _Envelope) -> Any:
    try:
        return _json(base64.b64decode(envelope.body, validate=True))
    except (binascii.Error, ValueError):
        return None


def _json(text: bytes) -> Any:
    """What a JSON text holds, None where it is none or is nested without end."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        return None


def _is_plain(embedded: Any) -> bool:
    """Whether no other tasks are to follow on this one."""
    return isinstance(embedded, dict) and not any(embedded.values())


def fits(kind: str, arguments: Sequence[Any]) -> bool:
    """Whether these are arguments of a task of that kind, the run's name first."""
    match arguments:
        case [str(run), *rest]:
            return bool(run) and _fit(rest, _TYPES_BY_TASK[task_of(kind)])
    return False


def _fit(arguments: Sequence[Any], types: tuple[type, ...]) -> bool:
    if len(arguments) != len(types):
        return False
    for value, kind in zip(arguments, types, strict=True):
        if type(value) is not kind:  # True is an int
            return False
        if isinstance(value, int) and not 0 <= value < LARGEST:
            return False
    return True
