import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.signal.heart_rate import fft_hr, peak_hr, refined_hr, refined_hrs

BAND = (0.6, 3.3)


def beat(bpm, seconds=30.0, fs=30.0, phase=0.3):
    t = np.arange(round(seconds * fs)) / fs
    return np.sin(2 * np.pi * bpm / 60 * t + phase)


@settings(deadline=None, max_examples=50)
@given(bpm=st.floats(45, 190), phase=st.floats(0, 6.28), fs=st.sampled_from([20.0, 30.0, 59.94]))
def test_refined_hr_is_free_of_the_grid(bpm, phase, fs):
    assert refined_hr(beat(bpm, 20, fs, phase), fs, BAND) == pytest.approx(bpm, abs=0.05)


@settings(deadline=None, max_examples=50)
@given(bpm=st.floats(45, 190), phase=st.floats(0, 6.28))
def test_fft_hr_is_the_nearest_grid_point(bpm, phase):
    step = 60 * 30 / 1024
    hr = float(fft_hr(beat(bpm, phase=phase), 30, BAND))
    assert hr % step == pytest.approx(0, abs=1e-9)
    assert abs(hr - bpm) <= step


def test_hr_outside_the_band_is_not_read():
    x = beat(30) * 10 + beat(100) + beat(240) * 10
    assert float(fft_hr(x, 30, BAND)) == pytest.approx(100, abs=1)
    assert refined_hr(x, 30, BAND) == pytest.approx(100, abs=0.5)


def test_batch_equals_one_by_one():
    x = np.stack([beat(60), beat(75.3), beat(120)])
    np.testing.assert_allclose(fft_hr(x, 30, BAND), [float(fft_hr(row, 30, BAND)) for row in x])
    np.testing.assert_allclose(refined_hrs(x, 30, BAND), [refined_hr(row, 30, BAND) for row in x])


@pytest.mark.parametrize(
    "x",
    [np.zeros(900), np.full(900, np.nan), np.where(np.arange(900) == 5, np.nan, beat(60))],
    ids=["zeros", "all NaN", "one NaN"],
)
def test_nothing_to_read_is_nan_not_the_lowest_bin(x):
    assert np.isnan(fft_hr(x, 30, BAND))
    assert np.isnan(refined_hr(x, 30, BAND))


def test_grid_without_a_point_in_the_band_is_nan():
    assert np.isnan(fft_hr(np.random.default_rng(0).normal(size=10), 100.0, BAND))


def test_peak_hr():
    assert peak_hr(beat(72), 30) == pytest.approx(72, abs=0.5)
    assert np.isnan(peak_hr(np.arange(50.0), 30))
    assert np.isnan(peak_hr(np.sin(np.linspace(0, np.pi, 50)), 30))  # one beat has no distance


@given(scale=st.floats(1e-3, 1e3))
def test_scale_and_sign_do_not_matter(scale):
    x = beat(81.7) + 0.3 * np.random.default_rng(3).normal(size=900)
    for y in (scale * x, -scale * x):
        assert float(fft_hr(y, 30, BAND)) == float(fft_hr(x, 30, BAND))
        assert refined_hr(y, 30, BAND) == pytest.approx(refined_hr(x, 30, BAND), abs=1e-6)


def test_refined_hr_stays_in_the_band():
    slope = np.sin(2 * np.pi * 0.45 * np.arange(900) / 30)  # its power falls over the whole band
    assert 36.0 <= refined_hr(slope, 30, BAND) <= 198.0
