"""Our estimators as scikit-learn sees them: its own checks, its solutions, its searches."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from distbelief import (
    DownpourClassifier,
    DownpourRegressor,
    HybridClassifier,
    LocalCluster,
    SandblasterClassifier,
    SandblasterRegressor,
    train,
)
from distbelief.app.errors import ConfigError, DataError
from distbelief.coordinator.cluster import shared as own
from distbelief.coordinator.inference.predicting import Predictor
from distbelief.coordinator.progress.outcome import EndReason

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
L2 = 1e-2
#: Down to the minimum, as far as numbers go.
EXACT: dict[str, Any] = {
    "iterations": 500,
    "gradient_tolerance": 3e-7,
    "settings": {"decrease_tolerance": 0.0, "standardize": False},
}


@pytest.fixture(autouse=True)
def _cluster_of_the_tests(shared: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``cluster=None`` means."""
    monkeypatch.setattr(own, "_clusters", [shared])


#: Repeated rows are in minibatches of their own; on the whole batch weights are the same.
MINIBATCHES = {
    f"check_sample_weight_equivalence_on_{kind}_data": "minibatches are others"
    for kind in ("dense", "sparse")
}


# tests/benchmarks/check_estimators.py tries the others, too: each takes as long. With replicas that
# race, those checks fail that expect the same of two fits: check_fit_idempotent,
# check_supervised_y_2d, check_regressors_int, check_classifier_data_not_an_array and
# check_regressor_data_not_an_array.
def test_scikit_learn_finds_nothing_wrong() -> None:
    estimator = DownpourClassifier("softmax", passes=6, replicas=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it provokes them
        checks = check_estimator(estimator, on_skip=None, expected_failed_checks=MINIBATCHES)
    assert {check["status"] for check in checks} <= {"passed", "skipped", "xfail"}
    assert len(checks) > 45


def test_racing_replicas_say_that_they_are_not_deterministic() -> None:
    assert DownpourRegressor(replicas=2).__sklearn_tags__().non_deterministic
    assert not DownpourRegressor(replicas=1).__sklearn_tags__().non_deterministic
    assert not SandblasterRegressor().__sklearn_tags__().non_deterministic


@pytest.mark.parametrize("kind", [SandblasterClassifier, HybridClassifier])
def test_l_bfgs_finds_the_logistic_regression_of_scikit_learn(
    kind: type[SandblasterClassifier],
) -> None:
    settings = EXACT["settings"] | ({} if kind is SandblasterClassifier else {"round_steps": 8})
    ours = kind(l2=L2, **EXACT | {"settings": settings}).fit(X, Y)
    theirs = LogisticRegression(C=1 / (len(X) * L2), tol=1e-9, max_iter=2000)
    theirs.fit(X.astype(np.float64), Y)
    weights = ours.model_.parameters["weights"].T
    assert weights == pytest.approx(theirs.coef_, abs=1e-5)
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-5)
    assert np.array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_defaults_are_those_of_scikit_learn_on_standardised_columns(n_classes: int) -> None:
    x, y = load_wine(return_X_y=True)
    x, y = x[y < n_classes], y[y < n_classes]
    settings = {"decrease_tolerance": 0.0}
    ours = SandblasterClassifier(iterations=500, gradient_tolerance=3e-7, settings=settings)
    ours.fit(x, y)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(C=4, tol=1e-9, max_iter=2000)).fit(
        x, y
    )
    assert ours.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-5)


def test_softmax_of_two_classes_needs_twice_the_penalty() -> None:
    x, y = X[Y < 2], Y[Y < 2]
    ours = SandblasterClassifier("softmax", l2=2 * L2, **EXACT).fit(x, y)
    theirs = LogisticRegression(C=1 / (len(x) * L2), tol=1e-9, max_iter=2000)
    theirs.fit(x.astype(np.float64), y)
    assert ours.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-5)


@pytest.mark.parametrize("settings", [{}, {"standardize": False}])
def test_iterations_that_do_not_suffice_are_a_warning_with_advice(settings: Any) -> None:
    x, y = load_wine(return_X_y=True)
    advice = "or columns of similar spread" if settings else "to come closer: more iterations$"
    with pytest.warns(ConvergenceWarning, match=f"iterations used up .*; 3 iterations.*{advice}"):
        SandblasterClassifier(iterations=3, settings=settings).fit(x, y)


