"""The spectral spread: small for a clear line, large for noise, and it orders windows by error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.uncertainty.spectral import (
    SpectralSigns,
    joint_spread,
    spectral_signs,
    spectral_spread,
)

BAND, FS = (0.6, 3.3), 30.0
WHOLE = 60 * (BAND[1] - BAND[0])


def wave(bpm, seconds=10.0, noise=0.0, seed=0):
    t = np.arange(round(seconds * FS)) / FS
    raw = np.sin(2 * np.pi * bpm / 60 * t) + noise * np.random.default_rng(seed).normal(size=len(t))
    return clean_bvp(raw, FS, *BAND, False)


def spread(x):
    return spectral_spread(spectral_signs(x, FS, BAND), BAND)


@pytest.mark.parametrize("bpm", [50, 72, 110, 160])
def test_a_clean_pulse_is_sure_and_noise_is_not(bpm):
    assert spread(wave(bpm)) < 3
    noise = np.random.default_rng(bpm).normal(size=300)
    assert spread(clean_bvp(noise, FS, *BAND, False)) > 10


def test_the_signs_of_a_sine():
    signs = spectral_signs(wave(72), FS, BAND)
    # A Hann window of T s has a main lobe of 1.44 / T Hz at half its power (Harris 1978).
    assert signs.width_bpm == pytest.approx(60 * 1.44 / 10, rel=0.1)
    assert signs.snr_db > 8
    assert signs.peaks_bpm < 2
    assert signs.parts_bpm < 2
    assert 0 < signs.entropy < 0.75


def test_a_rate_that_jumps_is_told_by_the_parts():
    half = np.concatenate([wave(60, 5.0), wave(110, 5.0)])
    assert spectral_signs(half, FS, BAND).parts_bpm > 10
    assert spread(half) > 3 * spread(wave(60))


def test_it_orders_windows_by_their_error():
    rng = np.random.default_rng(1)
    spreads, errors = [], []
    for i in range(150):
        bpm, noise = rng.uniform(50, 150), rng.uniform(0.2, 6)
        x = wave(bpm, noise=noise, seed=i)
        spreads.append(spread(x))
        errors.append(abs(refined_hr(x, FS, BAND) - bpm))
    assert spearmanr(spreads, errors).statistic > 0.6


@settings(max_examples=40)
@given(st.floats(1e-3, 1e3), st.integers(0, 1000))
def test_neither_scale_nor_sign_matters(scale, seed):
    x = clean_bvp(np.random.default_rng(seed).normal(size=240), FS, *BAND, False)
    assert spread(scale * x) == pytest.approx(spread(x), rel=1e-6)


@pytest.mark.parametrize("x", [np.zeros(300), np.full(300, np.nan)])
def test_nothing_to_read_is_as_unsure_as_the_whole_band(x):
    assert spread(x) >= WHOLE


def test_the_formula():
    signs = SpectralSigns(width_bpm=8, snr_db=20, entropy=0.5, peaks_bpm=3, parts_bpm=4)
    assert spectral_spread(signs, BAND) == pytest.approx(0.5 * np.sqrt(0.8**2 + 3**2 + 4**2))
    none = SpectralSigns(8, 20, float("nan"), float("nan"), 4)
    assert spectral_spread(none, BAND) == pytest.approx(np.sqrt(0.8**2 + WHOLE**2 + 4**2))


def test_samples_join_the_spectrum():
    assert joint_spread(4.0, None) == 4.0
    assert joint_spread(4.0, 0.95) == pytest.approx(2.0)
    assert joint_spread(4.0, 0.0) < joint_spread(4.0, 5.0)
