"""GREEN: the green channel, which haemoglobin absorbs most.

Verkruysse, Svaasand & Nelson, "Remote plethysmographic imaging using ambient light", Optics
Express 16(26), 2008.
"""

from __future__ import annotations

import numpy as np

from streamnet_plugin.classical.traces import checked_bvp, checked_trace
from streamnet_plugin.types import FloatArray


def green(rgb: FloatArray, fs: float) -> FloatArray:
    """Minus the mean green of each frame (T,): more blood, less green light, higher BVP.

    rPPG-Toolbox returns the green itself, the same waveform upside down.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, or its green is constant.
    """
    return checked_bvp(-checked_trace(rgb, fs, colour=False)[:, 1].astype(np.float64))
