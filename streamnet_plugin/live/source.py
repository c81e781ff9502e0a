"""Frames with their times: from a camera, or from a file that plays at its own rate."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
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
JOIN_S = 5.0
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
        read_at: s, `time.perf_counter` when it arrived, or when that of a played file was due.
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
    logging = cv2.utils.logging
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # the error below says it better
    capture = cv2.VideoCapture(number)
    logging.setLogLevel(level)
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
    """Each shot at its own time, as a camera would give it.

    One that is read too late to be given in time was due all the same: a camera's would have been
    there, so that the delay is the machine's.
    """
    start: float | None = None
    for shot in shots:
        now = time.perf_counter()
        start = now - shot.time if start is None else start
        due = start + shot.time
        if stop.wait(max(0.0, due - now)):
            return
        yield replace(shot, read_at=due)


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
) -> Generator[Shot]:
    """The same, fetched in a thread of its own; what is not taken in time is lost, and counted.

    Ends when the shots end, when they raise (as they raised), or when `stop` is set.
    """
    waiting = _Waiting(size)
    thread = threading.Thread(target=waiting.fill, args=(shots, stop), daemon=True)
    thread.start()
    try:
        while not stop.is_set():
            shot = waiting.take(POLL_S)
            if shot is not None:
                yield shot
            elif waiting.over:
                return
    finally:
        stop.set()
        thread.join(JOIN_S)


class _Waiting:
    """Shots between two threads; the oldest makes room for the newest."""

    def __init__(self, size: int) -> None:
        self.size, self.over = size, False
        self._shots: deque[Shot] = deque()
        self._lost = 0
        self._error: Exception | None = None
        self._changed = threading.Condition()

    def fill(self, shots: Iterable[Shot], stop: threading.Event) -> None:
        error = None
        try:
            for shot in shots:
                if stop.is_set():
                    break
                self._put(shot)
        except Exception as caught:
            error = caught
        with self._changed:
            self.over, self._error = True, error
            self._changed.notify()

    def _put(self, shot: Shot) -> None:
        with self._changed:
            if len(self._shots) == self.size:
                self._lost += 1 + self._shots.popleft().lost
            self._shots.append(shot)
            self._changed.notify()

    def take(self, timeout: float) -> Shot | None:
        """The oldest, with what was lost before it; None where nothing came in `timeout` s.

        Raises what the shots raised, after the last of them.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._shots or self.over, timeout)
            if not self._shots:
                if self._error is not None:
                    raise self._error
                return None
            shot, lost, self._lost = self._shots.popleft(), self._lost, 0
        return replace(shot, lost=shot.lost + lost)