@pytest.mark.parametrize("settings", [{}, {"standardize": False}])
def test_tiny_targets_are_fitted_as_well_as_others(settings: Any) -> None:
    x, y = line()
    ours = SandblasterRegressor(l2=0.0, settings=settings).fit(x, 1e-6 * y)
    assert ours.result_.reason in (EndReason.GRADIENT, EndReason.DECREASE)
    assert ours.score(x, 1e-6 * y) == pytest.approx(Ridge(alpha=0).fit(x, y).score(x, y), abs=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("model", ["softmax", None])
def test_what_a_fit_leaves_is_what_scikit_learn_has(model: str | None, n_classes: int) -> None:
    x, y = load_wine(return_X_y=True)
    x, y = x[y < n_classes], y[y < n_classes]
    ours = SandblasterClassifier(model, iterations=500).fit(x, y)
    theirs = LogisticRegression(max_iter=20).fit(StandardScaler().fit_transform(x), y)
    assert ours.coef_.shape == theirs.coef_.shape
    assert ours.intercept_.shape == theirs.intercept_.shape
    linear = x @ ours.coef_.T + ours.intercept_
    scores = ours.decision_function(x)
    assert scores == pytest.approx(linear if n_classes > 2 else linear[:, 0], abs=1e-5)  # float32
    assert (theirs.decision_function(x).shape) == scores.shape
    logs = ours.predict_log_proba(x)
    assert np.exp(logs) == pytest.approx(ours.predict_proba(x))
    if n_classes == 2:
        assert scores == pytest.approx(logs[:, 1] - logs[:, 0], abs=1e-2)
    assert len(ours.loss_curve_) == ours.n_iter_ + 1
    assert ours.loss_curve_[-1] < ours.loss_curve_[0]


def test_a_network_has_no_coefficients_but_scores_and_a_curve() -> None:
    ours = DownpourClassifier(passes=4, random_state=0, settings={"unit_steps": 5}).fit(X, Y)
    assert not hasattr(ours, "coef_")
    assert ours.n_iter_ == 4
    assert len(ours.loss_curve_) == 4
    assert ours.loss_curve_[-1] < ours.loss_curve_[0]
    assert np.array_equal(ours.classes_[ours.decision_function(X).argmax(axis=1)], ours.predict(X))


def test_a_warm_start_goes_on_and_an_early_stop_ends() -> None:
    ours = SandblasterClassifier(warm_start=True, iterations=500).fit(X[:300], Y[:300])
    again = ours.fit(X[:300], Y[:300]).loss_curve_
    assert again[0] == pytest.approx(again[-1], rel=1e-4)
    with pytest.raises(ValueError, match="warm_start goes on with the classes"):
        ours.fit(X[:300], Y[:300] + 1)
    early = DownpourClassifier(early_stopping=True, passes=1000, replicas=1, random_state=0)
    early.fit(X[:300], Y[:300])
    assert early.result_.reason is EndReason.PATIENCE
    assert early.n_iter_ < 1000
    assert early.fit(X[:300], Y[:300]).n_iter_ == early.n_iter_


def test_a_model_for_the_other_kind_of_targets_is_refused() -> None:
    with pytest.raises(ConfigError, match="model linear is not for a DownpourClassifier"):
        DownpourClassifier("linear").fit(X, Y)
    with pytest.raises(ConfigError, match="model softmax is not for a SandblasterRegressor"):
        SandblasterRegressor("softmax").fit(X, Y)


def test_the_seed_may_be_one_of_the_settings() -> None:
    given: dict[str, Any] = {"passes": 2, "replicas": 1}
    one, same, other = (
        DownpourClassifier(**given, settings={"seed": seed}).fit(X[:300], Y[:300])
        for seed in (3, 3, 4)
    )
    assert np.array_equal(one.predict_proba(X), same.predict_proba(X))
    assert not np.array_equal(one.predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    ("model", "unit", "zero"),
    [("linear", 1.0, 1e9), ("linear", 1e3, 0.0), ("mlp", 1.0, 100.0), ("mlp", 1e3, 0.0)],
)
def test_the_unit_of_the_targets_changes_nothing(model: str, unit: float, zero: float) -> None:
    x, y = line()
    alone: dict[str, Any] = {"passes": 10, "replicas": 1, "random_state": 0}
    before = DownpourRegressor(model, **alone).fit(1e3 * x + 1e4, y)
    after = DownpourRegressor(model, **alone).fit(1e3 * x + 1e4, unit * y + zero)
    score = before.score(1e3 * x + 1e4, y)
    assert score > 0.9
    assert after.score(1e3 * x + 1e4, unit * y + zero) == pytest.approx(score, abs=1e-3)
    if model == "linear":
        moved = unit * before.intercept_ + zero
        assert after.intercept_ == pytest.approx(moved, abs=0.1 * unit)


def line(n: int = 400) -> tuple[Any, Any]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    return x, x @ np.arange(6) + 2 + rng.normal(0, 0.1, n)


def test_sandblaster_finds_the_ridge_regression_of_scikit_learn() -> None:
    x, y = line()
    ours = SandblasterRegressor(l2=L2, **EXACT).fit(x, y)
    theirs = Ridge(alpha=len(x) * L2).fit(x, y)
    assert ours.model_.parameters["weights"][:, 0] == pytest.approx(theirs.coef_, abs=1e-5)
    assert ours.model_.parameters["bias"] == pytest.approx([theirs.intercept_], abs=1e-5)


def test_l1_means_the_same_whatever_the_spread_of_the_targets() -> None:
    x, y = line()
    x, y = StandardScaler().fit_transform(x), 100 * y
    settings = {"decrease_tolerance": 0.0}
    ours = SandblasterRegressor(l1=70.0, iterations=500, gradient_tolerance=1e-9, settings=settings)
    ours.fit(x, y)
    theirs = Lasso(alpha=70.0, tol=1e-8).fit(x.astype(np.float64), y)
    weights = ours.model_.parameters["weights"][:, 0]
    assert weights == pytest.approx(theirs.coef_, abs=1e-3)
    assert np.array_equal(weights == 0, theirs.coef_ == 0)
    assert 0 < np.count_nonzero(weights) < 6


def test_downpour_comes_close_to_least_squares() -> None:
    x, y = line()
    falling = {"schedule": "cosine"}  # else it ends at some distance, as far as the last steps go
    ours = DownpourRegressor(learning_rate=0.5, random_state=0, settings=falling).fit(x, y)
    best, *_ = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)
    assert ours.model_.parameters["weights"][:, 0] == pytest.approx(best[:6], abs=0.05)
    assert ours.score(x, y) > 0.99


