import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import NoResultError
from streamnet_plugin.signal.detrend import detrend


def dense_detrend(x, lam):
    """The textbook's formula with dense matrices."""
    n = len(x)
    d2 = np.zeros((n - 2, n))
    for row in range(n - 2):
        d2[row, row : row + 3] = 1, -2, 1
    return x - np.linalg.solve(np.eye(n) + lam**2 * d2.T @ d2, x)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(3, 200),
    lam=st.sampled_from([1.0, 10.0, 100.0, 300.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_the_dense_formula(n, lam, seed):
    x = np.random.default_rng(seed).normal(size=n)
    np.testing.assert_allclose(detrend(x, lam), dense_detrend(x, lam), rtol=0, atol=1e-8)


def test_columns_are_detrended_one_by_one():
    x = np.random.default_rng(0).normal(size=(120, 3)).cumsum(axis=0)
    together = detrend(x)
    for column in range(3):
        np.testing.assert_allclose(together[:, column], detrend(x[:, column]), atol=1e-10)


def test_a_straight_line_is_all_trend():
    assert np.abs(detrend(np.linspace(3, 9, 500))).max() < 1e-9


def test_a_beat_is_kept():
    t = np.arange(600) / 30
    x = np.sin(2 * np.pi * 1.2 * t)
    assert np.corrcoef(detrend(x + 5 * t), x)[0, 1] > 0.98


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_short_says_so(n):
    with pytest.raises(NoResultError, match=f"found {n}"):
        detrend(np.ones(n))


def test_input_is_not_changed():
    x = np.arange(50.0) ** 2
    before = x.copy()
    detrend(x)
    np.testing.assert_array_equal(x, before)
