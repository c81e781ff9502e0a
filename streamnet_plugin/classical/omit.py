"""OMIT: the plane orthogonal to the first basis vector of a QR decomposition.

Alvarez Casado & Bordallo Lopez, "Face2PPG: an unsupervised pipeline for blood volume pulse
extraction from faces", IEEE JBHI 27(11), 2023.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr

from streamnet_plugin.classical.traces import checked_bvp, checked_rgb, checked_trace, green_beside
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FloatArray


def omit(rgb: FloatArray, fs: float) -> FloatArray:
    """OMIT as rPPG-Toolbox computes it, but for the sign: here (T,) the BVP rises in systole.

    QR without pivoting of the trace (3, T): its first basis vector is the direction of the first
    frame's colour, so that the result depends on that one frame. See `omit_paper`.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless, or its
            first frame is black.
    """
    trace = checked_trace(rgb, fs)
    x = trace.astype(np.float64)
    if not x[0].any():
        raise NoResultError("the first frame is black", remedy="cut it off.")
    # The first three columns decide all of Q; the other T - 3 only enter R, which is not needed.
    direction = np.linalg.qr(x[:3].T)[0][:, 0].astype(trace.dtype)
    return checked_bvp(-green_beside(x, direction))


def omit_paper(rgb: FloatArray, fs: float) -> FloatArray:
    """OMIT with the rank-revealing (column-pivoted) QR; BVP (T,) rising in systole.

    Pivoting takes the colour of the largest norm first, the brightest frame, whichever frame the
    video starts with: a dark or black first frame does no harm.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless.
    """
    x = checked_rgb(rgb, fs)
    q = qr(x.T, mode="economic", pivoting=True)[0]
    return checked_bvp(-green_beside(x, q[:, 0]))
