"""The curves of the saved model, as its run's folder has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A part of the document; fields that it does not know are those of a later version."""

    model_config = ConfigDict(frozen=True)


class RocCurve(Part):
    """The curve of one class against all others."""

    name: str = Field(alias="class")
    auc: Share
    false_positive_rate: Sequence[Share]
    true_positive_rate: Sequence[Share]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.false_positive_rate) != len(self.true_positive_rate):
            raise ValueError("not as many rates of one kind as of the other")
        return self


class Stretch(Part):
    """Predictions of about one probability: its mean, and how often it was so."""

    predicted: Share
    observed: Share
    examples: int = Field(ge=1)


class Pairs(Part):
    """True and predicted values."""

    true: Annotated[Sequence[Finite], Field(min_length=1)]
    predicted: Sequence[Finite]

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.true) != len(self.predicted):
            raise ValueError("not as many true values as predictions")
        return self


class Curves(Part):
    """What is known of the model: of ``of`` held-out examples ``examples`` were looked at.

    ``of_class`` is the class whose probability is calibrated, None for that of the answer.
    """

    examples: int
    of: int
    of_class: str | None = None
    roc: Sequence[RocCurve] = ()
    calibration: Sequence[Stretch] = ()
    pairs: Pairs | None = None


def understood(document: Any) -> Curves | None:
    """The curves of a document; None if it is not one of ours."""
    try:
        return Curves.model_validate(document)
    except ValidationError:
        return None
