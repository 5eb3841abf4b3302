"""Scores of a saved model, in this process and without any server.

Data are read as those of the training were, and labels are those of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.reading.reader import Progress
from distbelief.app.datasets.run_data import Selection, divide, training_options
from distbelief.app.datasets.sources.source import parse
from distbelief.app.errors import ConfigError, DataError, ModelError
from distbelief.app.models.auc import AucBy, Ranks
from distbelief.app.models.criterion import judged_as
from distbelief.app.models.files import SavedModel
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.predictions import CHUNK_EXAMPLES
from distbelief.app.settings.config import RunConfig
from distbelief.app.settings.sections import Scalar

PARTS = ("all", "train", "heldout", "test")


def evaluate(
    saved: SavedModel,
    source: str,
    options: Mapping[str, Scalar],
    part: str = "all",
    progress: Progress | None = None,
) -> Score:
    """Score a saved model on labelled data; ``part`` is by the split of its training.

    If the training had files of their own for the parts ``heldout`` or ``test``, ``source`` must
    be those; all of the training data are then its other part. Nothing is opened that only the
    model names: it may be a stranger's.

    Raises:
        DataError: unreadable data, data that do not fit the model, or for a part of the training
            other data than it had.
    """
    config = None if part == "all" else _config(saved)
    own = {} if config is None else {"heldout": config.holdout_data, "test": config.test_data}
    beside = own.get(part)
    if config is not None and beside is not None:
        _check_named(saved, source, config, part, beside)
    elif config is not None:
        options = {**training_options(config), **options}
    dataset = open_cached(
        source,
        options,
        default_cache_folder(),
        compatibility=saved.compatibility(),
        progress=progress,
    )
    if config is not None:
        _check_same(saved, config, dataset, part)
    examples = Selection(dataset)
    if config is not None and beside is None:
        parts = divide(dataset, config)
        examples = Selection(dataset, getattr(parts, part))
        if not len(examples):
            setting = "test" if part == "test" else "holdout"
            raise DataError(f"the model was trained with {setting} 0: there is no part {part}")
    return score_examples(saved, examples)


def _check_named(saved: SavedModel, source: str, config: RunConfig, part: str, beside: str) -> None:
    """Refuse the training data where others are the part; a file that was moved is the same."""
    found = parse(source).absolute()
    known = f"{part}_fingerprint" in saved.facts and found != config.data
    if found != beside and not known:
        raise DataError(
            f"{source} is not what was held out: the training had data of their own for {part}, in "
            f"{beside}, and data that a model file names are opened only if you name them, too "
            "(if they lie elsewhere now, name those and all as the part)"
        )


def score_examples(saved: SavedModel, examples: Selection) -> Score:
    """Score a saved model on some examples, a chunk at a time."""
    task = judged_as(saved.build().task, saved.schema.n_classes)
    by, ranks = AucBy.of(task, len(examples)), Ranks()
    source, total = saved.source(), Score()
    for start in range(0, len(examples), CHUNK_EXAMPLES):
        between = start, start + CHUNK_EXAMPLES
        total += score(
            source,
            *examples.between(*between),
            threshold=saved.settings.threshold,
            histogram=by is AucBy.HISTOGRAM,
            seen=ranks.add if by is AucBy.RANKS else None,
            weights=examples.weights(*between),
        )
    return replace(total, auc=ranks.auc()) if by is AucBy.RANKS else total.with_histogram_auc()


def _check_same(saved: SavedModel, config: RunConfig, dataset: Dataset, part: str) -> None:
    """Refuse other data than the training had: the same split of them would be another part."""
    beside = {"heldout": config.holdout_data, "test": config.test_data}.get(part)
    expected = saved.facts.get("fingerprint" if beside is None else f"{part}_fingerprint")
    if expected is not None and dataset.fingerprint != expected:
        of = beside or config.data
        raise DataError(
            f"{dataset.name} is not the file of the training, {of}, as that was then (fingerprint "
            f"{dataset.fingerprint}, expected {expected}): it has no part {part}; all of it is "
            "scored by --part all"
        )


def _config(saved: SavedModel) -> RunConfig:
    try:
        return RunConfig(**saved.facts["config"])
    except (KeyError, TypeError, ConfigError) as error:
        raise ModelError(f"the model file does not say how its data were split: {error}") from error
