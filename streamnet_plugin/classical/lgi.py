"""LGI: the plane orthogonal to the dominant colour direction.

Pilz, Zaunseder, Krajewski & Blazek, "Local group invariance for heart rate estimation from face
videos in the wild", CVPR Workshops 2018.
"""

from __future__ import annotations

import numpy as np

from streamnet_plugin.classical.traces import checked_bvp, checked_trace, green_beside
from streamnet_plugin.types import FloatArray


def lgi(rgb: FloatArray, fs: float) -> FloatArray:
    """Minus the green component of (I - u u') x, u the first left singular vector of the trace.

    u is the strongest eigenvector of the 3 x 3 matrix x x', so that memory grows with T and not
    with T^2 as in a full singular value decomposition. Equal to rPPG-Toolbox but for the sign:
    there, less green light in systole makes the waveform fall; here (T,) it rises.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless.
    """
    trace = checked_trace(rgb, fs)
    x = trace.astype(np.float64)
    _, directions = np.linalg.eigh(x.T @ x)  # ascending eigenvalues
    return checked_bvp(-green_beside(x, directions[:, -1].astype(trace.dtype)))
