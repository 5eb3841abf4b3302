"""Sandblaster end to end: as good as scikit-learn, and as complete as Downpour."""

from __future__ import annotations

import math
import re
import signal
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression, _logistic

from distbelief.app.client.servers import Servers
from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import named
from distbelief.app.models.files import read_model
from distbelief.app.models.linear import SoftmaxRegression
from distbelief.app.runs import leadership
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.sandblaster.descent import DescentState
from tests.cluster.fleets import keys_of
from tests.dividing import split

Start = Callable[..., Any]
Train = Callable[..., Any]
Array = npt.NDArray[np.floating[Any]]

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist10k" / "t10k-images-idx3-ubyte.gz"
GAP = 1e-6

SANDBLASTER = {"algorithm": "sandblaster"}
#: Compared with others on the columns as they are.
SOFTMAX = {**SANDBLASTER, "model": "softmax", "standardize": False}


def losses(trained: Any) -> list[float]:
    """The objective after each iteration, the start first."""
    return [told["loss"] for kind, told in trained.events if kind == "iteration"]


# --- against scikit-learn


def training_data(trained: Any) -> tuple[Array, npt.NDArray[np.int64]]:
    config, data = trained.problem.config, trained.problem.dataset
    train, _ = split(data.n_examples, config.holdout, config.seed)
    return data.features[train[:]].astype(np.float64), data.targets[train[:]]


def objective(weights: Array, bias: Array, x: Array, y: Any, l2: float) -> float:
    """Mean log loss and the L2 term of the weights, written down once more."""
    outputs = x @ weights + bias
    outputs -= outputs.max(axis=1, keepdims=True)
    log_chances = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    return float(-log_chances[np.arange(len(y)), y].mean() + l2 / 2 * np.sum(weights**2))


def of_scikit_learn(x: Array, y: Any, l2: float) -> list[float]:
    """The objective after each iteration of LogisticRegression, the start first.

    The same objective: the intercept is not penalised there either, and C is the inverse
    of the penalty summed over the examples. What SciPy tells after each iteration is
    looked at, without a word in the matter.
    """
    values = [math.log(y.max() + 1)]
    original = _logistic.optimize.minimize

    def watched(*arguments: Any, **keywords: Any) -> Any:
        def note(intermediate_result: Any) -> None:
            values.append(intermediate_result.fun)

        return original(*arguments, **{**keywords, "callback": note})

    model = LogisticRegression(C=1 / (len(y) * l2), tol=1e-6, max_iter=1000)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(_logistic.optimize, "minimize", watched)
        model.fit(x, y)
    assert len(values) - 1 == model.n_iter_[0]
    final = objective(model.coef_.T, model.intercept_, x, y, l2)
    assert values[-1] == pytest.approx(final, rel=1e-12)
    return values


def first_within(values: list[float], optimum: float) -> int:
    """The first iteration whose objective is within the gap of the optimum."""
    return next(i for i, value in enumerate(values) if value - optimum <= GAP * optimum)


def assert_as_good_as_scikit_learn(trained: Any) -> None:
    """The same optimum, and not many more iterations to come as close to it.

    Both have ten pairs of history. Iterations are compared where each has first come
    within the gap of the best value that either found: tolerances for stopping differ.
    """
    x, y = training_data(trained)
    l2 = trained.problem.config.l2
    ours, theirs = losses(trained), of_scikit_learn(x, y, l2)
    assert abs(ours[-1] - theirs[-1]) <= GAP * theirs[-1]
    optimum = min(ours[-1], theirs[-1])
    assert first_within(ours, optimum) <= 1.3 * first_within(theirs, optimum)
    weights = trained.saved.parameters[: x.shape[1] * 10].reshape(x.shape[1], 10)
    bias = trained.saved.parameters[x.shape[1] * 10 :]
    assert objective(weights, bias, x, y, l2) == pytest.approx(ours[-1], rel=1e-10)


CLOSE = {"iterations": 500, "gradient_tolerance": 3e-6, "decrease_tolerance": 0}


