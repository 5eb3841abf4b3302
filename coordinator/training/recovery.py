"""Training until its end, though servers may lose their data meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from distbelief.app.errors import DataLost, ServerError, StoreError
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.runs.driver import Driver, FinalState
from distbelief.coordinator.training.resources import TrainingResources

#: Times in a row that lost data are restored without a new checkpoint in between.
MOST_LOSSES = 5

REMEDY = (
    "Servers keep what they acknowledge with appendonly yes and appendfsync always; before a "
    "failover, with min-replicas-to-write 1 and replicas that keep up"
)


@dataclass(frozen=True)
class Ending:
    """The end of a training, and what the shards held there.

    ``checkpoint`` is the last one of a run that is to be resumed, if it could be written;
    ``details`` is what the algorithm has to say, a line each; ``terminated`` says that SIGTERM
    ended it, and so that whoever sent it may go on with the run.
    """

    reason: EndReason
    final: FinalState
    details: tuple[str, ...]
    checkpoint: Path | None
    terminated: bool = False

    @property
    def resumable(self) -> bool:
        return self.reason is EndReason.INTERRUPTED


def train_to_the_end(
    resources: TrainingResources, driver: Driver, begin: Callable[[], None], *, resumed: bool
) -> Ending:
    """Train; restore the run when a server lost data, all or the last, before anything or late.

    ``begin`` comes once more if that happens before there is a checkpoint of this process.

    Raises:
        DataLost: that happened again and again.
    """
    checkpoints, session, losses = resources.hooks.checkpoints, resources.session, 0
    begun, written = False, checkpoints.written
    loss: DataLost | None = None
    while True:
        try:
            if loss is not None:
                _shut_out(resources, loss)
            if not begun:
                begin()
            if resumed or loss is not None:
                _restore(resources, driver)
            if not begun:
                begun = checkpoints.write(session.fence, driver.capture) is not None
                session.tell("start", fence=session.fence, training_s=driver.seconds)
            return _read_ending(resources, driver, driver.run())
        except DataLost as error:
            losses, loss = losses + 1 if checkpoints.written == written else 1, error
            written = checkpoints.written
            if losses > MOST_LOSSES:
                raise type(error)(f"{error} ({losses} times in a row). {REMEDY}") from error


def _shut_out(resources: TrainingResources, loss: DataLost) -> None:
    """Shut out everybody who does not know of the loss, under a new fence."""
    with suppress(ServerError, StoreError):  # what it read may be what was lost
        resources.hooks.checkpoints.settle()
    # It may seem lost because the run was taken over: then this raises, and nothing is said.
    resources.session.renew()
    resources.say(f"data lost: {loss}")
    resources.session.tell("lost", what=str(loss))


def _restore(resources: TrainingResources, driver: Driver) -> None:
    """Bring lost data back from the last checkpoint, and go on from where the shards stand."""

    def say(line: str) -> None:
        resources.say(line)
        resources.session.tell("restored", what=line)

    driver.restore(resources.hooks.checkpoints.latest, say)
    resources.say(f"taken up under fence {resources.session.fence}")


def _read_ending(resources: TrainingResources, driver: Driver, reason: EndReason) -> Ending:
    """Read what the shards hold; raises DataLost if a server lost it."""
    checkpoints, resumable = resources.hooks.checkpoints, reason is EndReason.INTERRUPTED
    checkpoints.settle()  # what it reads on the servers may go then
    fence = resources.session.fence
    last = checkpoints.write(fence, driver.capture) if resumable else None
    details = tuple(driver.summary())
    final = driver.finish(resumable=resumable)
    if final.complaint:
        resources.say(f"the model is read, but not all servers are left with it: {final.complaint}")
    terminated = resumable and resources.hooks.terminated()
    return Ending(reason, final, details, last, terminated)
