"""The ring holds the last values, wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.live.ring import Ring


@given(st.integers(1, 12), st.integers(0, 60), st.data())
def test_any_run_of_what_is_held_comes_back(capacity, n, data):
    ring = Ring(capacity, (2,), np.int64)
    for i in range(n):
        ring.append((i, -i))
    assert ring.count == n
    assert ring.first == max(0, n - capacity)
    start = data.draw(st.integers(ring.first, n))
    stop = data.draw(st.integers(start, n))
    got = ring.view(start, stop)
    assert got[:, 0].tolist() == list(range(start, stop))
    assert np.array_equal(got[:, 1], -got[:, 0])


@given(st.integers(1, 12), st.integers(0, 60))
def test_what_is_not_held_is_refused(capacity, n):
    ring = Ring(capacity)
    for i in range(n):
        ring.append(i)
    for start, stop in ((ring.first - 1, n), (ring.first, n + 1), (n, n - 1)):
        with pytest.raises(IndexError, match=f"holds {ring.first} to {n}"):
            ring.view(start, stop)
