"""The plane orthogonal to skin (Wang et al., IEEE TBME 64(7), 2017), then detrended and filtered.

`np.mat` is gone from NumPy 2.
"""

import math

import numpy as np
import scipy
from evaluation.post_process import detrend

from unsupervised_methods.methods.utils import mean_colour


def POS(frames, fs):
    rgb = mean_colour(frames)
    length = math.ceil(1.6 * fs)
    projection = np.mat([[0, 1, -1], [-2, 1, 1]])
    out = np.zeros(len(rgb))
    for end in range(length, len(rgb)):  # the last frame lies in no window
        part = rgb[end - length : end]
        s = np.asarray(projection * np.mat(part / part.mean(axis=0)).T)  # (2, L)
        h = s[0] + np.std(s[0]) / np.std(s[1]) * s[1]
        out[end - length : end] += h - np.mean(h)
    b, a = scipy.signal.butter(1, [0.75 / (fs / 2), 3 / (fs / 2)], "bandpass")
    return scipy.signal.filtfilt(b, a, detrend(out, 100))
