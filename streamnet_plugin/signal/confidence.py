"""How clearly a pulse stands out in a waveform, without knowing the true heart rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import periodogram

from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.types import FloatArray

HALF_WIDTH_HZ = 0.1
"""A harmonic's power is counted within +/- 6 bpm, as the SNR of de Haan and Jeanne (2013) does."""


@dataclass(frozen=True)
class PulseEvidence:
    """Attributes:
    snr_db: power at the waveform's own peak and its second harmonic against the rest of the
        band, dB. Unlike the benchmark's SNR it needs no label.
    disagreement_bpm: difference of the heart rates of the first and the second half, bpm.
    """

    snr_db: float
    disagreement_bpm: float


def pulse_evidence(x: FloatArray, fs: float, band: tuple[float, float]) -> PulseEvidence:
    """Evidence of a pulse in a clean BVP (T,) sampled at `fs` Hz; `band` in Hz."""
    x = np.asarray(x, dtype=np.float64)
    half = len(x) // 2
    first, second = refined_hr(x[:half], fs, band), refined_hr(x[half:], fs, band)
    return PulseEvidence(
        snr_db=line_snr(x, fs, refined_hr(x, fs, band), band),
        disagreement_bpm=float(abs(first - second)),
    )


def line_snr(x: FloatArray, fs: float, hr_bpm: float, band: tuple[float, float]) -> float:
    """Power of `x` (T,) at a heart rate and its second harmonic over the rest of `band`, dB."""
    peak_hz = hr_bpm / 60
    f, power = periodogram(x, fs, window="hann", nfft=max(4096, len(x)), detrend="constant")
    inside = (f >= band[0]) & (f <= band[1])
    near = (np.abs(f - peak_hz) <= HALF_WIDTH_HZ) | (np.abs(f - 2 * peak_hz) <= HALF_WIDTH_HZ)
    signal, rest = power[near].sum(), power[inside & ~near].sum()
    tiny = np.finfo(float).tiny
    return float(10 * np.log10(max(signal, tiny) / max(rest, tiny)))
