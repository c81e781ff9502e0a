"""The loop around the engine: from a camera or a file to a screen and a CSV file."""

from __future__ import annotations

import signal
import threading
import time
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from streamnet_plugin.errors import ConfigError, DataError, NoFaceError, NoResultError
from streamnet_plugin.evaluation.conventions import Convention, get_convention
from streamnet_plugin.live.clock import Rate, per_second
from streamnet_plugin.live.readers import reader_for
from streamnet_plugin.live.record import Recorder
from streamnet_plugin.live.session import Session, Update
from streamnet_plugin.live.source import (
    Shot,
    beside,
    counting_gaps,
    open_camera,
    open_file,
    paced,
)
from streamnet_plugin.live.tracker import AtOnce
from streamnet_plugin.live.view import View
from streamnet_plugin.prediction import CROP_PX, FS, engine_options
from streamnet_plugin.registry import get_method, takes_option
from streamnet_plugin.types import FloatArray, Method
from streamnet_plugin.uncertainty.abstention import MIN_WINDOW_S
from streamnet_plugin.uncertainty.calibration import CalibratorFile, check_fits, load_calibrators
from streamnet_plugin.uncertainty.conformal import Calibrator
from streamnet_plugin.wording import count

LIVE_SAMPLES = 8
"""Monte Carlo samples where a calibrator needs some: what two cores draw while the frames come."""
TOO_MANY_LOST = 0.5
"""Where nothing could be read and more than this share of the frames was lost, that is why."""
CSV_NAME = "streamnet-live.csv"
NAMED_REASONS = 5
"""For no heart rate; what more there are say nothing new."""
HANG_UP = getattr(signal, "SIGHUP", None)
STOPPING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP")
                 if hasattr(signal, name))  # fmt: skip
"""Windows has no SIGHUP, which tells of a terminal that was closed."""


@dataclass(frozen=True)
class LiveSettings:
    """What to read, and how.

    Attributes:
        video: a file or folder of images; None takes the camera.
        camera: its number.
        method: any registered one.
        window_s: length of the window that is read, s.
        duration_s: stop after so many seconds; None goes on.
        fast: a file is read as fast as it can be, and no frame is dropped.
        fps: a file's frame rate where it does not say it.
        weights: a network's weights; None for the shipped ones.
        mc_samples: Monte Carlo samples; None takes `LIVE_SAMPLES` where the calibrator was made
            with samples, and none otherwise.
        calibrator: a file of `streamnet calibrate`.
        output: the CSV file; one that is there already is kept.
        seed: of the samples.
        engine, precision: of a network, see `STREAMNetMethod`; None for its defaults.
    """

    video: Path | None = None
    camera: int = 0
    method: str = "STREAMNet"
    window_s: float = 10.0
    duration_s: float | None = None
    fast: bool = False
    fps: float | None = None
    weights: Path | None = None
    mc_samples: int | None = None
    calibrator: Path | None = None
    output: Path = Path(CSV_NAME)
    seed: int = 0
    engine: str | None = None
    precision: str | None = None


@dataclass(frozen=True)
class LiveSummary:
    """What came of it.

    Attributes:
        csv: the file with all updates.
        method: who read.
        seconds, frames, lost: of the stream.
        handled_fps: frames per second, from when the first was due until the last was handled.
        updates: how many. withheld: of these, with a heart rate that is not to be trusted.
        trusted_bpm: heart rates of the others that have one.
        latency_s: of all updates, see `Update`.
        reasons: why there was none, the first `NAMED_REASONS`.
        interrupted: by a signal, or from the window.
        signal: which one came, e.g. `signal.SIGINT` of Ctrl-C; 0 for none.
    """

    csv: Path
    method: str
    seconds: float
    frames: int
    lost: int
    handled_fps: float
    updates: int
    withheld: int
    trusted_bpm: FloatArray
    latency_s: FloatArray
    reasons: tuple[str, ...]
    interrupted: bool
    signal: int

    @property
    def trusted(self) -> int:
        """How many updates."""
        return len(self.trusted_bpm)

    def latency_ms(self) -> tuple[float, float, float]:
        """Median, 95 % quantile and maximum of all updates; NaN if none."""
        if not self.updates:
            return (float("nan"),) * 3
        ms = 1000 * self.latency_s
        return float(np.median(ms)), float(np.quantile(ms, 0.95)), float(ms.max())

    def describe(self) -> str:
        """A few lines for a person."""
        none = self.updates - self.trusted - self.withheld
        lines = [
            f"{self.seconds:.1f} s, {count(self.frames, 'frame')} "
            f"({self.handled_fps:.1f} handled per second), {self.lost} lost; "
            f"{count(self.updates, 'update')}: {self.trusted} trusted, {self.withheld} withheld, "
            f"{none} without a heart rate"
        ]
        if self.trusted:
            read = self.trusted_bpm
            lines.append(
                f"HR {np.median(read):.1f} bpm (median of the trusted ones, "
                f"{read.min():.1f}-{read.max():.1f})  [{self.method}]"
            )
        if self.updates:
            lines.append("Latency {:.1f} ms (95 %: {:.1f}, max: {:.1f})".format(*self.latency_ms()))
        lines += [f"Written: {self.csv}", "For research; not a medical device."]
        return "\n".join(lines)


