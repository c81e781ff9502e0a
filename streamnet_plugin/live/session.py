"""The engine: a frame and its time in, an update of the heart rate out, every second.

No clock, no camera and no screen: what comes out depends on what was pushed alone (and on when the
detector's executor answers).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from streamnet_plugin.data.face import Box, crop
from streamnet_plugin.data.preprocess import PreprocessSettings
from streamnet_plugin.errors import ConfigError, NoResultError
from streamnet_plugin.evaluation.conventions import Convention
from streamnet_plugin.evaluation.windows import clean_waveform, mc_heart_rate
from streamnet_plugin.live.clock import Rate, Resampler
from streamnet_plugin.live.readers import Reader
from streamnet_plugin.live.ring import Ring
from streamnet_plugin.live.tracker import AtOnce, FaceTracker
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.types import FloatArray, FrameArray, Prediction
from streamnet_plugin.uncertainty.abstention import MIN_WINDOW_S
from streamnet_plugin.uncertainty.conformal import Calibrator, finite_interval
from streamnet_plugin.uncertainty.window import window_signs

UPDATE_S = 1.0
PATIENCE_S = 0.5
"""An update waits so long for the segment that is being filled."""
MAX_GAP_S = 0.5
"""What comes after a longer gap between frames is a new stretch: a beat may be missing."""
MAX_WINDOW_S = 60.0
LOW_RATE = 0.8
"""A camera slower than this share of the methods' rate is told of."""
INTERVAL = 0.9
"""Nominal coverage of the interval that a calibrator gives."""

NO_FACE = "no face"
FACE_UNSEEN = "the face is not seen"
MEASURING = "measuring"
FEW_FRAMES = "too few frames per second"


@dataclass(frozen=True)
class Reading:
    """What one window says.

    Attributes:
        hr_bpm: refined spectral peak. spread_bpm: its uncalibrated spread.
        withheld: why it is not to be trusted by `abstention.doubt`; empty where it is.
        bvp: (T,) clean, unit variance.
    """

    hr_bpm: float
    spread_bpm: float
    withheld: str
    bvp: FloatArray


@dataclass(frozen=True)
class Update:
    """What is known at one moment.

    Attributes:
        time_s: of the newest frame, since the first one.
        window_s: how much of the present stretch was read, at most the window asked for.
        reason: why there is no heart rate, or why it is not to be trusted; empty where it is.
        fps: frames per second by their own clock, those that were lost left out.
        lost: frames lost so far.
        hr_bpm, spread_bpm: None where nothing could be read.
        half_width_bpm: of the interval; infinite where too few subjects calibrate it, None without
            a calibrator, without HR, and before the window is full: it was calibrated on full ones.
        hr_range: the HR band that is looked at, bpm, with which the interval ends.
        bvp: (T,) waveform of the window at the methods' rate, empty without HR.
        notes: what else to know.
        handled_fps: frames per second by the clock of the machine that handles them, NaN where
            nobody measures it: below `fps` where it does not keep up.
        latency_s: from when the newest frame came, or was due, until the update was shown and
            written; NaN where nobody measures it, or not yet. A screen shows that of the update
            before, a CSV file that until its row is written.
    """

    time_s: float
    window_s: float
    reason: str
    fps: float
    lost: int
    hr_bpm: float | None = None
    spread_bpm: float | None = None
    half_width_bpm: float | None = None
    bvp: FloatArray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    notes: tuple[str, ...] = ()
    latency_s: float = float("nan")
    handled_fps: float = float("nan")
    hr_range: tuple[float, float] | None = None

    @property
    def trusted(self) -> bool:
        return self.hr_bpm is not None and not self.reason

    @property
    def interval(self) -> tuple[float, float] | None:
        """bpm; None without an interval, or with an infinite one."""
        return finite_interval(self.hr_bpm, self.half_width_bpm, self.hr_range)


def measure(prediction: Prediction, rgb: FloatArray, fs: float, convention: Convention) -> Reading:
    """HR, spread and doubts of one window, as the benchmark has them.

    Args:
        prediction: (T,) of the window. rgb: (T, 3) mean colours. fs: Hz.

    Raises:
        NoResultError: there is no heart rate in it.
    """
    band = convention.band
    bvp = clean_waveform(
        "waveform", prediction.bvp[: prediction.covered], fs, band, prediction.differential
    )
    hr = refined_hr(bvp, fs, band)
    if not np.isfinite(hr):
        raise NoResultError("the waveform has no spectral peak")
    mc = None
    if prediction.samples is not None:
        mc = mc_heart_rate(prediction.samples, fs, convention, prediction.differential)
    signs = window_signs(bvp, fs, hr, band, mc_sd_bpm=mc.std if mc else None, rgb=rgb)
    return Reading(
        hr_bpm=hr,
        spread_bpm=signs.spread_bpm,
        withheld=signs.withheld,
        bvp=bvp / bvp.std(),
    )


