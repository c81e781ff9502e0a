"""A classical method as an object of the harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FaceVideo, FloatArray, Prediction

BLOCK_FRAMES = 256
"""Frames averaged at a time, so that a memory map is never copied whole."""


@dataclass(frozen=True)
class ClassicalMethod:
    """A function of the mean colour of the face, under a name.

    Attributes:
        name: as in tables, e.g. "CHROM" (what rPPG-Toolbox computes) or "CHROM:paper".
        function: (rgb (T, 3), fs in Hz) -> BVP (T,), systole up.
        source: the paper.
        inverted: rPPG-Toolbox's waveform of this method falls in systole.
        covered: (T, fs) -> how many of T frames the method reads, None for all.
        precision: of the colour trace of a face video.
    """

    name: str
    function: Callable[[NDArray[Any], float], FloatArray]
    source: str
    inverted: bool = False
    covered: Callable[[int, float], int] | None = None
    precision: type[np.floating[Any]] = np.float64

    def predict(self, video: FaceVideo) -> Prediction:
        """The BVP of a face video; `NoResultError` names the file if there is none."""
        try:
            return self.from_rgb(video.rgb.astype(self.precision), video.fs)
        except NoResultError as error:
            raise NoResultError(
                f"{self.name}: {error.what}", path=video.recording.path, remedy=error.remedy
            ) from error

    def from_rgb(self, rgb: NDArray[Any], fs: float) -> Prediction:
        """The BVP from a colour trace (T, 3), any scale; `fs` in Hz.

        Variants that follow rPPG-Toolbox compute a float32 trace as it does, in float32.
        """
        return Prediction(
            bvp=self.function(rgb, fs),
            covered=self.covered(len(rgb), fs) if self.covered else None,
            inverted=self.inverted,
        )

    def from_frames(self, frames: np.ndarray, fs: float) -> Prediction:
        """The BVP from face crops (T, H, W, 3) RGB of any number type; `fs` in Hz.

        Frames of float32, such as the toolbox's loaders give, make a float32 trace.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
            raise NoResultError(
                f"expected frames of shape (T, H, W, 3), found {frames.shape}",
                remedy="give colour frames in RGB order.",
            )
        blocks = np.array_split(frames, max(1, len(frames) // BLOCK_FRAMES))
        if frames.dtype == np.float32:
            pixels = frames.shape[1] * frames.shape[2]
            rgb = np.concatenate([b.sum(axis=1).sum(axis=1) / pixels for b in blocks])
        else:
            rgb = np.concatenate([b.mean(axis=(1, 2), dtype=np.float64) for b in blocks])
        return self.from_rgb(rgb, fs)
