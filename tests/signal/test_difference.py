import numpy as np
import pytest

from streamnet_plugin.signal.difference import difference_normalised


def test_is_the_difference_at_unit_deviation_with_a_zero_appended():
    x = np.random.default_rng(0).normal(size=100)
    y = difference_normalised(x)
    assert y.shape == x.shape
    assert y[-1] == 0
    assert y[:-1].std() == pytest.approx(1)
    np.testing.assert_allclose(y[:-1] / y[0], np.diff(x) / (x[1] - x[0]))


@pytest.mark.parametrize("x", [np.zeros(0), np.ones(1), np.full(9, 4.2)])
def test_nothing_changes_gives_zeros(x):
    np.testing.assert_array_equal(difference_normalised(x), np.zeros(len(x)))
