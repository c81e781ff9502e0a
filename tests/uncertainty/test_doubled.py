"""A slow pulse that was read as its harmonic is withheld, a pulse that was read rightly is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.classical import CHROM, POS
from streamnet_plugin.data.synthetic import easy, render_face_clip
from streamnet_plugin.data.synthetic.pulse import beat
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.light import rhythms
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.uncertainty.abstention import DOUBLED, is_doubled
from streamnet_plugin.uncertainty.window import window_signs

BAND, FS = (0.6, 3.3), 30.0
T = np.arange(300) / FS
SKIN, BLOOD = np.array([180.0, 120, 90]), np.array([0.43, 1, 0.69])


def face(pulse, light=0.0, noise=0.0002, seed=0):
    """(T, 3) mean colours of skin with a pulse under a light, both (T,) and relative."""
    rng = np.random.default_rng(seed)
    x = np.outer(-pulse, BLOOD) + np.outer(light + np.zeros(len(T)), np.ones(3))
    return SKIN * (1 + x + noise * rng.standard_normal(x.shape))


def tone(bpm, size, phase=0.0):
    return size * np.sin(2 * np.pi * (bpm / 60 * T + phase))


def finger(bpm, size=0.008):
    return size * beat(bpm / 60 * T)


def read(rgb, method=POS):
    """The heart rate and why it is withheld."""
    prediction = method.from_rgb(rgb, FS)
    bvp = clean_bvp(prediction.bvp, FS, *BAND, prediction.differential)
    hr = refined_hr(bvp, FS, BAND)
    return hr, window_signs(bvp, FS, hr, BAND, rgb=rgb).withheld


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bpm", [45, 46, 47])
def test_a_doubled_slow_pulse_is_withheld(bpm, seed):
    hr, withheld = read(face(finger(bpm), seed=seed))
    assert hr == pytest.approx(2 * bpm, abs=2)
    assert withheld == DOUBLED


def test_no_doubled_reading_of_a_drawn_face_is_kept():
    reasons = []
    for seed, bpm in [(500, 45.0), (501, 50.0), (502, 50.0)]:
        frames, _ = render_face_clip(easy(seed, hr_bpm=bpm, duration_s=10), 36)
        for method in (POS, CHROM):
            hr, withheld = read(frames.mean(axis=(1, 2)), method)
            if hr == pytest.approx(2 * bpm, abs=8):
                reasons.append(withheld)
    assert len(reasons) >= 4
    assert all(reasons)
    assert DOUBLED in reasons


@settings(max_examples=40, deadline=None)
@given(st.floats(60, 160), st.integers(0, 99))
def test_a_pulse_that_was_read_rightly_is_kept(bpm, seed):
    hr, withheld = read(face(finger(bpm), seed=seed))
    assert hr == pytest.approx(bpm, abs=2)
    assert withheld == ""


@settings(deadline=None)
@given(st.floats(40, 80), st.floats(0.36, 0.62), st.floats(0, 1), st.floats(0, 0.01))
def test_the_harmonic_of_blood_is_told(bpm, harmonic, phase, light):
    """Whatever the phase, and beside a light that changes at a rate of its own."""
    pulse = tone(bpm, 0.005) + tone(2 * bpm, 0.005 * harmonic, phase)
    assert is_doubled(rhythms(face(pulse, tone(170, light)), FS, 2 * bpm, BAND))


@settings(deadline=None)
@given(
    st.floats(72, 160), st.floats(0, 0.65), st.floats(0, 1), st.floats(0, 0.1), st.floats(0, 0.006)
)
def test_a_pulse_with_harmonic_and_motion_at_half_its_rate_is_not(
    bpm, harmonic, phase, light, colour
):
    """Motion changes the brightness, however much, and the colour no more than the pulse does."""
    pulse = tone(bpm, 0.005) + tone(2 * bpm, 0.005 * harmonic, phase)
    moved = face(pulse + tone(bpm / 2, colour, phase), tone(bpm / 2, light, phase))
    assert not is_doubled(rhythms(moved, FS, bpm, BAND))


def test_below_the_band_nothing_is_looked_for():
    pulse = tone(40, 0.005) + tone(80, 0.0025)
    assert is_doubled(rhythms(face(pulse), FS, 80.0, (0.6, 3.3)))
    assert not is_doubled(rhythms(face(pulse), FS, 80.0, (0.75, 2.5)))


@pytest.mark.parametrize("odd", [np.zeros((300, 3)), np.full((300, 3), 7.0)])
def test_nothing_is_told_of_no_colour(odd):
    assert not is_doubled(rhythms(odd, FS, 90.0, BAND))
    gray = np.repeat(face(finger(45))[:, 1:2], 3, axis=1)
    assert not is_doubled(rhythms(gray, FS, 90.0, BAND))
