"""PBV: the projection whose result varies over the channels as blood volume does.

De Haan & van Leest, "Improved motion robustness of remote-PPG by using the blood volume pulse
signature", Physiological Measurement 35(9), 2014.
"""

from __future__ import annotations

import numpy as np

from streamnet_plugin.classical.traces import Trace, checked_bvp, checked_rgb, checked_trace
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FloatArray

SIGNATURE = np.array([0.33, 0.77, 0.53])
"""Relative pulse amplitude in R, G, B under white light (de Haan & van Leest 2014)."""


def pbv(rgb: FloatArray, fs: float) -> FloatArray:
    """PBV as rPPG-Toolbox computes it, but for the sign: here (T,) the BVP rises in systole.

    It departs from the paper: the signature is the channels' own standard deviation, and the
    normalised channels keep their mean of one (see `pbv_paper`). With a signature that noise or
    motion dominates, the polarity can come out wrong, as it does in the toolbox.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless.
    """
    x = checked_trace(rgb, fs).T  # (3, T)
    normalised = np.ascontiguousarray(x / x.mean(axis=1, keepdims=True))
    signature = normalised.std(axis=1)
    return _project(normalised.T, signature / np.sqrt(normalised.var(axis=1).sum()))


def pbv_paper(rgb: FloatArray, fs: float) -> FloatArray:
    """PBV with the paper's fixed signature and zero-mean channels; BVP (T,) rising in systole.

    Applied to the whole trace.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless.
    """
    x = checked_rgb(rgb, fs)
    return _project(x / x.mean(axis=0) - 1.0, SIGNATURE / np.linalg.norm(SIGNATURE))


def _project(x: Trace, signature: Trace) -> FloatArray:
    """-x w, w = Q^-1 p / (p' Q^-1 p) with Q = x' x: the unit response to the signature p (3,)."""
    try:
        w = np.linalg.solve(x.T @ x, signature)
    except np.linalg.LinAlgError as error:
        raise NoResultError(
            "the channels are linearly dependent: the blood volume signature has no projection",
            remedy="use a colour video, or another method.",
        ) from error
    return checked_bvp((-(x @ w) / (signature @ w)).astype(np.float64))
