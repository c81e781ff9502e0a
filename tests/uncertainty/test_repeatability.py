"""Within-subject SD, repeatability coefficient and ICC, against pingouin, scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streamnet_plugin.errors import DataError
from streamnet_plugin.uncertainty.repeatability import (
    repetition_repeatability,
    retest_repeatability,
)

# Shrout, Fleiss 1979, table 2: six targets, four judges; ICC(1,1) = .17 in table 4.
SHROUT_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)


def test_the_published_example():
    found = repetition_repeatability(SHROUT_FLEISS, list("abcdef"))
    assert round(found.icc.value, 2) == 0.17
    assert found.within_sd.value == pytest.approx(np.sqrt(6.26), abs=0.01)  # WMS of table 3
    assert (found.n_subjects, found.n_measurements) == (6, 24)


def test_icc_is_that_of_pingouin():
    pg, pd = pytest.importorskip("pingouin"), pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    hr = rng.normal(80, 10, (12, 1)) + rng.normal(0, 4, (12, 5))
    window, seed = np.indices(hr.shape)
    table = pd.DataFrame({"w": window.ravel(), "s": seed.ravel(), "hr": hr.ravel()})
    one_way = pg.intraclass_corr(table, "w", "s", "hr").iloc[0]
    found = repetition_repeatability(hr, [str(i) for i in range(12)])
    assert found.icc.value == pytest.approx(one_way["ICC"])
    assert (found.icc.low, found.icc.high) == pytest.approx(tuple(one_way["CI95"]), abs=0.15)


def test_of_two_repetitions_the_variance_is_half_the_mean_square_difference():
    hr = np.array([[60, 62], [70, 69], [80, 84]], float)
    found = repetition_repeatability(hr, list("abc"))
    s_w = np.sqrt((4 + 1 + 16) / 2 / 3)
    assert found.within_sd.value == pytest.approx(s_w)
    assert found.coefficient.value == pytest.approx(1.96 * np.sqrt(2) * s_w)
    assert found.coefficient.high == pytest.approx(1.96 * np.sqrt(2) * found.within_sd.high)
    assert found.coefficient.low == pytest.approx(1.96 * np.sqrt(2) * found.within_sd.low)


def unequal(seed=0, k=5):
    """Errors of 2 recordings of each subject, with 1 to 7 windows each."""
    rng = np.random.default_rng(seed)
    rows = [
        (subject_bias + recording_bias + error, f"r{r}", f"s{s}")
        for s in range(k)
        for subject_bias in [rng.normal(0, 2)]
        for r in range(2)
        for recording_bias in [rng.normal(0, 1)]
        for error in rng.normal(0, 1.5, rng.integers(1, 8))
    ]
    return np.array([x for x, _, _ in rows]), [r for _, r, _ in rows], [s for *_, s in rows]


def reference(error, recordings, subjects):
    """log MSW, log F and ICC by scipy's one-way analysis of variance."""
    names = np.array([s + r for r, s in zip(recordings, subjects, strict=True)])
    groups = [error[names == name] for name in np.unique(names)]
    n = np.array([len(g) for g in groups])
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (n.sum() - len(n))
    f = stats.f_oneway(*groups).statistic
    n0 = (n.sum() - (n**2).sum() / n.sum()) / (len(n) - 1)
    return np.log(within), np.log(f), (f - 1) / (f + n0 - 1), n0


@pytest.mark.filterwarnings("ignore:all input arrays have length 1")
def test_unequal_numbers_of_windows_against_scipy():
    error, recordings, subjects = unequal()
    log_within, log_f, icc, n0 = reference(error, recordings, subjects)
    found = retest_repeatability(error, recordings, subjects)
    assert found.within_sd.value == pytest.approx(np.exp(log_within / 2))
    assert found.icc.value == pytest.approx(icc)

    kept = [np.array(subjects) != s for s in np.unique(subjects)]
    without = np.array(
        [reference(error[k], np.array(recordings)[k], np.array(subjects)[k])[:2] for k in kept]
    )
    reach = stats.t.ppf(0.975, 4) * np.sqrt(4 / 5 * ((without - without.mean(0)) ** 2).sum(0))
    low, high = np.array([log_within, log_f]) - reach, np.array([log_within, log_f]) + reach
    assert found.within_sd.low == pytest.approx(np.exp(low[0] / 2))
    assert found.within_sd.high == pytest.approx(np.exp(high[0] / 2))
    assert found.icc.low == pytest.approx((np.exp(low[1]) - 1) / (np.exp(low[1]) + n0 - 1))
    assert found.icc.high == pytest.approx((np.exp(high[1]) - 1) / (np.exp(high[1]) + n0 - 1))
    assert "subjects left out" in found.icc.method


def test_recordings_of_the_same_name_are_of_their_subject():
    error, recordings, subjects = unequal()
    unique = [s + r for r, s in zip(recordings, subjects, strict=True)]
    assert retest_repeatability(error, recordings, subjects) == retest_repeatability(
        error, unique, subjects
    )