@pytest.mark.parametrize("kind", [DownpourClassifier, DownpourRegressor])
def test_a_fit_that_learned_nothing_says_so(kind: Any) -> None:
    said = "the model has learned nothing, it is no better than always the .* on 200 training"
    with pytest.warns(ConvergenceWarning, match=said):
        kind(learning_rate=1e-12, passes=2, random_state=0).fit(X[:200], Y[:200])


EARLY = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@EARLY
def test_it_works_in_a_pipeline_and_in_a_search() -> None:
    pipeline = make_pipeline(StandardScaler(), SandblasterClassifier(iterations=15))
    search = GridSearchCV(pipeline, {"sandblasterclassifier__l2": [10.0, 1e-3]}, cv=2)
    search.fit(X[:600], Y[:600].astype(str))
    assert search.best_params_ == {"sandblasterclassifier__l2": 1e-3}
    assert search.score(X[600:900], Y[600:900].astype(str)) > 0.85


def test_a_search_in_other_processes_uses_the_cluster_that_it_is_given(
    shared: LocalCluster,
) -> None:
    assert clone(DownpourClassifier(cluster=shared)).cluster is shared
    search = GridSearchCV(
        DownpourClassifier("softmax", passes=3, cluster=shared), {"l2": [0.1, 0]}, cv=2, n_jobs=2
    )
    search.fit(X[:400], Y[:400])
    assert search.best_score_ > 0.4
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_partial_fit_goes_on_from_where_it_was() -> None:
    model = DownpourClassifier("softmax", random_state=0)
    with pytest.raises(ValueError, match="must name all classes"):
        model.partial_fit(X[:100], Y[:100])
    model.partial_fit(X[Y < 5], Y[Y < 5], classes=range(10))
    assert model.score(X[Y < 5], Y[Y < 5]) > 0.8
    assert model.score(X[Y >= 5], Y[Y >= 5]) == 0
    scores = [model.partial_fit(X, Y).score(X, Y) for _ in range(6)]
    assert scores[-1] > 0.85
    assert scores[-1] > scores[0]
    with pytest.raises(ValueError, match="the label 10 is none of the classes"):
        model.partial_fit(X[:2], [3, 10])


def test_by_rounds_one_replica_is_the_same_each_time_and_several_go_on_from_a_fit() -> None:
    settings = {"round_steps": 8}
    alone = DownpourClassifier("softmax", passes=2, replicas=1, random_state=0, settings=settings)
    found = [clone(alone).fit(X, Y).predict_proba(X) for _ in range(2)]
    assert np.array_equal(*found)
    ours = DownpourClassifier("softmax", passes=4, warm_start=True, settings=settings)
    losses = [log_loss(Y, ours.fit(X, Y).predict_proba(X)) for _ in range(2)]
    losses.append(log_loss(Y, ours.partial_fit(X, Y).predict_proba(X)))
    assert losses[0] > losses[1] > losses[2]


