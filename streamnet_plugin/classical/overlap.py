"""Sliding windows over a trace, and the sum that puts them together again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from streamnet_plugin.types import FloatArray


def windows(x: NDArray[Any], length: int, step: int) -> NDArray[Any]:
    """Read-only view (W, length, C) of the windows of `x` (T, C), one every `step` frames."""
    view: NDArray[Any] = sliding_window_view(x, length, axis=0)[::step]
    return view.swapaxes(1, 2)


def overlap_add(parts: FloatArray, step: int, n: int) -> FloatArray:
    """Sum (n,) of windows `parts` (W, L), the w-th laid at w * step; zero where none lies."""
    count, length = parts.shape
    out = np.zeros(n)
    last = (count - 1) * step + 1
    for offset in range(length):  # one pass per offset adds all windows at once
        out[offset : offset + last : step] += parts[:, offset]
    return out
