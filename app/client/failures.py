"""Failures of a server: which of them may pass, and the words for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import redis

from distbelief.app.errors import (
    AuthenticationFailed,
    KeyDamaged,
    ServerError,
    ServerRefused,
    ServerUnreachable,
)

#: Error replies that a server gives for a while, in a failover for instance: ask again.
#: redis-py takes the code off the text of those that it has a class for.
TEMPORARY = (
    redis.exceptions.ReadOnlyError,
    redis.exceptions.MasterDownError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.TryAgainError,
    redis.exceptions.OutOfMemoryError,  # a script is refused at its first write, so wholly
)
#: Answers of who was the primary until now.
DEMOTED = (redis.exceptions.ReadOnlyError, redis.exceptions.MasterDownError)
#: A server whose disk is full, which refuses a script at its first write, too.
DISK_FULL = "MISCONF"
TEMPORARY_TEXTS = ("BUSY ", "NOREPLICAS", "UNBLOCKED", DISK_FULL)

#: Answers of a node of a cluster about keys that lie, in part or wholly, on others.
ELSEWHERE = (redis.exceptions.AskError, redis.exceptions.ClusterCrossSlotError)


#: How servers say that a key is of another type, or that a script failed on what it holds.
FOREIGN = ("WRONGTYPE", "user_script")

#: Errors of who may not enter.
NOT_LET_IN = (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError)


def may_pass(error: redis.ResponseError) -> bool:
    """Whether the same command may be answered if it is asked again."""
    return isinstance(error, TEMPORARY) or str(error).startswith(TEMPORARY_TEXTS)


def is_unknown(command: str, error: redis.ResponseError) -> bool:
    """Whether the server has no such command."""
    return str(error).startswith(f"unknown command '{command}'")


#: What to do about an answer that does not pass, by its class or how it begins.
REMEDIES: Mapping[type[Exception] | str, str] = {
    redis.exceptions.BusyLoadingError: "it reads its data from the disk: wait for that, or raise "
    "server_seconds",
    redis.exceptions.ReadOnlyError: "it is a replica: name its primary, or make it one with "
    "REPLICAOF NO ONE",
    redis.exceptions.MasterDownError: "it is a replica without its primary: bring that back, or "
    "make it one with REPLICAOF NO ONE",
    redis.exceptions.ClusterDownError: "some of its slots are served by no node: bring back those "
    "that are down, or have a replica take over (CLUSTER FAILOVER TAKEOVER)",
    redis.exceptions.TryAgainError: "keys of one shard lie on two nodes while a slot moves, and it "
    "does not end: see redis-cli --cluster check",
    redis.exceptions.AskError: "its nodes send us on to one another: see redis-cli --cluster check",
    DISK_FULL: "make room on its disk, or have it save nothing with CONFIG SET save ''",
    "BUSY ": "a script of somebody else's does not end: SCRIPT KILL ends it",
    "NOREPLICAS": "it waits for its replicas: bring them back, or lower min-replicas-to-write",
    "UNBLOCKED": "it is being made a replica: name its primary",
}


def _remedy(failure: Exception) -> str:
    """What to do about a failure that lasts, "" if only the server can know."""
    for kind, remedy in REMEDIES.items():
        if str(failure).startswith(kind) if isinstance(kind, str) else isinstance(failure, kind):
            return remedy
    return ""


def complaint(where: str, failure: Exception) -> str:
    """Say in a sentence what is wrong with the server ``where`` at the moment."""
    if isinstance(failure, redis.exceptions.OutOfMemoryError):
        return f"{where} is out of memory"
    if isinstance(failure, redis.exceptions.NoScriptError):
        return f"{where} forgets scripts as soon as it was given them"
    if isinstance(failure, NOT_LET_IN):
        return f"{where} refuses the user name or password of now: {failure}"
    if isinstance(failure, redis.ResponseError):
        return f"{where} is not ready: {failure}"
    return f"{where} gives no answer: {_reason(failure)}"


def refused(where: str, error: redis.ResponseError, keys: Sequence[str] = ()) -> ServerRefused:
    """The error for an answer that asking again cannot mend, to a command on those ``keys``."""
    if keys and any(word in str(error) for word in FOREIGN):
        return KeyDamaged(
            f"{where} holds something that this program does not write, in {' or '.join(keys)} "
            f"({error}): who else writes to this server? Remove what is nobody's"
        )
    if isinstance(error, ELSEWHERE):
        return ServerRefused(
            f"{where} is a node of a cluster ({error}): name the cluster, as "
            "redis+cluster://HOST:PORT,HOST:PORT"
        )
    return ServerRefused(f"{where} refused a command: {error}")


def given_up(where: str, deadline_s: float, failure: Exception) -> ServerError:
    """The error for a failure that has not passed within the deadline."""
    if isinstance(failure, NOT_LET_IN):
        return not_let_in(where, failure)
    if isinstance(failure, redis.exceptions.OutOfMemoryError):
        return ServerRefused(
            f"{where} is out of memory, still after {deadline_s:g} s: raise its maxmemory, "
            "or remove the keys of runs that are over"
        )
    if isinstance(failure, redis.exceptions.NoScriptError):
        return ServerUnreachable(
            f"{where} forgets scripts: within {deadline_s:g} s it never knew one that it had "
            "just been given"
        )
    if remedy := _remedy(failure):
        kind = ServerRefused if str(failure).startswith(DISK_FULL) else ServerUnreachable
        said = str(failure).rstrip(".")
        return kind(f"{where} refused a command, still after {deadline_s:g} s: {said}: {remedy}")
    return ServerUnreachable(
        f"{where} gave no answer within {deadline_s:g} s: {_reason(failure)}. Is a server running "
        "there? The command doctor looks at all of them"
    )


def not_let_in(where: str, error: Exception) -> AuthenticationFailed:
    if "Authentication required" in str(error):
        return AuthenticationFailed(
            f"{where} needs a password: write redis://USER:PASSWORD@HOST:PORT (USER may be empty)"
        )
    return AuthenticationFailed(f"{where} refused the user name or password: {error}")


def _reason(failure: Exception) -> str:
    """The system's words where there are some; redis-py would name the address again."""
    cause = failure.__context__
    return (cause.strerror if isinstance(cause, OSError) else None) or str(failure)
