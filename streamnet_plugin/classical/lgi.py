"""LGI: the plane orthogonal to the dominant colour direction.

Pilz, Zaunseder, Krajewski & Blazek, "Local group invariance for heart rate estimation from face
videos in the wild", CVPR Workshops 2018.
"""

from __future__ import annotations

import numpy as np

from streamnet_plugin.classical.traces import checked_bvp, checked_rgb
from streamnet_plugin.types import FloatArray


def lgi(rgb: FloatArray, fs: float) -> FloatArray:
    """Minus the green component of (I - u u') x, u the first left singular vector of the trace.

    u is the strongest eigenvector of the 3 x 3 matrix x x', so that memory grows with T and not
    with T^2 as in a full singular value decomposition. Equal to rPPG-Toolbox but for the sign:
    there, less green light in systole makes the waveform fall; here (T,) it rises.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless.
    """
    x = checked_rgb(rgb, fs)
    _, directions = np.linalg.eigh(x.T @ x)  # ascending eigenvalues
    u = directions[:, -1]
    return checked_bvp((x @ u) * u[1] - x[:, 1])
