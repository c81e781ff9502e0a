"""Frames with their times: from a camera, or from a file that plays at its own rate."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from streamnet_plugin.data.video import open_frames
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import FrameArray

QUEUED_FRAMES = 15
"""Half a second: what comes later than that is of no use to a display, and is dropped."""
POLL_S = 0.1
MAX_FAILED_READS = 50
"""A camera that fails so often in a row, for a second and more, is gone."""
FAILED_PAUSE_S = 0.02
GAP = 1.9
"""A frame is missing where two lie further apart than so many usual distances."""
USUAL = 31
"""The usual distance is the median of so many."""


@dataclass(frozen=True)
class Shot:
    """One frame.

    Attributes:
        frame: (H, W, 3) uint8 RGB.
        time: s, on the source's clock.
        read_at: s, `time.perf_counter` when it arrived.
        lost: frames lost between the one before and this one.
    """

    frame: FrameArray
    time: float
    read_at: float
    lost: int = 0


def open_camera(number: int, fps: float, stop: threading.Event) -> Iterator[Shot]:
    """The frames of a camera, as they come.

    Args:
        number: as OpenCV counts cameras. fps: Hz that is asked for; the camera may differ.
        stop: ends it.

    Raises:
        DataError: at once if there is no such camera; later if it gives no more frames.
    """
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        capture.release()
        raise DataError(
            f"there is no camera {number}, or another program uses it",
            remedy="plug it in, close the other program, try --camera 1, or give --video FILE.",
        )
    capture.set(cv2.CAP_PROP_FPS, fps)
    return _camera(capture, number, stop)


def _camera(capture: cv2.VideoCapture, number: int, stop: threading.Event) -> Iterator[Shot]:
    failed = 0
    try:
        while not stop.is_set():
            ok, image = capture.read()
            now = time.perf_counter()
            if ok and image is not None:
                failed = 0
                rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
                yield Shot(rgb, now, now)
                continue
            failed += 1
            if failed >= MAX_FAILED_READS:
                raise DataError(
                    f"camera {number} gives no frames", remedy="check its cable, and its driver."
                )
            stop.wait(FAILED_PAUSE_S)
    finally:
        capture.release()


def open_file(path: str | Path, fps: float | None = None) -> Iterator[Shot]:
    """The frames of a video file or a folder of images, as fast as they are asked for.

    Raises:
        DataError: at once if it cannot be read; later where it is damaged.
    """
    source = open_frames(path, fps)
    return (Shot(frame, t, time.perf_counter()) for t, frame in source)


def paced(shots: Iterable[Shot], stop: threading.Event) -> Iterator[Shot]:
    """Each shot at its own time, as a camera would give it."""
    start: float | None = None
    for shot in shots:
        now = time.perf_counter()
        start = now - shot.time if start is None else start
        if stop.wait(max(0.0, start + shot.time - now)):
            return
        yield replace(shot, read_at=time.perf_counter())


def counting_gaps(shots: Iterable[Shot]) -> Iterator[Shot]:
    """The same, with what their times say was lost before they came here."""
    steps: deque[float] = deque(maxlen=USUAL)
    before: float | None = None
    for shot in shots:
        step = 0.0 if before is None else shot.time - before
        if step > 0:
            usual = float(np.median(steps)) if steps else step
            missing = round(step / usual) - 1 if step > GAP * usual else 0
            steps.append(step)
            shot = replace(shot, lost=shot.lost + missing)
        before = shot.time
        yield shot


def beside(
    shots: Iterable[Shot], stop: threading.Event, size: int = QUEUED_FRAMES
) -> Iterator[Shot]:
    """The same, fetched in a thread of its own; what is not taken in time is lost, and counted.

    Ends when the shots end, when they raise (as they raised), or when `stop` is set.
    """
    waiting: queue.Queue[Shot | BaseException | None] = queue.Queue(size)
    thread = threading.Thread(target=_fetch, args=(shots, waiting, stop), daemon=True)
    thread.start()
    try:
        while not stop.is_set():
            try:
                shot = waiting.get(timeout=POLL_S)
            except queue.Empty:
                continue
            if shot is None:
                return
            if isinstance(shot, BaseException):
                raise shot
            yield shot
    finally:
        stop.set()
        thread.join(timeout=5)


def _fetch(
    shots: Iterable[Shot],
    waiting: queue.Queue[Shot | BaseException | None],
    stop: threading.Event,
) -> None:
    last: BaseException | None = None
    lost = 0
    try:
        for shot in shots:
            if stop.is_set():
                break
            try:
                waiting.put_nowait(replace(shot, lost=shot.lost + lost))
                lost = 0
            except queue.Full:
                lost += 1 + shot.lost
    except Exception as error:
        last = error
    _insist(lambda: waiting.put(last, timeout=POLL_S), stop)


def _insist(put: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            put()
        except queue.Full:
            continue
        return
