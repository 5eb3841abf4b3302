"""Where the keys are among the words of a command: to give them a prefix, and to find their node.

Calls of scripts say how many they have. Of the plain commands that this program uses the others are
listed here; the rest have one key, behind their name.
"""

from __future__ import annotations

from collections.abc import Sequence

Word = str | bytes | int | memoryview

#: Commands without any key.
KEYLESS = frozenset(
    {
        *("ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "DEBUG", "FLUSHALL"),
        *("FLUSHDB", "INFO", "LATENCY", "MODULE", "PING", "PUBLISH", "REPLICAOF", "ROLE", "SAVE"),
        *("SCRIPT", "SHUTDOWN", "SLOWLOG", "TIME", "WAIT", "distbelief.version"),
    }
)
#: Commands all of whose words are keys.
ALL_KEYS = frozenset({"DEL", "EXISTS", "MGET", "TOUCH", "UNLINK"})
#: Commands whose first key comes behind a word of its own.
BEHIND_A_WORD = frozenset({"MEMORY", "OBJECT", "XINFO"})
#: Commands that look for a pattern of keys, which is the word behind this one.
PATTERN = {"SCAN": "MATCH", "KEYS": "KEYS"}


def key_positions(words: Sequence[Word]) -> Sequence[int]:
    """Positions of the keys in a plain command."""
    name = words[0]
    if not isinstance(name, str) or name in KEYLESS or name in PATTERN:
        return ()
    if name in ALL_KEYS:
        return range(1, len(words))
    if name == "MSET":
        return range(1, len(words), 2)
    if name in ("BLPOP", "BRPOP"):
        return range(1, len(words) - 1)
    if name == "BLMOVE":
        return range(1, 3)
    if name in ("BLMPOP", "EVAL", "EVALSHA"):
        return range(3, 3 + int(_plain(words[2])))
    position = 2 if name in BEHIND_A_WORD else 1
    return range(position, min(position + 1, len(words)))


def pattern_position(words: Sequence[Word]) -> int | None:
    """Position of a pattern of keys, if the command looks for one."""
    before = PATTERN.get(words[0]) if isinstance(words[0], str) else None
    return words.index(before) + 1 if before in words else None


def with_prefix(word: Word, prefix: str) -> Word:
    """A key, or a pattern of keys, behind the prefix."""
    return prefix.encode() + word if isinstance(word, bytes) else f"{prefix}{_plain(word)}"


def _plain(word: Word) -> str | int:
    assert isinstance(word, str | int)
    return word
