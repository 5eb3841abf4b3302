"""Random calls of scripts and of their native twins: most of them good, some of them not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument
from distbelief.app.layout.draws import PRIME
from distbelief.app.layout.keys import COUNTED, PARAMETERS, named, slot
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.downpour import Wire
from distbelief.app.store.contract.coding import encode, word
from distbelief.app.store.redis.calls import CREATE
from distbelief.app.store.redis.parameters import ANNOUNCE, push_script
from distbelief.app.store.redis.shards import FENCE, FETCH, FETCH_ROWS
from distbelief.app.store.redis.vectors import (
    ACCUMULATE,
    BEGIN,
    COMBINE,
    DOTS,
    ORTHANT,
    PSEUDO,
    SPARSITY,
)
from tests.redis.store.native.both_engines import Made, Side, same_answer

VECTORS = tuple(named(each) for each in "abcd")
GRADIENT, OUT, MISSING = named("gradient"), named("out"), named("missing")

#: Numbers of a block: less than the scripts unpack at once, just as many, and more.
LENGTHS = (1, 3, 8, 511, 512, 513, 700)
FIRST_TABLE = 1000

Array = npt.NDArray[np.floating[Any]]


class Calls:
    """Makes calls to two sides at once, on a shard with some blocks of several vectors."""

    def __init__(self, random: np.random.Generator, rule: Rule, kind: str) -> None:
        self.random, self.rule = random, rule
        self.kind, self.dtype = kind, np.dtype(kind).newbyteorder("<")
        self.numbers = int(random.choice(LENGTHS))
        self.sizes = [self.numbers] * int(random.integers(0, 3))
        self.sizes.append(int(random.integers(1, self.numbers + 1)))
        self.first = int(random.integers(0, 3))
        self.fence, self.evaluation, self.change = 1, 0, 1
        self.attempts, self.sequences = {0: 0, 1: 0}, {0: 0, 1: 0}

    def on(self, *both: Side) -> None:
        self.sides = both

    def pushes(self) -> list[Callable[[], None]]:
        """The kinds of calls in a training, to choose from evenly."""
        others = [self.announce, self.fetch, self.fetch_rows, self.fetch_rows, self.raise_fence]
        return [self.push] * 6 + [self.push_rows] * 6 + others

    def operations(self) -> list[Callable[[], None]]:
        """The kinds of calls on vectors, to choose from evenly."""
        kinds = [self.begin, *[self.accumulate] * 4, self.dots, self.combine, self.pseudo]
        return [*kinds, self.orthant, self.sparsity, self.fetch, self.push, self.raise_fence]

    def create(self) -> None:
        ids = ",".join(map(str, range(self.first, self.first + len(self.sizes))))
        numbers = ",".join(map(str, self.sizes))
        about = (self.kind, "layout", ids, numbers, "clock,0,refused,0")
        head = (self.fence, 0, 1, "create", *about, "", 0, "last")
        slots = [slot(name) for name in self.rule.slots]
        values = [self.values(sum(self.sizes)) for _ in (PARAMETERS, *VECTORS)]
        states = [np.abs(self.values(sum(self.sizes))) for _ in slots]
        names = [PARAMETERS, *slots, *VECTORS]
        packed = [each.tobytes() for each in [values[0], *states, *values[1:]]]
        self._call(CREATE, ["meta", *names], *head, *packed)
        for side in self.sides:
            side.mark(PARAMETERS, *slots)

    def push(self) -> None:
        chosen = [each for each in range(len(self.sizes)) if self._often(0.8)]
        ids = [self.first + each for each in chosen]
        if self._rarely():
            ids = [*ids, self._some(0, 9)]
        if self._rarely():
            self.random.shuffle(ids)
        size = sum(self.sizes[each] for each in chosen) + self._some(-1, 1) * self._rarely()
        wire = self._coding()
        gradient = self.values(max(0, size), any_bits=True)
        payload = coded(wire, gradient) + b"x" * self._rarely(0.02)
        fresh = str(self._some(0, 1))
        self._push("push", ",".join(map(str, ids)), payload, fresh, word(wire))

    def push_rows(self) -> None:
        tables, payload, wire = [], [], self._coding()
        for index in range(self._some(1, 2)):
            about, width, row = self._rows(index)
            tables.append(about)
            payload += [row.astype("<u4").tobytes()]
            gradient = self.values(len(row) * width, any_bits=self._rarely())
            payload += [coded(wire, gradient)]
        if self._rarely():
            payload.append(b"more")
        self._push("push_rows", ",".join(tables), b"".join(payload), "0", word(wire))

    def fetch_rows(self) -> None:
        """Of parameters that pushes have made, or of a vector that is no table's."""
        chosen = [self._rows(index) for index in range(self._some(0, 2))]
        if self._rarely():  # blocks of another length
            chosen.append((f"0,1,{self.numbers + 1},0.0,1,1,1,1,1", 1, np.zeros(1, np.int64)))
        about = ",".join(text for text, *_ in chosen)
        payload = b"".join(row.astype("<u4").tobytes() for *_, row in chosen)
        known = max(0, self.change + (self._some(-1, 1) if self._rarely() else 0))
        names = [PARAMETERS, *(slot(name) for name in self.rule.slots), MISSING]
        name = str(self.random.choice(names))
        where = (known, self._some(0, 1), about, payload + b"more" * self._rarely(0.05))
        self._call(FETCH_ROWS, ["meta", name], self._fence(), *where)

    def announce(self) -> None:
        stream, attempt = self._some(0, 1), self._some(0, 2)
        self._call(ANNOUNCE, ["meta"], self._fence(), stream, attempt)

    def fetch(self) -> None:
        first, last, _ = self._range()
        (name,) = self._vectors(1)
        known = self.change + (self._some(-1, 1) if self._rarely() else 0)
        where = (self._some(0, 1), first, last + self._rarely(), word(self._coding()))
        self._call(FETCH, ["meta", name], self._fence(), max(0, known), *where)

    def raise_fence(self) -> None:
        if self._rarely(0.3):
            known = self.change + self._rarely()
            made = self._call(FENCE, ["meta"], self.fence + 1, self.fence, known)
            if made.lua[0] == b"OK":
                self.fence, self.change = self.fence + 1, 0

    def begin(self) -> None:
        asked = max(0, self.evaluation + self._some(-1, 1))
        made = self._change(BEGIN, [COUNTED, GRADIENT], asked)
        if made.lua == b"OK":
            self.evaluation = asked

    def accumulate(self) -> None:
        first, last, numbers = self._range()
        size = max(0, sum(numbers) + self._some(-1, 1) * self._rarely())
        size = self._some(0, size) if self._rarely() else size
        good = size == sum(numbers)
        values = self.values(size, any_bits=good and self._rarely()).tobytes()
        if self._often(0.5):  # what follows may then add to it
            values = self.values(size).tobytes()
        portion = self._some(0, 40)
        head = (self._fence(), self.evaluation + self._rarely(), portion, first, last)
        self._call(ACCUMULATE, ["meta", COUNTED, GRADIENT], *head, self.numbers, values)

    def dots(self) -> None:
        vectors = self._vectors(self._some(1, 4))
        count = len(vectors)
        pairs = [(self._some(1, count), self._some(1, count)) for _ in range(self._some(1, 8))]
        first, last, _ = self._range()
        text = ",".join(f"{a}:{b}" for a, b in pairs)
        self._call(DOTS, ["meta", *vectors], *self._head(), first, last, text)

    def combine(self) -> None:
        terms = self._vectors(self._some(0, 9))
        first, last, numbers = self._range()
        head = (first, last, self.numbers, numbers[-1])
        coefficients = [repr(float(self.values(1)[0])) for _ in range(1 + len(terms))]
        self._change(COMBINE, [OUT, *terms], *head, *coefficients)

    def pseudo(self) -> None:
        first, last, _ = self._range()
        names = [OUT, *self._vectors(2)]
        self._change(PSEUDO, names, first, last, self._stretches(), self._number())

    def orthant(self) -> None:
        first, last, _ = self._range()
        names = [OUT, *self._vectors(3)]
        self._change(ORTHANT, names, first, last, self._stretches(), self._number())

    def sparsity(self) -> None:
        first, last, _ = self._range()
        names = ["meta", *self._vectors(1)]
        self._call(SPARSITY, names, *self._head(), first, last, self._stretches())

    def values(self, size: int, *, any_bits: bool = False) -> Array:
        """Ordinary numbers, with zeros of both signs and some that are very small or large."""
        if any_bits and self._rarely(0.3):
            return np.frombuffer(self.random.bytes(size * self.dtype.itemsize), self.dtype)
        made = self.random.normal(size=size) * 10.0 ** self.random.integers(-3, 3, size)
        special = np.array([0.0, -0.0, 1e-41, -1e-310, 1e19, -1e19])
        rare = self.random.random(size) < self.random.choice([0.0, 0.2])
        made[rare] = self.random.choice(special, int(rare.sum()))
        return made.astype(self.dtype)

    def same(self, made: Made) -> bool:
        """Whether both answers are; sums may have been added up in another order."""
        lua, native = made.lua, made.native
        if made.script not in ("dots", "sparsity") or not isinstance(lua, list):
            return same_answer(lua, native)
        if lua[0] != native[0] or len(lua[1]) != len(native[1]):
            return False
        if lua[0] != b"OK":
            return True
        ours, theirs = (np.frombuffer(each[1], "<f8") for each in (native, lua))
        finite = np.isfinite(theirs)
        error = np.abs(np.where(finite, ours - theirs, 0.0))
        bound = 1e-12 * made.magnitude(self.sides[0], self.dtype)
        return bool((error <= bound).all() and not np.isfinite(ours[~finite]).any())

    def _coding(self) -> Wire:
        """How numbers come and go; sometimes so as they cannot."""
        if not self._often(0.5 if self.kind == "f" else 0.05):
            return "float32"
        return "bfloat16" if self._often(0.5) else "int8"

    def _push(self, shell: str, about: str, payload: bytes, fresh: str, coding: str) -> None:
        stream = self._some(0, 1)
        attempt = max(0, self.attempts[stream] + self._some(-1, 1) * self._rarely())
        sequence = self.sequences[stream] + 1 + self._some(-1, 1) * self._rarely(0.3)
        number: Argument = sequence
        if self._rarely(0.2):  # a push that stands for several, or for some that were there
            first, sequence = sequence, max(0, sequence + self._some(-1, 3))
            number = f"{first}-{sequence}"
        base = "" if self._often(0.5) else str(self._some(-3, 3))
        names = ["meta", PARAMETERS, *(slot(name) for name in self.rule.slots)]
        arguments = (self._fence(), stream, attempt, number, fresh, base, about, payload)
        rate, decay, *rule = [repr(number) for number in self.rule.arguments()]
        how = (rate, decay, coding, *rule)
        made = self._call(push_script(self.rule, shell), names, *arguments, *how)
        if isinstance(made.lua, list) and made.lua[0] in (b"APPLIED", b"REFUSED"):
            self.attempts[stream], self.sequences[stream] = attempt, sequence

    def _head(self) -> tuple[int, int, int]:
        """The fence, a change that the shard has (or has not), the number of another one."""
        known = self.change + (self._some(-1, 1) if self._rarely() else 0)
        return self._fence(), max(0, known), max(0, self.change + self._some(-1, 2))

    def _change(self, script: Script, names: list[str], *arguments: Argument) -> Made:
        """A call that is a change, if it is served."""
        head = self._head()
        made = self._call(script, ["meta", *names], *head, *arguments)
        if made.lua == b"OK":
            self.change = max(self.change, head[2])
        return made

    def _call(self, script: Script, names: list[str], *arguments: Argument) -> Made:
        answers = [side.call(script, names, *arguments) for side in self.sides]
        self.last = Made(script.name, tuple(names), arguments, answers[0], answers[-1])
        return self.last

    def _table(self, index: int) -> tuple[int, int]:
        """Numbers in a row, and rows in a block."""
        return ((3, 5), (16, 1))[index] if self.numbers % 2 else ((1, 16), (600, 2))[index]

    def _rows(self, index: int) -> tuple[str, int, npt.NDArray[np.int64]]:
        """A table with some rows as arguments have it, numbers in a row, and the rows."""
        width, rows = self._table(index)
        spread = repr(float(self.random.choice([0.0, 0.5, 1e-3])))
        row = np.unique(self.random.integers(0, 40, self._some(0, 12)))
        if self._rarely(0.2):
            row += 2**31 + 5
        key = ",".join(str(PRIME * each // 5) for each in range(1, 5))
        first = FIRST_TABLE * (index + 1)
        return f"{first},{width},{rows},{spread},{key},{len(row)}", width, row

    def _fence(self) -> int:
        return self.fence + (self._some(-1, 1) if self._rarely() else 0)

    def _range(self) -> tuple[int, int, list[int]]:
        """First and last block, mostly of those that are there, and the numbers in each."""
        end = len(self.sizes)
        first = self._some(0, end - 1)
        last = self._some(first, end - 1)
        sizes = self.sizes[first : last + 1]
        if self._rarely(0.05):
            return self.first + first, self.first + end, [*self.sizes[first:], 1]
        return self.first + first, self.first + last, sizes

    def _vectors(self, count: int) -> list[str]:
        chosen = [str(each) for each in self.random.choice(VECTORS, count)]
        return [MISSING, *chosen[1:]] if count and self._rarely(0.03) else chosen

    def _stretches(self) -> str:
        """Stretches of numbers in rising order; some end beyond the range, some are empty."""
        ends = np.unique(self.random.integers(0, sum(self.sizes) + 9, 2 * self._some(0, 3)))
        pairs = zip(ends[::2].tolist(), ends[1::2].tolist(), strict=False)
        return ",".join(f"{first}:{end}" for first, end in pairs)

    def _number(self) -> str:
        return repr(float(self.random.choice([0.0, 1e-3, 0.7, 1e300])))

    def _some(self, least: int, most: int) -> int:
        return int(self.random.integers(least, most + 1))

    def _rarely(self, share: float = 0.1) -> bool:
        return bool(self.random.random() < share)

    def _often(self, share: float) -> bool:
        return self._rarely(share)


def coded(wire: Wire, gradient: Array) -> bytes:
    """As it is sent; of a float64 the bytes, as if they were float32."""
    return encode(wire, gradient if wire == "float32" else gradient.view("<f4")).tobytes()
