"""POS: the plane orthogonal to skin tone.

Wang, den Brinker, Stuijk & de Haan, "Algorithmic principles of remote PPG", IEEE TBME 64(7), 2017,
algorithm 1.
"""

from __future__ import annotations

import math

import numpy as np

from streamnet_plugin.classical.overlap import overlap_add, windows
from streamnet_plugin.classical.traces import (
    WINDOW_S,
    Trace,
    checked_bvp,
    checked_rgb,
    checked_trace,
)
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.signal.detrend import detrend
from streamnet_plugin.signal.filters import bandpass
from streamnet_plugin.types import FloatArray

PROJECTION = np.array([[0.0, 1.0, -1.0], [-2.0, 1.0, 1.0]])  # (2, 3), the paper's eq. 21
TOOLBOX_BAND_HZ = (0.75, 3.0)
TOOLBOX_LAMBDA = 100.0


def pos(rgb: FloatArray, fs: float) -> FloatArray:
    """POS as rPPG-Toolbox computes it, but for the sign: here (T,) the BVP rises in systole.

    It departs from the paper (see `pos_paper`): the last frame lies in no window, and the sum is
    detrended (lambda 100) and band-passed (Butterworth, order 1, 0.75-3 Hz, zero phase).

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless, or the
            frame rate (Hz) is below 6 Hz, where the pass band does not fit.
    """
    x = checked_trace(rgb, fs)
    low, high = TOOLBOX_BAND_HZ
    if len(x) <= _length(fs) or fs <= 2 * high:
        raise NoResultError(
            f"{len(x)} frames at {fs:g} Hz: POS needs more than {_length(fs)} frames at over "
            f"{2 * high:g} Hz",
            remedy="use a longer video, or a higher frame rate.",
        )
    pulse = _project(x[:-1], _length(fs))
    summed = checked_bvp(np.append(pulse, 0.0))
    return checked_bvp(-bandpass(detrend(summed, TOOLBOX_LAMBDA), fs, low, high, order=1))


def pos_paper(rgb: FloatArray, fs: float) -> FloatArray:
    """POS by algorithm 1 of the paper: every window, no filter; BVP (T,) rising in systole.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless.
    """
    return checked_bvp(-_project(checked_rgb(rgb, fs), _length(fs)))


def _length(fs: float) -> int:
    return math.ceil(WINDOW_S * fs)


def _project(x: Trace, length: int) -> FloatArray:
    """Overlap-added projections (T,) of all windows of `x` (T, 3), as bright as the light."""
    # (3, W, L): each window's values in a row, which are summed several times as fast.
    w = windows(np.ascontiguousarray(x.T).T, length, step=1).transpose(2, 0, 1)
    total = np.zeros((w.shape[1], 3), x.dtype)
    for frame in range(length):  # one by one, as the toolbox's precision has it
        total += x[frame : frame + len(total)]
    with np.errstate(divide="ignore", invalid="ignore"):  # black or frozen: `checked_bvp` tells
        # Divided in the trace's own precision, projected in float64.
        scaled = w / (total / length).T[:, :, None]
        s = (PROJECTION @ scaled.reshape(3, -1)).reshape(2, *w.shape[1:])  # (2, W, L)
        deviation = s.std(axis=2, keepdims=True)  # (2, W, 1)
        h = s[0] + deviation[0] / deviation[1] * s[1]
    return overlap_add(h - h.mean(axis=1, keepdims=True), step=1, n=len(x))
