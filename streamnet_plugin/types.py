"""The small, immutable things that travel between the parts of the harness."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
FrameArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Recording:
    """One video with its labels as they lie on disk, not yet decoded.

    Attributes:
        dataset: "UBFC-rPPG", "PURE" or "video" (a user's own file, maybe without labels).
        id: unique within the dataset, e.g. "subject1" or "01-02".
        subject: the person, e.g. "subject1" or "01"; splits and statistics group by it.
        path: the video file, or the folder of its images.
        label_path: the ground-truth file, None if there is none.
        groups: what is known of the recording, e.g. {"setup": "steady"}.
        subject_assumed: nobody said who it shows; it stands for a subject of its own.
    """

    dataset: str
    id: str
    subject: str
    path: Path
    label_path: Path | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    subject_assumed: bool = False


@dataclass(frozen=True)
class BvpTrace:
    """A ground-truth blood volume pulse with its own clock.

    Attributes:
        t: (N,) s, strictly increasing, on the clock of the video's frames.
        bvp: (N,) arbitrary units.
        hr: (N,) bpm as the contact sensor reported it, None if it did not.
    """

    t: FloatArray
    bvp: FloatArray
    hr: FloatArray | None = None


@dataclass(frozen=True)
class FaceVideo:
    """The face crop of one recording at a constant frame rate.

    Attributes:
        recording: where it comes from.
        frames: (T, H, W, 3) uint8 RGB; usually a read-only memory map.
        fs: frame rate in Hz.
        bvp: (T,) ground-truth BVP at the frames, None without labels.
        bvp_after: values of the BVP that follow the last frame, where the file has one per frame
            and some more: the last frame's difference is to the first of them.
        face_box: (x, y, w, h) of the crop in the source frame, px.
        fingerprint: identifies what it holds, frames and labels, wherever they lie.
        notes: what a reader of its results should know, e.g. that the face was often out of view.
    """

    recording: Recording
    frames: FrameArray
    fs: float
    bvp: FloatArray | None
    face_box: tuple[int, int, int, int]
    fingerprint: str
    notes: tuple[str, ...] = ()
    bvp_after: FloatArray = field(default_factory=lambda: np.empty(0))

    @cached_property
    def rgb(self) -> FloatArray:
        """(T, 3) mean RGB of each frame."""
        # Frame by frame in blocks, so that a long memory map is never copied whole.
        blocks = np.array_split(self.frames, max(1, len(self.frames) // 256))
        return np.concatenate([b.mean(axis=(1, 2), dtype=np.float64) for b in blocks])


@dataclass(frozen=True)
class Prediction:
    """What a method read from a face video.

    Attributes:
        bvp: (T,) the BVP, or its normalised first difference if `differential`.
        differential: True for networks trained on difference-normalised labels;
            evaluation integrates (cumulative sum) before anything else.
        samples: (S, T) Monte Carlo samples of the same quantity, None if deterministic.
        covered: the method read only so many frames from the start; the values behind them are
            filler that is not scored. None where it read all.
        inverted: what defines the method, e.g. rPPG-Toolbox, has its waveform upside down.
            Peak detection, which alone can tell, then counts the other side's peaks.
    """

    bvp: FloatArray
    differential: bool = False
    samples: FloatArray | None = None
    covered: int | None = None
    inverted: bool = False


@runtime_checkable
class Method(Protocol):
    """Anything that maps a face video to a BVP waveform: classical or a network."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def predict(self, video: FaceVideo) -> Prediction:
        """Read the pulse from a video; raises `StreamnetError` where it cannot."""
        ...


@runtime_checkable
class MethodFamily(Protocol):
    """Methods of an optional package, under a common prefix; light to import."""

    @property
    def install(self) -> str:
        """What to do to have them, e.g. 'pip install "streamnet-rppg[open-rppg]"'."""
        ...

    def names(self) -> Sequence[str]:
        """Names without the prefix; none where the package is not installed."""
        ...

    @property
    def make(self) -> Callable[..., Method]:
        """(name, **options) -> method; loads what it needs."""
        ...
