"""Intervals by whole subjects, against scipy and statsmodels, and their simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from streamnet_plugin.uncertainty.subjects import (
    FEW_SUBJECTS,
    jackknife_interval,
    share_interval,
)


def weighted_mean(x):
    return lambda w: float(w @ x / w.sum())


def test_jackknife_of_a_mean_is_the_t_interval():
    x = np.random.default_rng(0).normal(size=7)
    found = jackknife_interval(float(x.mean()), weighted_mean(x), 7, lambda z: z)
    t = stats.ttest_1samp(x, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx((t.low, t.high))


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        ([1.0, 2.0], "2 subjects: an interval needs at least 3"),
        ([1.0], "1 subject: an"),
        ([2.0, 2.0, 2.0], "same whichever"),
        ([0.0, 1e3, 5.0], "differ too much"),
        ([0.0, np.inf, 0.0], "limit"),
    ],
)
def test_no_jackknife(x, reason):
    def statistic(w):
        return float(np.sum(w * np.array(x)))

    found = jackknife_interval(5.0, statistic, len(x), lambda z: z)
    assert (found.value, found.low, found.high) == (5.0, None, None)
    assert reason in found.reason


def test_jackknife_undefined_without_a_subject():
    found = jackknife_interval(5.0, lambda w: 1.0 if w[1] else float("nan"), 4, lambda z: z)
    assert "without one of the subjects" in found.reason


def test_share_of_few_subjects_worked_by_hand():
    # 3 subjects, 4 windows each, 4, 3 and 2 hits: p = 3/4, residuals 1, 0, -1, so
    # v = 3/2 * 2 / 144 = 1/48 and p (1 - p) / v = 9.
    hit = np.array([1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0], dtype=bool)
    found = share_interval(hit, ["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    trials = 9 * (stats.t.ppf(0.975, 11) / stats.t.ppf(0.975, 2)) ** 2
    expected = proportion_confint(0.75 * trials, trials, method="beta")
    assert found.value == 0.75
    assert (found.low, found.high) == pytest.approx(expected)
    assert "Korn" in found.method


@pytest.mark.parametrize("all_hit", [False, True])
@pytest.mark.parametrize("k", [2, 10, FEW_SUBJECTS + 10])
def test_at_0_and_100_percent_a_subject_is_one_trial(all_hit, k):
    subjects = [f"s{i}" for i in range(k) for _ in range(6)]
    found = share_interval(np.full(6 * k, all_hit), subjects)
    expected = proportion_confint(k * all_hit, k, method="beta")
    assert found.value == all_hit
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.method == "Clopper-Pearson, a subject as one trial"


def test_equal_shares_have_an_interval_with_a_width():
    subjects = [f"s{i}" for i in range(30) for _ in range(2)]
    found = share_interval(np.array([True, False] * 30), subjects)
    assert (found.low, found.high) == pytest.approx(proportion_confint(15, 30, method="beta"))


def test_many_subjects_are_counted_whole():
    # Windows of a subject are all alike: treated as independent, the interval would be a third.
    per_subject = np.array([True] * 15 + [False] * 15)
    subjects = [f"s{i}" for i in range(30) for _ in range(9)]
    found = share_interval(np.repeat(per_subject, 9), subjects)
    assert "Korn" in found.method
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(30), rel=0.15)


def test_by_subject_a_person_with_many_windows_weighs_as_one():
    """Nine people have one window each, a tenth has 91, of which none is a hit."""
    hit = np.array([True] * 9 + [False] * 91)
    subjects = [f"s{i}" for i in range(9)] + ["s9"] * 91
    assert share_interval(hit, subjects).value == pytest.approx(0.09)
    found = share_interval(hit, subjects, by_subject=True)
    assert found.value == pytest.approx(0.9)
    # v = 10/9 (9 * 0.1^2 + 0.9^2) / 100 = 0.01, so that p (1 - p) / v = 9 trials before the factor
    trials = 9 * (stats.t.ppf(0.975, 99) / stats.t.ppf(0.975, 9)) ** 2
    assert (found.low, found.high) == pytest.approx(
        proportion_confint(0.9 * trials, trials, method="beta")
    )


@given(st.lists(st.integers(0, 4), min_size=2, max_size=9))
def test_with_as_many_windows_each_the_two_shares_are_one(hits):
    hit = np.array([i < h for h in hits for i in range(4)])
    subjects = [f"s{s}" for s in range(len(hits)) for _ in range(4)]
    pooled, by_subject = (share_interval(hit, subjects, by_subject=b) for b in (False, True))
    assert by_subject.value == pytest.approx(pooled.value)
    assert (by_subject.low, by_subject.high) == pytest.approx((pooled.low, pooled.high))


def test_one_subject_has_a_share_without_an_interval():
    found = share_interval(np.array([True, False]), ["a", "a"])
    assert (found.value, found.low, found.high) == (0.5, None, None)
    assert "1 subject" in found.reason


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_a_share_lies_in_its_interval_whatever_the_order(windows):
    subjects, hit = [str(s) for s, _ in windows], np.array([h for _, h in windows])
    found = share_interval(hit, subjects)
    back = share_interval(hit[::-1], subjects[::-1])
    if len(set(subjects)) == 1:
        assert found.low is None
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert (back.low, back.high) == pytest.approx((found.low, found.high), abs=1e-9)


def test_the_interval_of_a_share_covers():
    """Beta-binomial subjects: 6 windows, intraclass correlation 0.3, 90 %."""
    rng = np.random.default_rng(0)
    subjects = [f"s{i}" for i in range(10) for _ in range(6)]
    a, b = 0.9 * 0.7 / 0.3, 0.1 * 0.7 / 0.3
    covered, n = 0, 200
    for _ in range(n):
        share = np.repeat(rng.beta(a, b, 10), 6)
        found = share_interval(rng.random(60) < share, subjects)
        covered += found.low <= 0.9 <= found.high
    assert covered / n >= 0.93
