"""Measures of uncertainty: worked by hand, as properties, and against other libraries."""

from __future__ import annotations

import doctest
import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from streamnet_plugin.errors import DataError
from streamnet_plugin.uncertainty import quality
from streamnet_plugin.uncertainty.quality import (
    aurc,
    calibration_curve,
    calibration_error,
    crps,
    excess_aurc,
    fair_crps,
    inside,
    interval_score,
    mean_width,
    picp,
    risk_coverage,
    spread_error_correlation,
)

BPM = st.floats(40, 200, width=32)
WINDOWS = st.lists(st.tuples(BPM, st.floats(0, 50, width=32)), min_size=1, max_size=25)
COARSE = st.lists(  # spreads and errors with many ties
    st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=3, max_size=30
)


def gaussian(n=200, seed=0):
    """Truth, mean and standard deviation of windows whose spread is a fifth too small."""
    rng = np.random.default_rng(seed)
    mean, sd = rng.uniform(50, 120, n), rng.uniform(0.5, 6, n)
    return SimpleNamespace(y=mean + 1.2 * sd * rng.normal(size=n), mean=mean, sd=sd)


def central(g, level):
    return stats.norm.interval(level, g.mean, g.sd)


def test_examples_in_the_docstrings():
    result = doctest.testmod(quality)
    assert result.attempted > 8
    assert result.failed == 0


# --- intervals


def test_picp_counts_ends_and_infinite_intervals():
    hit = inside([60, 60, 60, 60], [60, 50, -np.inf, 60.1], [61, 60, np.inf, np.inf])
    assert hit.tolist() == [True, True, True, False]
    assert picp([60, 60], [-np.inf, 61], [np.inf, 62]) == 0.5


def test_width_of_finite_intervals_and_number_of_infinite_ones():
    assert mean_width([1, 2, -np.inf, 5], [2, 5, np.inf, np.inf]) == (2.0, 2)
    assert mean_width([-np.inf], [np.inf]) == (None, 1)


@given(WINDOWS, st.floats(0.01, 0.49))
def test_coverage_rises_with_the_level(windows, step):
    y = np.array([w[0] for w in windows])
    g = SimpleNamespace(mean=np.full(len(y), 90.0), sd=1 + np.array([w[1] for w in windows]))
    ends = [central(g, level) for level in (0.5 - step, 0.5, 0.5 + step)]
    curve = calibration_curve(y, [low for low, _ in ends], [high for _, high in ends])
    assert (np.diff(curve) >= 0).all()


def test_calibration_is_that_of_uncertainty_toolbox():
    uct = pytest.importorskip("uncertainty_toolbox")
    g = gaussian()
    levels, expected = uct.get_proportion_lists_vectorized(g.mean, g.sd, g.y, num_bins=50)
    ends = np.array([central(g, level) for level in levels])
    curve = calibration_curve(g.y, ends[:, 0], ends[:, 1])
    assert curve == pytest.approx(expected, abs=1e-9)
    assert calibration_error(levels, curve) == pytest.approx(
        uct.mean_absolute_calibration_error(g.mean, g.sd, g.y, num_bins=50)
    )
    assert calibration_error(levels, curve) > 0.02


def test_interval_score_is_that_of_uncertainty_toolbox():
    uct = pytest.importorskip("uncertainty_toolbox")
    g = gaussian()
    levels = np.linspace(0.01, 0.99, 99)
    ours = np.mean([interval_score(g.y, *central(g, p), p).mean() for p in levels])
    assert ours == pytest.approx(uct.interval_score(g.mean, g.sd, g.y))


def test_interval_score_worked_by_hand():
    score = interval_score([60, 49, 72], [50, 50, 50], [70, 70, 70], 0.8)  # 2 / alpha = 10
    assert score == pytest.approx([20, 20 + 10, 20 + 20])
    assert interval_score([60], [-np.inf], [np.inf], 0.8).tolist() == [np.inf]


