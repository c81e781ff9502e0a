import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.signal.quality import macc, snr

BAND = (0.6, 3.3)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(3, 150), extra=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
def test_macc_equals_all_lags_one_by_one(n, extra, seed):
    rng = np.random.default_rng(seed)
    p, g = rng.normal(size=n), rng.normal(size=n + extra)
    cut = g[:n]
    expected = max(abs(np.corrcoef(p, np.roll(cut, k))[0, 1]) for k in range(n - 1))
    assert macc(p, g) == pytest.approx(expected, abs=1e-9)


def test_macc_leaves_out_the_last_lag():
    # A single spike matches only at its own lag; there the correlation is 1, elsewhere less.
    g = np.zeros(20)
    g[1] = 1.0
    assert macc(np.roll(g, 18), g) == pytest.approx(1.0)
    assert macc(np.roll(g, 19), g) < 0.5


def test_macc_ignores_shift_sign_and_scale():
    x = np.random.default_rng(0).normal(size=200)
    assert macc(-3 * np.roll(x, 40) + 7, x) == pytest.approx(1.0)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_macc_of_a_constant_is_nan(constant):
    assert np.isnan(macc(np.full(77, constant), np.random.default_rng(0).normal(size=77)))


def test_snr_counts_both_harmonics():
    t = np.arange(1024) / 32  # whole periods on the grid: no leakage
    first, second = np.sin(2 * np.pi * 1.0 * t), np.sin(2 * np.pi * 2.0 * t)
    noise = np.sin(2 * np.pi * 1.5 * t)
    assert snr(first + noise, 60, 32, BAND) == pytest.approx(0, abs=1e-6)
    assert snr(first + second + noise, 60, 32, BAND) == pytest.approx(10 * np.log10(2), abs=1e-6)
    assert snr(2 * first + noise, 60, 32, BAND) == pytest.approx(10 * np.log10(4), abs=1e-6)


def test_snr_of_the_rest_is_within_the_band():
    t = np.arange(1024) / 32
    x = np.sin(2 * np.pi * 1.0 * t) + np.sin(2 * np.pi * 1.5 * t)
    loud_outside = x + 50 * np.sin(2 * np.pi * 8.0 * t)
    assert snr(loud_outside, 60, 32, BAND) == pytest.approx(snr(x, 60, 32, BAND), abs=1e-3)


def test_snr_second_harmonic_counts_beyond_the_band():
    t = np.arange(1024) / 32
    x = np.sin(2 * np.pi * 2.0 * t) + np.sin(2 * np.pi * 4.0 * t) + np.sin(2 * np.pi * 1.0 * t)
    assert snr(x, 120, 32, BAND) == pytest.approx(10 * np.log10(2), abs=1e-6)


def test_snr_without_truth_is_nan():
    x = np.random.default_rng(0).normal(size=300)
    assert np.isnan(snr(x, float("nan"), 30, BAND))
    x[3] = np.nan
    assert np.isnan(snr(x, 60, 30, BAND))
