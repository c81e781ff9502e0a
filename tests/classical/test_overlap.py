import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.classical.overlap import overlap_add, windows


@given(
    count=st.integers(1, 12),
    length=st.integers(1, 9),
    step=st.integers(1, 9),
    tail=st.integers(0, 5),
)
def test_overlap_add_equals_adding_window_by_window(count, length, step, tail):
    parts = np.random.default_rng(count).normal(size=(count, length))
    n = (count - 1) * step + length + tail
    expected = np.zeros(n)
    for w in range(count):
        expected[w * step : w * step + length] += parts[w]
    np.testing.assert_allclose(overlap_add(parts, step, n), expected, atol=1e-12)


@given(n=st.integers(5, 40), length=st.integers(1, 5), step=st.integers(1, 6))
def test_windows_start_every_step(n, length, step):
    x = np.arange(3.0 * n).reshape(n, 3)
    got = windows(x, length, step)
    starts = range(0, n - length + 1, step)
    assert got.shape == (len(starts), length, 3)
    for w, start in enumerate(starts):
        np.testing.assert_array_equal(got[w], x[start : start + length])
