"""The leadership of this process over a run: take it, keep its lease alive, let it go."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    ConfigError,
    DistBeliefError,
    Fenced,
    KeyDamaged,
    ModelMissing,
    RunDamaged,
    RunTaken,
    ServerError,
)
from distbelief.app.runs import leadership
from distbelief.app.runs.leadership import Claimant
from distbelief.app.runs.record import RunRecord
from distbelief.app.runs.renewal import RENEWALS_PER_LEASE, Renewal
from distbelief.app.runs.snapshot import Owner, RunState
from distbelief.coordinator.progress.program import FOLDER, command

log = logging.getLogger(__name__)

#: Between renewals: ``status`` and ``stop`` need not wait for long.
LONGEST_PAUSE_S = 1.0

#: How often to ask for a run whose coordinator seems to be dead.
POLL_S = 0.5

#: Servers count in whole milliseconds.
CLOCK_TICK_S = 0.001


class Leader:
    """Holds one run. While it does, a thread renews the lease and tells ``status``.

    ``fence`` is the run's, 0 before it is taken; ``folder`` is where runs are, for what is told.
    """

    def __init__(self, control: Servers, run: str, lease_s: float, folder: str = FOLDER) -> None:
        self._control = control
        self._run = run
        self._lease_s = lease_s
        self._folder = folder
        self._claimer = ""
        self._renewal: Renewal | None = None
        # So that the thread never renews with a claimer that is just being replaced.
        self._changing = threading.Lock()
        self._failure: DistBeliefError | None = None
        self._asked_to_stop = False
        self.fence = 0
        self.status: Mapping[str, Any] = {}

    def take(
        self,
        record: RunRecord,
        *,
        least_fence: int = 1,
        take_over: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take the run under a new fence, and keep it.

        A coordinator that has just shown a sign of life may be dead all the same: its lease is
        waited for, and given up on as soon as it shows another one.

        Raises:
            RunTaken: another coordinator has it, and lives.
            ConfigError: the run has finished.
        """
        began: float | None = None
        while True:
            asked = time.monotonic()
            owner = self._ask(record, least_fence, take_over=take_over)
            if owner is None:
                break
            if began is None:  # only from here on is silence compared with what we waited
                began = time.monotonic()
                say(f"waiting for the lease of {owner} to run out, or for a sign of life")
            waited = asked - began
            if owner.silent_s < waited - CLOCK_TICK_S or waited > 2 * self._lease_s:
                raise RunTaken(
                    f"run {self._run} is coordinated by {owner}: stop it with "
                    f"'{command('stop', self._run, folder=self._folder)}', or take the run from it "
                    "with --take-over"
                )
            time.sleep(POLL_S)
        pause_s = min(self._lease_s / RENEWALS_PER_LEASE, LONGEST_PAUSE_S)
        self._renewal = Renewal("leader", pause_s, self._keep)

    def renew(self, record: RunRecord) -> None:
        """Take the run again under a new fence; raises RunTaken if it is somebody else's."""
        try:
            owner = self._ask(record, self.fence + 1, take_over=False)
        except ConfigError as error:  # we have not finished it
            raise RunTaken(f"run {self._run} was taken over, and has finished") from error
        if owner is not None:
            raise RunTaken(f"run {self._run} was taken over by {owner}")

    def check(self) -> None:
        """Raise the error that the thread met, if any.

        Raises:
            RunTaken: another coordinator has taken the run.
            ModelMissing: the control server lost the run.
        RunDamaged: its record says what this coordinator has not written.
        """
        if self._failure is not None:
            raise self._failure

    def asked_to_stop(self) -> bool:
        """Whether somebody asked to stop on another terminal."""
        return self._asked_to_stop

    def commit(self, state: Mapping[str, Any]) -> None:
        """Commit the state that a new coordinator goes on from; raises like :meth:`check`."""
        try:
            leadership.commit(self._control, self._run, self.fence, state)
        except Fenced as error:
            raise RunTaken(str(error)) from error

    def close(self, state: RunState, outcome: Mapping[str, Any]) -> None:
        """Let the run go, with its last status; raises Fenced if it is somebody else's."""
        self.stop()
        self._keep()
        leadership.close(self._control, self._run, self._claimer, state, outcome)

    def retire(self, seconds: float) -> None:
        """Have the record of the run go some time after its end; raises like :meth:`close`."""
        leadership.retire(self._control, self._run, self._claimer, seconds)

    def stop(self) -> None:
        """End the thread, without a word to the server: the lease runs out."""
        if self._renewal is not None:
            self._renewal.stop(self._lease_s)

    def _ask(self, record: RunRecord, least_fence: int, *, take_over: bool) -> Owner | None:
        claimer = uuid.uuid4().hex
        claimant = Claimant(claimer, socket.gethostname(), os.getpid(), self._claimer)
        with self._changing:
            answer = leadership.lead(
                self._control,
                record,
                claimant,
                self._lease_s,
                least_fence=least_fence,
                take_over=take_over,
            )
            if isinstance(answer, Owner):
                return answer
            self._claimer = claimer
            self.fence = answer
            self._failure = None
        return None

    def _keep(self) -> bool:
        """Keep the lease, or note why not; then it is tried again: the run may be mended."""
        with self._changing:
            self._keep_once()
        return True

    def _keep_once(self) -> None:
        try:
            stop = leadership.keep(self._control, self._run, self._claimer, self.status, self.fence)
            self._asked_to_stop = self._asked_to_stop or stop
        except Fenced as error:
            self._failure = RunTaken(str(error))
        except (ModelMissing, RunDamaged, KeyDamaged) as error:
            self._failure = error
        except ServerError as error:  # the main thread meets it, too, and says so
            log.info("cannot keep the lease on run %s: %s", self._run, error)