def test_the_best_parameters_by_heldout_examples_are_kept_if_asked_for() -> None:
    model = DownpourClassifier("softmax", passes=30, holdout=0.2, patience=2).fit(X, Y)
    assert model.result_.heldout is not None
    assert model.result_.heldout["accuracy"] > 0.85
    assert DownpourClassifier("softmax", passes=1).fit(X, Y).result_.heldout is None


@EARLY
def test_further_settings_are_ours_and_a_misspelt_one_is_named(tmp_path: Path) -> None:
    folder = {"folder": str(tmp_path), "unit_steps": 5}
    model = SandblasterClassifier(iterations=2, settings=folder).fit(X, Y)
    assert model.result_.model_file.parent.parent == tmp_path
    with pytest.raises(ConfigError, match="did you mean 'unit_steps'"):
        SandblasterClassifier(settings={"unit_step": 3}).fit(X, Y)


def test_the_cluster_of_all_estimators_is_started_once_and_grows() -> None:
    own._clusters.clear()
    try:
        first = own.shared_cluster(1)
        assert first.running
        assert own.shared_cluster(1) is first
        assert len(first.children) == 4
        assert own.shared_cluster(3) is first
        assert (first.workers, first.processes) == (2, 3)
        first.close()
        assert not first.running
    finally:
        for cluster in own._clusters:
            cluster.close()


# --- weights


def test_weights_are_equal_to_repeating_rows() -> None:
    x, y = load_wine(return_X_y=True)
    times = np.random.default_rng(0).integers(0, 4, len(y))
    tight: dict[str, Any] = {
        "iterations": 2000,
        "gradient_tolerance": 1e-9,
        "settings": {"decrease_tolerance": 0},
    }
    weighted = SandblasterClassifier(**tight).fit(x, y, sample_weight=times)
    repeated = SandblasterClassifier(**tight).fit(x.repeat(times, axis=0), y.repeat(times))
    assert weighted.predict_proba(x) == pytest.approx(repeated.predict_proba(x), abs=1e-6)
    x, y = line()
    x = x.astype(np.float64)
    times = np.random.default_rng(0).integers(1, 4, len(y))
    ours = SandblasterRegressor(l2=0.0, **tight).fit(x, y, sample_weight=times)
    theirs = Ridge(alpha=0).fit(x, y, sample_weight=times)
    assert ours.coef_ == pytest.approx(theirs.coef_, abs=1e-6)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-6)


