"""What a person sees: lines, a page in the terminal, or a window."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Protocol

import cv2
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from streamnet_plugin.data.face import Box
from streamnet_plugin.errors import StreamnetError
from streamnet_plugin.live.session import MEASURING, Update
from streamnet_plugin.types import FloatArray, FrameArray
from streamnet_plugin.uncertainty.abstention import MIN_WINDOW_S

BLOCKS = " ▁▂▃▄▅▆▇█"
WAVE_ROWS = 6
WAVE_RANGE = 2.5
"""Standard deviations of the waveform from the middle to the edge."""
TITLE = "streamnet live"
GREEN, RED, GRAY = (0, 200, 0), (0, 0, 220), (160, 160, 160)  # OpenCV's BGR
STRIP_PX = 120
QUIT_KEYS = (ord("q"), 27)
SCREEN_S = 15.0
"""A screen far away takes a second or two."""
CANNOT_SHOW = 3
TRY_WINDOW = f"""
import sys, cv2
try:
    cv2.namedWindow({TITLE!r})
except cv2.error as error:
    print(error, file=sys.stderr)
    sys.exit({CANNOT_SHOW})
"""


class View(Protocol):
    """Shows frames and updates; a context manager."""

    def __enter__(self) -> View: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def frame(self, frame: FrameArray, box: Box | None) -> bool:
        """Every frame (H, W, 3) RGB with the face's box; False once the person wants to stop."""
        ...

    def update(self, update: Update) -> None: ...


class Lines:
    """One plain line per update, for pipes and logs; `say` prints it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def frame(self, frame: FrameArray, box: Box | None) -> bool:
        return True

    def update(self, update: Update) -> None:
        self.say(f"{update.time_s:7.1f} s  {headline(update)}  [{footer(update)}]")


class Terminal(Lines):
    """A page that is drawn anew with each update; one that was closed shows nothing."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Terminal:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def update(self, update: Update) -> None:
        colour = "green" if update.trusted else "yellow"
        wave = waveform_rows(update.bvp, max(10, self.console.width - 6), WAVE_ROWS)
        page = Panel(
            Group(
                Text(headline(update), style=f"bold {colour}"),
                *(Text(row, style=colour, no_wrap=True) for row in wave),
                Text(f"{update.time_s:.0f} s, {footer(update)}", style="dim"),
            ),
            title=TITLE,
            subtitle="Ctrl-C ends it. For research; not a medical device.",
        )
        with suppress(OSError):
            self._live.update(page, refresh=True)


class Window(Lines):
    """The picture with the face's box, the heart rate and the waveform, by OpenCV.

    Raises:
        StreamnetError: no window can be opened.
    """

    def __init__(self) -> None:
        # In a process of its own: Qt aborts it where no screen answers.
        try:
            tried = subprocess.run(
                [sys.executable, "-c", TRY_WINDOW], capture_output=True, text=True, timeout=SCREEN_S
            )
        except subprocess.TimeoutExpired as error:
            raise _no_screen(f"it does not answer in {SCREEN_S:.0f} s") from error
        if tried.returncode == CANNOT_SHOW:
            raise _cannot_show(tried.stderr.strip())
        if tried.returncode:
            raise _no_screen(next(iter(tried.stderr.splitlines()), "its window system fails"))
        self._update: Update | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        cv2.destroyAllWindows()

    def frame(self, frame: FrameArray, box: Box | None) -> bool:
        try:
            cv2.imshow(TITLE, picture(frame, box, self._update))
        except cv2.error as error:
            raise _cannot_show(str(error)) from error
        return cv2.waitKey(1) & 0xFF not in QUIT_KEYS

    def update(self, update: Update) -> None:
        self._update = update


def _no_screen(why: str) -> StreamnetError:
    return StreamnetError(
        f"there is no screen for --show: {why}",
        remedy="leave --show out, or have DISPLAY name a screen.",
    )


def _cannot_show(why: str) -> StreamnetError:
    return StreamnetError(
        f"OpenCV cannot open a window: {why}",
        remedy="install opencv-python instead of its headless build, or leave --show out.",
    )


def headline(update: Update) -> str:
    """The heart rate with its interval, or why there is none."""
    if update.hr_bpm is None:
        if update.reason == MEASURING:
            return f"measuring: {update.window_s:.1f} of at least {MIN_WINDOW_S:g} s"
        return f"no heart rate: {update.reason}"
    spread = f"{update.hr_bpm:.1f} bpm, {_uncertainty(update)}"
    if update.trusted:
        return f"HR {spread}"
    return f"withheld, {update.reason} (it would be {spread})"


def _uncertainty(update: Update) -> str:
    if update.interval is not None:
        return "90 % interval {:.1f}-{:.1f} bpm".format(*update.interval)
    spread = f"spread {update.spread_bpm:.1f} bpm"
    if update.half_width_bpm is not None:
        return f"{spread}, 90 % interval unknown (too few subjects in the calibrator)"
    return f"{spread}, no interval"


def footer(update: Update) -> str:
    """How the work goes."""
    fps = update.handled_fps if math.isfinite(update.handled_fps) else update.fps
    parts = [f"window {update.window_s:.1f} s", f"{fps:.1f} fps"]
    if math.isfinite(update.latency_s):
        parts.append(f"latency {1000 * update.latency_s:.0f} ms")
    parts.append(f"{update.lost} lost")
    return ", ".join((*parts, *update.notes))


def waveform_rows(x: FloatArray, width: int, rows: int) -> list[str]:
    """`x` (T,), unit variance, as `rows` lines of `width` block characters; the newest is right.

    >>> waveform_rows(np.array([-2.5, 0.0, 2.5]), 3, 1)
    ['▁▄█']
    """
    level = np.zeros(width)
    if len(x) > width:
        x = np.interp(np.linspace(0, len(x) - 1, width), np.arange(len(x)), x)
    if len(x):
        height = (np.clip(x / WAVE_RANGE, -1, 1) + 1) / 2  # 0..1
        level[width - len(x) :] = np.maximum(1, np.round(height * rows * 8 - 1e-9))
    lines = []
    for row in reversed(range(rows)):
        lines.append("".join(BLOCKS[int(k)] for k in np.clip(level - 8 * row, 0, 8)))
    return lines


def picture(frame: FrameArray, box: Box | None, update: Update | None) -> FrameArray:
    """What the window shows: BGR (H + `STRIP_PX`, W, 3)."""
    height, width = frame.shape[:2]
    out = np.zeros((height + STRIP_PX, width, 3), np.uint8)
    out[:height] = frame[..., ::-1]
    colour = GREEN if update is not None and update.trusted else RED
    if box is not None:
        x, y, w, h = box
        cv2.rectangle(out, (x, y), (x + w, y + h), colour, 2)
    if update is None:
        return out
    for line, (text, shade) in enumerate(((headline(update), colour), (footer(update), GRAY))):
        at = (8, height + 18 + 18 * line)
        cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, 1, cv2.LINE_AA)
    if len(update.bvp) > 1:
        x_px = np.linspace(0, width - 1, len(update.bvp))
        middle, half = height + 80, 36
        y_px = middle - half * np.clip(update.bvp / WAVE_RANGE, -1, 1)
        points = np.stack([x_px, y_px], axis=1).round().astype(np.int32)
        cv2.polylines(out, [points], False, colour, 1, cv2.LINE_AA)
    return out
