"""Losses and links where floating point is treacherous."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logsumexp
from scipy.special import softmax as scipy_softmax

from distbelief.app.layout.tensors import Vector
from distbelief.app.models.losses import (
    cross_entropy,
    half_squared_error,
    log_loss,
    sigmoid,
    softmax,
)

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
logits = arrays(np.float64, (3, 4), elements=st.floats(-1e4, 1e4))


@dtypes
def test_log_loss_of_huge_log_odds_is_their_size_where_they_are_wrong(dtype: type) -> None:
    outputs: Vector = np.array([[1e4], [-1e4]], dtype)
    assert log_loss(outputs, np.array([0, 1])) == 1e4
    assert outputs.tolist() == [[0.5], [-0.5]]


@dtypes
def test_log_loss_of_huge_log_odds_is_zero_where_they_are_right(dtype: type) -> None:
    outputs: Vector = np.array([[1e4], [-1e4]], dtype)
    assert log_loss(outputs, np.array([1, 0])) == 0
    assert not outputs.any()


def test_log_loss_keeps_losses_far_below_the_rounding_of_one() -> None:
    assert log_loss(np.array([[50.0]]), np.array([1])) == pytest.approx(math.exp(-50))


@dtypes
def test_cross_entropy_of_huge_logits_is_the_distance_to_the_largest(dtype: type) -> None:
    outputs: Vector = np.array([[1e4, 0, -1e4]], dtype)
    assert cross_entropy(outputs, np.array([2])) == 2e4
    assert outputs.tolist() == [[1, 0, -1]]


@given(outputs=logits, label=st.integers(0, 3))
def test_cross_entropy_is_log_sum_exp_less_the_logit_of_the_label(
    outputs: Vector, label: int
) -> None:
    expected = np.mean(logsumexp(outputs, axis=1) - outputs[:, label])
    assert cross_entropy(outputs, np.full(3, label)) == pytest.approx(expected, abs=1e-8)


@given(outputs=logits)
def test_the_gradient_of_cross_entropy_sums_to_zero_for_each_example(outputs: Vector) -> None:
    cross_entropy(outputs, np.array([0, 1, 2]))
    np.testing.assert_allclose(outputs.sum(axis=1), 0, atol=1e-15)


@given(outputs=logits)
def test_softmax_is_that_of_scipy(outputs: Vector) -> None:
    expected = scipy_softmax(outputs, axis=1)
    np.testing.assert_allclose(softmax(outputs), expected, rtol=1e-12)


@given(outputs=logits, shift=st.floats(-1e4, 1e4))
def test_softmax_ignores_a_shift_of_all_logits(outputs: Vector, shift: float) -> None:
    np.testing.assert_allclose(softmax(outputs + shift), softmax(outputs), atol=1e-10)


@given(outputs=arrays(np.float64, 5, elements=st.floats(-700, 1e4)))
def test_sigmoid_is_that_of_scipy_even_where_it_is_tiny(outputs: Vector) -> None:
    expected = expit(outputs)
    np.testing.assert_allclose(sigmoid(outputs), expected, rtol=1e-13)


@dtypes
def test_sigmoid_of_the_hugely_negative_is_zero(dtype: type) -> None:
    assert sigmoid(np.array([-1e4], dtype)) == 0


def test_half_squared_error_of_two_residuals() -> None:
    outputs = np.array([[3.0], [1.0]])
    assert half_squared_error(outputs, np.array([1, 2])) == (4 + 1) / 2 / 2
    assert outputs.tolist() == [[1.0], [-0.5]]


def test_many_float32_losses_are_added_in_float64() -> None:
    outputs = np.full((1 << 20, 1), math.sqrt(0.2), np.float32)
    exact = float(outputs[0, 0] * outputs[0, 0]) / 2
    assert half_squared_error(outputs, np.zeros(1 << 20)) == pytest.approx(exact, rel=1e-12)
