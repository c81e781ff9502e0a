"""From a method's raw waveform to a clean BVP: integrate, detrend, band-pass."""

from __future__ import annotations

import numpy as np

from streamnet_plugin.signal.detrend import detrend
from streamnet_plugin.signal.filters import bandpass
from streamnet_plugin.types import FloatArray


def clean_bvp(
    x: FloatArray, fs: float, low_hz: float, high_hz: float, differential: bool
) -> FloatArray:
    """The waveform that heart rate, SNR and MACC are computed from.

    Args:
        x: (..., T) BVP, or its normalised first difference.
        fs: Hz.
        low_hz, high_hz: pass band, Hz.
        differential: `x` is a first difference and is integrated first.

    Returns:
        (..., T) detrended (smoothness priors, lambda 100) and band-passed (Butterworth, order 1,
        forward and backward) BVP, as rPPG-Toolbox processes it before it computes metrics.
    """
    x = np.asarray(x)
    if differential:
        # In the waveform's own precision: the toolbox integrates its networks' float32 output as
        # it is, and a double sum would differ from its SNR by some 1e-5 dB.
        x = np.cumsum(x, axis=-1)
    x = x.astype(np.float64)
    flat = x.reshape(-1, x.shape[-1]).T  # (T, N): detrend solves all columns at once
    smooth = bandpass(detrend(flat, 100.0), fs, low_hz, high_hz, order=1)
    return np.ascontiguousarray(smooth.T).reshape(x.shape)
