"""What the toolbox's child processes and data loaders run through.

Its preprocessing starts a process per video and never looks whether one failed; here each
failure is kept and named, and so is a video that ends before it should, which it reads as far as it
goes. Its DataLoaders start 16 processes, however small the data.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from streamnet_plugin.atomic import whole_file
from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.preprocess import END_TOLERANCE_S
from streamnet_plugin.data.pure import is_recording, missing_images
from streamnet_plugin.data.video import MISSING_FRAMES_TOLERATED, VIDEO_SUFFIXES
from streamnet_plugin.errors import DataError
from streamnet_plugin.report.results import FailureRow
from streamnet_plugin.wording import count
from toolbox_adapters.rppg_toolbox import compat

log = logging.getLogger(__name__)
MAX_WORKERS = 8
PATIENCE_S = 0.02
SMALL_SET = 256
"""Fewer clips than this are loaded faster than a worker starts."""
SHORT_VIDEOS = "streamnet-short-videos.json"
"""In the toolbox's cache: what is to be said of its clips whenever they are used."""


@dataclass(frozen=True)
class LostVideo:
    """A video that could not be used, and why.

    Attributes:
        path: its folder or file.
        reason: e.g. what the toolbox's process said last.
        recording: its name; "" for that of `path`.
        remedy: what to do about it.
    """

    path: str
    reason: str
    recording: str = ""
    remedy: str = "mend or remove this recording."

    @property
    def failure(self) -> FailureRow:
        """As a results folder and the command line name it."""
        name = self.recording or Path(self.path).name
        return FailureRow(name, self.path, self.reason, self.remedy)


@dataclass(frozen=True)
class ShortVideo:
    """A video that ends before it should, and is used as far as it goes.

    Attributes:
        name: what the toolbox calls it.
        reason: names the file, how long it is, and how long it should be.
    """

    name: str
    reason: str

    @property
    def told(self) -> str:
        """What a reader of its results should know."""
        return f"{self.reason}; copy it again, or remove this recording"

    @property
    def note(self) -> str:
        """As a results folder and the command line name it."""
        return f"{self.name}: {self.told}."


class _Lengths:
    """What a loader reads of one recording, held against what there should be.

    Attributes:
        reason: why its video is too short, "" if it is not.
    """

    def __init__(self, loader: Any) -> None:
        self._fs = float(loader.config_data.FS)
        self._video = "the video"
        self.reason = ""

    def frames(self, path: Any, frames: Any) -> None:
        """`frames` were decoded from a file: were there more, by its header, or PURE's JSON?"""
        if not isinstance(path, str | Path):
            return
        recording = Path(path).parent
        if recording.name == Path(path).name and is_recording(recording):
            if missing := missing_images(recording):
                self.reason = f"{path}: {missing}; the others are used as if there were no gap"
            return
        if Path(path).suffix.lower() not in VIDEO_SUFFIXES:
            return
        self._video = str(path)
        capture = cv2.VideoCapture(str(path))
        stated, read = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), len(frames)
        capture.release()
        if stated - read > MISSING_FRAMES_TOLERATED:
            self.reason = (
                f"{path} is truncated: its header says {count(stated, 'frame')}, {read} could be "
                "decoded and are used"
            )

    def labels(self, frames: Any, labels: Any) -> None:
        """Labels stand beside frames one by one: do they go on behind the video?"""
        late = (len(labels) - len(frames)) / self._fs
        if late > END_TOLERANCE_S and not self.reason:
            self.reason = (
                f"{self._video} may be truncated: its labels go on for {late:.1f} s behind its "
                f"{count(len(frames), 'frame')}"
            )


