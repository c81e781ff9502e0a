"""CHROM: two chrominance signals combined so that motion cancels.

De Haan & Jeanne, "Robust pulse rate from chrominance-based rPPG", IEEE TBME 60(10), 2013.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import convolve1d
from scipy.signal import butter, filtfilt, firwin
from scipy.signal.windows import hann

from streamnet_plugin.classical.overlap import overlap_add, windows
from streamnet_plugin.classical.traces import WINDOW_S, checked_bvp, checked_rgb, checked_trace
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FloatArray

CHROMINANCE = np.array([[3.0, -2.0, 0.0], [1.5, 1.0, -1.5]])  # (2, 3), X_s and Y_s
TOOLBOX_BAND_HZ = (0.7, 2.5)
TOOLBOX_ORDER = 3
PAPER_BAND_HZ = (40 / 60, 240 / 60)  # 40-240 bpm
FIR_S = 4.0
"""Length of the FIR filter, s: its transition, 3.3 / 4 s (Hamming), leaves DC out."""


def chrom(rgb: FloatArray, fs: float) -> FloatArray:
    """CHROM as rPPG-Toolbox computes it; BVP (T,) rising in systole.

    It departs from the paper (see `chrom_paper`): each window is band-passed by itself
    (Butterworth, order 3, 0.7-2.5 Hz, forward and backward), the outer half windows lie under one
    Hann taper only, and the frames behind the last whole half window are not covered. There the
    toolbox's waveform ends: it gives 888 values for 900 frames at 30 Hz (`covered_frames`). Here
    those first values are the same and the rest are zero, to which the last taper has already
    fallen. The toolbox's CHROM, unlike its other methods, has this polarity itself.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless, or the
            frame rate (Hz) is too low for the filter.
    """
    x = checked_trace(rgb, fs)
    length = _length(fs)
    padding = 3 * (2 * TOOLBOX_ORDER + 1)  # filtfilt's default
    if len(x) < length or length <= padding:
        raise NoResultError(
            f"{len(x)} frames at {fs:g} Hz: CHROM needs windows of {WINDOW_S} s with more than "
            f"{padding} frames each",
            remedy="use a longer video, or a higher frame rate.",
        )
    w = windows(x, length, step=length // 2)  # (W, L, 3)
    b, a = butter(TOOLBOX_ORDER, [f / (fs / 2) for f in TOOLBOX_BAND_HZ], "bandpass")
    with np.errstate(divide="ignore", invalid="ignore"):  # black or frozen: `checked_bvp` tells
        s = (w / w.mean(axis=1, keepdims=True)) @ CHROMINANCE.T  # (W, L, 2)
        parts = _combine(filtfilt(b, a, s, axis=1)) * hann(length)
    return checked_bvp(overlap_add(parts, length // 2, len(x)))


def covered_frames(n: int, fs: float) -> int:
    """How many of `n` frames the toolbox's CHROM returns, e.g. 888 of 900 at 30 Hz."""
    half = _length(fs) // 2
    return half * (n // half)


def chrom_paper(rgb: FloatArray, fs: float) -> FloatArray:
    """CHROM with the paper's filter; BVP (T,) rising in systole.

    The whole trace goes through a linear-phase FIR band-pass of 40-240 bpm; windows of 1.6 s with
    half overlap are normalised, combined, tapered (Hann) and added. The sum is divided by the sum
    of the tapers, and one window is anchored at the end, so that every frame is covered.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless, or the
            frame rate (Hz) is not above 8 Hz, twice the filter's upper edge.
    """
    x = checked_rgb(rgb, fs)
    if fs <= 2 * PAPER_BAND_HZ[1]:
        raise NoResultError(
            f"the frame rate of {fs:g} Hz cannot show 240 bpm",
            remedy=f"use more than {2 * PAPER_BAND_HZ[1]:g} frames per second.",
        )
    n, length = len(x), min(_length(fs), len(x))
    starts = np.unique(np.append(np.arange(0, n - length + 1, length // 2), n - length))
    every = starts[:, None] + np.arange(length)  # (W, L) frame numbers
    with np.errstate(divide="ignore", invalid="ignore"):
        normalised = _fir_bandpass(x, fs)[every] / x[every].mean(axis=1, keepdims=True)
        parts = _combine(normalised @ CHROMINANCE.T)
    taper = hann(length + 2)[1:-1]  # without its two zeros: every frame has a weight
    summed, weight = np.zeros(n), np.zeros(n)
    np.add.at(summed, every, parts * taper)
    np.add.at(weight, every, np.broadcast_to(taper, every.shape))
    return checked_bvp(summed / weight)


def _length(fs: float) -> int:
    """Frames of a window, even so that it has halves."""
    length = math.ceil(WINDOW_S * fs)
    return length + length % 2


def _combine(s: FloatArray) -> FloatArray:
    """X - alpha Y (W, L) from chrominances (W, L, 2); alpha evens out their deviations."""
    deviation = s.std(axis=1, keepdims=True)  # (W, 1, 2)
    combined: FloatArray = s[..., 0] - deviation[..., 0] / deviation[..., 1] * s[..., 1]
    return combined


def _fir_bandpass(x: FloatArray, fs: float) -> FloatArray:
    """Linear-phase, zero-delay FIR band-pass of 40-240 bpm over (T, 3); the ends are mirrored."""
    taps = firwin(2 * round(FIR_S * fs / 2) + 1, PAPER_BAND_HZ, pass_zero=False, fs=fs)
    filtered: FloatArray = convolve1d(x - x.mean(axis=0), taps, axis=0, mode="reflect")
    return filtered