def test_digits_reach_the_optimum_of_scikit_learn(train_shared: Train) -> None:
    trained = train_shared(**SOFTMAX, **CLOSE, l2=1e-3, evaluate_every=1000)
    assert_as_good_as_scikit_learn(trained)


@pytest.mark.skipif(not MNIST.exists(), reason="the MNIST files are not there")
def test_mnist_reaches_the_optimum_of_scikit_learn(train_shared: Train) -> None:
    settings = {**SOFTMAX, **CLOSE, "gradient_tolerance": 1e-5, "l2": 3e-2}
    trained = train_shared(**settings, data=str(MNIST), evaluate_every=1000)
    assert_as_good_as_scikit_learn(trained)


# --- other runs


def test_a_network_gets_better_with_every_iteration_and_says_why_it_ends(
    train_shared: Train,
) -> None:
    trained = train_shared(**SANDBLASTER, model="mlp", hidden=(16,), iterations=40)
    assert trained.outcome.reason is EndReason.ITERATIONS
    values = losses(trained)
    assert len(values) == 41
    assert all(after < before for before, after in pairwise(values))
    assert trained.outcome.heldout.score.accuracy > 0.9


def test_float32_comes_to_the_same_optimum_within_its_precision(train_shared: Train) -> None:
    trained = train_shared(**SOFTMAX, l2=1e-2, iterations=60, precision="float32")
    values = losses(trained)
    assert all(after <= before for before, after in pairwise(values))
    *_, optimum = of_scikit_learn(*training_data(trained), 1e-2)
    assert values[-1] == pytest.approx(optimum, rel=1e-4)


def test_a_training_goes_on_from_a_saved_model(train_shared: Train) -> None:
    before = train_shared(**SOFTMAX, l2=1e-3, iterations=5)
    after = train_shared(**SOFTMAX, l2=1e-3, iterations=5, init_from=str(before.outcome.model_file))
    assert losses(after)[0] == losses(before)[-1]
    assert losses(after)[-1] < losses(after)[0]


def test_a_training_stops_at_its_target(train_shared: Train) -> None:
    """It goes on while somebody evaluates, and so it may take some iterations more."""
    trained = train_shared(**SOFTMAX, target=0.9, evaluate_every=1.0, iterations=10_000)
    assert trained.outcome.reason is EndReason.TARGET
    assert len(losses(trained)) < 1000


def test_a_training_without_time_for_one_evaluation_scores_its_first_values(
    train_shared: Train,
) -> None:
    trained = train_shared(**SOFTMAX, max_seconds=1e-6)
    assert trained.outcome.reason is EndReason.TIME
    assert trained.outcome.heldout.score.n_examples == 359
    assert not trained.saved.parameters.any()


def test_a_start_without_a_finite_loss_is_an_error_with_advice(
    shared: LocalCluster, command: Start, tmp_path: Path
) -> None:
    x = np.full((20, 2), 3e38)
    np.savez(tmp_path / "huge.npz", x=x, y=np.linspace(-3e38, 3e38, 20))
    words = ("--algorithm=sandblaster", "--model=linear", "--precision=float32", "--no-standardize")
    training = command("train", *words, "--data", tmp_path / "huge.npz", endpoints=shared.endpoints)
    assert training.ends() == ExitCode.DIVERGED
    assert "not finite where the run begins: check the data's scale" in training.err


def test_a_finished_training_leaves_its_parameters_alone_on_the_servers(
    shared: LocalCluster, train_shared: Train
) -> None:
    trained = train_shared(**SOFTMAX, iterations=7)
    assert keys_of(shared, trained.outcome.run) == {"meta", "params"}


# --- the command line


@pytest.fixture(scope="module")
def trained(module_command: Start) -> Any:
    """A finished training on servers and workers of its own."""
    words = ("--algorithm=sandblaster", "--model=softmax", "--l2=1e-3", "--iterations=60")
    training = module_command("train", *words, "--no-standardize")
    assert training.ends() == ExitCode.OK, training.err
    return training