def test_one_step_on_the_whole_batch_is_that_of_repeated_rows() -> None:
    x, y = X[:300], Y[:300]
    times = np.random.default_rng(0).integers(0, 4, len(y))
    whole: dict[str, Any] = {"passes": 1, "replicas": 1, "random_state": 0, "batch_size": 1000}
    weighted = DownpourClassifier("softmax", **whole).fit(x, y, sample_weight=times)
    repeated = DownpourClassifier("softmax", **whole)
    repeated.fit(x.repeat(times, axis=0), y.repeat(times))
    assert weighted.coef_ == pytest.approx(repeated.coef_, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("class_weight", ["balanced", {"no": 1.0, "yes": 5.0}])
def test_classes_are_weighted_as_by_scikit_learn(class_weight: Any) -> None:
    x, y = load_wine(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), np.where(y == 0, "yes", "no")
    ours = SandblasterClassifier(l2=L2, class_weight=class_weight, **EXACT).fit(x, y)
    # Ours have mean 1 over the examples, so that L2 counts the same beside them.
    counts = {name: np.sum(y == name) for name in ("no", "yes")}
    mean = 1.0
    if isinstance(class_weight, dict):
        mean = sum(class_weight[name] * counts[name] for name in counts) / len(y)
    theirs = LogisticRegression(
        C=1 / (len(x) * L2 * mean), class_weight=class_weight, tol=1e-9, max_iter=2000
    ).fit(x, y)
    assert ours.predict_proba(x) == pytest.approx(theirs.predict_proba(x), abs=1e-4)


# --- tables, whose columns have names


class Frame:
    """As pandas has them: names, a shape, columns by their names and rows by a mask."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.data = {name: np.asarray(values) for name, values in columns.items()}
        self.columns = list(self.data)

    def __getitem__(self, name: str) -> Any:
        return self.data[name]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.data[self.columns[0]]), len(self.columns)


def table(n: int = 60) -> tuple[Frame, Any]:
    some = np.random.default_rng(0)
    colours = some.choice(np.array(["red", "blue", "green"], object), n)
    ages = some.normal(40, 10, n)
    targets = np.where((colours == "red") | (ages > 50), "yes", "no")
    ages[3], colours[5] = np.nan, None
    open_ = some.integers(0, 2, n) > 0
    return Frame({"age": ages, "colour": colours, "open": open_}), targets


def written(frame: Frame, targets: Any, path: Path) -> str:
    def text(value: Any) -> str:
        return "" if value is None or value != value else str(value)

    rows = zip(*(frame[name].tolist() for name in frame.columns), targets, strict=True)
    lines = [",".join((*frame.columns, "y")), *(",".join(map(text, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_table_is_fitted_as_its_csv_file_is_trained_on(
    shared: LocalCluster, tmp_path: Path
) -> None:
    frame, targets = table()
    options = {"buckets": 8, "indicator": True}
    path = written(frame, targets, tmp_path / "a.csv")
    settings: dict[str, Any] = {"algorithm": "sandblaster", "holdout": 0.0, "portions": 1}
    of_file = train(cluster=shared, data=path, model="logistic", data_options=options, **settings)
    of_table = train(
        cluster=shared, data=(frame, targets), model="logistic", data_options=options, **settings
    )
    ours = SandblasterClassifier(
        "logistic", random_state=0, settings={"data_options": options, "seed": 0}
    ).fit(frame, targets)
    expected = of_file.model
    assert np.array_equal(of_table.model.saved.flat(), expected.saved.flat())
    assert np.array_equal(ours.model_.saved.flat(), expected.saved.flat())
    chances = expected.predict_proba(frame)
    assert np.array_equal(ours.predict_proba(frame), chances)
    assert np.array_equal(of_table.model.predict(frame), expected.predict(frame))
    assert ours.score(frame, targets) == np.mean(expected.predict(frame) == targets)
    scores = ours.decision_function(frame)
    assert scores == pytest.approx(np.log(chances[:, 1] / chances[:, 0]), abs=1e-4)
    unknown = Frame({"age": [30.0], "colour": np.array(["pink"], object), "open": [True]})
    (tmp_path / "b.csv").write_text("open,colour,age\nTrue,pink,30.0\n")
    (from_file,) = Predictor(expected.saved, str(tmp_path / "b.csv"), {})
    assert ours.predict_proba(unknown) == pytest.approx(from_file.chances, abs=1e-6)


def test_gaps_are_filled_in_as_the_option_says_and_the_tag_with_it() -> None:
    x = np.arange(40.0).reshape(20, 2)
    y = x[:, 0] > 15
    gap = np.array([[np.nan, 20.0]])
    estimator = SandblasterClassifier().fit(x, y)
    assert estimator.__sklearn_tags__().input_tags.allow_nan
    mean = np.array([[x[:, 0].mean(), 20.0]])
    assert np.array_equal(estimator.predict_proba(gap), estimator.predict_proba(mean))
    strict = clone(estimator).set_params(settings={"data_options": {"missing": "error"}})
    assert not strict.__sklearn_tags__().input_tags.allow_nan
    for call in (lambda: strict.fit(gap, [1]), lambda: strict.fit(x, y).predict(gap)):
        with pytest.raises(ValueError, match="contains NaN"):
            call()


def test_columns_that_are_left_out_are_named_and_have_no_coefficients() -> None:
    frame, _ = table()
    ages = np.where(np.isnan(frame["age"]), 0.0, frame["age"])
    names = np.array([f"n{i}" for i in range(60)], object)
    x = Frame({"age": ages, "name": names, "when": 1.7e12 + 1e3 * np.arange(60)})
    with pytest.warns(UserWarning, match=r"left out: name \(it has a different value in each row"):
        ours = SandblasterRegressor(l2=0.0).fit(x, ages)
    assert ours.coef_.shape == (3,)
    assert ours.coef_[1] == 0
    assert ours.predict(x) == pytest.approx(ages, abs=1e-2)
    settings = {"data_options": {"ignore": "name"}}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        SandblasterRegressor(settings=settings).fit(x, ages)


def test_texts_need_names_for_their_columns_and_options_a_table() -> None:
    with pytest.raises(ValueError, match="texts are taken as categories from a DataFrame whose c"):
        SandblasterClassifier().fit(np.array([["a", 1], ["b", 2]], object), [0, 1])
    settings: dict[str, Any] = {"data_options": {"categorical": "0"}}
    with pytest.raises(DataError, match="the option categorical is for tables whose columns have"):
        SandblasterClassifier(settings=settings).fit(X[:20], Y[:20])
    with pytest.raises(ConfigError, match="settings must not hold task: y is as it is"):
        SandblasterClassifier(settings={"data_options": {"task": "x"}}).fit(X[:20], Y[:20])
