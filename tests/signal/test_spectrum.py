import numpy as np
import pytest
from scipy.signal import periodogram

from streamnet_plugin.signal.spectrum import (
    ZERO_PADDING,
    next_power_of_two,
    power_spectrum,
    refined_spectrum,
)


@pytest.mark.parametrize(
    ("n", "expected"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (900, 1024), (1025, 2048)]
)
def test_next_power_of_two(n, expected):
    assert next_power_of_two(n) == expected


def test_is_the_padded_discrete_fourier_transform():
    x, fs, n = np.random.default_rng(1).normal(size=50) + 3, 25.0, 64
    f, p = power_spectrum(x, fs)
    expected = [
        abs(np.sum(x * np.exp(-2j * np.pi * k * np.arange(50) / n))) ** 2 for k in range(33)
    ]
    # One-sided density; direct current and the Nyquist point have no negative twin.
    factor = np.full(33, 2.0)
    factor[[0, -1]] = 1.0
    np.testing.assert_allclose(f, np.arange(33) * fs / n)
    np.testing.assert_allclose(p, factor * expected / (fs * 50), rtol=1e-9)


def test_grid_of_the_benchmark_in_bpm():
    f, _ = power_spectrum(np.zeros(900), 30.0)
    assert 60 * f[1] == pytest.approx(1.7578125)


def test_refined_grid_is_finer_and_without_mean():
    x = np.random.default_rng(1).normal(size=(2, 900)) + 100
    coarse, _ = power_spectrum(x, 30.0)
    fine, p = refined_spectrum(x, 30.0)
    assert fine[1] == pytest.approx(coarse[1] / 8)
    assert p.shape == (2, len(fine))
    np.testing.assert_allclose(refined_spectrum(x + 50, 30.0)[1], p, atol=1e-9)


@pytest.mark.parametrize("shape", [(1,), (2,), (300,), (449,), (1800,), (4, 900)])
@pytest.mark.parametrize("fs", [30.0, 29.97])
def test_both_are_scipys_periodogram(shape, fs):
    x = np.random.default_rng(0).normal(3, 1, shape)
    grid = next_power_of_two(shape[-1])
    for ours, theirs in (
        (power_spectrum(x, fs), periodogram(x, fs, nfft=grid, detrend=False)),
        (
            refined_spectrum(x, fs),
            periodogram(x, fs, window="hann", nfft=ZERO_PADDING * grid, detrend="constant"),
        ),
    ):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.max(np.abs(b)))
