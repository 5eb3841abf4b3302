"""The settings of Downpour: replicas, their exchanges with the servers, and their pace."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from distbelief.app.settings.section import Positive, Section

#: Steps between exchanges with the servers; ``auto`` is chosen before the training.
Interval = Positive | Literal["auto"]
#: So many of something; ``auto`` is chosen before the training, by the workers that are there.
Count = Positive | Literal["auto"]
#: In how many bits numbers cross the network.
Wire = Literal["float32", "bfloat16", "int8"]

#: Replicas, at least, where they are as many as there are workers.
FEWEST_REPLICAS = 2


class DownpourSettings(Section):
    """Downpour SGD"""

    replicas: Count = Field(
        "auto",
        description="model replicas that are at work at a time, each with a subset of the data; "
        "auto is the worker processes that are there, at least 2, and no more than have ten "
        "minibatches of a pass each",
    )
    streams: Count = Field(
        "auto",
        description="subsets of the data: with more of them than replicas, workers that join in "
        "the middle of a run have work, and those that leave are not missed; auto is as many as "
        "replicas, and where those are auto and workers run elsewhere one for each unit of a "
        "pass, at most 256",
    )
    batch_size: Positive = Field(32, description="examples in a minibatch")
    n_fetch: Interval = Field(
        "auto", description="steps between fetches of the parameters; auto is as n_push"
    )
    n_push: Interval = Field(
        "auto",
        description="steps between pushes of the accrued gradient; auto is as n_fetch, or as few "
        "as the servers can take, at most 4; where links or servers are slow it chooses rounds and "
        "wire, too, unless they are given",
    )
    wire: Wire = Field(
        "float32",
        description="numbers of pushes and fetches on the network: as they are stored, in 16 bits, "
        "or in 8 with a scale for each 256 of them; what rounding takes from a push is added to "
        "the next",
    )
    overlap: bool = Field(True, description="fetch and push while the next gradient is computed")
    schedule: Literal["constant", "inverse", "step", "cosine"] | None = Field(
        None,
        description="rate in the course of the training: inverse as learning_rate_decay says; step "
        "is a tenth of it after half of the passes and a hundredth after three quarters; cosine "
        "falls to 0 (not FTRL) [default: inverse with a decay, else constant]",
    )
    warm_up: float = Field(
        0.0, ge=0, description="passes in which the rate rises to its full height (not FTRL)"
    )
    max_staleness: int | None = Field(
        None,
        ge=0,
        description="pushes that a replica may be ahead of the slowest when it begins another; "
        "one that is further ahead waits [default: none waits]",
    )
    scale_by_staleness: bool = Field(
        False, description="divide a push's rate by the updates of others since its fetch"
    )
    warm_start_steps: int = Field(
        0, ge=0, description="steps that one replica takes alone before the others start"
    )
    unit_steps: Positive = Field(
        200, description="steps in one Celery task, rounded up to whole pushes"
    )

    @property
    def n_replicas(self) -> int:
        """``replicas``, also where workers have not been counted."""
        return FEWEST_REPLICAS if self.replicas == "auto" else self.replicas

    @property
    def n_streams(self) -> int:
        """``streams``, also where none are given."""
        return self.n_replicas if self.streams == "auto" else self.streams

    @property
    def comes_and_goes(self) -> bool:
        """Whether workers may: there are more streams than are worked on at a time."""
        return self.n_streams > self.n_replicas

    @property
    def push_interval(self) -> int:
        """``n_push`` once it is chosen; a step where each unit is told its own."""
        return 1 if self.n_push == "auto" else self.n_push

    @property
    def fetch_interval(self) -> int:
        """``n_fetch``, likewise."""
        return 1 if self.n_fetch == "auto" else self.n_fetch
