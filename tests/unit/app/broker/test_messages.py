"""What is read from a queue: messages of ours as they were sent, and nothing else."""

from __future__ import annotations

import base64
import inspect
import json
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.broker.messages import (
    CALIBRATION,
    DOWNPOUR,
    LARGEST,
    SANDBLASTER,
    TYPES,
    OddKind,
    OddMessage,
    TaskMessage,
    check_answer,
    read_task,
    task_of,
    tasks_in,
)
from distbelief.app.broker.tasks import CODE

MESSAGE = TaskMessage(task_of(SANDBLASTER), "run", (1, 3), "an-id", "shift 3", "a@host")

names = st.text(min_size=1, max_size=60)
whole = st.integers(0, LARGEST - 1)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def envelope(message: TaskMessage = MESSAGE) -> Any:
    return json.loads(message.packed(SANDBLASTER))


def kind_of(document: Any) -> OddKind:
    with pytest.raises(OddMessage) as found:
        read_task(json.dumps(document).encode())
    return found.value.kind


def with_body(body: Any) -> Any:
    return {**envelope(), "body": base64.b64encode(json.dumps(body).encode()).decode()}


@given(names, names, st.tuples(whole, whole), st.text(max_size=60))
def test_a_message_is_read_as_it_was_packed(
    run: str, name: str, numbers: tuple[int, ...], shown: str
) -> None:
    message = TaskMessage(task_of(SANDBLASTER), run, numbers, name, shown)
    assert read_task(message.packed(SANDBLASTER)) == message


@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_odd_and_raises_nothing_else(text: bytes) -> None:
    with pytest.raises(OddMessage):
        read_task(text)
    with pytest.raises(OddMessage):
        check_answer(text)


@given(st.sampled_from(["headers", "properties", "body", "content-type"]), values)
def test_a_changed_part_makes_a_message_odd_or_leaves_it_ours(part: str, value: Any) -> None:
    text = json.dumps({**envelope(), part: value}).encode()
    assert [read_task(each.packed(SANDBLASTER)) for each in tasks_in([text])] == list(
        tasks_in([text])
    )


def test_what_is_wrong_has_a_name() -> None:
    whole = envelope()
    assert kind_of([]) is OddKind.TEXT
    assert kind_of({**whole, "pad": "x" * 70_000}) is OddKind.TEXT
    assert kind_of({**whole, "body": 7}) is OddKind.ENVELOPE
    odd: list[dict[str, Any]] = [
        {"timelimit": ["x", "y"]},
        {"id": {}},
        {"eta": "2030"},
        {"compression": "gzip"},
    ]
    for header in odd:
        assert kind_of({**whole, "headers": {**whole["headers"], **header}}) is OddKind.ENVELOPE
    properties = {**whole["properties"], "delivery_info": []}
    assert kind_of({**whole, "properties": properties}) is OddKind.ENVELOPE
    assert kind_of({**whole, "headers": {"task": "shop.buy", "id": "1"}}) is OddKind.TASK
    bodies: list[Any] = [[], None, [["run"], {}, {}], [[], {}, {}], [["", 1, 2], {}, {}]]
    bodies += [[["run", 1, last], {}, {}] for last in ("x", True, -1, 1 << 60, 1.5, None)]
    bodies += [[["run", 1, 2], {"x": 1}, {}], [["run", 1, 2], {}, {"chain": ["x"]}]]
    for body in bodies:
        assert kind_of(with_body(body)) is OddKind.ARGUMENTS


def test_the_arguments_are_those_that_the_tasks_take() -> None:
    for name, types in {**TYPES, CALIBRATION: (str,)}.items():
        module, function = CODE[name]
        task = getattr(import_module(module), function)
        parameters = inspect.signature(task, eval_str=True).parameters.values()
        assert [each.annotation for each in parameters] == [str, *types]


def test_a_calibration_waits_in_the_queue_of_other_work() -> None:
    unit = TaskMessage(task_of(CALIBRATION), "run", ("steps-1-0",), "id")
    assert list(tasks_in([unit.packed(DOWNPOUR)])) == [unit]


def test_only_ours_are_read_from_a_queue() -> None:
    mine = TaskMessage(task_of(DOWNPOUR), "run", ("unit",), "id")
    assert list(tasks_in([b"oops", mine.packed(DOWNPOUR), b"{}"])) == [mine]
