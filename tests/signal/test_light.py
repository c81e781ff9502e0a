"""Blood and light differ in the colour of their rhythm."""

from __future__ import annotations

import numpy as np
import pytest

from streamnet_plugin.signal.light import rhythm_colour, rhythms

BAND = (0.6, 3.3)
T = np.arange(600) / 30
BLOOD = np.array([0.33, 0.77, 0.53]) / 0.77
WAVE = np.sin(2 * np.pi * 1.2 * T)[:, None]


def trace(light=0.0, blood=0.0, noise=0.001, skin=(180.0, 120.0, 90.0), rate=1.2):
    rng = np.random.default_rng(0)
    lamp = np.sin(2 * np.pi * rate * T + 1)[:, None]
    x = 1 + light * lamp + blood * WAVE * BLOOD + noise * rng.standard_normal((len(T), 3))
    return np.array(skin) * x


@pytest.mark.parametrize("skin", [(230.0, 190.0, 170.0), (80.0, 54.0, 42.0)])
@pytest.mark.parametrize("size", [0.003, 0.01, 0.05])
def test_light_has_no_colour_and_blood_has(skin, size):
    light = rhythm_colour(trace(light=size, skin=skin), 30.0, 72.0, BAND)
    assert light.colour < 0.15
    assert light.brightness_snr_db > 10
    blood = rhythm_colour(trace(blood=size, skin=skin), 30.0, 72.0, BAND)
    assert blood.colour == pytest.approx(0.8, abs=0.1)


def test_a_lamp_of_another_rate_does_not_hide_the_pulse():
    found = rhythm_colour(trace(light=0.01, blood=0.005, rate=2.0), 30.0, 72.0, BAND)
    assert found.colour == pytest.approx(0.8, abs=0.1)


def test_a_slow_drift_is_no_rhythm():
    drift = trace(blood=0.005) * np.linspace(1.0, 1.2, len(T))[:, None]
    assert rhythm_colour(drift, 30.0, 72.0, BAND).colour > 0.7


def test_a_strong_lamp_of_the_same_rate_hides_it():
    assert rhythm_colour(trace(light=0.03, blood=0.005), 30.0, 72.0, BAND).colour < 0.25


@pytest.mark.parametrize(
    "odd", [np.zeros((600, 3)), np.full((600, 3), 7.0), np.full((600, 3), np.nan)]
)
def test_nothing_can_be_said_without_light(odd):
    found = rhythm_colour(odd, 30.0, 72.0, BAND)
    assert np.isnan([found.colour, found.share]).all()


def test_gray_is_told_from_nothing():
    gray = np.repeat(trace(blood=0.01)[:, 1:2], 3, axis=1)
    assert rhythm_colour(gray, 30.0, 72.0, BAND).colour == pytest.approx(0, abs=1e-6)


def test_the_share_is_of_green_minus_red_in_the_band():
    """Two pulses, one of four times the other's power, and light that has neither's rate."""
    second = np.sin(2 * np.pi * 2.4 * T)[:, None]
    both = np.array([180.0, 120, 90]) * (1 + (0.01 * WAVE + 0.005 * second) * BLOOD)
    both *= 1 + 0.02 * np.sin(2 * np.pi * 1.8 * T)[:, None]
    shares = [rhythm_colour(both, 30.0, bpm, BAND).share for bpm in (72.0, 144.0, 100.0)]
    assert shares == pytest.approx([0.8, 0.2, 0.0], abs=0.01)


def test_a_lamp_at_half_of_what_was_read_is_seen():
    # What POS and CHROM make of light that flickers 1 Hz: a pulse of 120 bpm.
    found = rhythms(trace(light=0.02, rate=1.0), 30.0, 120.0, BAND)
    assert [c.colour < 0.25 and c.brightness_snr_db > 0 for c in found] == [False, True]
    assert len(rhythms(trace(blood=0.01), 30.0, 70.0, BAND)) == 1  # 35 bpm is below the band
    blood = rhythms(trace(blood=0.01, noise=1e-5), 30.0, 72.0, BAND)
    assert len(blood) == 2
    assert not any(c.colour < 0.25 and c.brightness_snr_db > 0 for c in blood)
