"""Models of a user's own are tried before they train: right ones pass, wrong ones are named."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import TensorSpec, views
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.layers import ACTIVATIONS
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Task
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem import gradient_check
from distbelief.coordinator.problem.gradient_check import check_model
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.problem.trial import Trial, trial_of
from tests.documents import PAGES, blocks

N, N_FEATURES, N_CLASSES = 8, 5, 3
FLOAT32 = np.dtype(np.float32)


class Right:
    """A softmax regression as a user would write it."""

    task: Any = Task.MULTICLASS

    def __init__(self) -> None:
        self.tensors = (
            TensorSpec("weights", (N_FEATURES, N_CLASSES)),
            TensorSpec("bias", (N_CLASSES,), penalised=False),
        )

    def initial(self, rng: np.random.Generator) -> Any:
        return rng.normal(0, 0.1, N_FEATURES * N_CLASSES + N_CLASSES)

    def predict(self, parameters: Any, features: Any) -> Any:
        weights, bias = views(parameters, self.tensors)
        outputs = np.exp(features @ weights + bias)
        return outputs / outputs.sum(axis=1, keepdims=True)

    def slopes(self, parameters: Any, features: Any, targets: Any) -> tuple[float, Any, Any]:
        predictions = self.predict(parameters, features)
        rows = np.arange(len(targets))
        loss = -float(np.mean(np.log(predictions[rows, targets])))
        predictions[rows, targets] -= 1
        predictions /= len(targets)
        return loss, features.T @ predictions, predictions.sum(axis=0)

    def loss_and_gradient(
        self, parameters: Any, features: Any, targets: Any, gradient: Any
    ) -> float:
        loss, of_weights, of_bias = self.slopes(parameters, features, targets)
        weights, bias = views(gradient, self.tensors)
        weights[:], bias[:] = of_weights, of_bias
        return loss


class WrongSign(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        arguments[-1][:] *= -1
        return loss


class SumNotMean(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        arguments[-1][:] *= N
        return loss


class WrongBias(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        arguments[-1][-N_CLASSES:] *= -1
        return loss


class Transposed(Right):
    """The numbers are right, and at the wrong places."""

    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        weights = arguments[-1][: N_FEATURES * N_CLASSES]
        weights[:] = weights.reshape(N_FEATURES, N_CLASSES).T.ravel()
        return loss


class Unwritten(Right):
    def loss_and_gradient(
        self, parameters: Any, features: Any, targets: Any, gradient: Any
    ) -> float:
        loss, of_weights, of_bias = self.slopes(parameters, features, targets)
        weights, bias = views(gradient, self.tensors)
        weights = of_weights  # noqa: F841
        bias[:] = of_bias
        return loss


class Adding(Right):
    def loss_and_gradient(
        self, parameters: Any, features: Any, targets: Any, gradient: Any
    ) -> float:
        loss, of_weights, of_bias = self.slopes(parameters, features, targets)
        weights, bias = views(gradient, self.tensors)
        weights += of_weights
        bias += of_bias
        return loss


class Zero(Right):
    """Writes zeros only."""

    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        arguments[-1][:] = 0
        return loss


class Silent(Right):
    def loss_and_gradient(self, *arguments: Any) -> Any:
        super().loss_and_gradient(*arguments)


class LossOfEach(Right):
    def loss_and_gradient(self, *arguments: Any) -> Any:
        return np.full(N, super().loss_and_gradient(*arguments))


class NoNumber(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        return float("nan") * super().loss_and_gradient(*arguments)


class NoFiniteGradient(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        arguments[-1][3] = np.inf
        return loss


class Labels(Right):
    """Predicts classes, not their probabilities."""

    def predict(self, parameters: Any, features: Any) -> Any:
        return super().predict(parameters, features).argmax(axis=1)

    def slopes(self, *arguments: Any) -> Any:
        return RightSlopes.slopes(*arguments)


RightSlopes = Right()


class NoPredictions(Labels):
    def predict(self, parameters: Any, features: Any) -> Any:
        return None


class Meddling(Right):
    def loss_and_gradient(self, parameters: Any, *others: Any) -> float:
        loss = super().loss_and_gradient(parameters, *others)
        parameters -= 0.1 * others[-1]
        return loss


class Failing(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        raise ArithmeticError("my own mistake")


WRONG: dict[type[Right], tuple[str, ...]] = {
    WrongSign: ("along all parameters", "its sign is wrong", "expected", "found"),
    SumNotMean: ("one is the sum and the other the mean of 8 examples",),
    WrongBias: ("derive it again",),
    Transposed: ("derive it again",),
    Unwritten: ('of "weights" unwritten', "found 15 as they were", "'weights[:] = ...'"),
    Adding: ('adds its gradient of "weights", "bias"', "must overwrite it"),
    Zero: ("differences of the loss tell a slope of", "the gradient 0 (found)"),
    Silent: ("must return the mean loss as a number, got None", "is 'return loss' missing?"),
    LossOfEach: ("must return the mean loss as a number, got array",),
    NoNumber: ("the loss of model", "is nan", "must be a finite number"),
    NoFiniteGradient: ('holds NaN or infinity in "weights"',),
    Labels: ("must give numbers of shape (8, 3) for 8 examples", "got shape (8,) of int64"),
    NoPredictions: ("must give numbers of shape (8, 3)", "got None"),
    Meddling: ("changes the parameters that it is given",),
    Failing: ("loss_and_gradient of", "ArithmeticError: my own mistake"),
}


def tried(model: Any, parameters: Any = None, features: Any = None, **changes: Any) -> Trial:
    rng = np.random.default_rng(5)
    if features is None:
        features = rng.normal(size=(N, N_FEATURES)).astype(np.float32)
    targets = np.arange(N) % (2 if model.task is Task.BINARY else N_CLASSES)
    if model.task is Task.REGRESSION:
        targets = rng.normal(size=N).astype(np.float32)
    if parameters is None:
        parameters = model.initial(np.random.default_rng(0))
    values = {"n_classes": N_CLASSES, "n_fixed": getattr(model, "n_statistics", 0), **changes}
    return Trial('model "mine:Model"', model, parameters, features, targets, **values)


def test_a_right_model_passes() -> None:
    assert check_model(tried(Right()), FLOAT32) == ""


@pytest.mark.parametrize("model", WRONG, ids=lambda each: each.__name__)
def test_a_wrong_model_is_refused_with_what_was_expected_and_found(model: type[Right]) -> None:
    with pytest.raises(ModelError) as caught:
        check_model(tried(model()), FLOAT32)
    said = str(caught.value)
    assert 'model "mine:Model"' in said
    assert all(word in said for word in WRONG[model]), said
    assert "\n" not in said


BUILT_IN: list[Any] = [
    LinearRegression(N_FEATURES),
    LogisticRegression(N_FEATURES),
    SoftmaxRegression(N_FEATURES, N_CLASSES),
    *(MLP(N_FEATURES, N_CLASSES, (7, 4), activation) for activation in ACTIVATIONS),
    FactorizationMachine(N_FEATURES, 2, 3, 0.1),
]


@pytest.mark.parametrize("model", BUILT_IN, ids=repr)
@pytest.mark.parametrize("zero", [False, True])
def test_every_built_in_model_passes(model: Any, zero: bool) -> None:
    """Also where it begins at zero, and so at every kink at once."""
    parameters = np.random.default_rng(0).normal(0, 0.3, sum(t.size for t in model.tensors))
    assert check_model(tried(model, parameters * (not zero)), FLOAT32) == ""


def test_the_model_of_the_readme_passes() -> None:
    (code,) = [each for each in blocks(PAGES[0]) if "class MyModel" in each.text]
    names: dict[str, Any] = {}
    exec(code.text, names)  # noqa: S102  # our own
    assert check_model(tried(names["MyModel"](N_FEATURES, 0, scale=2.0)), FLOAT32) == ""


class Noisy(Right):
    """Drops features at random, and never the same."""

    def loss_and_gradient(self, parameters: Any, features: Any, *others: Any) -> float:
        kept = np.random.default_rng().random(features.shape) < 0.5
        return super().loss_and_gradient(parameters, features * kept, *others)


class InSinglePrecision(Right):
    def loss_and_gradient(self, parameters: Any, features: Any, targets: Any, gradient: Any) -> Any:
        own = np.empty(gradient.size, np.float32)
        loss = super().loss_and_gradient(parameters.astype(np.float32), features, targets, own)
        gradient[:] = own
        return np.float32(loss)


class Approximate(WrongSign):
    approximate_gradient = True


class Frozen(Right):
    """Its biases stay where they are."""

    def loss_and_gradient(self, *arguments: Any) -> float:
        loss = super().loss_and_gradient(*arguments)
        arguments[-1][-N_CLASSES:] = 0
        return loss


class Slow(Right):
    def loss_and_gradient(self, *arguments: Any) -> float:
        time.sleep(0.12)
        return super().loss_and_gradient(*arguments)


class OnlySingle(Right):
    def loss_and_gradient(self, parameters: Any, *others: Any) -> float:
        if parameters.dtype != np.float32:
            raise TypeError("expected float32")
        return super().loss_and_gradient(parameters, *others)


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (Noisy(), "differs from call to call"),
        (Approximate(), "it says that it is approximate"),
        (Slow(), "one for 8 examples takes 0.1"),
        (OnlySingle(), "cannot compute in float64"),
        (InSinglePrecision(), ""),
        (Frozen(), ""),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_cannot_be_judged_is_said_and_passes(model: Any, word: str) -> None:
    said = check_model(tried(model), FLOAT32)
    assert word in said
    assert bool(said) == bool(word)


def test_a_very_large_model_is_asked_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_check, "MOST_COMPARED", 10)
    assert "18 parameters are too many" in check_model(tried(WrongSign()), FLOAT32)
    with pytest.raises(ModelError, match="unwritten"):
        check_model(tried(Unwritten()), FLOAT32)
    monkeypatch.setattr(gradient_check, "MOST_TRIED", 10)
    assert "18 parameters are too many" in check_model(tried(Unwritten()), FLOAT32)


def checked(model: str, data: str, **settings: Any) -> str:
    """Whether a model passes that is built from settings, as one of a user's own would."""
    problem = prepare(RunConfig(model=model, data=data, replicas=1, **settings), 1)
    trial = trial_of(
        model, problem.model, problem.initial_values, problem.dataset, problem.data.train
    )
    return check_model(trial, problem.config.dtype)


