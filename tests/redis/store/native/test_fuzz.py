"""Whatever a client sends to the native engine: the server answers, and its memory is whole."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import redis

from distbelief.app.client.engine import Engine
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument
from distbelief.coordinator.cluster.binaries import ServerProgram
from tests.native import sanitizer
from tests.redis.private import PrivateServer
from tests.redis.store.native.both_engines import ONLY_LUA, RULES, TWINS, Answer, Side
from tests.redis.store.native.random_calls import Calls

RUNS, CALLS = 5, 40

#: Numbers that are at some border, or none.
ODD = [
    *(b"", b"0", b"1", b"-1", b"2", b"7", b"65535", b"65536", b"65537", b"4294967296", b"1e999"),
    *(b"2147483647", b"-2147483648", b"9223372036854775807", b"-9223372036854775808", b"nan"),
    *(b"18446744073709551616", b"9007199254740992", b"9007199254740993", b"inf", b"-inf", b"1.5"),
    *(b"0x10", b" 1", b"1 ", b"01", b"+1", b"--1", b"abc", b"\x00", b"1\x00", b"\xff" * 40),
    *(b",", b"1,", b",1", b"1,,2", b"0,1,2", b"1:1", b"1:", b":1", b"9:9", b"1:1,2:2", b"0:0"),
    *(
        b"1:1,",
        b"0:99999999999999999999",
        b"99999999999999999999",
        b"1" * 400,
        b"0:9007199254740992",
    ),
    *(b"1000,1,16,0.5,1,2,3,4,1", b"1000,65536,65536,0,1,2,3,4,1", b"0,1,1,0,0,0,0,0,4294967295"),
    *(b"4503599627370496,1,1,1,1,1,1,1,1", b"0,0,0,0,0,0,0,0,0", b"0,1,65536,1e308,1,1,1,1,2"),
    *(b"0,9007199254740991", b"0," * 3000 + b"0", b"1:1," * 3000 + b"1:1"),
]


#: What a field may hold that ours never do.
ODD_FIELDS = [
    b"",
    b"abc",
    b"x" * 7,
    b"y" * 4096,
    b"f",
    b"d",
    b"g",
    b"-5",
    *map(b"%d".__mod__, (2**53, 2**63 - 1, -(2**63))),
]


class Hostile(Side):
    """Makes spoiled calls, and spoils what is stored, before the call that it is asked to make."""

    def __init__(self, client: redis.Redis, random: np.random.Generator) -> None:
        super().__init__(client, Engine.NATIVE)
        self.random = random
        self.answers = 0

    def call(self, script: Script, names: Sequence[str], *arguments: Argument) -> Answer:
        if script.twin:
            keys = [self.key(name) for name in names]
            words: list[Argument] = [script.twin, len(keys), *keys, *arguments]
            for _ in range(3):
                spoiled = words
                for _ in range(self.random.integers(1, 4)):
                    spoiled = self._spoiled(spoiled, len(keys))
                self.send(spoiled)
            with self._spoil_stored(keys):
                self.send(words)
        return super().call(script, names, *arguments)

    def send(self, words: Sequence[Argument]) -> None:
        """An answer it must be, be it an error."""
        with contextlib.suppress(redis.ResponseError):
            self.client.execute_command(*words)
        self.answers += 1

    def _spoiled(self, words: list[Argument], n_keys: int) -> list[Argument]:
        at = int(self.random.integers(1, max(2, len(words))))
        odd = ODD[int(self.random.integers(len(ODD)))]
        match self.random.integers(9):
            case 0:
                return words[:at]
            case 1:
                return [*words[:at], *words[at + 1 :]]
            case 2:
                return [*words, *words[at:]]
            case 3:
                size = int(self.random.choice([0, 1, 3, 4, 7, 8, 4095, 4097, 70_000]))
                return [*words[:at], self.random.bytes(size), *words[at + 1 :]]
            case 4 | 5 if len(words) > 2 + n_keys:  # a key twice, which may be nowhere
                one, other = (2 + int(self.random.integers(n_keys)) for _ in range(2))
                name = words[other] if self.random.integers(2) else self.key("nowhere")
                twice = {one: name, other: name}
                return [twice.get(index, word) for index, word in enumerate(words)]
            case 6 | 7:
                return [*words[:at], *map(self._misnumbered, words[at : at + 1]), *words[at + 1 :]]
        return [*words[:at], odd, *words[at + 1 :]]

    def _misnumbered(self, word: Argument) -> Argument:
        """One of the numbers in a text replaced; of packed numbers, a piece taken away."""
        if isinstance(word, bytes):
            return word[int(self.random.integers(0, 9)) :]
        numbers = list(re.finditer(r"\d+", str(word)))
        if not numbers:
            return word
        number = numbers[int(self.random.integers(len(numbers)))]
        near = [int(number[0]) + step for step in (-1, 1, 2)]
        other = self.random.choice(
            [*map(str, near), "0", "3", "40", "65536", "4294967296", str(2**53 - 1)]
        )
        return str(word)[: number.start()] + str(other) + str(word)[number.end() :]

    @contextlib.contextmanager
    def _spoil_stored(self, keys: Sequence[str]) -> Iterator[None]:
        """Something else under a key, or in one field of its hash, until it is restored."""
        key = keys[int(self.random.integers(len(keys)))]
        held = self.client.dump(key)
        fields = self.client.hkeys(key) if self.client.type(key) == b"hash" else []
        odd = ODD_FIELDS[int(self.random.integers(len(ODD_FIELDS)))]
        if fields and self.random.random() < 0.8:
            field = fields[int(self.random.integers(len(fields)))]
            self.send(["HDEL", key, field] if odd == b"g" else ["HSET", key, field, odd])
        else:
            self.send(["DEL", key] if odd == b"g" else ["SET", key, odd])
        yield
        self.client.delete(key)
        if held is not None:
            self.client.restore(key, 0, held)


@pytest.fixture(scope="module")
def server(program: ServerProgram, sanitized_module: Path) -> Iterator[PrivateServer]:
    """With a sanitized engine, which sees the bundled program's memory as well."""
    with sanitizer() as environment:
        options = ["--loadmodule", str(sanitized_module), "--crash-log-enabled", "no"]
        with PrivateServer(program, options=options, environment=environment) as server:
            yield server


