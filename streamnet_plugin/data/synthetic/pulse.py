"""A blood volume pulse with systolic upstroke, dicrotic notch and heart-rate variability."""

from __future__ import annotations

import numpy as np

from streamnet_plugin.types import FloatArray

# Waves of one beat: place in the cycle, width, height. Systolic wave, its shoulder, and the
# dicrotic wave after the notch; the sum-of-Gaussians pulse of Tang et al. (Sci. Rep. 10, 2020).
WAVES = ((0.18, 0.075, 1.00), (0.30, 0.110, 0.45), (0.57, 0.095, 0.38))
PEAK = 0.19
"""Place of the highest point of these waves together."""
RESPIRATION_HZ = (0.18, 0.33)
RSA = 0.025
"""Respiratory sinus arrhythmia: relative swing of the heart rate with breathing."""
MAYER_HZ, MAYER = 0.1, 0.02
"""The slow wave of blood pressure control, and its relative swing of the heart rate."""
DIASTOLIC_SHIFT = 0.12
"""At fast rates systole takes a larger share of the beat: the waves move by this per 60 bpm."""


def heart_rate(t: FloatArray, mean_bpm: float, rng: np.random.Generator) -> FloatArray:
    """Instantaneous heart rate (T,) in bpm at times `t` (s), with exactly `mean_bpm` on average."""
    breath = rng.uniform(*RESPIRATION_HZ)
    phases = rng.uniform(0, 2 * np.pi, 2)
    swing = RSA * np.sin(2 * np.pi * breath * t + phases[0])
    swing += MAYER * np.sin(2 * np.pi * MAYER_HZ * t + phases[1])
    hr = mean_bpm * (1 + swing)
    return hr * (mean_bpm / hr.mean())


def bvp(
    t: FloatArray, hr: FloatArray, rng: np.random.Generator, roundness: float = 0.0
) -> FloatArray:
    """BVP (T,) at times `t` (s) for the instantaneous heart rate `hr` (bpm), systole up.

    Range about 0..1; the height of beats breathes by a few per cent. `roundness` is the share of a
    sine that peaks with systole: 0 is a finger's pulse, a face's is rounder.
    """
    step = np.diff(t, prepend=t[0])
    cycle = rng.uniform() + np.cumsum(hr / 60 * step)
    stretch = 1 + DIASTOLIC_SHIFT * (hr - 60) / 60
    breath = rng.uniform(*RESPIRATION_HZ)
    height = 1 + 0.06 * np.sin(2 * np.pi * breath * t + rng.uniform(0, 2 * np.pi))
    if not roundness:
        return height * beat(cycle, stretch)
    sine = 0.5 + 0.5 * np.cos(2 * np.pi * (cycle - PEAK * stretch))
    return height * ((1 - roundness) * beat(cycle, stretch) + roundness * sine)


def beat(cycle: FloatArray, stretch: float | FloatArray = 1.0) -> FloatArray:
    """The pulse at a place in the beat; only the fraction of `cycle` matters."""
    phase = np.mod(cycle, 1.0)
    out = np.zeros_like(phase)
    for place, width, height in WAVES:
        distance = np.mod(phase - place * stretch + 0.5, 1.0) - 0.5  # on the circle
        out += height * np.exp(-0.5 * (distance / (width * stretch)) ** 2)
    return out