def live(
    settings: LiveSettings,
    views: Sequence[View] = (),
    ended: Callable[[LiveSummary], None] = lambda summary: None,
) -> LiveSummary:
    """Read the heart rate of a stream until it ends, a signal comes or a view says stop.

    Args:
        settings: what to read, and how.
        views: show it.
        ended: has the summary when the views are closed, also where an error comes after it.

    Raises:
        DataError: no such camera or file, or it breaks down; no face all the time; too short.
        ConfigError: settings that do not fit together.
        UnknownMethodError: no such method.
        OutputError: the CSV file cannot be written.
    """
    convention = get_convention("toolbox-2025")
    method, calibrator = _prepared(settings, convention)
    stop = threading.Event()
    with ExitStack() as stack:
        executor: Executor = stack.enter_context(
            AtOnce() if settings.fast else ThreadPoolExecutor(1)
        )
        session = _session(settings, method, convention, calibrator, executor)
        _warm_up(session)
        signals = stack.enter_context(_signals_stop(stop))
        shots = stack.enter_context(closing(_shots(settings, stop)))
        recorder = stack.enter_context(Recorder(settings.output))
        course = _Course(recorder.path, method.name, session, signals)
        stack.callback(lambda: ended(course.summary()))
        for view in views:
            stack.enter_context(view)
        _loop(session, shots, recorder, views, settings.duration_s, stop, course)
    summary = course.summary()
    if not summary.interrupted:
        _check_something_was_read(summary, session, settings)
    return summary


def _session(
    settings: LiveSettings,
    method: Method,
    convention: Convention,
    calibrator: Calibrator | None,
    executor: Executor,
) -> Session:
    px = getattr(method, "crop_px", CROP_PX)
    new_reader = partial(reader_for, method, fs=FS, px=px)
    return Session(new_reader, px, FS, convention, settings.window_s, calibrator, executor)


def _warm_up(session: Session) -> None:
    """Have a network do now what it does once, such as compiling: frames will not wait for it."""
    reader = session.new_reader(session.frames)
    noise = np.random.default_rng(0).integers(0, 256, (session.px, session.px, 3), np.uint8)
    for k in range(session.frames):
        if reader.ready:
            return
        frame = np.roll(noise, k, axis=0)
        reader.push(frame, frame.mean(axis=(0, 1)))


def _loop(
    session: Session,
    shots: Iterator[Shot],
    recorder: Recorder,
    views: Sequence[View],
    duration_s: float | None,
    stop: threading.Event,
    course: _Course,
) -> None:
    pace, latency_s = course.pace, float("nan")
    for shot in shots:
        update = session.push(shot.frame, shot.time, shot.lost)
        pace.handled(shot)
        if update is not None:
            update = replace(update, handled_fps=pace.rate.hz, latency_s=latency_s)
            for view in views:
                view.update(update)
        course.left = not all(view.frame(shot.frame, session.tracker.box) for view in views)
        if update is not None:
            recorder.update(replace(update, latency_s=time.perf_counter() - shot.read_at))
            latency_s = time.perf_counter() - shot.read_at
            course.add(update, latency_s)
        if course.left or (duration_s is not None and pace.seconds >= duration_s):
            break
    stop.set()


class _Course:
    """What is kept of a stream: two numbers of an update, since it may go on for days.

    Attributes:
        pace: of its frames.
        left: a view said stop.
    """

    def __init__(self, csv: Path, method: str, session: Session, signals: Sequence[int]) -> None:
        self.csv, self.method, self.session, self.signals = csv, method, session, signals
        self.pace, self.left = _Pace(), False
        self._trusted_bpm, self._latency_s = array("d"), array("d")
        self._withheld = 0
        self._reasons: dict[str, None] = {}

    def add(self, update: Update, latency_s: float) -> None:
        self._latency_s.append(latency_s)
        if update.hr_bpm is None:
            if len(self._reasons) < NAMED_REASONS:
                self._reasons[update.reason] = None
        elif update.trusted:
            self._trusted_bpm.append(update.hr_bpm)
        else:
            self._withheld += 1

    def summary(self) -> LiveSummary:
        return LiveSummary(
            csv=self.csv,
            method=self.method,
            seconds=self.pace.seconds,
            frames=self.pace.frames,
            lost=self.session.lost,
            handled_fps=self.pace.overall_fps,
            updates=len(self._latency_s),
            withheld=self._withheld,
            trusted_bpm=np.array(self._trusted_bpm),
            latency_s=np.array(self._latency_s),
            reasons=tuple(self._reasons),
            interrupted=self.left or bool(self.signals),
            signal=next(iter(self.signals), 0),
        )


