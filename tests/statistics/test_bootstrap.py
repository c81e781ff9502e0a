import dataclasses

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.evaluation.aggregate import METRICS, aggregate
from streamnet_plugin.evaluation.windows import WindowResult
from streamnet_plugin.statistics import bootstrap
from streamnet_plugin.statistics.bootstrap import (
    EXACT,
    PERCENTILE,
    TABLE_METRICS,
    bootstrap_intervals,
    mean_interval,
    metric_intervals,
    min_subjects,
)


def as_result(row):
    return WindowResult(
        row.hr_label, row.hr_pred, row.hr_label_refined, row.hr_pred_refined,
        -np.inf if row.snr_db is None else row.snr_db, row.macc,
    )  # fmt: skip


# A second implementation, in loops over lists of windows: slow and plain.


def plain_bca(metric, by_subject, resamples=3000, seed=9):
    rng = np.random.default_rng(seed)
    n = len(by_subject)
    drawn = []
    for _ in range(resamples):
        chosen = [by_subject[i] for i in rng.integers(0, n, n)]
        drawn.append(metric(np.concatenate(chosen)))
    value = metric(np.concatenate(by_subject))
    drawn = np.array(drawn)
    z0 = scipy.stats.norm.ppf(np.mean(drawn < value) + np.mean(drawn == value) / 2)
    left = [metric(np.concatenate(by_subject[:i] + by_subject[i + 1 :])) for i in range(n)]
    u = np.mean(left) - np.array(left)
    a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    ends = []
    for z in scipy.stats.norm.ppf([0.025, 0.975]):
        ends.append(np.quantile(drawn, scipy.stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z)))))
    return value, *ends


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(40, 190), st.floats(40, 190), st.booleans()),
        min_size=1,
        max_size=25,
    )
)
@settings(max_examples=40, deadline=None)
def test_values_are_those_of_aggregate(row, windows):
    rows = [
        row("A", f"s{s}", i, a, b, snr_db=a / 20 if snr else None, hr_pred_refined=b + 0.5)
        for i, (s, a, b, snr) in enumerate(windows)
    ]
    found, expected = metric_intervals(rows), aggregate([as_result(r) for r in rows])
    for name in METRICS:
        if expected[name].value is None:
            assert found[name].value is None
            assert found[name].reason
        else:
            assert found[name].value == pytest.approx(expected[name].value, rel=1e-9, abs=1e-9)


def test_intervals_equal_a_plain_implementation_over_subjects(row):
    rng = np.random.default_rng(4)
    rows = []
    for s in range(15):  # 1 to 6 windows each
        true, hard = rng.uniform(50, 110), rng.exponential(3)
        rows += [
            row("A", f"s{s}", w, true + w, true + w + rng.normal(0.5, hard))
            for w in range(rng.integers(1, 7))
        ]
    found = metric_intervals(rows)
    by_subject = [
        np.array([[r.hr_pred, r.hr_label] for r in rows if r.subject == f"s{s}"]) for s in range(15)
    ]
    metrics = {
        "MAE": lambda x: np.abs(x[:, 0] - x[:, 1]).mean(),
        "RMSE": lambda x: np.sqrt(((x[:, 0] - x[:, 1]) ** 2).mean()),
        "MAPE": lambda x: 100 * (np.abs(x[:, 0] - x[:, 1]) / x[:, 1]).mean(),
        "Pearson": lambda x: np.corrcoef(x.T)[0, 1],
        "within 3 bpm": lambda x: 100 * (np.abs(x[:, 0] - x[:, 1]) <= 3).mean(),
    }
    for name, metric in metrics.items():
        value, low, high = plain_bca(metric, by_subject)
        assert found[name].method == "BCa"
        assert found[name].value == pytest.approx(value)
        margin = 0.08 * (high - low)  # both draw at random
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=margin), name


def test_one_window_each_is_scipys_own_bootstrap():
    x = np.random.default_rng(1).gamma(2, size=14)
    found = mean_interval(x, list(range(14)), seed=3)
    rng = np.random.default_rng(3)
    expected = scipy.stats.bootstrap((x,), np.mean, rng=rng).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_copies_of_a_subjects_windows_make_no_interval_narrower():
    x, subjects = np.random.default_rng(2).gamma(2, size=10), list(range(10))
    once, often = mean_interval(x, subjects), mean_interval(np.tile(x, 7), subjects * 7)
    assert (often.low, often.high) == pytest.approx((once.low, once.high), rel=1e-3)