@given(
    st.lists(BPM, min_size=2, max_size=30),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_true_quantiles_have_the_best_interval_score(truth, level, shift):
    y = np.array(truth)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(y, tails, method="inverted_cdf")
    other = sorted((low + shift[0], high + shift[1]))
    best, worse = (
        interval_score(y, np.full(len(y), a), np.full(len(y), b), level).mean()
        for a, b in ((low, high), other)
    )
    assert best <= worse + 1e-9


@pytest.mark.parametrize(
    ("truth", "low", "high"),
    [
        ([], [], []),
        ([60, 70], [50], [80]),
        ([60], [70], [50]),
        ([np.nan], [50], [70]),
        ([np.inf], [50], [np.inf]),
        ([60], [np.nan], [70]),
        ([60], [np.inf], [np.inf]),
    ],
)
def test_what_is_no_interval_is_refused(truth, low, high):
    for call in (inside, picp, lambda *a: interval_score(*a, 0.9)):
        with pytest.raises(DataError):
            call(truth, low, high)


@pytest.mark.parametrize("level", [0, 1, 90, float("nan")])
def test_no_score_at_a_level_that_is_none(level):
    with pytest.raises(DataError, match="between 0 and 1"):
        interval_score([60], [50], [70], level)


def test_a_curve_needs_both_ends_at_every_level():
    with pytest.raises(DataError, match="2 levels"):
        calibration_curve([60], [[50], [55]], [[70]])


# --- samples


def test_crps_is_that_of_properscoring():
    ps = pytest.importorskip("properscoring")
    rng = np.random.default_rng(0)
    samples, y = rng.normal(80, 5, (50, 31)), rng.normal(80, 8, 50)
    samples[:, 5] = samples[:, 6]  # ties
    y[0], y[1] = samples[0, 3], samples[1].max() + 40
    assert crps(samples, y) == pytest.approx(ps.crps_ensemble(y, samples))


def test_crps_of_normal_quantiles_is_the_closed_form():
    uct = pytest.importorskip("uncertainty_toolbox")
    g = gaussian(20)
    z = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    ours = crps(g.mean[:, None] + g.sd[:, None] * z, g.y).mean()
    assert ours == pytest.approx(uct.crps_gaussian(g.mean, g.sd, g.y), rel=1e-3)


@given(arrays(float, (3, 6), elements=BPM), arrays(float, 3, elements=BPM))
def test_crps_as_it_is_defined(samples, y):
    error = np.abs(samples - y[:, None]).mean(axis=1)
    pairs = np.abs(samples[:, :, None] - samples[:, None, :]).sum(axis=(1, 2))
    assert (crps(samples, y) >= 0).all()
    assert crps(samples, y) == pytest.approx(error - pairs / (2 * 36), abs=1e-9)
    assert fair_crps(samples, y) == pytest.approx(error - pairs / (2 * 6 * 5), abs=1e-9)
    assert crps(samples[:, ::-1], y) == pytest.approx(crps(samples, y))


@given(BPM, BPM)
def test_crps_of_one_sample_is_its_absolute_error(sample, y):
    assert crps([[sample]], [y]).tolist() == [abs(sample - y)]
    assert np.isnan(fair_crps([[sample]], [y])).all()


@given(arrays(float, 6, elements=BPM), BPM)
def test_fair_crps_does_not_depend_on_the_number_of_samples(population, y):
    by_size = [
        fair_crps(subsets, np.full(len(subsets), y)).mean()
        for size in (2, 4, 6)
        for subsets in [np.array(list(itertools.combinations(population, size)))]
    ]
    assert by_size == pytest.approx([by_size[0]] * 3, abs=1e-9)


def test_crps_of_windows_with_nan_is_nan():
    samples = np.array([[70, 74], [np.nan, 70], [70, np.inf], [70, 74]])
    for score in (crps, fair_crps):
        assert np.isnan(score(samples, [72, 72, 72, np.nan])).tolist() == [False, True, True, True]


@pytest.mark.parametrize("shape", [(3,), (2, 4), (3, 0)])
def test_samples_of_a_wrong_shape(shape):
    with pytest.raises(DataError, match="expected samples"):
        crps(np.ones(shape), np.ones(3))


# --- spread against error


@given(COARSE)
def test_correlation_is_that_of_scipy_with_ties(pairs):
    spread, error = np.array(pairs, float).T
    found = spread_error_correlation(spread, error, ["a"] * len(pairs))
    if np.ptp(spread) == 0 or np.ptp(error) == 0:
        assert found.value is None
        assert "are equal" in found.reason
    else:
        assert found.value == pytest.approx(stats.spearmanr(spread, error)[0])
        assert found.low is None
        assert "1 subject" in found.reason


def related(k, per_subject=6, seed=0):
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.normal(size=k * per_subject))
    subjects = np.array([f"s{i:02d}" for i in range(k) for _ in range(per_subject)])
    return spread.round(1), np.abs(spread * rng.normal(size=len(spread))), subjects


def test_interval_of_the_correlation_by_leaving_out_subjects():
    spread, error, subjects = related(6)
    z = np.array(
        [
            np.arctanh(stats.spearmanr(spread[subjects != s], error[subjects != s])[0])
            for s in np.unique(subjects)
        ]
    )
    r = stats.spearmanr(spread, error)[0]
    reach = stats.t.ppf(0.975, 5) * np.sqrt(5 / 6 * ((z - z.mean()) ** 2).sum())
    found = spread_error_correlation(spread, error, subjects)
    assert (found.value, found.low, found.high) == pytest.approx(
        (r, np.tanh(np.arctanh(r) - reach), np.tanh(np.arctanh(r) + reach))
    )


