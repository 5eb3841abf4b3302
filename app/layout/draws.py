"""Numbers drawn from a seed by their index: the same wherever and whenever they are drawn.

A row of a table comes into being when somebody first touches it, on a server or in a
worker's copy. So its first values must be a pure function of seed, table and index, and the
same to the last bit in Lua and NumPy. Lua counts in doubles, exact up to 2^53; hence the
arithmetic modulo a prime below 2^26, whose products stay below that.

The mixing is that of a block cipher with cubes as its rounds (MiMC: Albrecht et al. 2016);
cubing is a permutation because 3 does not divide ``PRIME - 1``. It is meant to be even, not
to be secret.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

#: The largest prime below 2^26.
PRIME = 67_108_859

Keys = tuple[int, int, int, int]


def keys(seed: int, name: str) -> Keys:
    """The round keys of one table of a run."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=32).digest()
    a, b, c, d = (int.from_bytes(digest[i : i + 8], "little") % PRIME for i in range(0, 32, 8))
    return a, b, c, d


def drawn(key: Keys, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """A draw for each of ``numbers`` (not negative, below 2^52): even in [-1, 1).

    Twin of ``draw`` in ``push_rows.lua``.
    """
    high, low = np.divmod(numbers, PRIME)
    mixed = _cubed(low + key[0])
    mixed = _cubed(mixed + high + key[1])
    mixed = _cubed(mixed + key[2])
    mixed = _cubed(mixed + key[3])
    result: npt.NDArray[np.float64] = mixed * 2.0 / PRIME - 1.0
    return result


def _cubed(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    base = numbers % PRIME
    result: npt.NDArray[np.int64] = base * base % PRIME * base % PRIME
    return result
