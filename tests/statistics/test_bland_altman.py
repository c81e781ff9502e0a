import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamnet_plugin.statistics import bootstrap
from streamnet_plugin.statistics.bland_altman import bland_altman


def simulated(rng, n=15, between=2.0, within=3.0, bias=1.0):
    """Differences of n subjects with 1 to 6 windows each, and whose they are."""
    windows = rng.integers(1, 7, n)
    subjects = np.repeat(np.arange(n), windows)
    d = bias + rng.normal(0, between, n)[subjects] + rng.normal(0, within, len(subjects))
    return d, subjects.tolist()


def test_one_window_each_is_the_plain_formula():
    d = np.random.default_rng(0).normal(1, 3, 20)
    found = bland_altman(d, list(range(20)))
    assert found.bias.value == pytest.approx(d.mean())
    assert found.lower.value == pytest.approx(d.mean() - 1.96 * d.std(ddof=1))
    assert found.upper.value == pytest.approx(d.mean() + 1.96 * d.std(ddof=1))
    assert (found.sd_within, found.sd_between) == (None, None)
    assert found.lower.low < found.lower.value < found.lower.high < found.bias.low


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_an_analysis_of_variance(seed):
    d, subjects = simulated(np.random.default_rng(seed), between=5)
    found = bland_altman(d, subjects)
    groups = [d[np.array(subjects) == s] for s in range(15)]
    m, n = np.array([len(g) for g in groups]), len(groups)
    msw = sum(g.var(ddof=1) * (len(g) - 1) for g in groups if len(g) > 1) / (m.sum() - n)
    msb = scipy.stats.f_oneway(*groups).statistic * msw
    between = (msb - msw) / ((m.sum() ** 2 - (m**2).sum()) / ((n - 1) * m.sum()))
    assert between > 0
    assert found.sd_within == pytest.approx(np.sqrt(msw))
    assert found.sd_between == pytest.approx(np.sqrt(between))
    half = 1.96 * np.sqrt(msw + between)
    assert (found.lower.value, found.upper.value) == pytest.approx(
        (d.mean() - half, d.mean() + half)
    )
    assert (found.n_subjects, found.n_windows) == (15, len(d))


def test_large_study_finds_the_true_components():
    d, subjects = simulated(np.random.default_rng(1), n=1000)
    found = bland_altman(d, subjects)
    assert found.sd_between == pytest.approx(2, abs=0.3)
    assert found.sd_within == pytest.approx(3, abs=0.2)
    assert found.upper.value == pytest.approx(1 + 1.96 * np.sqrt(13), abs=0.4)


def test_nominal_coverage_of_bias_and_limits(monkeypatch):
    monkeypatch.setattr(bootstrap, "N_RESAMPLES", 600)
    rng, held = np.random.default_rng(2), np.zeros(3)
    truth = 1 + 1.96 * np.sqrt(13) * np.array([0, -1, 1])
    for _ in range(120):
        found = bland_altman(*simulated(rng, n=40))
        parts = (found.bias, found.lower, found.upper)
        held += [p.low <= t <= p.high for p, t in zip(parts, truth, strict=True)]
    assert np.all(held / 120 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 120) - 0.03)
    assert held[0] / 120 > 0.88


def test_windows_more_alike_between_subjects_than_within_give_no_negative_variance():
    d = np.tile([-3.0, 0.0, 3.0], 8) + np.repeat(np.arange(8) * 1e-3, 3)
    found = bland_altman(d, np.repeat(np.arange(8), 3).tolist())
    assert found.sd_between == 0
    assert found.upper.value == pytest.approx(d.mean() + 1.96 * found.sd_within)


@given(st.integers(0, 50), st.floats(-5, 5), st.floats(0.1, 10))
@settings(max_examples=15, deadline=None)
@example(0, 0.0, 0.75)  # rounding errors once moved this interval's end by 4 %
def test_shift_and_scale(seed, shift, scale):
    d, subjects = simulated(np.random.default_rng(seed), n=8)
    plain, moved = bland_altman(d, subjects), bland_altman(shift + scale * d, subjects)
    for part in ("bias", "lower", "upper"):
        value = getattr(plain, part).value
        assert getattr(moved, part).value == pytest.approx(shift + scale * value, abs=1e-6)
        low = getattr(plain, part).low
        assert getattr(moved, part).low == pytest.approx(shift + scale * low, abs=1e-6)


def test_nan_are_left_out():
    d, subjects = simulated(np.random.default_rng(3))
    again = bland_altman(np.append(d, np.nan), [*subjects, 99])
    assert again == bland_altman(d, subjects)


def test_one_subject_has_a_bias_and_no_limits():
    found = bland_altman(np.array([1.0, 2, 3]), ["a"] * 3)
    assert found.bias.value == 2
    assert found.bias.reason.startswith("1 subject: ")
    assert (found.lower.value, found.lower.low, found.sd_between) == (None, None, None)
    assert found.lower.reason.startswith("1 subject")


def test_few_subjects_have_limits_without_intervals():
    found = bland_altman(np.array([1.0, 2, 3, 5]), ["a", "a", "b", "b"])
    assert found.upper.value > found.bias.value
    assert found.upper.low is None
    assert found.upper.reason.startswith("2 subjects: ")


def test_nothing_and_no_variance():
    nothing = bland_altman(np.array([np.nan]), ["a"])
    assert (nothing.bias.value, nothing.bias.reason) == (None, "no window has a result")
    same = bland_altman(np.full(24, 2.0), np.repeat(np.arange(8), 3).tolist())
    assert (same.lower.value, same.bias.value, same.upper.value) == (2, 2, 2)
    assert same.upper.low is None
    assert "no variation" in same.upper.reason