def test_interval_of_the_correlation_by_resampling_subjects():
    spread, error, subjects = related(25)

    def of_subjects(chosen):
        windows = np.concatenate([np.flatnonzero(subjects == f"s{i:02d}") for i in chosen])
        return stats.spearmanr(spread[windows], error[windows])[0]

    expected = stats.bootstrap(
        (np.arange(25),),
        lambda chosen: of_subjects(chosen.astype(int)),
        vectorized=False,
        n_resamples=800,
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = spread_error_correlation(spread, error, subjects)
    assert found.method.startswith("BCa")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.04)


def test_correlation_does_not_depend_on_the_order_of_windows():
    for k in (6, 22):
        spread, error, subjects = related(k)
        i = np.random.default_rng(5).permutation(len(spread))
        first = spread_error_correlation(spread, error, subjects)
        second = spread_error_correlation(spread[i], error[i], subjects[i])
        assert (second.low, second.high) == pytest.approx((first.low, first.high), abs=1e-9)


def test_correlation_that_is_not_defined():
    two = spread_error_correlation([1, 2], [1, 2], ["a", "b"])
    assert (two.value, two.reason) == (None, "fewer than 3 windows")
    rounding = spread_error_correlation([1, 2, 3], [70.1 - 70, 80.1 - 80, 90.1 - 90], list("abc"))
    assert (rounding.value, rounding.reason) == (None, "all errors are equal")
    perfect = spread_error_correlation([1, 2, 3, 4], [2, 4, 6, 8], list("abcd"))
    assert perfect.value == 1
    assert perfect.low is None
    assert "limit" in perfect.reason
    with pytest.raises(DataError, match="subjects of 2"):
        spread_error_correlation([1, 2, 3], [1, 2, 3], ["a", "b"])


# --- risk and coverage


def test_risk_coverage_worked_by_hand():
    kept, mae = risk_coverage([3, 1, 2, 2], [8, 1, 2, 6])
    assert kept.tolist() == [0.25, 0.5, 0.75, 1]
    assert mae == pytest.approx([1, (1 + 4) / 2, (1 + 4 + 4) / 3, 17 / 4])
    assert aurc([3, 1, 2, 2], [8, 1, 2, 6]) == pytest.approx((1 + 2.5 + 3 + 4.25) / 4)
    perfect = (1 + 1.5 + 3 + 4.25) / 4
    assert excess_aurc([3, 1, 2, 2], [8, 1, 2, 6]) == pytest.approx(10.75 / 4 - perfect)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 40, width=32)), min_size=1, max_size=6),
)
def test_ties_count_as_the_mean_over_their_orders(pairs):
    orders = [
        np.cumsum([e for _, e in order]) / np.arange(1, len(pairs) + 1)
        for order in itertools.permutations(pairs)
        if all(a[0] <= b[0] for a, b in itertools.pairwise(order))
    ]
    spread, error = np.array(pairs).T
    assert risk_coverage(spread, error)[1] == pytest.approx(np.mean(orders, axis=0), abs=1e-9)


@given(COARSE, st.randoms())
def test_risk_coverage_does_not_depend_on_the_order_of_windows(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    (a, b), (c, d) = np.array(pairs, float).T, np.array(shuffled, float).T
    assert risk_coverage(a, b)[1] == pytest.approx(risk_coverage(c, d)[1], abs=1e-9)
    assert excess_aurc(a, b) == pytest.approx(excess_aurc(c, d), abs=1e-9)


@given(st.lists(st.floats(0, 40, width=32), min_size=1, max_size=30))
def test_limits_of_the_area(errors):
    e = np.array(errors)
    assert excess_aurc(e, e) == pytest.approx(0, abs=1e-9)
    assert excess_aurc(e**3, e) == pytest.approx(0, abs=1e-3)  # any order-preserving spread
    assert aurc(np.full(len(e), 3.0), e) == pytest.approx(e.mean())
    assert aurc(-e, e) >= aurc(e, e) - 1e-9
    assert risk_coverage(e, e)[1][-1] == pytest.approx(e.mean())


def test_random_orders_have_the_mae_as_their_mean_area():
    e = np.array([0.5, 2, 3, 11, 30])
    areas = [aurc(order, e) for order in itertools.permutations(range(5))]
    assert np.mean(areas) == pytest.approx(e.mean())
    assert min(areas) == pytest.approx(aurc(e, e))
    assert max(areas) == pytest.approx(aurc(-e, e))


@pytest.mark.parametrize("values", [([], []), ([1], [1, 2]), ([np.nan], [1]), ([1], [np.inf])])
def test_what_has_no_order_is_refused(values):
    for call in (risk_coverage, aurc, excess_aurc, calibration_error):
        with pytest.raises(DataError):
            call(*values)
