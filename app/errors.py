"""The one error tree, and the exit codes that the command line gives for it.

    DistBeliefError
    |-- ConfigError             a setting is unknown, malformed or out of range
    |   |-- LayoutError         the parameters cannot be cut as asked
    |   |-- RunUnknown          there is no run of that id
    |   `-- RunDamaged          what was written down of a run cannot be
    |-- DataError               a data file or a data set is unusable
    |-- ModelError              a model cannot be imported, built or loaded
    |-- ServerError             a Redis server cannot do what we need
    |   |-- ServerUnreachable   no answer within the deadline
    |   |-- AuthenticationFailed
    |   |-- UnsafeEviction      the server may evict parameters
    |   |-- ScriptSelfTestFailed
    |   `-- ServerRefused       out of memory, no permission, wrong type, ...
    |       |-- KeyDamaged      a key holds something else than this program writes
    |       `-- NotFinite       a vector would hold NaN or infinity
    |-- StoreError              a parameter shard is not in the expected state
    |   |-- DataLost            a server lost what it had acknowledged
    |   |   |-- ModelMissing    the shard does not know the run (NOMODEL)
    |   |   `-- ShardBehind     the shard is older than it was (BEHIND, GAP)
    |   `-- Fenced              a newer attempt or a newer coordinator took over
    |-- NoWorkers               no Celery worker listens on the queue
    |-- WorkFailed              a unit of work failed as often as it may
    |-- WorkerMismatch          a worker has other code or data, another model or other servers
    |-- Diverged                gradients or losses stay non-finite
    |-- RunTaken                another coordinator has the run
    |-- CheckpointError         there is no checkpoint that can be used
    `-- WaitTimeout             a wait ran into its deadline

Expected outcomes (target reached, out of patience, ...) are no errors: they are
values of :class:`distbelief.coordinator.progress.outcome.EndReason`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """Exit codes of the command line."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    DATA = 3
    MODEL = 4
    UNREACHABLE = 5
    AUTHENTICATION = 6
    EVICTION = 7
    SELF_TEST = 8
    SERVER = 9
    NO_WORKERS = 10
    WORK_FAILED = 11
    DIVERGED = 12
    TIMEOUT = 13
    TAKEN = 14
    CHECKPOINT = 15
    MISMATCH = 16
    GO_ON = 75
    INTERRUPTED = 130


class DistBeliefError(Exception):
    """Base of every error that this project raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL


class ConfigError(DistBeliefError):
    """A setting is unknown, malformed or out of range."""

    exit_code = ExitCode.USAGE


class LayoutError(ConfigError):
    """The parameters cannot be cut into blocks, shards and servers as asked."""


class RunUnknown(ConfigError):
    """There is no run of that id where it was looked for."""


class RunDamaged(ConfigError):
    """What a record or a folder says of a run cannot be, or is of another version."""


class DataError(DistBeliefError):
    """A data file or a data set is unusable."""

    exit_code = ExitCode.DATA


class ModelError(DistBeliefError):
    """A model cannot be imported, built or loaded."""

    exit_code = ExitCode.MODEL


class ServerError(DistBeliefError):
    """A Redis server cannot do what we need."""

    exit_code = ExitCode.SERVER


class ServerUnreachable(ServerError):
    """A server gave no answer within the deadline."""

    exit_code = ExitCode.UNREACHABLE


class AuthenticationFailed(ServerError):
    """A server refused the user name or password."""

    exit_code = ExitCode.AUTHENTICATION


class UnsafeEviction(ServerError):
    """A server is set up so that it may evict parameters or run records."""

    exit_code = ExitCode.EVICTION


class ScriptSelfTestFailed(ServerError):
    """A server computes an update differently from the NumPy twin."""

    exit_code = ExitCode.SELF_TEST


class ServerRefused(ServerError):
    """A server refused a command: no permission, wrong type, out of memory for too long."""


class KeyDamaged(ServerRefused):
    """A key holds something else than this program writes there."""


class NotFinite(ServerRefused):
    """An operation on vectors would write NaN or infinity; nothing was written."""


class StoreError(DistBeliefError):
    """A parameter shard is not in the state that the client expects."""

    exit_code = ExitCode.SERVER


class DataLost(StoreError):
    """A server lost what it had acknowledged; the coordinator mends that, under a new fence."""


class ModelMissing(DataLost):
    """A shard does not know the run: never created, flushed, or another server."""


class ShardBehind(DataLost):
    """A shard lacks the last that it had acknowledged: its server came back with older data."""


class Fenced(StoreError):
    """A newer attempt of this work, or a newer coordinator, has taken over."""


class NoWorkers(DistBeliefError):
    """No Celery worker listens on the queue that the run needs."""

    exit_code = ExitCode.NO_WORKERS


class WorkFailed(DistBeliefError):
    """A unit of work failed as often as it may."""

    exit_code = ExitCode.WORK_FAILED


class WorkerMismatch(DistBeliefError):
    """A worker has other code or data, another model or other servers than the coordinator."""

    exit_code = ExitCode.MISMATCH


class Diverged(DistBeliefError):
    """Gradients or losses stay non-finite."""

    exit_code = ExitCode.DIVERGED


class RunTaken(DistBeliefError):
    """Another coordinator has the run, or has taken it from this one."""

    exit_code = ExitCode.TAKEN


class CheckpointError(DistBeliefError):
    """A checkpoint is missing or damaged."""

    exit_code = ExitCode.CHECKPOINT


class WaitTimeout(DistBeliefError):
    """A wait ran into its deadline; the message says what was waited for."""

    exit_code = ExitCode.TIMEOUT
