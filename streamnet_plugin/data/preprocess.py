"""From a recording on disk to its face crops at a constant frame rate, with labels in step."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from socket import gethostname
from typing import Literal, cast

import cv2
import numpy as np
from joblib import delayed

from streamnet_plugin.atomic import remove_leftovers
from streamnet_plugin.cluster import current_client
from streamnet_plugin.data import cache
from streamnet_plugin.data.datasets import read_label, read_label_values
from streamnet_plugin.data.face import Box, alike, crop, enlarged, find_faces, median_box, overlap
from streamnet_plugin.data.ubfc import LABELS as UBFC_LABELS
from streamnet_plugin.data.video import FrameSource, open_frames
from streamnet_plugin.errors import (
    DataError,
    FaceAwayError,
    NoFaceError,
    OutputError,
    StreamnetError,
)
from streamnet_plugin.parallel import be_one_of_several, processes
from streamnet_plugin.types import BvpTrace, FaceVideo, FloatArray, FrameArray, Recording
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)
Alignment = Literal["timestamp", "index"]

MIN_DURATION_S = 1.0
SEARCH_S = 1.0
"""A face must show within the first second."""
CHECK_EVERY_S = 1.0
MAX_MISSED_CHECKS = 0.6
"""Haar misses turned and dark faces; a face gone for most of the video is gone."""
NOTED_MISSED_CHECKS = 0.2
CHECK_WIDTH = 320
NOTED_RATE = 0.05
RATE_TOLERANCE = 0.01
"""Frames of a camera within 1 % of the asked rate are kept as they are."""
LATE_S = (1.0, 3.0, 10.0)
"""On a network file system a folder that another machine made may show some seconds later."""
LABEL_PER_FRAME = UBFC_LABELS[0]
SHOW_FACE = "show the face frontally and well lit."
PROTOCOL_REMEDIES: dict[type[StreamnetError], str] = {
    NoFaceError: "DO_CROP_FACE: False takes whole frames",
    FaceAwayError: "DO_DYNAMIC_DETECTION: True follows the face",
}
"""What else can be done about a video where there is a protocol to do it in."""
END_TOLERANCE_S = 1.0
"""A label may begin later or end earlier than the video by this much; the video is cut to it."""


@dataclass(frozen=True)
class PreprocessSettings:
    """How crops are made; part of the cache's key.

    Attributes:
        width, height: of the crops, px.
        fs: Hz.
        crop_face: False takes the whole frame.
        box_coefficient: the face box is enlarged by this; 1 leaves it.
        detect_every: look for the face anew every so many frames; 0 only at the start.
        median_box: with `detect_every`, use the median of all boxes for all frames.
        align: "timestamp" places labels by their own clock and resamples a video of another
            frame rate; "index" takes the frames as they come and places labels by their number,
            as the toolbox does (see `labels_by_index`).
        fps: the source's frame rate where it does not say it, or says it wrong.
    """

    width: int = 72
    height: int = 72
    fs: float = 30.0
    crop_face: bool = True
    box_coefficient: float = 1.5
    detect_every: int = 0
    median_box: bool = False
    align: Alignment = "timestamp"
    fps: float | None = None


@dataclass(frozen=True)
class Failure:
    """A recording that could not be used, why, and what to do."""

    recording: Recording
    path: Path
    reason: str
    remedy: str


@dataclass(frozen=True)
class PreprocessReport:
    """What came of a batch: every recording is in one of the two."""

    videos: tuple[FaceVideo, ...]
    failures: tuple[Failure, ...]


def preprocess_all(
    recordings: Sequence[Recording],
    settings: PreprocessSettings,
    cache_dir: Path,
    jobs: int = 1,
    progress: Callable[[str], None] = lambda name: None,
) -> PreprocessReport:
    """Crops of all recordings; goes on past a damaged one, and reports it.

    Args:
        recordings: from `find_recordings`.
        settings: how.
        cache_dir: where crops are kept; what is there already is not made again.
        jobs: videos worked on at a time.
        progress: called with the name of each recording that is done.

    Raises:
        OutputError: the cache cannot be written, or is not the one of a cluster's workers; no
            recording could be done.
    """
    remove_leftovers(cache_dir)
    cache.allow_open_files(len(recordings))
    # Nothing is started for crops that are there: what ends this process would leave it running.
    if jobs > 1 and all(_is_there(r, settings, cache_dir) for r in recordings):
        jobs = 1
    task = _one if current_client() is None else _one_elsewhere
    work = (delayed(task)(r, settings, cache_dir, jobs > 1) for r in recordings)
    results: list[FaceVideo | Failure] = []

    def given_up(number: int, error: StreamnetError) -> Failure:
        return _failure(recordings[number], error)

    with processes(work, jobs, lambda: remove_leftovers(cache_dir), given_up) as done:
        for recording, result in zip(recordings, done, strict=True):
            if isinstance(result, _Elsewhere):
                result = _fetched(result, recording, cache_dir)
            if isinstance(result, StreamnetError):
                raise result
            results.append(result)
            for note in result.notes if isinstance(result, FaceVideo) else ():
                log.warning("%s: %s", recording.path, note)
            progress(recording.id)
    remove_leftovers(cache_dir)  # of workers of a cluster that died
    return PreprocessReport(
        videos=tuple(r for r in results if isinstance(r, FaceVideo)),
        failures=tuple(r for r in results if isinstance(r, Failure)),
    )


def _one(
    recording: Recording, settings: PreprocessSettings, cache_dir: Path, alone: bool
) -> FaceVideo | Failure | StreamnetError:
    """Errors come back as values: an exception would cost the whole batch."""
    if alone:
        be_one_of_several()
    try:
        return preprocess_recording(recording, settings, cache_dir)
    except DataError as error:
        return _failure(recording, error)
    except StreamnetError as error:
        return error
    except Exception as error:  # whatever a damaged file can bring about: the others must go on
        log.debug("%s", recording.path, exc_info=True)
        reason = f"unexpected {type(error).__name__}: {error}"
        return Failure(recording, recording.path, reason, "check the file; if it plays, report it.")


def _failure(recording: Recording, error: StreamnetError) -> Failure:
    remedy = error.remedy
    if type(error) in PROTOCOL_REMEDIES:
        remedy = f"{remedy} In a protocol, {PROTOCOL_REMEDIES[type(error)]}."
    return Failure(recording, error.path or recording.path, error.what, remedy)


@dataclass(frozen=True)
class _Elsewhere:
    """Where a worker of a cluster has put crops, which do not travel: machine, cache and entry."""

    host: str
    cache_dir: Path
    entry: str


def _one_elsewhere(
    recording: Recording, settings: PreprocessSettings, cache_dir: Path, alone: bool
) -> _Elsewhere | Failure | StreamnetError:
    result = _one(recording, settings, cache_dir, alone)
    if isinstance(result, FaceVideo):
        entry = Path(str(cast(np.memmap, result.frames).filename)).parent.name
        return _Elsewhere(gethostname(), cache_dir.resolve(), entry)
    return result


def _fetched(made: _Elsewhere, recording: Recording, cache_dir: Path) -> FaceVideo | Failure:
    """The crops that a worker made.

    Raises:
        OutputError: they are not here. To make them again would cost what the cluster was to save.
    """
    folder = cache_dir / made.entry
    for wait_s in LATE_S:
        if folder.is_dir():
            break
        time.sleep(wait_s)
        list(cache_dir.glob("*"))  # has a network file system look again
    try:
        found = cache.load(folder, recording)
    except DataError as error:
        return _failure(recording, error)
    if found is None:
        raise OutputError(
            f"the crops that a worker on {made.host} put into its {made.cache_dir} are not in "
            f"{cache_dir.resolve()} here on {gethostname()}: they are different folders",
            path=recording.path,
            remedy=cache.SHARE,
        )
    return found


def preprocess_recording(
    recording: Recording, settings: PreprocessSettings, cache_dir: str | Path
) -> FaceVideo:
    """Crops of one recording, from the cache if they are there.

    Raises:
        DataError: the video or its labels cannot be used; names the file and the remedy.
        NoFaceError: no face in the first second.
        FaceAwayError: the face is out of the crop most of the time.
        OutputError: the cache cannot be written.
    """
    folder = _entry(recording, settings, Path(cache_dir))
    cached = cache.load(folder, recording)
    if cached is not None:
        return cached
    by_index = settings.align == "index"
    source = open_frames(recording.path, settings.fps, settings.fs if by_index else None)
    values = read_label_values(recording) if by_index else None
    trace = None if by_index else read_label(recording)
    with cache.writing(folder) as temporary:
        crops = _Cropper(source, settings)
        n = cache.append(temporary / cache.FRAMES, crops.frames())
        times = np.array(crops.times)
        if n < max(2, MIN_DURATION_S * settings.fs):
            raise DataError(
                f"the video has {count(n, 'frame')}, at least {MIN_DURATION_S:g} s are needed",
                path=recording.path,
                remedy="use a longer video.",
            )
        crops.check_presence()
        if by_index:
            keep, notes = np.arange(n), _odd_rate(times, source.fs, settings)
            label = None if values is None else labels_by_index(values, n, recording)
        else:
            keep, label, notes = _in_step(times, trace, source.fs, settings, recording)
        shape = (len(keep), settings.height, settings.width, 3)
        if not np.array_equal(keep, np.arange(n)):
            _reorder(temporary / cache.FRAMES, (n, *shape[1:]), keep)
        cache.finish(temporary, shape, settings.fs, label, crops.box, (*crops.notes(), *notes))
    made = cache.load(folder, recording)
    if made is None:
        raise DataError("the crops vanished while they were written", path=folder)
    return made


def _entry(recording: Recording, settings: PreprocessSettings, cache_dir: Path) -> Path:
    return cache.entry(cache_dir, recording, cache.key(recording, asdict(settings)))


def _is_there(recording: Recording, settings: PreprocessSettings, cache_dir: Path) -> bool:
    try:
        return _entry(recording, settings, cache_dir).is_dir()
    except OSError:  # it cannot be looked at, and is a failure of its own
        return False


class _Cropper:
    """Streams a source's crops, remembering when each frame was and whether a face was there."""

    def __init__(self, source: FrameSource, settings: PreprocessSettings) -> None:
        self.source, self.settings = source, settings
        self.times: list[float] = []
        self.box: Box = (0, 0, 0, 0)
        self._checks, self._missed = 0, 0
        self._notes: list[str] = []

    def frames(self) -> Iterator[FrameArray]:
        """The crops (height, width, 3), one after the other; no frame is kept.

        The source is opened twice, once to find the face and once from its start: keeping the
        frames until the face is found would cost gigabytes for a large camera.
        """
        s = self.settings
        if s.crop_face:
            self.box = self._median() if s.detect_every and s.median_box else self._search()
        check_every = max(1, round(CHECK_EVERY_S * self.source.fs))
        shape: tuple[int, ...] = ()
        for i, (t, frame) in enumerate(self.source):
            shape = shape or frame.shape
            if not s.crop_face:
                self.box = (0, 0, shape[1], shape[0])
            if frame.shape != shape:
                raise DataError(
                    f"frame {i} has shape {frame.shape}, the first {shape}",
                    path=self.source.path,
                )
            if s.crop_face and s.detect_every and not s.median_box and i and not i % s.detect_every:
                faces = find_faces(frame)
                self.box = enlarged(faces[0], s.box_coefficient) if faces else self.box
            if s.crop_face and not i % check_every:
                self._check(frame)
            self.times.append(t)
            yield cv2.resize(
                crop(frame, self.box), (s.width, s.height), interpolation=cv2.INTER_AREA
            ).astype(np.uint8, copy=False)
        if not shape:
            raise self._nothing()

    def _nothing(self) -> DataError:
        return DataError(
            "no frame could be decoded", path=self.source.path, remedy="copy it again."
        )

    def _search(self) -> Box:
        """The box of the largest face in the first frame that shows one.

        Where it shows several, three later looks tell faces from patterns, see `_seen_again`.
        """
        within = max(1, round(SEARCH_S * self.source.fs))
        looked, first, faces = 0, 0, list[Box]()
        again: set[int] = set()
        looks: list[list[Box]] = []
        for i, (_, frame) in enumerate(itertools.islice(self.source, within)):
            looked = i + 1
            if not faces:
                first, faces = i, find_faces(frame)
                left = within - looked
                if len(faces) > 1 and left:
                    again = {looked + left * k // 4 for k in (1, 2, 3)}
            elif i in again:
                looks.append(find_faces(frame))
            if faces and i >= max(again, default=i):
                break
        if not looked:
            raise self._nothing()
        if not faces:
            raise NoFaceError(
                f"no face in frames 0 to {looked - 1}", path=self.source.path, remedy=SHOW_FACE
            )
        if first:
            self._notes.append(f"the first face is in frame {first}; its box is used")
        if len(faces) > 1:
            faces = _seen_again(faces, looks)
            self._notes.append(f"{count(len(faces), 'face')} in frame {first}; the largest is used")
        return enlarged(faces[0], self.settings.box_coefficient)

    def _median(self) -> Box:
        found = [
            find_faces(frame)
            for i, (_, frame) in enumerate(self.source)
            if not i % self.settings.detect_every
        ]
        boxes = [enlarged(f[0], self.settings.box_coefficient) for f in found if f]
        if not boxes:
            raise NoFaceError(
                f"no face in any of {count(len(found), 'frame')} looked at",
                path=self.source.path,
                remedy=SHOW_FACE,
            )
        return median_box(boxes)

    def _check(self, frame: FrameArray) -> None:
        scale = min(1.0, CHECK_WIDTH / frame.shape[1])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        box = tuple(round(v * scale) for v in self.box)
        self._checks += 1
        self._missed += not any(overlap(f, box) > 0.3 for f in find_faces(small))  # type: ignore[arg-type]

    def check_presence(self) -> None:
        """`FaceAwayError` if the face was outside the crop in most of the looks at it."""
        if self._checks and self._missed > MAX_MISSED_CHECKS * self._checks:
            raise FaceAwayError(
                f"the face leaves the crop: seen in {self._checks - self._missed} of "
                f"{self._checks} looks, one per second",
                path=self.source.path,
                remedy="keep the face in the picture.",
            )

    def notes(self) -> list[str]:
        """What a reader of the results should know of these crops."""
        seen = self._checks - self._missed
        if self._missed > NOTED_MISSED_CHECKS * self._checks:
            return [
                *self._notes,
                f"the face was in the crop in {seen} of {self._checks} looks, one per second",
            ]
        return list(self._notes)


def _seen_again(faces: list[Box], looks: Sequence[list[Box]]) -> list[Box]:
    """The faces that are found in a later look too: Haar takes patterns for faces, but seldom the
    same one twice. All of them, if none is."""
    again = [f for f in faces if any(alike(f, g) > 0.3 for look in looks for g in look)]
    return again or faces


def _in_step(
    times: FloatArray,
    trace: BvpTrace | None,
    source_fs: float,
    settings: PreprocessSettings,
    recording: Recording,
) -> tuple[np.ndarray, FloatArray | None, list[str]]:
    """Which frames to keep, in order, the label at each of them, and what to know of both."""
    n = len(times)
    notes: list[str] = []
    times, measured = _measured(times, source_fs)
    regular = np.max(np.diff(times)) < 1.9 / measured
    if abs(measured / settings.fs - 1) <= RATE_TOLERANCE and regular:
        keep, at = np.arange(n), times
    else:
        at = np.arange(times[0], times[-1] + 1e-9, 1 / settings.fs)
        keep = _nearest(times, at)
        log.info("%s: resampled from %.2f to %g Hz", recording.path, measured, settings.fs)
    if trace is None:
        return keep, None, notes
    notes += _check_cover(at, trace, recording)
    covered = (at >= trace.t[0] - 1 / settings.fs) & (at <= trace.t[-1] + 1 / settings.fs)
    return keep[covered], np.interp(at[covered], trace.t, trace.bvp), notes


def _measured(times: FloatArray, source_fs: float) -> tuple[FloatArray, float]:
    """The frames' times and their mean rate in Hz; by their number where the clock is broken."""
    if np.any(np.diff(times) <= 0):
        times = np.arange(len(times)) / source_fs
    return times, (len(times) - 1) / (times[-1] - times[0])


def _odd_rate(times: FloatArray, source_fs: float, settings: PreprocessSettings) -> list[str]:
    """A note where frames that are taken for another rate's would make every HR wrong."""
    _, measured = _measured(times, source_fs)
    if abs(measured / settings.fs - 1) <= NOTED_RATE:
        return []
    return [
        f"its frames come at {measured:.1f} Hz and are taken for {settings.fs:g} Hz "
        "(LABEL_ALIGNMENT: index)"
    ]


def labels_by_index(values: FloatArray, n: int, recording: Recording) -> FloatArray:
    """A label for each of `n` frames, as the toolbox places them: by number, not by time.

    UBFC-rPPG's `ground_truth.txt` has one label per frame: label i is frame i's, and what follows
    the last frame's stays behind it, for its difference. Files with a rate of their own (PURE;
    UBFC-rPPG's `gtdump.xmp`, which the toolbox does not read) are stretched over the frames.

    Raises:
        DataError: UBFC-rPPG with fewer labels than frames: those of the last frames are unknown.
    """
    path = recording.label_path
    if path is None or path.name != LABEL_PER_FRAME:
        return stretched(values, n)
    if len(values) < n:
        raise DataError(
            f"{len(values)} labels are too few for the {n} frames of {recording.path.name}, where "
            "label i is frame i's",
            path=path,
            remedy="set EVALUATION.LABEL_ALIGNMENT: timestamp, which places labels by their own "
            "clock.",
        )
    return values


def stretched(x: FloatArray, n: int) -> FloatArray:
    """`x` resampled to `n` values by index, linearly: the toolbox's alignment of PURE's labels."""
    return np.interp(np.linspace(1, len(x), n), np.arange(1, len(x) + 1), x)


def _nearest(times: FloatArray, at: FloatArray) -> np.ndarray:
    """Index of the frame nearest in time: blending two would invent a picture of neither."""
    right = np.clip(np.searchsorted(times, at), 1, len(times) - 1)
    return right - (at - times[right - 1] < times[right] - at)


def _check_cover(at: FloatArray, trace: BvpTrace, recording: Recording) -> list[str]:
    """`DataError` if labels are missing at an end of the video; a note if they go on behind it."""
    late, early = trace.t[0] - at[0], at[-1] - trace.t[-1]
    if max(late, early) > END_TOLERANCE_S:
        raise DataError(
            f"the ground truth covers {trace.t[0]:.1f}-{trace.t[-1]:.1f} s of a video of "
            f"{at[0]:.1f}-{at[-1]:.1f} s",
            path=recording.label_path,
            remedy="get the complete ground truth, or cut the video to it.",
        )
    if -early > END_TOLERANCE_S:
        return [f"the ground truth is {-early:.1f} s longer than the video; its end is not used"]
    return []


def _reorder(path: Path, shape: tuple[int, ...], keep: np.ndarray) -> None:
    """Rewrite the file with the frames `keep`, in that order, one at a time."""
    frames = np.memmap(path, np.uint8, "r", shape=shape)
    other = path.with_suffix(".resampled")
    cache.append(other, (frames[i] for i in keep))
    del frames
    os.replace(other, path)
