"""Normalisations of frames and labels, computed on load; rPPG-Toolbox's DATA_TYPEs.

DiffNormalized  d[j] = (F[j+1] - F[j]) / (F[j+1] + F[j] + 1e-7), divided by the standard
                deviation of all of d; a zero frame at the end; NaN -> 0
Standardized    (F - mean) / std over the whole video; NaN -> 0
Raw             as it is
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.signal.difference import difference_normalised
from streamnet_plugin.types import FaceVideo, FloatArray, FrameArray

Float32Array = NDArray[np.float32]
EPS = 1e-7
LEVELS = 256
BLOCK = 256
"""Frames worked on at a time, so that a long memory map is never in memory whole."""


@dataclass(frozen=True)
class Moments:
    """What normalising a video takes: three numbers.

    Attributes:
        mean, std: of all its pixels, 8-bit levels.
        difference_std: of its relative differences, all but the zero frame at the end; rounded to
            float32, as the toolbox's is.
    """

    mean: float
    std: float
    difference_std: float

    @property
    def divisor(self) -> float:
        """Of relative differences; 1 where nothing changes, so that they stay zero."""
        return self.difference_std if self.difference_std > 0 else 1.0

    def levels(self) -> Float32Array:
        """(256,) Standardized value of a pixel."""
        values = np.arange(LEVELS, dtype=np.float64)
        scaled = (values - self.mean) / self.std if self.std > 0 else 0 * values
        return scaled.astype(np.float32)


@dataclass(frozen=True)
class Normaliser:
    """Statistics of one whole video, from which any range of frames can be normalised.

    A pixel of 8 bits has 256 values and a pair of them 65,536: the statistics come from two
    histograms, and normalising is looking up a table. That is exact, and faster than arithmetic
    on every pixel.

    Attributes:
        differences: (65536,) DiffNormalized value of a pair, at 256 * earlier + later.
        levels: (256,) Standardized value of a pixel.
        still: no pixel ever changes.
        moments: the statistics themselves, from which both tables follow.
    """

    differences: Float32Array
    levels: Float32Array
    still: bool
    moments: Moments

    @classmethod
    def fit(cls, frames: FrameArray) -> Normaliser:
        """One pass over frames (T, H, W, 3) uint8, in blocks."""
        pairs = np.zeros(LEVELS**2, np.int64)
        for start in range(0, len(frames) - 1, BLOCK):
            pairs += pair_counts(frames[start : start + BLOCK + 1])
        return cls.of_counts(pairs, frames[-1])

    @classmethod
    def of_counts(cls, pairs: NDArray[np.int64], last: FrameArray) -> Normaliser:
        """From how often each pair of values occurs, (65536,), and the last frame (H, W, 3)."""
        # All frames but the last are the earlier of a pair.
        counts = pairs.reshape(LEVELS, LEVELS).sum(axis=1)
        counts += np.bincount(np.asarray(last).ravel(), minlength=LEVELS)
        table = relative_differences()
        moments = Moments(
            *_moments(np.arange(LEVELS, dtype=np.float64), counts),
            difference_std=float(np.float32(_moments(table.astype(np.float64), pairs)[1])),
        )
        return cls(
            differences=table / np.float32(moments.divisor),
            levels=moments.levels(),
            still=not moments.difference_std > 0,
            moments=moments,
        )

    def diff_normalized(self, frames: FrameArray, start: int, stop: int) -> Float32Array:
        """Frames start..stop-1 of DiffNormalized data, (n, H, W, 3)."""
        out = np.zeros((stop - start, *frames.shape[1:]), np.float32)
        last = min(stop, len(frames) - 1)  # the video's last frame has no successor
        if last > start:
            np.take(self.differences, _pairs(frames[start : last + 1]), out=out[: last - start])
        return out

    def standardized(self, frames: FrameArray, start: int, stop: int) -> Float32Array:
        """Frames start..stop-1 of Standardized data, (n, H, W, 3)."""
        return np.take(self.levels, frames[start:stop])

    def input(
        self, frames: FrameArray, start: int, stop: int, data_types: Sequence[str]
    ) -> Float32Array:
        """Frames start..stop-1 of data of several types, channels concatenated: (n, H, W, 3 k).

        Raises:
            ConfigError: a type other than DiffNormalized, Standardized and Raw.
        """
        known = {
            "DiffNormalized": self.diff_normalized,
            "Standardized": self.standardized,
            "Raw": lambda frames, start, stop: frames[start:stop].astype(np.float32),
        }
        unknown = [kind for kind in data_types if kind not in known]
        if unknown:
            raise ConfigError(
                f"unknown DATA_TYPE {unknown[0]!r}",
                remedy="use DiffNormalized, Standardized or Raw.",
            )
        return np.concatenate([known[kind](frames, start, stop) for kind in data_types], axis=-1)

    def network_input(self, frames: FrameArray, start: int, stop: int) -> Float32Array:
        """(n, 6, H, W): DiffNormalized, then Standardized channels."""
        both = self.input(frames, start, stop, ("DiffNormalized", "Standardized"))
        return both.transpose(0, 3, 1, 2)


@cache
def relative_differences() -> Float32Array:
    """(65536,) (later - earlier) / (later + earlier + 1e-7) at 256 * earlier + later.

    Rounded to float32 before it is divided by its standard deviation and after, as the toolbox's
    arrays are.
    """
    earlier, later = np.mgrid[0:LEVELS, 0:LEVELS].astype(np.float64)
    return ((later - earlier) / (later + earlier + EPS)).astype(np.float32).ravel()


def _pairs(frames: FrameArray) -> NDArray[np.uint16]:
    """256 * earlier + later of every pixel: (T, ...) uint8 -> (T - 1, ...)."""
    return frames[:-1].astype(np.uint16) * np.uint16(LEVELS) + frames[1:]


def pair_counts(frames: FrameArray) -> NDArray[np.int64]:
    """How often each pair of values follows one another in frames (T, ...): (65536,)."""
    return np.bincount(_pairs(frames).ravel(), minlength=LEVELS**2)


def _moments(values: FloatArray, counts: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and population standard deviation of `values`, each as often as `counts` says."""
    total = max(1, int(counts.sum()))
    mean = float(values @ counts) / total
    return mean, float(np.sqrt((values - mean) ** 2 @ counts / total))


def make_input(frames: FrameArray, data_types: Sequence[str]) -> Float32Array:
    """Data of a whole video, channels concatenated in the order given: (T, H, W, 3 k).

    Raises:
        ConfigError: a type other than DiffNormalized, Standardized and Raw.
    """
    return Normaliser.fit(frames).input(frames, 0, len(frames), data_types)


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


def label_of(video: FaceVideo, label_type: str) -> FloatArray:
    """Labels (T,) of a video with ground truth.

    What follows its last frame counts, as in the toolbox: in the last difference, and in the scale.
    """
    assert video.bvp is not None
    whole = np.concatenate([video.bvp, video.bvp_after])
    return make_label(whole, label_type)[: len(video.bvp)]


def chunk_name(number: int) -> str:
    """What is appended to a recording's name where each of its chunks is scored by itself."""
    return f"#{number}"


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