@contextmanager
def _watched(loader: Any) -> Iterator[_Lengths]:
    """Look on while a toolbox's loader reads and preprocesses one recording.

    What it reads, and what it makes of it, stays the same.
    """
    found = _Lengths(loader)

    def watched_read(original: Callable[..., Any]) -> Callable[..., Any]:
        def read_video(path: Any, *args: Any, **kwargs: Any) -> Any:
            frames = original(path, *args, **kwargs)
            found.frames(path, frames)
            return frames

        return read_video

    def watched_preprocess(original: Callable[..., Any]) -> Callable[..., Any]:
        def preprocess(frames: Any, labels: Any, *args: Any, **kwargs: Any) -> Any:
            found.labels(frames, labels)
            return original(frames, labels, *args, **kwargs)

        return preprocess

    watched = {
        name: watch(getattr(loader, name))
        for name, watch in (("read_video", watched_read), ("preprocess", watched_preprocess))
        if hasattr(loader, name)
    }
    vars(loader).update(watched)
    try:
        yield found
    finally:
        for name in watched:
            del vars(loader)[name]


class ChildSetup:
    """First among a child's arguments: being unpickled, it makes the checkout importable there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __reduce__(self) -> tuple[Any, ...]:
        return compat.install, (str(self.root),)


def run_child(_: None, note: str, target: Callable[..., None], args: tuple[Any, ...]) -> None:
    """Run `target`, a loader's method; leave word of what went wrong in the file `note`.

    What it raised, as which it fails; or why its video is too short.
    """
    told: dict[str, str] = {}
    try:
        with _watched(target.__self__) as found:  # type: ignore[attr-defined]
            target(*args)
        if found.reason:
            told = {"short": found.reason}
    except BaseException as error:
        told = {"error": f"{type(error).__name__}: {error}"}
        raise
    finally:
        if told:
            Path(note).write_text(json.dumps(told))


class PatientProcess:
    """A process that waits a little when asked whether it is alive.

    The toolbox asks all of its processes without a pause until one has ended, which takes a core.
    """

    def __init__(self, process: multiprocessing.Process) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Any:
        return getattr(self._process, name)

    def is_alive(self) -> bool:
        if self._process.is_alive():
            self._process.join(PATIENCE_S)
        return self._process.is_alive()


class LoudProcesses:
    """Takes the place of `multiprocessing` in the toolbox's loader module.

    Everything is passed through, but processes leave a note when they fail.
    """

    def __init__(self, root: Path, notes: Path) -> None:
        self._root, self._notes = root, notes

    def __getattr__(self, name: str) -> Any:
        return getattr(multiprocessing, name)

    def Process(
        self, target: Callable[..., None], args: tuple[Any, ...] = (), **kwargs: Any
    ) -> PatientProcess:
        number = next((a for a in args if isinstance(a, int)), len(list(self._notes.iterdir())))
        note = str(self._notes / f"{number}.json")
        wrapped = (ChildSetup(self._root), note, target, args)
        return PatientProcess(multiprocessing.Process(target=run_child, args=wrapped, **kwargs))


def watch_preprocessing(
    module: ModuleType, root: Path, lost: list[LostVideo], short: list[ShortVideo]
) -> None:
    """Make `BaseLoader` report the videos that its processes lose, or that are too short.

    Args:
        module: `dataset.data_loader.BaseLoader`.
        root: the checkout.
        lost, short: are added to.
    """
    original = module.BaseLoader.multi_process_manager

    def manager(self: Any, data_dirs: Any, config_preprocess: Any, *args: Any) -> Any:
        # Not its 8 on two cores: each holds a video's frames and clips, some 2 GB, and more than
        # one per core are not faster where nobody asks them without a pause.
        quota = args[0] if args else min(MAX_WORKERS, os.cpu_count() or 1)
        with tempfile.TemporaryDirectory() as folder:
            loud = LoudProcesses(root, Path(folder))
            names: dict[str, Any] = vars(module)
            if "Process" in names:  # as older toolboxes import it
                names["Process"] = loud.Process
            names["mp"] = loud
            done = original(self, data_dirs, config_preprocess, quota)
            found: dict[str, str] = {}
            for i, entry in enumerate(data_dirs):
                told = _told(Path(folder), i)
                if not done.get(i):
                    lost.append(LostVideo(str(entry["path"]), _why(told, i in done)))
                elif "short" in told:
                    found[str(entry["index"])] = told["short"]
        short.extend(_heard(ShortVideo(*item)) for item in found.items())
        _remember(self, [str(entry["index"]) for entry in data_dirs], found)
        return done

    module.BaseLoader.multi_process_manager = manager


def _told(folder: Path, index: int) -> dict[str, str]:
    """The word that a process left, see `run_child`."""
    return _read(folder / f"{index}.json")


def _read(path: Path) -> dict[str, str]:
    """What a JSON file says; nothing if it is not there."""
    return json.loads(path.read_text()) if path.exists() else {}


def _why(told: dict[str, str], finished: bool) -> str:
    if "error" in told:
        return f"the toolbox could not read it: {told['error']}"
    if finished:
        cut = f"; {told['short']}" if "short" in told else ""
        return f"it has fewer frames than CHUNK_LENGTH: no clip came of it{cut}"
    return "its process ended without a word (out of memory?)"


def _heard(video: ShortVideo) -> ShortVideo:
    log.warning("%s", video.note)
    return video


def _remember(loader: Any, names: list[str], found: dict[str, str]) -> None:
    """Beside the clips, what is to be said of those just made: the raw videos may be gone later."""
    path = Path(loader.cached_path) / SHORT_VIDEOS
    known = _read(path)
    told = {name: reason for name, reason in known.items() if name not in names} | found
    if told != known:
        with whole_file(path, "the list of short videos", "set another CACHED_PATH.") as whole:
            whole.write_text(json.dumps(told))


def watch_cache(module: ModuleType, lost: list[LostVideo], short: list[ShortVideo]) -> None:
    """Make `BaseLoader` report raw videos that a cache it reuses lacks, or has but a part of.

    Args:
        module: `dataset.data_loader.BaseLoader`.
        lost, short: are added to.
    """
    original = module.BaseLoader.load_preprocessed_data

    def load_preprocessed_data(self: Any) -> None:
        original(self)
        if self.config_data.DO_PREPROCESS:
            return
        names = {Path(p).name.rpartition("_input")[0] for p in self.inputs}
        told = _read(Path(self.cached_path) / SHORT_VIDEOS)
        short.extend(_heard(ShortVideo(*item)) for item in told.items() if item[0] in names)
        if not Path(self.raw_data_path).is_dir():
            return
        try:
            data = self.config_data
            wanted = self.split_raw_data(
                self.get_raw_data(self.raw_data_path), data.BEGIN, data.END
            )
        except Exception:  # the raw data may be elsewhere, or gone: the cache is what counts
            return
        if len(names) >= len(wanted):  # a list made in another order may cut another split
            return
        known = {video.path for video in lost}
        lost.extend(
            LostVideo(str(entry["path"]), "it is not in the cache: set DO_PREPROCESS: True")
            for entry in wanted
            if str(entry["index"]) not in names and str(entry["path"]) not in known
        )

    module.BaseLoader.load_preprocessed_data = load_preprocessed_data


def sort_recordings(base_loader: type) -> None:
    """Make all loaders list recordings in natural order: some leave it to the file system, and
    BEGIN and END then cut other splits on another machine. One that finds none names the folder.

    Args:
        base_loader: the class that the loaders derive from.
    """
    loaders: list[type] = base_loader.__subclasses__()
    for loader in loaders:
        original = vars(loader).get("get_raw_data")
        if original is not None:
            setattr(loader, "get_raw_data", _sorted(original))  # noqa: B010


def _sorted(get_raw_data: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def listed(loader: Any, data_path: str, *more: Any, **options: Any) -> list[Any]:
        try:
            found = get_raw_data(loader, data_path, *more, **options)
        except ValueError as error:  # "data paths empty!", without a word on which
            raise DataError(
                f"the toolbox finds no recording there ({error})",
                path=data_path,
                remedy="set DATA_PATH to the folder of the dataset, or give --data-root.",
            ) from error
        if all(isinstance(entry, dict) and "path" in entry for entry in found):
            return sorted(found, key=lambda entry: natural_key(Path(entry["path"]).name))
        return found

    return listed


def contiguous_collate(batch: list[Any]) -> Any:
    """`default_collate`, with every tensor in one piece: the toolbox's trainers call `view`.

    Raises:
        DataError: clips of different shapes.
    """
    if _unequal(batch):
        raise DataError(
            f"videos of different lengths make no batch of {len(batch)}",
            remedy="set PREPROCESS.DO_CHUNK: True, or BATCH_SIZE: 1.",
        )
    return _contiguous(default_collate(batch))


class OneByOne(list[Any]):
    """Batches of one in the place of a batch that cannot be."""


def splitting_collate(batch: list[Any]) -> Any:
    """`contiguous_collate`; `OneByOne` of clips of different shapes, as whole videos are."""
    if _unequal(batch):
        return OneByOne(contiguous_collate([item]) for item in batch)
    return contiguous_collate(batch)


def _unequal(batch: list[Any]) -> bool:
    return len({_shape(item[:2]) for item in batch}) > 1


def _shape(x: Any) -> Any:
    """Of an array, or of every one in a list of them (BigSmall has two sizes of frames)."""
    return tuple(map(_shape, x)) if isinstance(x, list | tuple) else np.shape(x)


def _contiguous(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.contiguous()
    if isinstance(x, list | tuple):
        return [_contiguous(item) for item in x]
    return x


def seed_worker(worker_id: int) -> None:
    """NumPy's and Python's generators follow torch's in every worker."""
    seed = torch.initial_seed() % 2**32
    np.random.seed(seed)  # noqa: NPY002 (the toolbox's code uses the global generator)
    random.seed(seed)


