"""Chrominances (de Haan & Jeanne, IEEE TBME 60(10), 2013), filtered window by window."""

import math

import numpy as np
import scipy

from unsupervised_methods.methods.utils import mean_colour


def CHROM(frames, fs):
    """Shorter than the video: only whole half windows are covered."""
    rgb = mean_colour(frames)
    length = math.ceil(1.6 * fs)
    length += length % 2
    half = length // 2
    n_windows = len(rgb) // half - 1
    b, a = scipy.signal.butter(3, [0.7 / (fs / 2), 2.5 / (fs / 2)], "bandpass")
    out = np.zeros(half * (n_windows + 1))
    for start in range(0, n_windows * half, half):
        part = rgb[start : start + length]
        r, g, blue = np.float64(part / part.mean(axis=0)).T
        x = scipy.signal.filtfilt(b, a, 3 * r - 2 * g)
        y = scipy.signal.filtfilt(b, a, 1.5 * r + g - 1.5 * blue)
        out[start : start + length] += (x - np.std(x) / np.std(y) * y) * scipy.signal.windows.hann(
            length
        )
    return out
