"""The area under the ROC curve, exactly and by histogram, however the examples are parted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from distbelief.app.layout.tensors import Vector
from distbelief.app.models import auc
from distbelief.app.models.auc import BINS, AucBy, Ranks, binned, histogram_auc
from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Targets, Task

#: Few values, so that many are tied.
tied = st.sampled_from([0.0, 0.125, 0.25, 0.3, 0.5, 0.75, 1.0])
chances = st.one_of(tied, st.floats(0, 1, width=32))
examples = st.lists(st.tuples(chances, st.integers(0, 1)), min_size=1, max_size=60)
dtypes = st.sampled_from([np.float32, np.float64])


def arrays(pairs: Sequence[tuple[float, int]], dtype: type = np.float64) -> tuple[Vector, Targets]:
    scores, labels = zip(*pairs, strict=True)
    return np.array(scores, dtype), np.array(labels)


def gathered(scores: Vector, labels: Targets, cuts: Sequence[int] = ()) -> Ranks:
    ranks = Ranks()
    for part in np.split(np.arange(len(scores)), sorted(cut % len(scores) for cut in cuts)):
        ranks.add(scores[part], labels[part])
    return ranks


@given(pairs=examples, dtype=dtypes)
def test_the_exact_value_is_that_of_scikit_learn(
    pairs: list[tuple[float, int]], dtype: type
) -> None:
    scores, labels = arrays(pairs, dtype)
    assume(0 < labels.sum() < len(labels))
    found = gathered(scores, labels).auc()
    assert found == pytest.approx(roc_auc_score(labels, scores), abs=1e-12, rel=0)


def test_the_exact_value_of_many_examples_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200_000)
    scores = np.round(rng.normal(labels, 2.0), 2).astype(np.float32)
    assert gathered(scores, labels).auc() == pytest.approx(
        roc_auc_score(labels, scores), abs=1e-12, rel=0
    )


def test_the_exact_value_counts_pairs_and_half_of_the_ties() -> None:
    assert gathered(*arrays([(0.1, 0), (0.4, 1), (0.4, 0), (0.9, 1)])).auc() == 3.5 / 4


weighted = st.lists(
    st.tuples(chances, st.integers(0, 1), st.integers(0, 5)), min_size=1, max_size=60
)


@given(triples=weighted, scale=st.sampled_from([1.0, 0.37]))
def test_with_weights_it_is_that_of_scikit_learn_and_that_of_repeated_examples(
    triples: list[tuple[float, int, int]], scale: float
) -> None:
    scores, labels = arrays([(chance, label) for chance, label, _ in triples])
    times = np.array([n for *_, n in triples])
    repeated = gathered(scores.repeat(times), labels.repeat(times))
    weights = (times * scale).astype(np.float32)
    ranks = Ranks()
    for part in np.array_split(np.arange(len(times)), 3):
        ranks.add(scores[part], labels[part], weights[part])
    packed = [ranks.pack()]
    expected = repeated.auc() if times.any() else None
    for found in (ranks.auc(), Ranks.unpack(packed).auc()):
        if expected is None:
            assert found is None
        else:
            theirs = roc_auc_score(labels, scores, sample_weight=times)
            assert found == pytest.approx(expected, abs=1e-12, rel=0)
            assert found == pytest.approx(theirs, abs=1e-12, rel=0)
    bins = binned(scores, labels, weights)
    plain = binned(scores.repeat(times), labels.repeat(times))
    assert np.array(bins) == pytest.approx(np.array(plain) * scale, rel=1e-6)
    if expected is not None:
        assert histogram_auc(bins) == pytest.approx(histogram_auc(plain), rel=1e-6)


def test_a_prediction_that_is_none_leaves_it_unknown_unless_its_weight_is_zero() -> None:
    scores, labels = np.array([0.1, np.nan, 0.9]), np.array([0, 1, 1])
    for weights, expected in (([1, 0, 2], 1.0), ([1, 0.5, 2], None)):
        ranks, mine = Ranks(), np.array(weights, np.float32)
        ranks.add(scores, labels, mine)
        assert ranks.auc() == expected
        histogram = binned(scores, labels, mine)
        score = Score(3, histogram=histogram, weight=float(mine.sum()))
        assert score.with_histogram_auc().auc == expected


@given(pairs=examples, cuts=st.lists(st.integers(0, 100), max_size=5), dtype=dtypes)
def test_parts_that_were_packed_and_brought_together_equal_the_whole(
    pairs: list[tuple[float, int]], cuts: list[int], dtype: type
) -> None:
    scores, labels = arrays(pairs, dtype)
    whole = gathered(scores, labels)
    parts = np.split(np.arange(len(scores)), sorted(cut % len(scores) for cut in cuts))
    packed = [gathered(scores[part], labels[part]).pack() for part in parts if len(part)]
    assert Ranks.unpack(packed).auc() == whole.auc() == gathered(scores, labels, cuts).auc()


@given(pairs=examples, seed=st.integers(0, 9))
def test_the_order_of_the_examples_does_not_matter(
    pairs: list[tuple[float, int]], seed: int
) -> None:
    scores, labels = arrays(pairs)
    order = np.random.default_rng(seed).permutation(len(labels))
    assert gathered(scores[order], labels[order]).auc() == gathered(scores, labels).auc()


def test_packed_scores_take_their_own_width_and_a_bit() -> None:
    labels = np.zeros(800, int)
    for dtype, width in ((np.float32, 4), (np.float64, 8)):
        assert len(gathered(np.zeros(800, dtype), labels).pack()) == 6 + 800 * width + 100


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_has_no_value(label: int) -> None:
    scores, labels = np.array([0.1, 0.9]), np.array([label, label])
    assert gathered(scores, labels).auc() is None
    assert histogram_auc(binned(scores, labels)) is None


def test_without_examples_there_is_no_value() -> None:
    assert Ranks().auc() is None


def test_a_score_that_is_nan_gets_no_credit() -> None:
    scores, labels = np.array([0.1, math.nan, 0.9]), np.array([0, 1, 1])
    assert gathered(scores, labels).auc() is None
    counted = Score(3, histogram=binned(scores, labels)).with_histogram_auc()
    assert counted.auc is None


@given(pairs=examples)
def test_a_histogram_is_off_by_no_more_than_the_pairs_that_meet_in_a_bin(
    pairs: list[tuple[float, int]],
) -> None:
    scores, labels = arrays(pairs)
    assume(0 < labels.sum() < len(labels))
    negatives, positives = histogram = binned(scores, labels)
    meet = sum(a * b for a, b in zip(negatives, positives, strict=True))
    found = histogram_auc(histogram)
    assert found is not None
    most = 0.5 * meet / (sum(negatives) * sum(positives))
    assert abs(found - roc_auc_score(labels, scores)) <= most + 1e-12


def test_a_histogram_of_rare_positives_is_close_although_all_chances_are_small() -> None:
    rng = np.random.default_rng(0)
    log_odds = rng.normal(-5.0, 1.0, 100_000)
    scores = 1 / (1 + np.exp(-log_odds))
    labels = (rng.random(100_000) < scores).astype(int)
    found = histogram_auc(binned(scores, labels))
    assert found == pytest.approx(roc_auc_score(labels, scores), abs=1e-4)


@given(pairs=examples, cut=st.integers(0, 60))
def test_histograms_of_parts_add_up_to_that_of_the_whole(
    pairs: list[tuple[float, int]], cut: int
) -> None:
    scores, labels = arrays(pairs)
    parts = [slice(None, cut), slice(cut, None)]
    total = sum(
        (Score(len(labels[p]), histogram=binned(scores[p], labels[p])) for p in parts), Score()
    )
    assert total.histogram == binned(scores, labels)
    assert sum(map(sum, total.histogram)) == len(labels)
    assert {len(side) for side in total.histogram} == {BINS}


def test_only_very_many_examples_are_counted_in_bins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auc, "MOST_RANKED", 10)
    assert AucBy.of(Task.BINARY, 10) is AucBy.RANKS
    assert AucBy.of(Task.BINARY, 11) is AucBy.HISTOGRAM
    assert AucBy.of(Task.MULTICLASS, 10) is AucBy.of(Task.REGRESSION, 11) is AucBy.NONE
