"""Waveform quality against the truth: SNR and MACC, as rPPG-Toolbox HEAD defines them."""

from __future__ import annotations

import numpy as np

from streamnet_plugin.signal.spectrum import power_spectrum
from streamnet_plugin.types import FloatArray

HALF_WIDTH_HZ = 6 / 60
"""+/- 6 bpm around each harmonic belong to the signal."""

ROUNDING = 1e-14
"""A deviation below this share of the level is what rounding leaves of a constant."""


def snr(x: FloatArray, hr_label: float, fs: float, band: tuple[float, float]) -> float:
    """10 log10 of the power near the true HR and its second harmonic over the rest of `band`.

    Args:
        x: (T,) clean BVP; hr_label: bpm; fs: Hz; band: Hz.

    Returns:
        dB; 0 where the rest of the band is empty, as the toolbox has it, and -inf where the
        signal is. NaN if `x` or `hr_label` is.
    """
    f, p = power_spectrum(x, fs)
    if not (np.isfinite(p).all() and np.isfinite(hr_label)):
        return float("nan")
    f_h = hr_label / 60
    first = (f >= f_h - HALF_WIDTH_HZ) & (f <= f_h + HALF_WIDTH_HZ)
    second = (f >= 2 * f_h - HALF_WIDTH_HZ) & (f <= 2 * f_h + HALF_WIDTH_HZ)
    rest = (f >= band[0]) & (f <= band[1]) & ~first & ~second
    # The two bands overlap below 12 bpm only, but are summed apart, as the formula has it.
    signal, noise = p[first].sum() + p[second].sum(), p[rest].sum()
    if noise == 0:
        return 0.0
    return float(10 * np.log10(signal / noise)) if signal > 0 else float("-inf")


def macc(pred: FloatArray, label: FloatArray) -> float:
    """Maximum amplitude of the cross-correlation: max over k = 0..n-2 of |corr(p, roll(g, k))|.

    Computed through the FFT, O(n log n). Waveforms (T,); the longer is cut to the shorter.
    Returns NaN where either is constant.
    """
    n = min(len(pred), len(label))
    if n < 2:
        return float("nan")
    p, g = _unit(pred[:n]), _unit(label[:n])
    circular = np.fft.irfft(np.fft.rfft(p) * np.conj(np.fft.rfft(g)), n)
    return float(np.max(np.abs(circular[: n - 1])))


def _unit(x: FloatArray) -> FloatArray:
    """`x` (T,) without its mean and of norm one; NaN if it is constant."""
    x = np.asarray(x, dtype=np.float64)
    centred = x - x.mean()
    norm = np.linalg.norm(centred)
    if norm <= ROUNDING * np.linalg.norm(x):
        return np.full(len(x), np.nan)
    unit: FloatArray = centred / norm
    return unit
