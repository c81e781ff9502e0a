"""Where the face is: OpenCV's Haar cascade, as rPPG-Toolbox uses it, or YuNet."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import cv2
import numpy as np

from streamnet_plugin.errors import DataError, NoFaceError, StreamnetError
from streamnet_plugin.types import FrameArray

log = logging.getLogger(__name__)
Box = tuple[int, int, int, int]


_of_thread = threading.local()
"""Holds a cascade of its own for every thread: one that several use at once finds wrong faces."""


def _cascade() -> cv2.CascadeClassifier:
    if not hasattr(_of_thread, "cascade"):
        _of_thread.cascade = _read_cascade()
    cascade: cv2.CascadeClassifier = _of_thread.cascade
    return cascade


def _read_cascade() -> cv2.CascadeClassifier:
    if not hasattr(cv2, "CascadeClassifier"):
        raise StreamnetError(
            f"OpenCV {cv2.__version__} has no Haar cascades",
            remedy='pip install "opencv-python>=4.8,<5".',
        )
    path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(str(path))
    if cascade.empty():
        raise StreamnetError("OpenCV's face cascade cannot be read", path=path)
    return cascade


def find_faces(frame: FrameArray, neighbours: int = 3) -> list[Box]:
    """All faces (x, y, w, h) the Haar cascade sees in an RGB frame, the largest first.

    With more `neighbours`, detections that must agree on a face, fewer are false and more missed.
    """
    boxes = _cascade().detectMultiScale(frame, minNeighbors=neighbours)
    return sorted((tuple(int(v) for v in b) for b in boxes), key=lambda b: -b[2])  # type: ignore[misc]


def largest_face(frame: FrameArray, neighbours: int = 3) -> Box:
    """The largest of `find_faces`; `NoFaceError` if there is none."""
    faces = find_faces(frame, neighbours)
    if not faces:
        raise NoFaceError(
            "no face in the frame", remedy="show the face frontally, well lit, 1-2 m away."
        )
    if len(faces) > 1:
        log.warning("%d faces found; the largest is used", len(faces))
    return faces[0]


def enlarged(box: Box, coefficient: float) -> Box:
    """The box grown about its centre, its corner clipped at 0, as rPPG-Toolbox grows it.

    The size grows by the whole coefficient even where the corner is clipped; cropping cuts what
    lies outside the frame.
    """
    x, y, w, h = box
    grow = (coefficient - 1) / 2
    return (
        max(0, int(x - grow * w)),
        max(0, int(y - grow * h)),
        int(coefficient * w),
        int(coefficient * h),
    )


def crop(frame: FrameArray, box: Box) -> FrameArray:
    """The part of the frame inside the box and the frame; `DataError` if that is nothing."""
    x, y, w, h = box
    part = frame[y : min(y + h, frame.shape[0]), x : min(x + w, frame.shape[1])]
    if part.size == 0:
        raise DataError(f"the face box {box} lies outside the frame of {frame.shape[1::-1]} px")
    return part


def overlap(a: Box, b: Box) -> float:
    """Intersection of two boxes over the smaller one's area, 0..1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min(a[2] * a[3], b[2] * b[3])


def alike(a: Box, b: Box) -> float:
    """Intersection of two boxes over their union, 0..1: 1 only for the same place and size."""
    smaller, larger = sorted((a[2] * a[3], b[2] * b[3]))
    common = overlap(a, b) * smaller
    return common / (smaller + larger - common)


def median_box(boxes: list[Box]) -> Box:
    """The median of each coordinate."""
    x, y, w, h = np.median(np.array(boxes), axis=0).astype(int)
    return int(x), int(y), int(w), int(h)
