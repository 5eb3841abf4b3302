"""Products with few outputs are made a few examples at a time, and are the same products."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.models import layers
from distbelief.app.models.layers import affine, affine_gradient

Numbers = npt.NDArray[Any]


def whole_numbers(random: np.random.Generator, *shape: int) -> Numbers:
    """Their products and sums are exact, in whatever order they are added."""
    return random.integers(-9, 10, shape).astype(np.float64)


@given(
    sizes=st.tuples(st.integers(0, 40), st.integers(1, 6), st.integers(1, 6)),
    products=st.integers(1, 200),
    least=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)
def test_a_product_in_parts_is_the_product(
    sizes: tuple[int, int, int], products: int, least: int, seed: int
) -> None:
    n, n_in, n_out = sizes
    random = np.random.default_rng(seed)
    inputs, delta = whole_numbers(random, n, n_in), whole_numbers(random, n, n_out)
    weights, bias = whole_numbers(random, n_in, n_out), whole_numbers(random, n_out)
    gradient, of_bias = np.full((n_in, n_out), np.nan), np.full(n_out, np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "UNPACKED_PRODUCTS", products)
        patch.setattr(layers, "LEAST_EXAMPLES", least)
        outputs = affine(inputs, weights, bias)
        affine_gradient(inputs, delta, gradient, of_bias)
    assert np.array_equal(outputs, inputs @ weights + bias)
    assert np.array_equal(gradient, inputs.T @ delta)
    assert np.array_equal(of_bias, delta.sum(axis=0))


@pytest.mark.parametrize(
    ("n_in", "n_out", "longest"),
    [(784, 10, 127), (784, 1, 1000), (784, 39, 32), (784, 256, 1000)],
    ids=["few outputs", "one output", "as many as are worth it", "many outputs"],
)
def test_layers_with_few_outputs_take_a_few_examples_at_a_time(
    n_in: int, n_out: int, longest: int
) -> None:
    inputs, weights = np.empty((1000, n_in)), np.empty((n_in, n_out))
    sizes = [len(inputs[part]) for part in layers._parts(inputs, weights)]
    assert (sum(sizes), max(sizes)) == (1000, longest)
    assert longest == 1000 or longest * n_in * n_out <= layers.UNPACKED_PRODUCTS
