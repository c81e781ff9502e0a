"""Normalisations of frames and labels, computed on load; rPPG-Toolbox's DATA_TYPEs.

DiffNormalized  d[j] = (F[j+1] - F[j]) / (F[j+1] + F[j] + 1e-7), divided by the standard
                deviation of all of d; a zero frame at the end; NaN -> 0
Standardized    (F - mean) / std over the whole video; NaN -> 0
Raw             as it is
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.signal.difference import difference_normalised
from streamnet_plugin.types import FloatArray, FrameArray

Float32Array = NDArray[np.float32]
EPS = 1e-7
BLOCK = 256
"""Frames worked on at a time, so that a long memory map is never in memory whole."""


@dataclass(frozen=True)
class Normaliser:
    """Statistics of one whole video, from which any range of frames can be normalised.

    Attributes:
        diff_std: standard deviation of all difference frames (without the zero frame).
        mean, std: of all pixels.
    """

    diff_std: float
    mean: float
    std: float

    @classmethod
    def fit(cls, frames: FrameArray) -> Normaliser:
        """One pass over frames (T, H, W, 3) uint8, in blocks."""
        raw, diff = _Moments(), _Moments()
        for start, stop in _blocks(len(frames)):
            raw.add(frames[start:stop].astype(np.float64))
            if stop - start > 0 and start < len(frames) - 1:
                diff.add(_difference(frames[start : min(stop + 1, len(frames))]))
        return cls(diff_std=diff.std, mean=raw.mean, std=raw.std)

    @property
    def still(self) -> bool:
        """No pixel ever changes."""
        return not self.diff_std > 0

    def diff_normalized(self, frames: FrameArray, start: int, stop: int) -> Float32Array:
        """Frames start..stop-1 of DiffNormalized data, (n, H, W, 3)."""
        out = np.zeros((stop - start, *frames.shape[1:]), np.float32)
        last = min(stop, len(frames) - 1)  # the video's last frame has no successor
        if last > start and self.diff_std > 0:
            out[: last - start] = _difference(frames[start : last + 1]) / self.diff_std
        return out

    def standardized(self, frames: FrameArray, start: int, stop: int) -> Float32Array:
        """Frames start..stop-1 of Standardized data, (n, H, W, 3)."""
        block = frames[start:stop].astype(np.float32)
        if not self.std > 0:
            return np.zeros_like(block)
        block -= np.float32(self.mean)
        block *= np.float32(1 / self.std)
        return block

    def network_input(self, frames: FrameArray, start: int, stop: int) -> Float32Array:
        """(n, 6, H, W): DiffNormalized, then Standardized channels."""
        both = np.concatenate(
            [self.diff_normalized(frames, start, stop), self.standardized(frames, start, stop)],
            axis=-1,
        )
        return both.transpose(0, 3, 1, 2)


class _Moments:
    """Mean and population standard deviation of blocks (Chan et al. 1979: no cancellation)."""

    def __init__(self) -> None:
        self.n, self.mean, self._m2 = 0, 0.0, 0.0

    def add(self, x: FloatArray) -> None:
        n, mean = x.size, float(x.mean())
        delta = mean - self.mean
        total = self.n + n
        self._m2 += float(x.var()) * n + delta**2 * self.n * n / total
        self.mean += delta * n / total
        self.n = total

    @property
    def std(self) -> float:
        return float(np.sqrt(self._m2 / self.n)) if self.n else 0.0


def make_input(frames: FrameArray, data_types: Sequence[str]) -> Float32Array:
    """Data of a whole video, channels concatenated in the order given: (T, H, W, 3 k).

    Raises:
        ConfigError: a type other than DiffNormalized, Standardized and Raw.
    """
    normaliser, n = Normaliser.fit(frames), len(frames)
    parts: list[Float32Array] = []
    for kind in data_types:
        if kind == "DiffNormalized":
            parts.append(normaliser.diff_normalized(frames, 0, n))
        elif kind == "Standardized":
            parts.append(normaliser.standardized(frames, 0, n))
        elif kind == "Raw":
            parts.append(frames.astype(np.float32))
        else:
            raise ConfigError(
                f"unknown DATA_TYPE {kind!r}", remedy="use DiffNormalized, Standardized or Raw."
            )
    return np.concatenate(parts, axis=-1)


def make_label(bvp: FloatArray, label_type: str) -> FloatArray:
    """Labels (T,) of a whole video: DiffNormalized, Standardized or Raw; constant -> zeros."""
    if label_type == "Raw":
        return np.asarray(bvp, dtype=np.float64)
    if label_type == "DiffNormalized":
        return difference_normalised(bvp)
    if label_type == "Standardized":
        std = np.std(bvp)
        return (bvp - np.mean(bvp)) / std if std > 0 else np.zeros(len(bvp))
    raise ConfigError(
        f"unknown LABEL_TYPE {label_type!r}", remedy="use DiffNormalized, Standardized or Raw."
    )


def split_clips(n_frames: int, clip_length: int) -> list[slice]:
    """Clips of `clip_length` frames side by side; the tail is dropped, as the toolbox does."""
    return [
        slice(start, start + clip_length)
        for start in range(0, n_frames - clip_length + 1, clip_length)
    ]


def resized(frames: FrameArray, width: int, height: int) -> FrameArray:
    """Frames (T, H, W, 3) at a smaller size; the same array if they have it already.

    Raises:
        ConfigError: the frames are smaller than asked for: enlarging adds no information.
    """
    have_height, have_width = frames.shape[1:3]
    if (have_width, have_height) == (width, height):
        return frames
    if have_width < width or have_height < height:
        raise ConfigError(
            f"the face crops are {have_width} x {have_height} px, the network needs "
            f"{width} x {height}",
            remedy=f"set RESIZE to W: {width}, H: {height}.",
        )
    return np.stack(
        [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]
    ).astype(np.uint8)


def _difference(frames: FrameArray) -> FloatArray:
    """(T, ...) -> (T - 1, ...) normalised differences of successive frames."""
    f = frames.astype(np.float64)
    return (f[1:] - f[:-1]) / (f[1:] + f[:-1] + EPS)


def _blocks(n: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n, BLOCK):
        yield start, min(start + BLOCK, n)