def test_a_training_says_what_it_trains_and_how(trained: Any) -> None:
    assert "softmax with 650 parameters in 2 shards on 2 servers" in trained.err
    assert "L-BFGS with history 10 in float64, 8 portions" in trained.err


def test_progress_has_every_figure(trained: Any) -> None:
    *_, line = [line for line in trained.err.splitlines() if line.startswith("iteration ")]
    assert re.fullmatch(
        r"iteration \d+/60  loss [\d.]+  gradient [\d.e-]+  step [\d.e-]+  evaluations \d+  "
        r"(held-out accuracy [\d.]+, loss [\d.]+  )?portions \d/8 done, \d outstanding, \d+/s  "
        r"backups \d+ sent, \d+ won.*",
        line,
    ), line


def test_the_end_is_summed_up(trained: Any) -> None:
    assert re.search(
        r"^finished: (iterations used up before it converged|converged: .*), after", trained.out
    )
    summed = re.search(
        r"^(\d+) iterations; objective ([\d.]+), gradient norm [\d.e-]+, [\d.e-]+ of the first$",
        trained.out,
        re.M,
    )
    assert summed
    assert 10 <= int(summed[1]) <= 60
    assert 0 < float(summed[2]) < math.log(10)
    assert re.search(
        r"^\d+ evaluations of 8 portions; backups sent \d+, won \d+, wasted \d+; retries 0$",
        trained.out,
        re.M,
    )
    held_out = re.search(r"^held-out accuracy ([\d.]+), loss", trained.out, re.M)
    assert held_out
    assert float(held_out[1]) > 0.93


def test_the_saved_model_has_the_objective_that_was_said(trained: Any) -> None:
    saved = read_model(trained.model)
    data = open_cached("digits", {}, default_cache_folder())
    rows = split(data.n_examples, 0.2, 0)[0][:]
    x, y = data.features[rows].astype(np.float64), data.targets[rows]
    weights, bias = saved.parameters[:640].reshape(64, 10), saved.parameters[640:]
    said = re.search(r"objective ([\d.]+)", trained.out)
    assert said
    assert objective(weights, bias, x, y, 1e-3) == pytest.approx(float(said[1]), rel=1e-9)


def test_a_finished_training_leaves_no_process(trained: Any) -> None:
    assert trained.alive() == []


@pytest.fixture
def interrupted(shared: LocalCluster, command: Start) -> Any:
    """A training of a network that was interrupted in the middle."""
    endless = ("--iterations=100000", "--gradient-tolerance=0", "--decrease-tolerance=0")
    slow = ("--l2=0", "--no-standardize")
    training = command(
        "train", "--algorithm=sandblaster", *endless, *slow, endpoints=shared.endpoints
    )
    training.says("iteration 1")
    training.process.send_signal(signal.SIGINT)
    assert training.ends() == ExitCode.INTERRUPTED
    return training


def test_an_interrupted_training_saves_its_last_point(
    interrupted: Any, shared: LocalCluster
) -> None:
    assert "finished: interrupted" in interrupted.out
    said = re.search(r"objective ([\d.e+-]+)", interrupted.out)
    assert said
    saved = read_model(interrupted.model)
    data = open_cached("digits", {}, default_cache_folder())
    rows = split(data.n_examples, 0.2, 0)[0][:]
    model, gradient = saved.build(), np.empty_like(saved.parameters)
    loss = model.loss_and_gradient(
        saved.parameters, data.features[rows], data.targets[rows], gradient
    )
    assert loss == pytest.approx(float(said[1]), rel=1e-9)
    assert not isinstance(model, SoftmaxRegression)


def test_an_interrupted_training_leaves_what_it_takes_to_go_on(
    interrupted: Any, shared: LocalCluster
) -> None:
    control = Servers([shared.endpoints.broker])
    document = leadership.committed(control, interrupted.run)
    control.close()
    assert document is not None
    in_force = {named(name) for name in DescentState.from_json(document["state"]).in_force}
    assert {"meta", "params", *in_force} <= keys_of(shared, interrupted.run)
    assert f"to go on: python -m coordinator resume {interrupted.run}" in interrupted.out
