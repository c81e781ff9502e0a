"""Irregular times onto a grid: the nearest frame, at once, whatever the camera does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.data.preprocess import _nearest
from streamnet_plugin.live.clock import EARLY, Rate, Resampler

FS = 30.0
steps = st.lists(st.floats(0.001, 0.3), min_size=1, max_size=60)


def resample(times):
    grid = Resampler(FS)
    return [i for k, t in enumerate(times) for i in grid.push(t, k)]


@given(st.floats(-100, 1e5), steps)
def test_every_moment_gets_the_nearest_frame(start, steps):
    times = start + np.cumsum([0.0, *steps])
    chosen = resample(times)
    at = start + np.arange(len(chosen)) / FS
    slack = 2 * EARLY / FS + 1e-9
    nearest = np.abs(times[_nearest(times, at)] - at)
    assert np.all(np.abs(times[chosen] - at) <= nearest + slack)
    assert chosen == sorted(chosen)
    assert at[-1] <= times[-1] + slack < at[-1] + 1 / FS + slack  # up to now, no further


@given(st.lists(st.floats(-0.09, 0.09), min_size=5, max_size=80))
def test_a_camera_that_trembles_at_the_right_rate_loses_no_frame_and_waits_for_none(tremble):
    """Each frame comes out when it comes in; the first is the clock's zero."""
    grid = Resampler(FS)
    times = (np.arange(len(tremble) + 1) + np.append(0.0, tremble)) / FS
    assert [grid.push(t, k) for k, t in enumerate(times)] == [[k] for k in range(len(times))]


def test_a_slow_camera_is_repeated_and_a_fast_one_thinned():
    assert resample(np.arange(4) / 10) == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    fast = resample(np.arange(60) / 60)
    assert fast == list(range(0, 60, 2))


def test_the_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert np.isnan(rate.hz)
    for t in np.arange(0, 10, 1 / 30):
        rate.push(t)
    assert rate.hz == pytest.approx(30)
    for t in np.arange(10, 16, 1 / 12):
        rate.push(t)
    assert rate.hz == pytest.approx(12)
