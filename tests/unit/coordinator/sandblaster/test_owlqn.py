"""OWL-QN: other programs' optima and zeros, and all that holds of L-BFGS as well."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.sandblaster.descent import DescentState, Evaluate, Iterated, Settings
from distbelief.coordinator.sandblaster.line_search import MAX_EVALUATIONS
from tests.unit.coordinator.sandblaster.crashes import crashes, document
from tests.unit.coordinator.sandblaster.problems import (
    PROBLEMS,
    Array,
    Arrays,
    Problem,
    Solved,
    Stored,
    quadratic,
    solve,
)
from tests.unit.coordinator.sandblaster.sparse_problems import (
    Sparse,
    logistic,
    logistic_of,
    softmax,
)

#: Beside the pairs: point, pseudo-gradient, the new ones of both, a gradient and a direction.
OTHER_VECTORS = 6

TIGHT = Settings(max_iterations=2000, gradient_tolerance=1e-9, decrease_tolerance=0)

#: How far an objective may lie above another program's, and how near to its bound a
#: subgradient is at which a number may as well be zero as not.
GAP, BOUNDARY = 1e-6, 1e-5


@cache
def problem(name: str) -> Sparse:
    return {
        "logistic": lambda: logistic(400, 30, l1=0.03),
        "logistic, hardly sparse": lambda: logistic(400, 30, l1=0.003, seed=2),
        "logistic without bias": lambda: logistic(400, 30, l1=0.01, bias=False),
        "logistic without bias, wide": lambda: logistic(200, 60, l1=0.02, bias=False, seed=1),
        "logistic, elastic net": lambda: logistic(400, 30, l1=0.01, l2=0.02),
        "softmax": lambda: softmax(500, 20, 4, l1=0.01),
        "softmax, very sparse": lambda: softmax(500, 20, 4, l1=0.04, seed=1),
        "softmax, wide": lambda: softmax(200, 60, 5, l1=0.02, seed=2),
        "softmax, elastic net": lambda: softmax(500, 20, 4, l1=0.01, l2=0.02, seed=3),
    }[name]()


LIBLINEAR = ["logistic without bias", "logistic without bias, wide"]
SAGA = [
    *("logistic", "logistic, hardly sparse", "logistic without bias", "logistic, elastic net"),
    *("softmax", "softmax, very sparse", "softmax, wide", "softmax, elastic net"),
]
NAMES = sorted({*LIBLINEAR, *SAGA})


def solved(of: Sparse, settings: Settings = TIGHT) -> tuple[Solved, Array]:
    """What the minimiser did, and where it ended."""
    space = Arrays(of.start, of.n_biases)
    ended = solve(of.smooth, space, settings, l1=of.l1)
    return ended, space.read(ended.last.point)


# --- against other programs


def assert_same_optimum(of: Sparse, theirs: Array) -> None:
    """As low, and with the same zeros.

    Only where the subgradient is at the end of its range may a number be zero in the one
    and not in the other. That happens with softmax and as many positive as negative weights
    of a feature: shifting all of them changes neither loss nor norm.
    """
    ended, ours = solved(of)
    optimum = of.objective(theirs)
    assert ended.last.loss == pytest.approx(of.objective(ours), rel=1e-14)
    assert ended.last.loss <= optimum * (1 + GAP)
    weights, others = ours[: of.n_weights], theirs[: of.n_weights]
    assert 0 < np.count_nonzero(weights) < of.n_weights
    differ = (weights == 0) != (others == 0)
    pulls = np.abs(of.smooth(ours)[1][: of.n_weights])
    assert (np.abs(pulls[differ] - of.l1) <= BOUNDARY * of.l1).all()
    assert np.count_nonzero(differ) <= 1


@pytest.mark.parametrize("name", LIBLINEAR)
def test_it_finds_the_optimum_and_the_zeros_of_liblinear(name: str) -> None:
    assert_same_optimum(problem(name), problem(name).of_scikit_learn("liblinear"))


@pytest.mark.parametrize("name", SAGA)
def test_it_finds_the_optimum_and_the_zeros_of_saga(name: str) -> None:
    assert_same_optimum(problem(name), problem(name).of_scikit_learn("saga"))


@pytest.mark.parametrize("name", NAMES)
def test_it_finds_the_optimum_and_the_zeros_of_scipy_on_split_variables(name: str) -> None:
    assert_same_optimum(problem(name), problem(name).of_scipy())


@pytest.mark.parametrize("name", NAMES)
def test_where_it_ends_zero_is_a_subgradient(name: str) -> None:
    of = problem(name)
    _, ours = solved(of)
    gradient = of.smooth(ours)[1]
    weights, pulls = ours[: of.n_weights], gradient[: of.n_weights]
    np.testing.assert_allclose(pulls[weights != 0], -of.l1 * np.sign(weights[weights != 0]), 1e-5)
    assert (np.abs(pulls[weights == 0]) <= of.l1 * (1 + 1e-9)).all()
    np.testing.assert_allclose(gradient[of.n_weights :], 0, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_that_a_run_has_by_default_come_as_close(name: str) -> None:
    of = problem(name)
    ended, _ = solved(of, Settings(max_iterations=1000))
    assert ended.reason in {EndReason.GRADIENT, EndReason.DECREASE}
    assert ended.last.loss <= of.objective(of.of_scipy()) * (1 + GAP)


@pytest.mark.parametrize(("features", "l1"), [(20, 0.01), (60, 0.001), (150, 0.003)])
def test_on_correlated_features_it_needs_at_most_1_3_times_the_evaluations_of_scipy(
    features: int, l1: float
) -> None:
    """Until each is near the optimum; both remember thirty pairs."""
    random = np.random.default_rng(features)
    x = random.normal(size=(300, features)) + 3 * random.normal(size=(300, 1))
    truth = random.normal(size=features) * (random.random(features) < 0.2)
    of = logistic_of(x, x @ truth + random.logistic(size=300) > 0, l1=l1)
    told: list[float] = []

    def noted(w: Array) -> tuple[float, Array]:
        told.append(of.objective(w))
        return of.smooth(w)

    theirs = of.objective(replace(of, smooth=noted).of_scipy())
    ended, _ = solved(of, replace(TIGHT, history=30))
    assert ended.last.loss <= theirs * (1 + 1e-9)
    near = theirs * (1 + GAP)
    last = next(i for i, loss in enumerate(ended.losses) if loss <= near)
    evaluations = sum(each.evaluations for each in ended.news[: last + 1])
    assert evaluations <= 1.3 * (1 + next(i for i, loss in enumerate(told) if loss <= near))


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20), st.floats(0, 3), st.integers(0, 20))
def test_the_nearest_point_under_an_l1_term_is_the_soft_threshold(
    target: list[float], l1: float, n_biases: int
) -> None:
    centre, n_biases = np.array(target), min(n_biases, len(target))
    space = Arrays(np.zeros(len(centre)), n_biases)
    ended = solve(
        lambda x: (0.5 * float((x - centre) @ (x - centre)), x - centre), space, TIGHT, l1=l1
    )
    expected = np.sign(centre) * np.maximum(np.abs(centre) - l1, 0)
    expected[len(centre) - n_biases :] = centre[len(centre) - n_biases :]
    np.testing.assert_allclose(space.read(ended.last.point), expected, atol=1e-7)


@given(st.integers(0, 2**32), st.integers(1, 30), st.floats(0, 2), st.integers(0, 20))
def test_any_tame_quadratic_is_minimised_from_anywhere(
    seed: int, size: int, exponent: float, history: int
) -> None:
    tame, start = quadratic(10**exponent, size), np.random.default_rng(seed).normal(size=size)
    space = Arrays(start)
    ended = solve(tame.function, space, Settings(history, 5000, 1e-8, 0), l1=0.05)
    x = space.read(ended.last.point)
    _, gradient = tame.function(x)
    # The distance of zero from the subgradients.
    lacking = np.where(x != 0, np.abs(gradient + 0.05 * np.sign(x)), np.abs(gradient) - 0.05)
    assert lacking.max() <= 1e-5


@pytest.mark.parametrize("name", PROBLEMS)
def test_without_a_term_it_finds_the_minima_of_l_bfgs(name: str) -> None:
    space = Arrays(PROBLEMS[name].start)
    smooth = solve(PROBLEMS[name].function, space, TIGHT)
    zero = solve(PROBLEMS[name].function, Arrays(PROBLEMS[name].start), TIGHT, l1=0.0)
    assert zero.last.loss == pytest.approx(smooth.last.loss, abs=1e-8)


# --- how it gets on and how it ends


@pytest.mark.parametrize("history", [0, 1, 10])
@pytest.mark.parametrize("name", NAMES)
def test_the_objective_always_decreases(name: str, history: int) -> None:
    ended, _ = solved(problem(name), Settings(history, 300, decrease_tolerance=0))
    assert all(after < before for before, after in pairwise(ended.losses))


def test_each_state_has_the_objective_and_the_number_of_weights_that_are_not_zero() -> None:
    of = problem("softmax")
    space = Arrays(of.start, of.n_biases)

    def compare(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            point = space[event.state.point]
            assert event.state.loss == pytest.approx(of.objective(point), rel=1e-14)
            assert event.state.nonzeros == np.count_nonzero(point[: of.n_weights])

    solve(of.smooth, space, TIGHT, on_event=compare, l1=of.l1)


def largest_pull(of: Sparse) -> float:
    """The smallest factor under which all weights are zero; the biases are at their best."""
    alone, _ = solved(Sparse(of.smooth, of.x, of.y, of.n_outputs, of.n_biases, l1=1e6))
    assert alone.last.nonzeros == 0
    space = Arrays(of.start, of.n_biases)
    at = space.read(solve(of.smooth, space, TIGHT, l1=1e6).last.point)
    return float(np.abs(of.smooth(at)[1][: of.n_weights]).max())


def test_a_large_term_leaves_biases_alone_and_a_little_less_leaves_one_weight() -> None:
    of = problem("logistic")
    largest = largest_pull(of)
    for factor, nonzeros in ((1.001, 0), (0.999, 1)):
        changed = Sparse(of.smooth, of.x, of.y, 1, 1, l1=factor * largest)
        ended, ours = solved(changed)
        assert ended.last.nonzeros == nonzeros
        assert ours[-1] != 0


def test_a_start_at_the_minimum_ends_at_once() -> None:
    of = problem("logistic without bias")
    ended, _ = solved(Sparse(of.smooth, of.x, of.y, 1, 0, l1=1.0))
    assert ended.reason is EndReason.GRADIENT
    assert ended.evaluations == 1
    assert ended.last.nonzeros == 0


ENDS = {
    EndReason.GRADIENT: Settings(gradient_tolerance=1e-3),
    EndReason.DECREASE: Settings(decrease_tolerance=1e-2),
    EndReason.ITERATIONS: Settings(max_iterations=3),
    EndReason.STALLED: Settings(max_iterations=10_000, gradient_tolerance=0, decrease_tolerance=0),
}


@pytest.mark.parametrize("reason", ENDS)
def test_it_ends_with_its_reason(reason: EndReason) -> None:
    ended, _ = solved(problem("softmax"), ENDS[reason])
    assert ended.reason is reason


def test_at_the_limit_of_doubles_a_search_gives_up_soon() -> None:
    ended, _ = solved(problem("softmax"), ENDS[EndReason.STALLED])
    assert ended.evaluations - sum(each.evaluations for each in ended.news) < MAX_EVALUATIONS


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_first_loss_that_is_not_finite_diverges(loss: float) -> None:
    ended = solve(lambda x: (loss, x), Arrays(np.ones(2)), TIGHT, l1=0.1)
    assert ended.reason is EndReason.DIVERGED
    assert ended.news == []


@pytest.mark.parametrize("entry", [math.nan, math.inf, 1e200])
def test_a_first_gradient_without_a_norm_diverges(entry: float) -> None:
    with np.errstate(over="ignore"):
        ended = solve(lambda x: (1.0, np.array([entry, 0.0])), Arrays(np.ones(2)), TIGHT, l1=0.1)
    assert ended.reason is EndReason.DIVERGED


def test_a_point_where_the_loss_is_infinite_is_stepped_back_from() -> None:
    def barred(x: Array) -> tuple[float, Array]:
        if (x >= 1).any():
            return math.inf, np.full(x.shape, math.nan)
        return float(np.sum(-np.log(1 - x) - 4 * x)), 1 / (1 - x) - 4

    # With the term the slope is 3 where x > 0, which is zero where 1 / (1 - x) = 3.
    ended = solve(barred, Arrays(np.array([-3.0, 0.9])), TIGHT, l1=1.0)
    assert ended.last.loss == pytest.approx(2 * (math.log(3) - 4 * 2 / 3 + 2 / 3))


def test_a_search_that_stalls_is_repeated_along_the_pseudo_gradient_alone() -> None:
    of = problem("softmax")
    space, ways = Arrays(of.start, of.n_biases), {}

    def misled(x: Array) -> tuple[float, Array]:
        (name,) = (name for name, values in space.items() if values is x)
        loss, gradient = of.smooth(x)
        return (1e9 if name.startswith("x4.") else loss), gradient

    def note(event: Evaluate | Iterated) -> None:
        if isinstance(event, Evaluate) and event.point == "x4r.0":
            ways["again"] = space["d4r"].copy()
        if isinstance(event, Iterated) and event.state.iteration == 3:
            ways["pseudo-gradient"] = space[event.state.gradient].copy()

    ended = solve(misled, space, TIGHT, on_event=note, l1=of.l1)
    assert (ways["again"] == -ways["pseudo-gradient"]).all()
    assert [each.state.pairs for each in ended.news[3:6]] == [(0, 1, 2), (3,), (3, 4)]


# --- what it holds and what it asks for


def test_pairs_are_the_differences_of_points_and_of_pseudo_gradients() -> None:
    of = problem("softmax")
    space = Arrays(of.start, of.n_biases)
    points: list[Array] = []
    slopes: list[Array] = []

    def compare(event: Evaluate | Iterated) -> None:
        if not isinstance(event, Iterated):
            return
        state = event.state
        points.append(space[state.point])
        slopes.append(space[state.gradient])
        for i in state.pairs:
            assert (space[f"s{i}"] == points[i + 1] - points[i]).all()
            assert (space[f"y{i}"] == slopes[i + 1] - slopes[i]).all()
        assert state.gram == tuple(
            tuple(float(space[a] @ space[b]) for b in state.names) for a in state.names
        )

    solve(of.smooth, space, Settings(history=5), on_event=compare, l1=of.l1)


@pytest.mark.parametrize("history", [0, 1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_it_holds_no_vector_that_it_does_not_need(name: str, history: int) -> None:
    of = problem(name)
    space = Arrays(of.start, of.n_biases)
    ended = solve(of.smooth, space, Settings(history, 100, decrease_tolerance=0), l1=of.l1)
    assert space.most <= 2 * (history + 1) + OTHER_VECTORS
    assert set(space) == set(ended.last.in_force)


def test_a_step_asks_for_one_call_before_it_is_tried_and_two_after() -> None:
    of = problem("softmax")
    space = Arrays(of.start, of.n_biases)
    rows: list[list[str]] = []

    def split(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            rows.append(space.calls)
            space.calls = []

    solve(of.smooth, space, Settings(max_iterations=20), on_event=split, l1=of.l1)
    for row in rows[1:]:
        tries = row[1:-4]
        assert row[0] == "combine"  # the direction
        assert tries == ["orthant_step", "sparsity", "dots"] * (len(tries) // 3)
        assert row[-4:] == ["pseudo_gradient", "combine", "combine", "dots"]


# --- another coordinator goes on

SHORT = Settings(history=3, max_iterations=25, decrease_tolerance=0)


def resumable(name: str) -> Callable[[], tuple[Problem, float]]:
    """Problems of which every number is a weight, with their factors."""
    return {
        "Rosenbrock": lambda: (PROBLEMS["Rosenbrock in ten dimensions"], 0.5),
        "logistic": lambda: (Problem(problem("logistic without bias").smooth, np.zeros(30)), 0.01),
    }[name]


@pytest.mark.parametrize("name", ["Rosenbrock", "logistic"])
def test_a_run_taken_up_anywhere_goes_on_bit_for_bit(name: str) -> None:
    of, l1 = resumable(name)()
    undisturbed, left = crashes(of, SHORT, l1=l1)
    assert len(left) > len(undisturbed.news)  # also in the middle of iterations
    for state, vectors, n_committed in left:
        space = Arrays(of.start)
        space.clear()
        space.update(vectors)
        resumed = solve(of.function, space, SHORT, start=state, l1=l1)
        assert resumed.losses == undisturbed.losses[n_committed:]
        assert [each.state.nonzeros for each in resumed.news] == [
            each.state.nonzeros for each in undisturbed.news[n_committed:]
        ]
        assert resumed.reason is undisturbed.reason


def test_a_state_survives_json() -> None:
    last = solved(problem("softmax"))[0].last
    assert last.nonzeros
    assert document(last) == last


def test_a_state_from_before_there_was_an_l1_term_is_still_read() -> None:
    old = {"iteration": 0, "loss": 1.0, "point": "x0", "gradient": "g0", "pairs": [], "gram": [[1]]}
    state = DescentState.from_json(old)
    assert state.in_force == ["g0", "x0"]
    assert state.nonzeros is None


# --- on another vector space


@examples(max_examples=20)
@given(st.sampled_from(NAMES), st.integers(0, 6), st.integers(1, 40))
def test_on_a_sharded_store_the_losses_are_those_of_plain_arrays(
    name: str, history: int, block_numbers: int
) -> None:
    of, settings = problem(name), Settings(history, 15, decrease_tolerance=0)
    blocks = -(-of.start.size // block_numbers)
    space = Stored(of.start, of.n_biases, block_numbers=block_numbers, n_shards=min(3, blocks))
    stored = solve(of.smooth, space, settings, l1=of.l1)
    plain = solve(of.smooth, Arrays(of.start, of.n_biases), settings, l1=of.l1)
    assert stored.losses == pytest.approx(plain.losses, rel=1e-9, abs=1e-9)
    assert stored.reason is plain.reason
