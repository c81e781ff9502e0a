"""Heart rate from a clean BVP: the benchmark's two ways, and one free of its grid.

A waveform without power in the band, or with a NaN in it, has the heart rate NaN: never the band's
lowest frequency, which is where a bare argmax would land.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from streamnet_plugin.signal.spectrum import power_spectrum, refined_spectrum
from streamnet_plugin.types import FloatArray


def fft_hr(x: FloatArray, fs: float, band: tuple[float, float]) -> FloatArray:
    """HR in bpm at the highest bin of the periodogram inside `band` (Hz).

    `x` is (..., T); the result has shape (...). Rounded to the grid of `power_spectrum`; NaN
    where there is no peak, or where the grid of a short waveform has no point inside the band.
    """
    f, p = power_spectrum(x, fs)
    inside = (f >= band[0]) & (f <= band[1])
    f, p = f[inside], p[..., inside]
    if not len(f):
        return np.full(p.shape[:-1], np.nan)
    return np.where(_has_peak(p), 60.0 * f[np.argmax(p, axis=-1)], np.nan)


def peak_hr(x: FloatArray, fs: float) -> float:
    """HR in bpm from the mean distance of the local maxima of `x` (T,); NaN below two."""
    peaks, _ = find_peaks(np.asarray(x, dtype=np.float64))
    if len(peaks) < 2:
        return float("nan")
    return float(60.0 * fs / np.mean(np.diff(peaks)))


def refined_hr(x: FloatArray, fs: float, band: tuple[float, float]) -> float:
    """HR in bpm at the interpolated spectral peak of `x` (T,) inside `band` (Hz)."""
    return float(refined_hrs(np.asarray(x, dtype=np.float64)[None], fs, band)[0])


def refined_hrs(x: FloatArray, fs: float, band: tuple[float, float]) -> FloatArray:
    """HR in bpm (S,) at the interpolated spectral peaks of `x` (S, T) inside `band` (Hz).

    A Hann window lowers leakage, eightfold zero padding makes the grid fine, and a parabola
    through the logarithms of the three highest bins finds the peak between them (exact for a
    Gaussian peak; Smith & Serra 1987). NaN where there is no peak.
    """
    f, p = refined_spectrum(x, fs)
    inside = np.flatnonzero((f >= band[0]) & (f <= band[1]))
    inside = inside[(inside > 0) & (inside < len(f) - 1)]
    if not len(inside):
        return np.full(len(p), np.nan)
    found = _has_peak(p[:, inside])
    k = inside[np.argmax(p[:, inside], axis=1)]  # (S,)
    around = np.take_along_axis(p, k[:, None] + np.arange(-1, 2), axis=1)  # (S, 3)
    with np.errstate(divide="ignore", invalid="ignore"):
        left, middle, right = np.log(around).T
        curvature = left - 2 * middle + right
        shift = np.where(curvature < 0, 0.5 * (left - right) / curvature, 0.0)
    # At the band's edge the bins may rise outwards; an empty neighbouring bin has no logarithm.
    shift = np.clip(np.nan_to_num(shift), -1.0, 1.0)
    peak = np.clip(f[k] + shift * f[1], *band)
    return np.where(found, 60.0 * peak, np.nan)


def _has_peak(p: FloatArray) -> np.ndarray:
    """Whether the spectra (..., F) are finite and not zero everywhere."""
    return np.isfinite(p).all(axis=-1) & (p.max(axis=-1) > 0)