@contextlib.contextmanager
def alive(server: PrivateServer) -> Iterator[redis.Redis]:
    """A client of an empty server that must still be there in the end."""
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        try:
            client.flushall()
            for script in [*TWINS, *ONLY_LUA]:
                client.script_load(script.source)
            yield client
            assert client.ping()
        except redis.ConnectionError:
            pytest.fail((server.socket.parent / "server.log").read_text()[-6000:])


@pytest.mark.parametrize("rule", RULES)
def test_hostile_calls_are_answered(server: PrivateServer, rule: str) -> None:
    with alive(server) as client:
        for seed in range(RUNS):
            client.flushall()
            random = np.random.default_rng(seed)
            hostile = Hostile(client, random)
            calls = Calls(random, RULES[rule], "fd"[seed % 2])
            calls.on(hostile)
            calls.create()
            kinds = calls.pushes() if seed % 3 else calls.operations()
            for _ in range(CALLS):
                kinds[random.integers(len(kinds))]()
            assert hostile.answers >= CALLS


@pytest.mark.parametrize("script", TWINS, ids=lambda script: str(script.twin))
def test_arguments_of_any_kind_are_answered(server: PrivateServer, script: Script) -> None:
    random = np.random.default_rng(0)
    with alive(server) as client:
        client.hset("meta", mapping={"fence": 1, "dtype": "f", "clock": 0, "evaluation": 1})
        client.hset("vector", mapping={"0": b"\0" * 64, "1": b"\0" * 60})
        names = [b"meta", b"vector", b"missing", *ODD]
        for _ in range(CALLS):
            n_keys = int(random.integers(1, 6))
            keys = [names[each] for each in random.integers(0, 8, n_keys)]
            more = [ODD[each] for each in random.integers(0, len(ODD), random.integers(0, 17))]
            with contextlib.suppress(redis.ResponseError):
                client.execute_command(str(script.twin), n_keys, *keys, *more)


def told(client: redis.Redis, *words: Argument) -> str:
    """The error that a command is answered with."""
    with pytest.raises(redis.ResponseError) as raised:
        client.execute_command(*words)
    return str(raised.value)


@pytest.fixture
def shard(server: PrivateServer) -> Iterator[redis.Redis]:
    """A server with a shard of two blocks, and a key that holds a list."""
    with alive(server) as client:
        client.hset("meta", mapping={"fence": 1, "dtype": "f", "clock": 0, "evaluation": 1})
        client.hset("vector", mapping={"0": b"\0" * 64, "1": b"\0" * 60})
        client.rpush("list", "abc")
        yield client


#: What a call of the coordinator begins with: fence, a change that is known, its own number.
HEAD = ["1", "0", "1"]
#: Arguments of a push of no block, of one row of a table, of a portion.
PUSH = ["1", "0", "1", "1", "0", "", "", "", "0.1", "0", "", "1e-10", "0.1"]
ROW = [*PUSH[:6], "0,1,16,0.5,1,2,3,4,1", b"\0" * 8, *PUSH[8:]]
PORTION = ["1", "1", "0", "0", "0", "16", b"\0" * 64]


