"""Frames of any video OpenCV decodes, or of a folder of images, one at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.pure import image_times
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import FrameArray, Recording
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
SANE_FS = (5.0, 300.0)
"""Frame rates outside are a container's fault, not a camera's."""
TEXT = cv2.VideoWriter.fourcc(*"ansi")
"""FFmpeg draws text files, as a terminal would, and calls that a video."""
MISSING_FRAMES_TOLERATED = 2
"""Containers miscount by a frame or two; more is a truncated file."""


@dataclass(frozen=True)
class FrameSource:
    """What can be known of a video before it is decoded.

    Attributes:
        path: file or folder of images.
        fs: nominal frame rate in Hz.
        n_frames: as the container says, None if it does not.
        images: the files, if it is a folder.
        stated: `fs` was given by the user: the file's own clock is not believed.
    """

    path: Path
    fs: float
    n_frames: int | None
    images: tuple[Path, ...] = ()
    stated: bool = False

    def __iter__(self) -> Iterator[tuple[float, FrameArray]]:
        """Time in s and frame (H, W, 3) uint8 RGB; `DataError` for a damaged frame or file."""
        return _read_images(self) if self.images else _read_video(self)


def find_videos(path: str | Path) -> list[Recording]:
    """A video file, a folder of images, or a folder of videos, as recordings without labels.

    Raises:
        DataError: nothing there, or nothing that could be a video.
    """
    path = Path(path)
    if not path.exists():
        raise DataError("there is no such file or folder", path=path, remedy="correct the path.")
    if path.is_file() or _images(path):
        return [Recording("video", path.stem, path.stem, path)]
    files = sorted(
        (p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES),
        key=lambda p: natural_key(p.name),
    )
    if not files:
        raise DataError(
            "the folder holds neither videos nor images",
            path=path,
            remedy=f"supported are {', '.join(VIDEO_SUFFIXES + IMAGE_SUFFIXES)}.",
        )
    return [Recording("video", p.name, p.name, p) for p in files]


def open_frames(
    path: str | Path, fps: float | None = None, assumed: float | None = None
) -> FrameSource:
    """Look at a video without decoding it.

    Args:
        path: video file or folder of images.
        fps: frame rate in Hz where the file does not say it, or says it wrong.
        assumed: the rate of images whose names do not say it.

    Raises:
        DataError: missing, empty, not a video, or no sane frame rate.
    """
    path = Path(path)
    if path.is_dir():
        return _open_images(path, fps, assumed)
    if not path.is_file():
        raise DataError("the video is missing", path=path, remedy="download or copy it again.")
    if path.stat().st_size == 0:
        raise DataError("the video is empty (0 bytes)", path=path, remedy="copy it again.")
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened() or int(capture.get(cv2.CAP_PROP_FOURCC)) == TEXT:
            raise DataError(
                "this cannot be decoded as a video", path=path, remedy="copy or convert it again."
            )
        fs = fps or float(capture.get(cv2.CAP_PROP_FPS))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    return FrameSource(path, _sane(fs, path), count if count > 0 else None, stated=fps is not None)


def _open_images(path: Path, fps: float | None, assumed: float | None) -> FrameSource:
    images = _images(path)
    if not images:
        raise DataError("the folder holds no images", path=path, remedy="unpack it again.")
    times, stated = image_times([p.name for p in images]), fps is not None
    if fps is None and times is not None and len(times) > 1:
        fps = (len(times) - 1) / float(times[-1]) if times[-1] > 0 else 0.0
    fps = assumed if fps is None else fps
    if fps is None:
        raise DataError(
            "a folder of images does not say its frame rate",
            path=path,
            remedy="name them Image<nanoseconds>.png, or use `streamnet predict --fps 30`.",
        )
    return FrameSource(path, _sane(fps, path), len(images), tuple(images), stated)


def _images(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    found = [p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    return sorted(found, key=lambda p: natural_key(p.name))


def _sane(fs: float, path: Path) -> float:
    if not np.isfinite(fs) or not SANE_FS[0] <= fs <= SANE_FS[1]:
        raise DataError(
            f"the file gives a frame rate of {fs:g} Hz, which no camera has",
            path=path,
            remedy="write the true one into the file, e.g. by converting it with ffmpeg -r 30 -i; "
            "`streamnet predict --fps 30` overrides it.",
        )
    return fs


def _read_images(source: FrameSource) -> Iterator[tuple[float, FrameArray]]:
    times = None if source.stated else image_times([p.name for p in source.images])
    for i, path in enumerate(source.images):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.stat().st_size else None
        if image is None:
            raise DataError(
                f"image {i + 1} of {len(source.images)} is damaged or empty",
                path=path,
                remedy="unpack it again, or remove this recording.",
            )
        yield float(times[i]) if times is not None else i / source.fs, _as_rgb(image, path)


def _read_video(source: FrameSource) -> Iterator[tuple[float, FrameArray]]:
    capture = cv2.VideoCapture(str(source.path))
    decoded = 0
    try:
        while True:
            ok, image = capture.read()
            if not ok:
                break
            stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            nominal = decoded / source.fs
            decoded += 1
            # Some containers give no clock at all: every stamp is 0.
            clocked = not source.stated and (stamp > 0 or decoded == 1)
            yield stamp if clocked else nominal, _as_rgb(image, source.path)
    finally:
        capture.release()
    missing = (source.n_frames or decoded) - decoded
    if missing > MISSING_FRAMES_TOLERATED:
        raise DataError(
            f"the video is truncated: its header says {count(source.n_frames or 0, 'frame')}, "
            f"{decoded} could be decoded",
            path=source.path,
            remedy="copy it again, or remove this recording.",
        )
    if missing > 0:
        log.info("%s: %d frames fewer than its header says", source.path, missing)


def _as_rgb(image: np.ndarray, path: Path) -> FrameArray:
    """8-bit RGB of a grayscale, BGR or BGRA image; a gray image becomes three equal channels."""
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise DataError(f"images of type {image.dtype} are not supported", path=path)
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
    code = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(image, code).astype(np.uint8, copy=False)
