"""The settings of the data: what they are, and how they are divided."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from distbelief.app.settings.section import Section
from distbelief.app.settings.sections import Scalar

#: Words of the setting ``split``; others are names of columns.
RANDOM, STRATIFIED = "random", "stratified"


def _share_or_column(value: Any) -> float | str:
    """A share, also as text; anything else is the name of a column."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or value == "":
        raise ValueError("must be a share from 0 to below 1, or the name of a column")
    percent = str(value).strip().endswith("%")
    try:
        share = float(value.strip(" %")) if isinstance(value, str) else float(value)
    except ValueError:
        return str(value)
    if percent or not 0 <= share < 1:
        means = f": {share:g} % is {share / 100:g}" if 2 <= share < 100 else ""
        raise ValueError(f"must be at least 0 and below 1, or the name of a column{means}")
    return share


class DataSettings(Section):
    """Data"""

    data: str = Field(
        "digits",
        description="digits, synthetic:linear, synthetic:logistic, synthetic:softmax, "
        "synthetic:clicks; CSV, LIBSVM (also packed) or Parquet files: one (- is standard input), "
        "a folder or a pattern, also https:// and the like; a .npz file with arrays x and y, a "
        "pair x.npy and y.npy, or MNIST's images-idx3-ubyte(.gz) with the labels beside it",
    )
    data_options: dict[str, Scalar] = Field(
        {}, description="options of the data, KEY=VALUE (target=COLUMN, header=true)"
    )
    holdout: Annotated[float | str, BeforeValidator(_share_or_column)] = Field(
        0.2,
        description="fraction of the examples held out for evaluation; or the name of a column "
        "that says which are (train, heldout, test; 0 or 1), which is then no feature",
    )
    holdout_data: str | None = Field(
        None, description="held-out examples of their own, as data; the fraction is then unused"
    )
    split: str = Field(
        RANDOM,
        min_length=1,
        description="which examples are held out: random ones; stratified, the same fraction of "
        "each class; or the name of a column of numbers or dates, the last by which are held out, "
        "and which is then no feature",
    )
    test: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="fraction of the examples that neither trains nor chooses: it is scored once, "
        "at the end (of a column as split, the very last)",
    )
    test_data: str | None = Field(
        None,
        description="examples to be scored once, at the end, as data; the fraction is then unused",
    )
    standardize: bool | None = Field(
        None,
        description="train on columns (and targets of a regression) of mean 0 and deviation 1, and "
        "give parameters for the raw ones [default: with our own models yes, but for the columns "
        "of sparse data]",
    )
    class_weight: str | None = Field(
        None,
        description="weights of the classes in losses and figures: balanced (one over how common "
        "each is), or CLASS=WEIGHT,CLASS=WEIGHT, others having 1",
    )