@pytest.mark.parametrize(
    ("command", "keys", "arguments"),
    [
        ("push_adagrad", ["meta", "vector", "vector"], PUSH),
        ("push_rows_adagrad", ["meta", "nowhere", "nowhere"], ROW),
        ("begin", ["meta", "meta", "vector"], [*HEAD, "2"]),
        ("accumulate", ["meta", "counted", "counted"], PORTION),
    ],
)
def test_a_key_that_is_given_twice_is_refused(
    shard: redis.Redis, command: str, keys: list[str], arguments: list[Argument]
) -> None:
    error = told(shard, f"distbelief.{command}", len(keys), *keys, *arguments)
    assert re.fullmatch(r"BADARG key \d is key \d once more", error)


@pytest.mark.parametrize(
    ("command", "keys", "arguments"),
    [
        ("push_adagrad", ["meta", "vector", "slot"], PUSH),
        ("push_rows_adagrad", ["meta", "vector", "slot"], ROW),
        ("announce", ["meta"], ["1", "0", "1"]),
        ("begin", ["meta"], [*HEAD, "2"]),
        ("accumulate", ["meta", "counted", "vector"], PORTION),
        ("dots", ["meta", "vector"], [*HEAD, "0", "1", "1:1"]),
        ("combine", ["meta", "out", "vector"], [*HEAD, "0", "1", "16", "15", "0", "1"]),
        ("pseudo", ["meta", "out", "vector", "x"], [*HEAD, "0", "1", "", "1"]),
        ("orthant", ["meta", "out", "vector", "x", "y"], [*HEAD, "0", "1", "", "1"]),
        ("sparsity", ["meta", "vector"], [*HEAD, "0", "1", ""]),
    ],
)
def test_a_key_that_holds_something_else_is_refused(
    shard: redis.Redis, command: str, keys: list[str], arguments: list[Argument]
) -> None:
    shard.hset("x", mapping={"0": b"\0" * 64, "1": b"\0" * 60})
    shard.copy("x", "y")
    for place in range(len(keys)):
        other = [*keys[:place], "list", *keys[place + 1 :]]
        other += ["counted", "vector"] if command == "begin" else []
        error = told(shard, f"distbelief.{command}", len(other), *other, *arguments)
        assert error == "WRONGTYPE Operation against a key holding the wrong kind of value"


@pytest.mark.parametrize("pairs", ["0:1", "1:2", "1", "1:", "1:1:1", ",1:1", "a:b", "-1:1"])
def test_pairs_of_other_vectors_are_refused(shard: redis.Redis, pairs: str) -> None:
    error = told(shard, "distbelief.dots", 2, "meta", "vector", *HEAD, 0, 1, pairs)
    assert error == "BADARG pairs are i:j,i:j of vectors counted from 1"


def test_what_would_take_too_much_memory_is_refused(shard: redis.Redis) -> None:
    for last, full in ((2**40, 1), (2**20, 65_536), (2**52, 65_536)):
        error = told(shard, "distbelief.combine", 2, "meta", "out", *HEAD, 0, last, full, 1, 0)
        assert error == "BADARG the blocks are too large together"
    assert shard.exists("out") == 0


def test_a_last_block_may_be_longer_than_the_others(shard: redis.Redis) -> None:
    arguments = [*HEAD, 0, 1, 1, 65_536, "0.5"]
    assert shard.execute_command("distbelief.combine", 2, "meta", "out", *arguments) == b"OK"
    assert [len(shard.hget("out", field) or b"") for field in "01"] == [4, 4 * 65_536]


@pytest.mark.parametrize(
    "field", ["clock", "seq:0", "attempt:0", "refused", "evaluation", "change"]
)
def test_a_count_beyond_what_lua_knows_is_none(shard: redis.Redis, field: str) -> None:
    for number in (2**63 - 1, -(2**63), 2**53 + 1):
        shard.delete("meta")
        shard.hset("meta", mapping={"fence": 1, "dtype": "f", field: number})
        shard.hset("bad", mapping={"0": b"\0\0\xc0\x7f"})
        push = [*PUSH[:6], "0", b"\0" * 4, "0.1", "0", ""]
        answers = [
            shard.execute_command("distbelief.push_sgd", 2, "meta", "bad", *push),
            shard.execute_command("distbelief.begin", 3, "meta", "counted", "out", *HEAD, 1),
        ]
        assert answers == [[b"REFUSED", 0, 1, b""], b"OK"]
