"""Fourteen small problems, as people meet them first: deterministic, most of them in raw units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import datasets, metrics
from sklearn.model_selection import train_test_split

Array = npt.NDArray[Any]
Drawn = tuple[Array, Array]

HELD_OUT = 0.25


@dataclass(frozen=True)
class Problem:
    """A table and what its targets are; ``rare`` means that accuracy would say nothing."""

    name: str
    draw: Callable[[], Drawn]
    classes: bool = True
    rare: bool = False

    def score(self, wanted: Array, answers: Array) -> float:
        """Accuracy, or the balanced one, of classes; R2 of numbers."""
        judge = metrics.accuracy_score if self.classes else metrics.r2_score
        return float((metrics.balanced_accuracy_score if self.rare else judge)(wanted, answers))

    def divided(self, seed: int) -> tuple[Array, Array, Array, Array]:
        """Training and held-out features, training and held-out targets."""
        x, y = self.draw()
        parts = train_test_split(
            x, y, test_size=HELD_OUT, random_state=seed, stratify=y if self.classes else None
        )
        x_train, x_out, y_train, y_out = parts
        return x_train, x_out, y_train, y_out


def _loaded(load: Callable[..., Drawn]) -> Callable[[], Drawn]:
    return lambda: load(return_X_y=True)


def _made(make: Callable[..., Any], *sizes: int, **options: Any) -> Callable[[], Drawn]:
    return lambda: make(*sizes, random_state=0, **options)[:2]


EASY = _made(datasets.make_classification, 1500, 20, n_informative=8, class_sep=1.2)


def _bad_scale() -> Drawn:
    """EASY with columns of very different sizes, away from zero."""
    x, y = EASY()
    rng = np.random.default_rng(0)
    factors = 10 ** rng.uniform(-3, 4, x.shape[1])
    return x * factors + 10 ** rng.uniform(-2, 3, x.shape[1]), y


def _covtype_like() -> Drawn:
    """Cover of 4,000 patches of forest: metres, degrees, shades, kind of soil; seven classes."""
    rng, n, n_soils, n_classes = np.random.default_rng(0), 4000, 20, 7
    elevation = rng.normal(2900, 280, n)
    aspect, slope = rng.uniform(0, 360, n), np.clip(rng.gamma(4, 3.5, n), 0, 60)
    water, below = rng.gamma(1.6, 170, n), rng.normal(46, 58, n)
    roads, fires = rng.gamma(2.2, 1000, n), rng.gamma(2.3, 850, n)
    turn = np.radians(aspect)
    shades = [
        np.clip(220 + 1.5 * slope * np.cos(turn - at) + rng.normal(0, 12, n), 0, 254)
        for at in (1.2, 3.1, 4.7)
    ]
    # Soils and covers both prefer some height.
    at_home = np.linspace(2300, 3500, n_soils)
    likely = -np.square((elevation[:, None] - at_home) / 250)
    soil = np.argmax(likely + rng.gumbel(size=(n, n_soils)), axis=1)
    numbers = np.column_stack([elevation, aspect, slope, water, below, roads, fires, *shades])
    standard = (numbers - numbers.mean(axis=0)) / numbers.std(axis=0)
    chances = standard @ rng.normal(0, 0.5, (numbers.shape[1], n_classes))
    chances -= np.square((elevation[:, None] - np.linspace(2450, 3350, n_classes)) / 350)
    chances += rng.normal(0, 0.8, (n_soils, n_classes))[soil]
    cover = np.argmax(chances + rng.gumbel(size=chances.shape) * 0.7, axis=1)
    return np.hstack([np.round(numbers), np.eye(n_soils)[soil]]), cover


def _california_like() -> Drawn:
    """Prices of 3,000 blocks of houses: income, age, rooms, people, latitude, ..."""
    rng, n = np.random.default_rng(0), 3000
    income = np.clip(rng.lognormal(1.25, 0.47, n), 0.5, 15)
    age = rng.integers(1, 53, n).astype(float)
    rooms = rng.lognormal(1.65, 0.22, n) + 0.1 * income
    bedrooms = rooms / 5 * rng.lognormal(0, 0.08, n)
    people, household = rng.lognormal(7, 0.7, n), rng.lognormal(1.05, 0.2, n)
    north = rng.random(n) < 0.4
    latitude = np.where(north, rng.normal(37.8, 0.8, n), rng.normal(34.0, 0.6, n))
    longitude = np.where(north, rng.normal(-121.9, 0.7, n), rng.normal(-118.0, 0.7, n))
    coast = longitude + 0.9 * (latitude - 34) + 118.5
    price = 0.42 * income + 0.011 * age - 0.25 * np.log(people / 1000) - 0.18 * household
    price += 0.35 * (bedrooms - 1) - 0.45 * np.tanh(coast) + 0.15 * np.sqrt(income) * north
    price = np.clip(price + 0.9 + rng.normal(0, 0.3, n), 0.15, 5.0)
    columns = [income, age, rooms, bedrooms, np.round(people), household, latitude, longitude]
    return np.column_stack(columns), price


def _prices() -> Drawn:
    """Prices of houses: of mean 300,000 and deviation 60,000."""
    x, y, *_ = datasets.make_regression(1000, 8, noise=5, random_state=0)
    return x, (y - y.mean()) / y.std() * 6e4 + 3e5


PROBLEMS: tuple[Problem, ...] = (
    Problem("iris", _loaded(datasets.load_iris)),
    Problem("wine", _loaded(datasets.load_wine)),
    Problem("breast cancer", _loaded(datasets.load_breast_cancer)),
    Problem("digits", _loaded(datasets.load_digits)),
    Problem("easy", EASY),
    Problem(
        "3 % positive",
        _made(
            datasets.make_classification,
            *(3000, 20),
            n_informative=6,
            weights=[0.97],
            flip_y=0.005,
        ),
        rare=True,
    ),
    Problem("bad scale", _bad_scale),
    Problem(
        "8 classes",
        _made(
            datasets.make_classification,
            *(3000, 30),
            n_informative=15,
            n_classes=8,
            class_sep=1.5,
        ),
    ),
    Problem("covtype-like", _covtype_like),
    Problem("diabetes", _loaded(datasets.load_diabetes), classes=False),
    Problem("california-like", _california_like, classes=False),
    Problem(
        "make_regression",
        _made(datasets.make_regression, 1000, 20, n_informative=10, noise=10),
        classes=False,
    ),
    Problem("friedman1", _made(datasets.make_friedman1, 1500, noise=1), classes=False),
    Problem("prices", _prices, classes=False),
)
