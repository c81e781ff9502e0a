"""Crops in, a waveform out: each kind of method in its cheapest way."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from streamnet_plugin.classical.method import ClassicalMethod
from streamnet_plugin.live.ring import Ring
from streamnet_plugin.types import FaceVideo, FloatArray, FrameArray, Method, Prediction, Recording


class Reader(Protocol):
    """Reads one stretch of crops at a constant rate.

    A method that can do better than being asked for a whole window again and again has
    `stream(frames) -> Reader`, for windows of at most so many frames.
    """

    @property
    def ready(self) -> int:
        """How many frames from the start have a value."""
        ...

    def push(self, crop: FrameArray, rgb: FloatArray) -> None:
        """The next crop (H, W, 3) uint8 RGB and its mean colour (3,)."""
        ...

    def read(self, n: int) -> Prediction:
        """The waveform of the last `n` ready frames; `NoResultError` where there is none."""
        ...


class ColourReader:
    """A classical method: nothing but the mean colours is kept.

    Args:
        method: reads colour traces.
        frames: of the longest window.
        fs: Hz.
    """

    def __init__(self, method: ClassicalMethod, frames: int, fs: float) -> None:
        self.method, self.fs = method, fs
        self._rgb = Ring(frames, (3,))

    @property
    def ready(self) -> int:
        return self._rgb.count

    def push(self, crop: FrameArray, rgb: FloatArray) -> None:
        self._rgb.append(rgb)

    def read(self, n: int) -> Prediction:
        rgb = self._rgb.view(self.ready - n, self.ready)
        return self.method.from_rgb(rgb.astype(self.method.precision), self.fs)


class WindowReader:
    """Any method: it reads the whole window each time it is asked.

    Args:
        method: any.
        frames: of the longest window.
        fs: Hz.
        px: width and height of the crops.
    """

    def __init__(self, method: Method, frames: int, fs: float, px: int) -> None:
        self.method, self.fs = method, fs
        self._crops = Ring(frames, (px, px, 3), np.uint8)

    @property
    def ready(self) -> int:
        return self._crops.count

    def push(self, crop: FrameArray, rgb: FloatArray) -> None:
        self._crops.append(crop)

    def read(self, n: int) -> Prediction:
        frames = self._crops.view(self.ready - n, self.ready)
        height, width = frames.shape[1:3]
        recording = Recording("live", "live", "live", Path("live"))
        video = FaceVideo(recording, frames, self.fs, None, (0, 0, width, height), "live")
        return self.method.predict(video)


def reader_for(method: Method, frames: int, fs: float, px: int) -> Reader:
    """A new reader for windows of at most so many frames of `px` x `px` at `fs` Hz."""
    stream: Any = getattr(method, "stream", None)
    if stream is not None:
        reader: Reader = stream(frames)
        return reader
    if isinstance(method, ClassicalMethod):
        return ColourReader(method, frames, fs)
    return WindowReader(method, frames, fs, px)
