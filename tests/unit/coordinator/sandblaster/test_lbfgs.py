"""The minimiser as a whole: how it gets on, how it ends, what it holds, how another goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.sandblaster.descent import Evaluate, Iterated, Settings
from distbelief.coordinator.sandblaster.line_search import MAX_EVALUATIONS
from tests.unit.coordinator.sandblaster.crashes import crashes, document
from tests.unit.coordinator.sandblaster.problems import (
    PROBLEMS,
    Array,
    Arrays,
    Function,
    Problem,
    Solved,
    Stored,
    quadratic,
    solve,
)

#: Beside the pairs: point, gradient, direction, and two trials of a point and a gradient each.
OTHER_VECTORS = 7

TIGHT = Settings(max_iterations=1000, gradient_tolerance=1e-8, decrease_tolerance=0)


def solved(name: str, settings: Settings = TIGHT) -> Solved:
    problem = PROBLEMS[name]
    return solve(problem.function, Arrays(problem.start), settings)


# --- how it gets on


def evaluations_until(name: str, history: int, largest: float) -> int:
    """Evaluations up to the first iteration whose gradient has no larger component."""
    problem = PROBLEMS[name]
    space, gradients = Arrays(problem.start), []

    def note(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            gradients.append(space[event.state.gradient])

    first_norm = float(np.linalg.norm(problem.function(problem.start)[1]))
    # At this norm, no component can be larger.
    settings = Settings(history, 5000, largest / first_norm, decrease_tolerance=0)
    ended = solve(problem.function, space, settings, on_event=note)
    assert ended.reason is EndReason.GRADIENT
    first = next(i for i, gradient in enumerate(gradients) if np.abs(gradient).max() <= largest)
    return sum(each.evaluations for each in ended.news[: first + 1])


@pytest.mark.parametrize("history", [5, 10, 20])
@pytest.mark.parametrize("name", PROBLEMS)
def test_it_needs_at_most_1_3_times_the_evaluations_of_scipy(name: str, history: int) -> None:
    problem = PROBLEMS[name]
    options = {"maxcor": history, "gtol": 1e-6, "ftol": 0, "maxiter": 5000, "maxfun": 10_000}
    theirs = minimize(problem.function, problem.start, jac=True, method="L-BFGS-B", options=options)
    assert theirs.success
    assert evaluations_until(name, history, 1e-6) <= 1.3 * theirs.nfev


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_finds_the_minimum_that_scipy_finds(name: str) -> None:
    problem = PROBLEMS[name]
    theirs = minimize(problem.function, problem.start, jac=True, method="BFGS", tol=1e-7)
    assert solved(name).last.loss == pytest.approx(theirs.fun, abs=1e-8)


@pytest.mark.parametrize("history", [0, 1, 10])
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_loss_never_increases(name: str, history: int) -> None:
    losses = solved(name, Settings(history, 200, decrease_tolerance=0)).losses
    assert all(after <= before for before, after in pairwise(losses))


@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0, 2), st.integers(1, 20))
def test_any_tame_quadratic_is_minimised(
    seed: int, size: int, exponent: float, history: int
) -> None:
    problem = quadratic(10**exponent, size)
    start = np.random.default_rng(seed).normal(size=size)
    ended = solve(problem.function, Arrays(start), Settings(history, 1000, 1e-8, 0))
    assert ended.reason is EndReason.GRADIENT
    assert ended.last.loss <= 1e-10  # at most |g|^2 / (2 times the smallest eigenvalue)


# --- how it ends


def lying(x: Array) -> tuple[float, Array]:
    """Its gradient points the wrong way."""
    return float(x @ x), -2 * x


def raised(x: Array) -> tuple[float, Array]:
    """A loss whose minimum is not 0, so that decreases become small beside it."""
    loss, gradient = PROBLEMS["Beale"].function(x)
    return loss + 1, gradient


ENDS: dict[EndReason, tuple[Function, Settings]] = {
    EndReason.GRADIENT: (PROBLEMS["Beale"].function, TIGHT),
    EndReason.DECREASE: (raised, Settings(gradient_tolerance=0, decrease_tolerance=1e-2)),
    EndReason.ITERATIONS: (PROBLEMS["Beale"].function, Settings(max_iterations=3)),
    EndReason.STALLED: (lying, TIGHT),
    EndReason.DIVERGED: (lambda x: (math.nan, x), TIGHT),
}


@pytest.mark.parametrize("reason", ENDS)
def test_it_ends_with_its_reason(reason: EndReason) -> None:
    function, settings = ENDS[reason]
    assert solve(function, Arrays(np.array([1.0, 0.5])), settings).reason is reason


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_first_loss_that_is_not_finite_diverges(loss: float) -> None:
    ended = solve(lambda x: (loss, x), Arrays(np.ones(2)), TIGHT)
    assert ended.reason is EndReason.DIVERGED
    assert ended.news == []


@pytest.mark.parametrize("entry", [math.nan, math.inf, 1e200])
def test_a_first_gradient_without_a_norm_diverges(entry: float) -> None:
    with np.errstate(over="ignore"):
        ended = solve(lambda x: (1.0, np.array([entry, 0.0])), Arrays(np.ones(2)), TIGHT)
    assert ended.reason is EndReason.DIVERGED


def test_a_start_at_the_minimum_ends_at_once() -> None:
    ended = solve(PROBLEMS["Beale"].function, Arrays(np.array([3.0, 0.5])), TIGHT)
    assert ended.reason is EndReason.GRADIENT
    assert ended.evaluations == 1
    assert ended.last.iteration == 0


def test_iterations_are_counted_from_the_start_and_each_tells_its_evaluations() -> None:
    ended = solved("Rosenbrock")
    assert [each.state.iteration for each in ended.news] == list(range(len(ended.news)))
    assert sum(each.evaluations for each in ended.news) == ended.evaluations
    assert ended.news[0].step == 0
    assert all(each.step > 0 for each in ended.news[1:])


def test_a_point_where_the_loss_is_infinite_is_stepped_back_from() -> None:
    def barred(x: Array) -> tuple[float, Array]:
        if (x >= 1).any():
            return math.inf, np.full(x.shape, math.nan)
        return float(np.sum(-np.log(1 - x) - 4 * x)), 1 / (1 - x) - 4

    ended = solve(barred, Arrays(np.array([-3.0, 0.9])), TIGHT)
    assert ended.reason is EndReason.GRADIENT
    assert ended.last.loss == pytest.approx(2 * (math.log(4) - 3))


# --- pairs


def no_curvature(x: Array) -> tuple[float, Array]:
    return float(x.sum()), np.ones_like(x)


def negative_curvature(x: Array) -> tuple[float, Array]:
    return -float(x @ x), -2 * x


@pytest.mark.parametrize("function", [no_curvature, negative_curvature])
def test_pairs_without_curvature_are_left_out(function: Function) -> None:
    ended = solve(function, Arrays(np.ones(3)), Settings(max_iterations=3))
    assert ended.reason is EndReason.ITERATIONS
    assert [each.state.pairs for each in ended.news] == [()] * 4


def test_pairs_in_force_are_the_newest() -> None:
    ended = solved("Rosenbrock", Settings(history=4))
    assert [each.state.pairs for each in ended.news[:6]] == [
        (), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 4)
    ]  # fmt: skip


def test_the_matrix_carried_along_is_the_gram_matrix_of_the_basis() -> None:
    problem = PROBLEMS["Rosenbrock in ten dimensions"]
    space = Arrays(problem.start)

    def compare(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            names = event.state.names
            assert event.state.gram == tuple(
                tuple(float(space[a] @ space[b]) for b in names) for a in names
            )

    solve(problem.function, space, Settings(history=5), on_event=compare)


def test_pairs_are_the_differences_of_points_and_of_gradients() -> None:
    problem = PROBLEMS["Rosenbrock in ten dimensions"]
    space = Arrays(problem.start)
    points: list[Array] = []
    gradients: list[Array] = []

    def compare(event: Evaluate | Iterated) -> None:
        if not isinstance(event, Iterated):
            return
        points.append(space[event.state.point])
        gradients.append(space[event.state.gradient])
        for i in event.state.pairs:
            np.testing.assert_allclose(space[f"s{i}"], points[i + 1] - points[i], atol=1e-14)
            assert (space[f"y{i}"] == gradients[i + 1] - gradients[i]).all()

    solve(problem.function, space, Settings(history=5), on_event=compare)


# --- a history that misleads


def misled(problem: Problem, iteration: int, *, for_good: bool) -> Callable[[Arrays], Function]:
    """The problem, but no step of ``iteration`` lowers the loss: with history, or at all."""

    def function_on(space: Arrays) -> Function:
        def function(x: Array) -> tuple[float, Array]:
            (name,) = (name for name, values in space.items() if values is x)
            loss, gradient = problem.function(x)
            barred = name.startswith((f"x{iteration}.", f"x{iteration}r." if for_good else "-"))
            return (1e9 if barred else loss), gradient

        return function

    return function_on


def test_a_stalled_search_is_repeated_along_the_gradient_alone() -> None:
    problem, space = PROBLEMS["Rosenbrock"], Arrays(PROBLEMS["Rosenbrock"].start)
    ways = {}

    def note(event: Evaluate | Iterated) -> None:
        if isinstance(event, Evaluate) and event.point == "x4r.0":
            ways["again"] = space["d4r"].copy()
        if isinstance(event, Iterated) and event.state.iteration == 3:
            ways["gradient"] = space[event.state.gradient].copy()

    function = misled(problem, 4, for_good=False)(space)
    ended = solve(function, space, TIGHT, on_event=note)
    assert (ways["again"] == -ways["gradient"]).all()
    assert [each.state.pairs for each in ended.news[3:6]] == [(0, 1, 2), (3,), (3, 4)]
    assert ended.reason is EndReason.GRADIENT


def test_a_search_that_stalls_without_history_ends_at_the_best_point() -> None:
    problem, space = PROBLEMS["Rosenbrock"], Arrays(PROBLEMS["Rosenbrock"].start)
    function = misled(problem, 4, for_good=True)(space)
    ended = solve(function, space, TIGHT)
    assert ended.reason is EndReason.STALLED
    assert ended.last.iteration == 3
    assert problem.function(space[ended.last.point])[0] == ended.last.loss


# --- what it holds and what it asks for


@pytest.mark.parametrize("history", [0, 1, 5, 20])
@pytest.mark.parametrize("name", PROBLEMS)
def test_vectors_are_at_most_two_for_each_pair_and_seven(name: str, history: int) -> None:
    problem = PROBLEMS[name]
    space = Arrays(problem.start)
    solve(problem.function, space, Settings(history, 200, decrease_tolerance=0))
    assert space.most <= 2 * history + OTHER_VECTORS


def test_a_search_that_takes_all_its_evaluations_holds_no_more() -> None:
    space = Arrays(np.ones(3))
    ended = solve(no_curvature, space, Settings(history=5, max_iterations=2))
    assert ended.news[1].evaluations == MAX_EVALUATIONS
    assert space.most <= OTHER_VECTORS


def test_in_the_end_there_are_the_vectors_of_the_last_state_alone() -> None:
    problem = PROBLEMS["Rosenbrock"]
    space = Arrays(problem.start)
    ended = solve(problem.function, space, TIGHT)
    assert set(space) == set(ended.last.in_force)


def calls(size: int, history: int) -> list[list[str]]:
    """What each iteration asks of the space, for a separable function of any size."""
    space = Arrays(np.tile(PROBLEMS["Rosenbrock in ten dimensions"].start, size // 10))
    rows: list[list[str]] = []

    def split(event: Evaluate | Iterated) -> None:
        if isinstance(event, Iterated):
            rows.append(space.calls)
            space.calls = []

    function = PROBLEMS["Rosenbrock in ten dimensions"].function

    def tiled(x: Array) -> tuple[float, Array]:
        parts = [function(part) for part in x.reshape(-1, 10)]
        return sum(loss for loss, _ in parts), np.concatenate([part for _, part in parts])

    solve(tiled, space, Settings(history, 20, decrease_tolerance=0), on_event=split)
    return rows


@pytest.mark.parametrize("history", [0, 1, 10])
def test_an_iteration_asks_for_one_round_of_dots_and_one_direction(history: int) -> None:
    for row in calls(10, history)[1:]:
        n_trials = row.count("combine") - 3  # beside them the direction, s and y
        assert n_trials >= 1
        assert row.count("dots") == n_trials + 1  # a slope for each, and the Gram matrix
        assert row[0] == "combine"
        assert row[-1] == "dots"


def test_nothing_that_is_asked_for_grows_with_the_number_of_parameters() -> None:
    few, many = calls(10, 10), calls(1000, 10)
    directions = [len(row) - 2 * row.count("dots") for row in (*few, *many)]
    assert set(directions[1 : len(few)]) == set(directions[len(few) + 1 :]) == {2}


# --- another coordinator goes on


@pytest.mark.parametrize(
    ("name", "history"),
    [("Rosenbrock", 3), ("Rosenbrock", 0), ("Himmelblau", 10), ("logistic regression", 5)],
)
def test_a_run_taken_up_anywhere_goes_on_bit_for_bit(name: str, history: int) -> None:
    settings = Settings(history, 25, decrease_tolerance=0)
    undisturbed, left = crashes(PROBLEMS[name], settings)
    assert len(left) > len(undisturbed.news)  # also in the middle of iterations
    for state, vectors, n_committed in left:
        space = Arrays(PROBLEMS[name].start)
        space.clear()
        space.update(vectors)
        resumed = solve(PROBLEMS[name].function, space, settings, start=state)
        assert resumed.losses == undisturbed.losses[n_committed:]
        assert resumed.reason is undisturbed.reason


def test_a_run_taken_up_holds_hardly_more_vectors() -> None:
    settings = Settings(history=3, max_iterations=25, decrease_tolerance=0)
    _, left = crashes(PROBLEMS["Rosenbrock"], settings)
    for state, vectors, _ in left:
        space = Arrays(PROBLEMS["Rosenbrock"].start)
        space.clear()
        space.update(vectors)
        solve(PROBLEMS["Rosenbrock"].function, space, settings, start=state)
        # What an iteration that was cut off left behind: up to two trials, s, y and a direction.
        assert space.most <= 2 * 3 + OTHER_VECTORS + 7


def test_a_state_survives_json() -> None:
    last = solved("Rosenbrock").last
    assert document(last) == last


# --- on another vector space


@settings(max_examples=20)
@given(st.sampled_from(sorted(PROBLEMS)), st.integers(0, 6), st.integers(1, 4))
def test_on_a_sharded_store_the_losses_are_those_of_plain_arrays(
    name: str, history: int, block_numbers: int
) -> None:
    problem, settings = PROBLEMS[name], Settings(history, 15, decrease_tolerance=0)
    blocks = -(-problem.start.size // block_numbers)
    space = Stored(problem.start, block_numbers=block_numbers, n_shards=min(3, blocks))
    stored = solve(problem.function, space, settings)
    plain = solve(problem.function, Arrays(problem.start), settings)
    assert stored.losses == pytest.approx(plain.losses, rel=1e-9, abs=1e-9)
    assert stored.reason is plain.reason