def test_order_of_windows_and_nan_windows_do_not_matter():
    error, recordings, subjects = unequal()
    i = np.random.default_rng(0).permutation(len(error) + 2)
    with_nan = np.append(error, [np.nan, np.inf])[i]
    names, who = np.array([*recordings, "r9", "r0"])[i], np.array([*subjects, "s9", "s0"])[i]
    first, second = (
        retest_repeatability(*arguments)
        for arguments in ((error, recordings, subjects), (with_nan, names, who))
    )
    assert second.n_measurements == len(error)
    assert second.n_subjects == first.n_subjects
    for a, b in ((first.within_sd, second.within_sd), (first.icc, second.icc)):
        assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high))


@given(st.floats(-30, 30), st.floats(0.1, 10))
def test_a_bias_changes_nothing_and_a_scale_only_the_sd(shift, scale):
    error, recordings, subjects = unequal()
    first = retest_repeatability(error, recordings, subjects)
    second = retest_repeatability(scale * error + shift, recordings, subjects)
    assert second.within_sd.value == pytest.approx(scale * first.within_sd.value)
    assert second.icc.value == pytest.approx(first.icc.value)
    assert second.icc.low == pytest.approx(first.icc.low, abs=1e-6)


def test_missing_repetitions():
    hr = SHROUT_FLEISS.copy()
    hr[0, 3] = hr[2, 0] = np.nan
    error = hr[np.isfinite(hr)]
    windows = [str(i) for i in np.nonzero(np.isfinite(hr))[0]]
    found = repetition_repeatability(hr, list("abcdef"), what="halves")
    expected = retest_repeatability(error, windows, [list("abcdef")[int(w)] for w in windows])
    assert found.icc == expected.icc
    assert (found.what, found.n_measurements) == ("halves", 22)


def test_one_subject_has_values_without_intervals():
    found = retest_repeatability([1, 2, 4, 5], ["a", "a", "b", "b"], ["s"] * 4)
    assert found.within_sd.value == pytest.approx(np.sqrt(0.5))
    assert found.icc.value is not None
    for interval in (found.within_sd, found.coefficient, found.icc):
        assert interval.low is None
        assert "1 subject" in interval.reason


def test_a_negative_icc_is_said_as_it_is():
    hr = np.array([[60, 80], [61, 79], [59, 81]], float)
    found = repetition_repeatability(hr, list("abc"))
    assert found.icc.value == pytest.approx(-1)
    assert found.icc.low is None


@pytest.mark.parametrize(
    ("hr", "within", "icc", "within_reason", "icc_reason"),
    [
        ([[60], [70]], None, None, "measured twice", "measured twice"),
        ([[60, 62]], np.sqrt(2), None, "1 subject", "only one thing"),
        ([[60.1, 60.1], [70.1, 70.1]], 0, 1, "do not differ", "do not differ"),
        ([[60.1] * 3, [60.1] * 3, [60.1] * 3], 0, None, "do not differ", "are equal"),
        ([[np.nan, np.nan]], None, None, "no measurement", "no measurement"),
        (np.ones((0, 3)), None, None, "no measurement", "no measurement"),
        ([[60, np.nan], [70, 72]], np.sqrt(2), None, "subjects: an", "subjects: an"),
    ],
)
def test_what_is_not_defined(hr, within, icc, within_reason, icc_reason):
    found = repetition_repeatability(np.array(hr, float), list("abcdef")[: len(hr)])
    assert found.within_sd.value == (within if within is None else pytest.approx(within))
    if icc is not None or "subjects: an" not in icc_reason:
        assert found.icc.value == icc
    assert (found.within_sd.low, found.coefficient.low, found.icc.low) == (None, None, None)
    assert within_reason in found.within_sd.reason
    assert within_reason in found.coefficient.reason
    assert icc_reason in found.icc.reason


def test_subjects_too_different_for_an_interval():
    quiet = np.random.default_rng(0).normal(0, 1e-7, (2, 5))
    found = repetition_repeatability(np.vstack([quiet, [[0, 60, 5, -60, 90]]]), list("abc"))
    assert found.within_sd.value > 30
    assert found.within_sd.low is None
    assert "differ too much" in found.within_sd.reason


def test_lengths_must_agree():
    with pytest.raises(DataError, match="recordings of 1"):
        retest_repeatability([1.0, 2.0], ["a"], ["s", "s"])
    with pytest.raises(DataError, match="expected HR"):
        repetition_repeatability(np.ones((3, 2)), ["a"])


@pytest.mark.parametrize("draw", ["normal", "heavy"])
def test_intervals_cover(draw):
    """12 subjects, 6 windows, ICC 0.5: errors normal, and of Student's t with 4 degrees."""
    rng = np.random.default_rng(0)
    subjects = np.repeat([f"s{i}" for i in range(12)], 6)
    covered, n = np.zeros(2), 120
    for _ in range(n):
        e = rng.normal(size=72) if draw == "normal" else rng.standard_t(4, 72) / np.sqrt(2)
        found = retest_repeatability(np.repeat(rng.normal(size=12), 6) + e, subjects, subjects)
        covered[0] += found.within_sd.low <= 1 <= found.within_sd.high
        covered[1] += found.icc.low <= 0.5 <= found.icc.high
    assert (covered / n >= (0.91 if draw == "normal" else 0.84)).all()
