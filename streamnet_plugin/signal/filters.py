"""Zero-phase band-pass filtering."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.signal import butter, filtfilt

from streamnet_plugin.errors import ConfigError, NoResultError
from streamnet_plugin.types import FloatArray


def bandpass(x: FloatArray, fs: float, low: float, high: float, order: int = 1) -> FloatArray:
    """Butterworth band-pass, applied forward and backward along the first axis.

    Args:
        x: (T,) or (T, N).
        fs: Hz.
        low, high: corner frequencies, Hz, 0 < low < high < fs / 2.
        order: of the low-pass prototype; the band-pass has twice as many poles.

    Raises:
        ConfigError: corners outside (0, fs / 2).
        NoResultError: fewer than `min_samples(order)` samples.
    """
    if not 0 < low < high < fs / 2:
        raise ConfigError(
            f"a pass band of {low:g}-{high:g} Hz does not fit a frame rate of {fs:g} Hz",
            remedy=f"use more than {2 * high:g} frames per second, or a lower band.",
        )
    if len(x) < min_samples(order):
        raise NoResultError(
            f"the filter needs at least {min_samples(order)} samples, found {len(x)}",
            remedy="use a longer waveform.",
        )
    b, a = _butterworth(order, low / fs * 2, high / fs * 2)
    filtered: FloatArray = filtfilt(b, a, np.asarray(x, dtype=np.float64), axis=0)
    return filtered


@lru_cache(maxsize=64)
def _butterworth(order: int, low: float, high: float) -> tuple[FloatArray, FloatArray]:
    """Coefficients of a band-pass; designing one takes longer than filtering a video's waveform."""
    b, a = butter(order, [low, high], btype="bandpass")
    b.flags.writeable = a.flags.writeable = False  # shared by all callers
    return b, a


def min_samples(order: int = 1) -> int:
    """Samples `bandpass` needs: one more than filtfilt's padding of 3 x (2 order + 1)."""
    return 3 * (2 * order + 1) + 1
