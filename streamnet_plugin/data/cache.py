"""Face crops on disk: one folder per video, uint8, named by a hash of all that made it."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import mmap
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from streamnet_plugin.atomic import appearing
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import FaceVideo, FloatArray, FrameArray, Recording
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)
VERSION = 5
"""Raised whenever the code makes other crops or labels from the same files, or describes them
otherwise. Before 4 the threads of a Dask worker shared a face detector, which could find wrong
ones; before 5 a description had no fingerprint."""
FRAMES, META = "frames.u8", "video.json"
HASHED_BYTES = 2**20
"""Read at a time."""
SHARE = (
    "set $STREAMNET_CACHE (in a protocol also CACHED_PATH) to an absolute path on a file system "
    "that this machine and all workers of the cluster share."
)


def key(recording: Recording, parameters: dict[str, Any]) -> str:
    """Which crops these are: a hash of the source files (path, size, time of change), the
    parameters and `VERSION`."""
    sources = [p for p in (recording.path, recording.label_path) if p is not None]
    stamps = [_stamp(p) for p in sources]
    text = json.dumps([VERSION, stamps, parameters], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _stamp(path: Path) -> list[Any]:
    if path.is_dir():  # images: their names, sizes and times
        files = sorted(p for p in path.iterdir() if p.is_file())
        return [
            str(path.resolve()),
            [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files],
        ]
    if not path.exists():
        return [str(path.resolve()), None]
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def entry(cache: Path, recording: Recording, hashed: str) -> Path:
    """The folder of a recording's crops."""
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in recording.id)
    return cache / f"{recording.dataset}-{name}-{hashed[:12]}"


def load(folder: Path, recording: Recording, fingerprint: str | None = None) -> FaceVideo | None:
    """The cached crops, None if there are none; a damaged entry is removed, with a warning.

    Their fingerprint is of what they hold, unless one is given.

    Raises:
        DataError: the process has too many files open to map another.
    """
    if not folder.is_dir():
        return None
    try:
        meta = json.loads((folder / META).read_text())
        shape = tuple(meta["shape"])
        if (folder / FRAMES).stat().st_size != int(np.prod(shape)):
            raise ValueError(f"{FRAMES} has not the size of {shape} frames")
        frames = np.memmap(folder / FRAMES, np.uint8, "r", shape=shape)
        bvp = None if meta["bvp"] is None else np.array(meta["bvp"], dtype=np.float64)
        if bvp is not None and (bvp.ndim != 1 or len(bvp) < shape[0]):
            raise ValueError(f"{count(bvp.size, 'label')} for {count(shape[0], 'frame')}")
        x, y, w, h = meta["face_box"]
        print_ = str(meta["fingerprint"]) if fingerprint is None else fingerprint
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise DataError(
                "too many files are open to map these crops too",
                path=folder,
                remedy="allow more, e.g. by `ulimit -n 65536`, or use fewer recordings at a time.",
            ) from error
        log.warning("%s: damaged cache entry, made anew (%s)", folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        return None
    notes = tuple(meta.get("notes", ()))
    label, after = (None, np.empty(0)) if bvp is None else np.split(bvp, shape[:1])
    return FaceVideo(
        recording, frames, float(meta["fs"]), label, (x, y, w, h), print_, notes, after
    )


def allow_open_files(maps: int) -> None:
    """Let this process hold so many crops more: each map keeps its file open.

    Many systems allow 1,024 unless asked for more; where they give no more, `load` says so.
    """
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft + maps
    if soft != resource.RLIM_INFINITY:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(ValueError, OSError):  # macOS has a limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def finish(
    folder: Path,
    shape: tuple[int, ...],
    fs: float,
    bvp: FloatArray | None,
    face_box: tuple[int, int, int, int],
    notes: Sequence[str] = (),
) -> None:
    """Write the description of the frames in `folder`; `bvp` may go on behind the last frame."""
    content = {"shape": shape, "fs": fs, "bvp": None if bvp is None else bvp.tolist()}
    meta = {
        "version": VERSION,
        **content,
        "fingerprint": _content_hash(folder / FRAMES, content),
        "face_box": face_box,
        "notes": list(notes),
    }
    (folder / META).write_text(json.dumps(meta))


def _content_hash(frames: Path, described: dict[str, Any]) -> str:
    """The same wherever the same crops and labels lie, and whenever they were made."""
    digest = hashlib.sha256(json.dumps(described).encode())
    with frames.open("rb") as file:
        while block := file.read(HASHED_BYTES):
            digest.update(block)
    return digest.hexdigest()


def writing(final: Path) -> AbstractContextManager[Path]:
    """A folder to fill; it becomes the entry `final` only when the block ends well.

    Raises:
        OutputError: the place cannot be written, or the disk is full.
    """
    return appearing(
        final,
        "the cache",
        "free disk space, or set $STREAMNET_CACHE (in a protocol also CACHED_PATH) to another "
        "folder.",
    )


def append(path: Path, frames: Iterator[FrameArray]) -> int:
    """Write frames one after the other; returns how many."""
    n = 0
    with path.open("wb") as file:
        for frame in frames:
            file.write(np.ascontiguousarray(frame).tobytes())
            n += 1
    return n


@dataclass(frozen=True)
class MapFile:
    """Where a memory map is, to open it again elsewhere."""

    path: Path
    shape: tuple[int, ...]
    offset: int


def by_reference(video: FaceVideo) -> FaceVideo:
    """The video with the place of its frames instead of a memory map of them, to be sent away."""
    frames = video.frames
    # A part of a map has the map's offset, not its own: only a whole one can be opened again.
    if isinstance(frames, np.memmap) and isinstance(frames.base, mmap.mmap) and frames.filename:
        where = MapFile(Path(frames.filename), frames.shape, frames.offset)
        return replace(video, frames=cast(FrameArray, where))
    return video


def opened(video: FaceVideo) -> FaceVideo:
    """The video that `by_reference` was given; any other as it is."""
    where: Any = video.frames
    if not isinstance(where, MapFile):
        return video
    frames = np.memmap(where.path, np.uint8, "r", where.offset, where.shape)
    return replace(video, frames=frames)
