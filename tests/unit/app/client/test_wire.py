"""Replies read off a socket in whatever pieces they come; commands packed without copies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any, cast

import hiredis
import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis._parsers import _RESP2Parser

from distbelief.app.client.wire import (
    LEAST_APART,
    READ_BYTES,
    SENT_BYTES,
    ReplyBuffer,
    ReplyReader,
    packed,
    raw,
    stretches,
)


class Pieces:
    """A socket that gives what was sent in pieces of these sizes, then nothing more."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes = data, sizes or [1]
        self._turn = 0

    def recv_into(self, room: memoryview) -> int:
        size = min(self._sizes[self._turn % len(self._sizes)], len(room))
        self._turn += 1
        piece, self._data = self._data[:size], self._data[size:]
        room[: len(piece)] = piece
        return len(piece)


class Connected:
    """What a reader needs of a connection."""

    def __init__(self, sock: Any) -> None:
        self._sock, self._parser = sock, _RESP2Parser(READ_BYTES)


def reader(data: bytes, sizes: list[int] | None = None) -> ReplyReader:
    return ReplyReader(cast("Any", Connected(Pieces(data, sizes or [7]))))


PUSHED = b"*4\r\n$7\r\nAPPLIED\r\n:12\r\n:-1\r\n$%d\r\n%b\r\n"


@given(
    st.lists(st.integers(1, 3 * READ_BYTES), min_size=1, max_size=5),
    st.integers(0, 2 * READ_BYTES),
)
def test_strings_go_to_their_place_however_they_arrive(sizes: list[int], length: int) -> None:
    values = np.random.default_rng(length).bytes(length)
    room = bytearray(length)
    source = reader(PUSHED % (length, values) * 2 + b"+OK\r\n", sizes)
    for _ in range(2):
        room[:] = bytes(length)
        assert source.read(ReplyBuffer(memoryview(room), skip=3)) == [b"APPLIED", 12, -1, length]
        assert room == values
    assert source.read() == b"OK"


def test_blocks_go_one_after_another_and_those_that_are_not_there_are_none() -> None:
    room = bytearray(8)
    source = reader(b"*3\r\n$3\r\nabc\r\n$-1\r\n$5\r\ndefgh\r\n*-1\r\n$-1\r\n$0\r\n\r\n")
    assert source.read(ReplyBuffer(memoryview(room))) == [3, None, 5]
    assert room == b"abcdefgh"
    assert (source.read(), source.read(), source.read()) == (None, None, b"")


def test_an_error_is_raised_and_the_next_reply_can_be_read() -> None:
    source = reader(b"-NOSCRIPT No matching script.\r\n*2\r\n:1\r\n:2\r\n-ERR odd\r\n")
    with pytest.raises(redis.exceptions.NoScriptError):
        source.read(ReplyBuffer(memoryview(bytearray(3))))
    assert source.read() == [1, 2]
    with pytest.raises(redis.ResponseError, match="odd"):
        source.read()


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_connection_that_is_lost_in_a_reply_is_an_error(cut: int) -> None:
    whole = PUSHED % (8, b"12345678")
    with pytest.raises(redis.ConnectionError, match="closed"):
        reader(whole[: min(cut, len(whole) - 1)]).read(
            ReplyBuffer(memoryview(bytearray(8)), skip=3)
        )


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"$9\r\n123456789\r\n", "room for 8"),
        (b"?what\r\n", "begins with"),
        (b"+" + b"x" * 2 * READ_BYTES, "without an end"),
    ],
)
def test_what_is_no_reply_to_the_question_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(redis.InvalidResponse, match=what):
        reader(b"*1\r\n" + data).read(ReplyBuffer(memoryview(bytearray(8))))


def test_a_silent_server_is_a_timeout() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        ours.settimeout(0.01)
        with pytest.raises(redis.TimeoutError):
            ReplyReader(cast("Any", Connected(ours))).read()


def test_a_connection_that_was_closed_meanwhile_is_an_error() -> None:
    with pytest.raises(redis.ConnectionError):
        ReplyReader(cast("Any", Connected(None)))


def words() -> st.SearchStrategy[list[Any]]:
    sizes = st.sampled_from([0, 1, LEAST_APART - 4, LEAST_APART, 3 * LEAST_APART])
    arrays = sizes.map(lambda size: raw(np.ones(size // 4, np.float32)))
    plain = st.one_of(st.text(max_size=9), st.binary(max_size=9), st.integers(-9, 10**12))
    return st.lists(st.one_of(plain, arrays), min_size=1, max_size=6)


@given(st.lists(words(), max_size=4))
def test_commands_are_packed_as_others_pack_them(commands: list[list[Any]]) -> None:
    plain: list[list[Any]] = [
        [bytes(w) if isinstance(w, memoryview) else w for w in each] for each in commands
    ]
    expected = b"".join(hiredis.pack_command(cast("Any", tuple(each))) for each in plain)
    assert b"".join(bytes(piece) for piece in packed(commands)) == expected


def pieces_of(array: np.ndarray[Any, Any]) -> Iterator[memoryview]:
    return (piece for piece in packed([["SET", "k", raw(array)]]) if isinstance(piece, memoryview))


def test_a_large_array_is_sent_from_where_it_lies() -> None:
    array = np.zeros(LEAST_APART, np.float32)
    (piece,) = pieces_of(array)
    array[5] = 1.0
    assert bytes(piece) == array.tobytes()


@pytest.mark.parametrize("length", [0, 1, SENT_BYTES, SENT_BYTES + 1, 3 * SENT_BYTES])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_what_is_long_is_sent_in_stretches(kind: Any, length: int) -> None:
    long = bytes(range(256)) * (length // 256 + 1)
    sent = list(stretches([b"before", kind(long[:length]), b"behind"]))
    assert b"".join(sent) == b"before" + long[:length] + b"behind"
    assert max(map(len, sent)) <= max(SENT_BYTES, 6)