def test_nominal_coverage_where_windows_are_alike(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_RESAMPLES", 800)
    rng, n, windows = np.random.default_rng(5), 30, 6
    subjects = np.repeat(np.arange(n), windows).tolist()
    held = naive = 0
    for _ in range(200):
        x = (rng.normal(5, 2, n)[:, None] + rng.normal(0, 1, (n, windows))).ravel()
        found = mean_interval(x, subjects)
        held += found.low <= 5 <= found.high
        naive += abs(x.mean() - 5) <= 1.96 * x.std() / np.sqrt(len(x))
    # 3 standard errors of 200 draws below 95 %, less the known shortfall of some 2 points.
    assert 0.88 <= held / 200 <= 0.99
    assert naive / 200 < 0.75


@pytest.mark.parametrize(("level", "least"), [(0.9, 5), (0.95, 6), (0.99, 8)])
def test_fewest_subjects_are_those_of_the_exact_test(level, least):
    assert min_subjects(level) == least
    assert 2 / 2**least <= 1 - level + 1e-12 < 2 / 2 ** (least - 1)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_an_impossible_level_is_refused(level):
    with pytest.raises(ConfigError, match="between 0 and 1"):
        min_subjects(level)


def test_too_few_subjects_have_a_value_and_a_reason(row):
    rows = [row("A", f"s{s}", w, 70, 70 + s + w) for s in range(3) for w in range(9)]
    mae = metric_intervals(rows)["MAE"]
    assert mae.value == pytest.approx(5)
    assert (mae.low, mae.high) == (None, None)
    assert mae.reason.startswith("3 subjects: ")
    assert "at least 6" in mae.reason
    assert metric_intervals(rows[:9])["MAE"].reason.startswith("1 subject: ")


def test_same_seed_same_interval(study):
    rows = study({"A": 3})
    assert metric_intervals(rows, seed=1) == metric_intervals(rows, seed=1)
    assert metric_intervals(rows, seed=1)["MAE"] != metric_intervals(rows, seed=2)["MAE"]


def test_a_higher_level_is_wider(study):
    rows = study({"A": 3})
    narrow, wide = (metric_intervals(rows, level=level)["MAE"] for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_windows_without_a_result_and_nan_are_left_out(row, study):
    rows = study({"A": 3})
    lost = [row("A", "s0", 90, read=None), row("A", "s99", 0, read=None)]
    nan = [row("A", "s1", 91, 70.0, float("nan"))]
    assert metric_intervals([*lost, *rows, *nan]) == metric_intervals(rows)
    nothing = metric_intervals(lost)
    assert set(nothing) == set(TABLE_METRICS)
    assert all(i.value is None and i.reason == "no window has a result" for i in nothing.values())


def test_equal_subjects_have_no_interval_but_shares_have_an_exact_one(row):
    rows = [row("A", f"s{s}", w, 60 + s, 64 + s) for s in range(9) for w in range(3)]
    found = metric_intervals(rows)
    assert found["MAE"].value == 4
    assert found["MAE"].low is None
    assert "no variation" in found["MAE"].reason
    exact = scipy.stats.binomtest(9, 9).proportion_ci(0.95)  # the subjects count, not the windows
    top, bottom = found["within 5 bpm"], found["within 3 bpm"]
    assert (top.low, top.high, top.method) == (pytest.approx(100 * exact.low), 100, EXACT)
    assert (bottom.low, bottom.high) == (0, pytest.approx(100 - 100 * exact.low))


def test_within_counts_the_limit_itself(row):
    rows = [row("A", f"s{s}", 0, 70, 70 + e) for s, e in enumerate((3, 3.5, 5, 10, 10.5, 1))]
    found = metric_intervals(rows)
    shares = [found[f"within {bpm} bpm"].value for bpm in (3, 5, 10)]
    assert shares == pytest.approx([100 * k / 6 for k in (2, 4, 5)])


def test_percentile_where_bca_does_not_exist():
    x = np.random.default_rng(0).normal(size=10)

    def sometimes_undefined(limit):
        def mean(times):
            return np.where(times[..., 0] >= limit, np.nan, times @ x / 10)[None]

        return mean

    rare = bootstrap_intervals(sometimes_undefined(5), 10)[0]  # in 0.3 % of the resamples
    assert rare.method == PERCENTILE
    always = bootstrap_intervals(sometimes_undefined(99), 10)[0]
    assert (rare.low, rare.high) == pytest.approx((always.low, always.high), abs=0.15)
    often = bootstrap_intervals(sometimes_undefined(2), 10)[0]
    assert often.low is None
    assert "not defined in" in often.reason


def test_the_same_number_in_two_datasets_is_two_subjects(row):
    rows = [row("A", f"s{s}", 0, 70, 70 + s) for s in range(4)]
    other = [dataclasses.replace(r, dataset="UBFC-rPPG") for r in rows]
    assert metric_intervals(rows)["MAE"].low is None
    assert metric_intervals(rows + other)["MAE"].low is not None