class Session:
    """Follows a face and reads its pulse.

    Args:
        new_reader: makes the reader of a new stretch, for windows of so many frames at `fs` Hz.
        px: width and height of the crops.
        fs: the methods' rate, Hz.
        convention: names the HR band.
        window_s: length of the window that is read, s.
        calibrator: gives the interval.
        executor: does the face detector's work; None does it at once.

    Raises:
        ConfigError: a window in which no pulse can be told from noise, or one too long to hold.
    """

    def __init__(
        self,
        new_reader: Callable[[int], Reader],
        px: int,
        fs: float,
        convention: Convention,
        window_s: float = 10.0,
        calibrator: Calibrator | None = None,
        executor: Executor | None = None,
    ) -> None:
        if not MIN_WINDOW_S <= window_s <= MAX_WINDOW_S:
            raise ConfigError(
                f"a window of {window_s:g} s",
                remedy=f"use {MIN_WINDOW_S:g} to {MAX_WINDOW_S:g} s.",
            )
        self.new_reader, self.px, self.fs, self.convention = new_reader, px, fs, convention
        self.frames, self.calibrator = round(window_s * fs), calibrator
        self.tracker = FaceTracker(executor or AtOnce(), PreprocessSettings().box_coefficient)
        self.lost = 0
        self._rate = Rate()
        self._shape: tuple[int, ...] = ()
        self._start, self._time, self._due = 0.0, float("-inf"), 0.0
        self._stretch: _Stretch | None = None
        self._news: list[str] = []

    def push(self, frame: FrameArray, time: float, lost: int = 0) -> Update | None:
        """The next frame; an update if one is due.

        Args:
            frame: (H, W, 3) uint8 RGB.
            time: s, on any clock. A frame that is not later than the one before is lost.
            lost: frames known to be lost just before this one.
        """
        self.lost += lost
        if time <= self._time:
            self.lost += 1
            return None
        if self._time == float("-inf"):
            self._start, self._due = time, time + UPDATE_S
        if frame.shape != self._shape:
            self._shape = frame.shape
            self.tracker.forget()
        gap, self._time = time - self._time, time
        self._rate.push(time)
        fresh = self._follow(frame, time, self.tracker.see(frame, time), gap)
        if time < self._due or not (fresh or time >= self._due + PATIENCE_S):
            return None
        self._due += UPDATE_S
        if self._due <= time:  # after a gap, or below one frame per second
            self._due = time + UPDATE_S
        return self._update()

    def _follow(self, frame: FrameArray, time: float, box: Box | None, gap: float) -> bool:
        """Feed the stretch; whether there is something new to say."""
        if box is None:
            self._stretch = None
            return True
        number = self.tracker.stretch
        if self._stretch is not None and gap > MAX_GAP_S:
            self._news.append(f"started anew after {gap:.1f} s without a frame")
            self._stretch = None
        elif self._stretch is not None and self._stretch.number != number:
            self._news.append("started anew, the face has moved")
            self._stretch = None
        if self._stretch is None:
            self._stretch = _Stretch(number, self.new_reader(self.frames), self.frames, self.fs)
        size = (self.px, self.px)
        face = cv2.resize(crop(frame, box), size, interpolation=cv2.INTER_AREA)
        return self._stretch.push(time, face.astype(np.uint8, copy=False))

    def _update(self) -> Update:
        fps, stretch = self._rate.hz, self._stretch
        ready = 0 if stretch is None else min(stretch.reader.ready, self.frames)
        if fps < LOW_RATE * self.fs:
            self._news.insert(0, f"low frame rate: {fps:.1f} per second")
        notes, self._news = tuple(dict.fromkeys(self._news)), []
        update = Update(self._time - self._start, ready / self.fs, "", fps, self.lost, notes=notes)
        if stretch is None:
            return replace(update, reason=NO_FACE)
        if update.window_s < MIN_WINDOW_S:
            return replace(update, reason=MEASURING if self.tracker.seen else FACE_UNSEEN)
        if not fps > 2 * self.convention.high_hz:  # the band's upper end could not be seen
            return replace(update, reason=FEW_FRAMES)
        try:
            read = stretch.read(ready, self.convention)
        except NoResultError as error:
            return replace(update, reason=error.what)
        half = None
        if self.calibrator is not None and ready == self.frames:
            half = self.calibrator.half_width(read.spread_bpm, INTERVAL)
        return replace(
            update,
            hr_bpm=read.hr_bpm,
            spread_bpm=read.spread_bpm,
            half_width_bpm=half,
            hr_range=self.convention.hr_range,
            reason=read.withheld if self.tracker.seen else FACE_UNSEEN,
            bvp=read.bvp,
        )


class _Stretch:
    """Frames of one box without a gap."""

    def __init__(self, number: int, reader: Reader, frames: int, fs: float) -> None:
        self.number, self.reader, self.fs = number, reader, fs
        self._grid: Resampler[FrameArray] = Resampler(fs)
        self._rgb = Ring(frames, (3,))  # of the frames that are ready, as many as the reader has
        self._ahead: deque[FloatArray] = deque()  # the reader lags behind by a segment, maybe long

    def push(self, time: float, crop_: FrameArray) -> bool:
        """Whether more is ready than before."""
        before = self._rgb.count
        for face in self._grid.push(time, crop_):
            rgb = face.mean(axis=(0, 1), dtype=np.float64)
            self._ahead.append(rgb)
            self.reader.push(face, rgb)
            while self._rgb.count < self.reader.ready:
                self._rgb.append(self._ahead.popleft())
        return self._rgb.count > before

    def read(self, n: int, convention: Convention) -> Reading:
        end = self.reader.ready
        return measure(self.reader.read(n), self._rgb.view(end - n, end), self.fs, convention)