class _Pace:
    """How many frames were handled, and how fast by this machine's clock.

    Attributes:
        frames: so far. seconds: from the first to the last by their own clock.
        rate: at which they were handled lately.
        overall_fps: handled per second, from when the first was due until the last was done.
    """

    def __init__(self) -> None:
        self.frames, self.seconds, self.overall_fps = 0, 0.0, float("nan")
        self.rate = Rate()
        self._first: Shot | None = None

    def handled(self, shot: Shot) -> None:
        now = time.perf_counter()
        self._first = self._first or shot
        self.overall_fps = per_second(self.frames, now - self._first.read_at)
        self.frames, self.seconds = self.frames + 1, shot.time - self._first.time
        self.rate.push(now)


def _shots(settings: LiveSettings, stop: threading.Event) -> Generator[Shot]:
    if settings.video is None:
        return beside(counting_gaps(open_camera(settings.camera, FS, stop)), stop)
    shots = counting_gaps(open_file(settings.video, settings.fps))
    if settings.fast:
        return _until(shots, stop)
    return beside(paced(shots, stop), stop)


def _until(shots: Iterator[Shot], stop: threading.Event) -> Generator[Shot]:
    for shot in shots:
        if stop.is_set():
            return
        yield shot


def _prepared(settings: LiveSettings, convention: Convention) -> tuple[Method, Calibrator | None]:
    """The method with its options, and its calibrator."""
    if settings.duration_s is not None and not settings.duration_s > 0:
        raise ConfigError(f"a duration of {settings.duration_s:g} s", remedy="give e.g. 60.")
    name, samples, file = settings.method, settings.mc_samples or 0, None
    if settings.calibrator is not None:
        file = load_calibrators(settings.calibrator)
        _check_windows(file, convention, settings)
        known = {m.lower() for m in file.sampled}
        if settings.mc_samples is None and name.lower() in known:
            samples = LIVE_SAMPLES
    wanted: dict[str, Any] = {
        "checkpoint": settings.weights, "mc_samples": samples, "seed": settings.seed,
    }  # fmt: skip
    taken = {k: v for k, v in wanted.items() if takes_option(name, k)}
    method = get_method(name, **taken, **engine_options(name, settings.engine, settings.precision))
    if file is None or settings.calibrator is None:
        return method, None
    sampled = samples > 1 and takes_option(name, "mc_samples")
    return method, file.of_method(method.name, sampled, path=settings.calibrator, reader="live")


def _check_windows(file: CalibratorFile, convention: Convention, settings: LiveSettings) -> None:
    """`ConfigError` where the calibrator was made of other windows: it holds for its own alone."""
    length = f"{settings.window_s:g}"
    try:
        check_fits(file, str(convention), f"{length} s windows")
    except ConfigError as error:
        raise ConfigError(
            error.what,
            path=settings.calibrator,
            remedy="make one of such windows: streamnet evaluate RESULTS "
            f"--window {length} -o NEW, then streamnet calibrate NEW.",
        ) from error


@contextmanager
def _signals_stop(stop: threading.Event) -> Iterator[list[int]]:
    """The signals that came; the first sets `stop`, so that no row is cut in two, and the terminal
    is left as it was. One that comes again acts as ever, but for SIGHUP.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        stop.set()
        if number != HANG_UP:  # a closed terminal may say so twice
            signal.signal(number, before[number])

    before = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        # What is ignored stays so, as SIGHUP by nohup; Ctrl-C was only so for a job of a script.
        if before[number] != signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, handle)
    try:
        yield came
    finally:
        for number in STOPPING:
            signal.signal(number, before[number])


def _check_something_was_read(
    summary: LiveSummary, session: Session, settings: LiveSettings
) -> None:
    """An error that names the source where not one heart rate was read, and why."""
    if summary.trusted or summary.withheld:
        return
    path = settings.video
    if summary.frames == 0:
        raise DataError("no frame could be decoded", path=path, remedy="copy it again.")
    if not session.tracker.ever:
        raise NoFaceError(
            f"no face in {summary.seconds:.1f} s",
            path=path,
            remedy="show the face frontally, well lit, 1-2 m away.",
        )
    if summary.lost > TOO_MANY_LOST * summary.frames:
        raise NoResultError(
            f"no heart rate in {summary.seconds:.1f} s: {summary.lost} frames were lost, "
            f"{summary.frames} read",
            path=path,
            remedy="close other programs, use --method POS, or --samples 0.",
        )
    if summary.seconds < MIN_WINDOW_S + 1:
        raise NoResultError(
            f"{summary.seconds:.1f} s are too short for a heart rate",
            path=path,
            remedy="give 20 s or more.",
        )
    raise NoResultError(
        f"no heart rate in {summary.seconds:.1f} s: {'; '.join(summary.reasons)}",
        path=path,
        remedy="sit still in good light, the face in the picture.",
    )
