"""The difference-normalised form of a waveform, which networks are trained on."""

from __future__ import annotations

import numpy as np

from streamnet_plugin.types import FloatArray


def difference_normalised(x: FloatArray) -> FloatArray:
    """First difference of `x` (T,) over its standard deviation, a zero appended: (T,).

    rPPG-Toolbox's `DiffNormalized` label of a whole video. A constant `x` gives zeros.
    """
    difference = np.diff(np.asarray(x, dtype=np.float64))
    deviation = difference.std() if len(difference) else 0.0
    if deviation > 0:
        difference = difference / deviation
    return np.append(difference, 0.0)[: len(x)]
