"""Working under a lease: claim, keep it alive, report once."""

from __future__ import annotations

import logging
import os
import socket
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.errors import (
    DataLost,
    DistBeliefError,
    Fenced,
    ServerError,
    WorkerMismatch,
)
from distbelief.app.files.visible import visible
from distbelief.app.runs.ledger import Claim, Ledger, UnitState
from distbelief.app.runs.renewal import RENEWALS_PER_LEASE, Renewal
from distbelief.worker_tasks.shutdown import ending

log = logging.getLogger(__name__)


class _HandOver(Exception):
    """This worker has been told to end."""


@dataclass(frozen=True)
class Lease:
    """A claimed unit whose lease a thread renews until the work is over."""

    claim: Claim
    lost: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise if the work is to stop here: called before each step of it.

        Raises:
            Fenced: somebody else has the unit by now.
        """
        if self.lost.is_set():
            raise Fenced(f"the lease on {self.claim.unit} was lost")
        if ending():
            raise _HandOver


def work(ledger: Ledger, unit: str, do: Callable[[Lease], dict[str, Any]]) -> str:
    """Claim ``unit``, do it, report it; the outcome in a word, for the log and Flower.

    A message for a unit that is held, finished or forgotten ends here quietly: the
    broker delivers twice now and then. One for a run that nobody knows is told. A worker that
    is told to end gives the unit back at its next check: nothing is lost, for whoever goes on
    begins at the step that the shards have.
    """
    claim = ledger.claim(unit, _claimer())
    if claim is None:
        return "refused" if is_unknown(ledger) else "nothing to do"
    with _keep_renewed(ledger, claim) as lease:
        try:
            lease.check()
            report = do(lease)
        except Fenced as reason:
            log.info("%s: stopped, %s", unit, reason)
            return "fenced"
        except DataLost as lost:
            # The coordinator's to mend, under a new fence: it must hear of it.
            log.warning("%s: stopped, %s", unit, lost)
            failure = {"error": str(lost), "traceback": "", "worker": process_name(), "lost": True}
            return "data lost" if ledger.finish(claim, UnitState.FAILED, failure) else "fenced"
        except _HandOver:
            return "handed over" if ledger.release(claim) else "fenced"
        except Exception as error:
            # Whatever a user's model raises must reach the coordinator. Our own errors
            # say what is wrong; others need their traceback.
            ours = isinstance(error, DistBeliefError)
            failure = {
                "error": str(error) if ours else f"{type(error).__name__}: {error}",
                "traceback": "" if ours else traceback.format_exc(),
                "worker": process_name(),
                # No other worker is asked: the run ends, and says with whom it cannot work.
                "mismatch": isinstance(error, WorkerMismatch),
            }
            ledger.finish(claim, UnitState.FAILED, failure)
            raise
    return "done" if ledger.finish(claim, UnitState.DONE, report) else "fenced"


def is_unknown(ledger: Ledger) -> bool:
    """Whether a message is for a run that the control server does not know; the log then says so.

    Runs are removed, and messages may be forged.
    """
    if ledger.knows_run():
        return False
    log.warning(
        "a message for run %s was refused, which the control server does not know: if nobody has "
        "removed that run, who else sends messages?",
        visible(ledger.run),
    )
    return True


def process_name() -> str:
    """The name of this process, as people find it: process@host."""
    return f"{os.getpid()}@{socket.gethostname()}"


def _claimer() -> str:
    return f"{process_name()}/{uuid.uuid4().hex[:12]}"


@contextmanager
def _keep_renewed(ledger: Ledger, claim: Claim) -> Iterator[Lease]:
    lease = Lease(claim)

    def renew() -> bool:
        try:
            if not ledger.renew(claim):
                lease.lost.set()
        except ServerError as error:
            # Not lost yet: the fencing token decides, on every shard.
            log.warning("cannot renew the lease on %s: %s", claim.unit, error)
        return not lease.lost.is_set()

    renewal = Renewal("lease", claim.lease_s / RENEWALS_PER_LEASE, renew)
    try:
        yield lease
    finally:
        renewal.stop(claim.lease_s)