@pytest.mark.parametrize("model", ["logistic", "fm", "wide_deep"])
@pytest.mark.parametrize("tables", [{}, {"table_numbers": 1}], ids=["whole", "tables"])
def test_models_of_sparse_data_pass(model: str, tables: dict[str, int]) -> None:
    assert checked(model, "synthetic:clicks", **tables) == ""


NETS = ["layers", "two_outputs", "normed", "dropping", "frozen"]


@pytest.mark.parametrize("net", NETS)
def test_torch_modules_pass(net: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "tests.unit.app.models.torchnets")
    data = "synthetic:logistic" if net == "two_outputs" else "synthetic:softmax"
    module = f"tests.unit.app.models.torchnets:{net}"
    assert prepare(RunConfig(model="torch", module=module, data=data), 1).unjudged == ""


def test_a_wrong_model_does_not_become_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, the function, the estimators and the doctor all begin with ``prepare``."""
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", __name__)
    config = RunConfig(model=f"{__name__}:backwards", data="synthetic:softmax")
    with pytest.raises(ModelError, match="its sign is wrong"):
        prepare(config, 1)


def backwards(n_features: int, n_classes: int) -> Any:
    inner = SoftmaxRegression(n_features, n_classes)

    class Backwards:
        tensors, task = inner.tensors, inner.task
        initial, predict = inner.initial, inner.predict

        def loss_and_gradient(self, *arguments: Any) -> float:
            loss = inner.loss_and_gradient(*arguments)
            arguments[-1][:] *= -1
            return loss

    return Backwards()
