"""Withholding: thresholds keep what they promise, and no pulse is told from one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.errors import DataError
from streamnet_plugin.signal.light import RhythmColour
from streamnet_plugin.uncertainty import abstention
from streamnet_plugin.uncertainty.abstention import (
    doubt,
    is_doubled,
    threshold_for_coverage,
    threshold_for_error,
)

BLOOD, LIGHT = (RhythmColour(5.0, 0.8),), (RhythmColour(5.0, 0.05),)
TWICE = RhythmColour(-5.0, 0.8, 0.2), RhythmColour(5.0, 0.8, 0.6)
"""A harmonic that was read, and the pulse of three times its power."""
WINDOWS = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 20), st.sampled_from("abcd")), min_size=1, max_size=30
)


def weighted(windows):
    error, spread, subject = (np.array(x) for x in zip(*windows, strict=True))
    weight = np.array([1 / np.sum(subject == s) for s in subject])
    return error, spread, subject.tolist(), weight


@given(WINDOWS, st.floats(0.1, 40))
def test_what_is_kept_has_the_target_error_and_no_larger_threshold_has(windows, target):
    error, spread, subjects, weight = weighted(windows)
    chosen = threshold_for_error(error, spread, subjects, target)
    for threshold in np.unique(spread):
        kept = spread <= threshold
        risk = np.average(error[kept], weights=weight[kept])
        if threshold == chosen:
            assert risk <= target * (1 + 1e-9)
        elif threshold > chosen:
            assert risk > target * (1 - 1e-9)


@given(WINDOWS, st.floats(0.01, 1))
def test_the_share_is_kept_and_no_smaller_threshold_keeps_it(windows, share):
    _, spread, subjects, weight = weighted(windows)
    chosen = threshold_for_coverage(spread, subjects, share)
    assert weight[spread <= chosen].sum() / weight.sum() >= share - 1e-6
    assert weight[spread < chosen].sum() / weight.sum() < share + 1e-6


def test_a_subject_with_many_windows_counts_once():
    """Ten bad windows of one person weigh as much as one good one of another."""
    error, spread = np.array([10.0] * 10 + [0.0]), np.array([1.0] * 10 + [1.0])
    subjects = ["a"] * 10 + ["b"]
    assert threshold_for_error(error, spread, subjects, 5.01) == 1.0
    assert threshold_for_error(error, spread, subjects, 4.99) == -np.inf


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((3.0, 10, 1.0, BLOOD), ""),
        ((3.0, 10, None, ()), ""),
        ((None, 10, 1.0, ()), ""),
        ((3.0, 10, 1.0, (*BLOOD, *LIGHT)), abstention.FLICKER),
        ((8.1, 10, None, BLOOD), abstention.NO_PULSE),
        ((8.1, 8, None, BLOOD), ""),
        ((7.1, 60, None, BLOOD), abstention.NO_PULSE),
        ((6.9, 60, None, BLOOD), ""),
        ((1.0, 4.9, None, BLOOD), abstention.TOO_SHORT),
        ((float("nan"), 10, None, BLOOD), abstention.NO_PULSE),
        ((3.0, 10, 5.1, BLOOD), abstention.SAMPLES),
        ((3.0, 10, 1.0, LIGHT), abstention.FLICKER),
        ((3.0, 10, None, TWICE), abstention.DOUBLED),
        ((8.1, 10, None, TWICE), abstention.NO_PULSE),
        ((3.0, 10, 5.1, TWICE), abstention.SAMPLES),
        ((3.0, 10, None, (*LIGHT, TWICE[1])), abstention.FLICKER),
        ((3.0, 10, 1.0, (RhythmColour(-1.0, 0.05),)), ""),
        ((3.0, 10, 1.0, (RhythmColour(float("-inf"), float("nan")),)), ""),
    ],
)
def test_doubts(given, reason):
    assert doubt(*given) == reason


@pytest.mark.parametrize(
    ("read", "half", "colour", "doubled"),
    [
        (0.2, 0.6, 0.8, True),
        (0.17, 0.34, 0.8, True),
        (0.2, 0.39, 0.8, False),  # less than twice: a motion beside the pulse
        (0.16, 0.33, 0.8, False),  # less than a third of the band
        (0.051, 0.6, 0.8, True),
        (0.049, 0.6, 0.8, False),  # more than twelve times: a drift
        (0.2, 0.6, 0.25, True),
        (0.2, 0.6, 0.24, False),  # of light
        (0.2, 0.6, float("nan"), False),
        (0.2, float("nan"), 0.8, False),
        (float("nan"), 0.6, 0.8, False),
    ],
)
def test_half_the_rate(read, half, colour, doubled):
    found = RhythmColour(-5.0, 0.1, read), RhythmColour(-5.0, colour, half)
    assert is_doubled(found) == doubled
    assert not is_doubled(found[:1])


@pytest.mark.parametrize("target", [0.0, -1.0, float("nan"), float("inf")])
def test_no_such_target(target):
    with pytest.raises(DataError, match="target error"):
        threshold_for_error([1.0], [1.0], ["a"], target)


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_no_such_share(share):
    with pytest.raises(DataError, match="coverage"):
        threshold_for_coverage([1.0], ["a"], share)


def test_nothing_to_choose_from():
    with pytest.raises(DataError, match="no window"):
        threshold_for_error([], [], [], 3.0)