def choose_workers(wanted: int, n_items: int) -> int:
    """NUM_WORKERS, or for -1: none for small sets, else one per core, at most `MAX_WORKERS`."""
    if wanted >= 0:
        return wanted
    return 0 if n_items < SMALL_SET else min(MAX_WORKERS, os.cpu_count() or 1)


class _Shipping(Dataset[Any]):
    """A dataset that makes the checkout importable in the worker process it is unpickled in."""

    def __init__(self, dataset: Any, root: Path) -> None:
        self.dataset, self.root = dataset, root

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index]

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (ChildSetup(self.root), self.dataset)


def _unpacked(_: None, dataset: Any) -> Any:
    return dataset


class ToolboxDataLoader(DataLoader[Any]):
    """The toolbox's DataLoader with as many workers as pay, and a memory of its last batch.

    Where it does not shuffle, which is where nothing is trained, whole videos of different lengths
    come one by one: no result is a mean over a batch.

    Attributes:
        current: labels, names and chunk numbers of the batch handed out last.
    """

    def __init__(self, dataset: Any, root: Path, num_workers: int = -1, **kwargs: Any) -> None:
        workers = choose_workers(num_workers, len(dataset))
        trains = bool(kwargs.get("shuffle"))
        kwargs.setdefault("collate_fn", contiguous_collate if trains else splitting_collate)
        kwargs["worker_init_fn"] = seed_worker
        if workers:
            dataset = _Shipping(dataset, root)
        super().__init__(dataset, num_workers=workers, persistent_workers=workers > 0, **kwargs)
        self.current: tuple[Any, Any, Any] = ((), (), ())

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        for loaded in super().__iter__():
            for batch in loaded if isinstance(loaded, OneByOne) else [loaded]:
                if len(batch) > 3:
                    self.current = (batch[1], batch[2], batch[3])
                yield batch
