"""PURE (Stricker et al., RO-MAN 2014): PNG images and a JSON of labels at 60 Hz.

    NN-MM/NN-MM/Image<nanoseconds>.png
    NN-MM/NN-MM.json    /FullPackage [{Timestamp, Value {waveform, pulseRate, o2saturation}}]
                        /Image [{Timestamp}]

NN is the subject, MM the setup.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.ubfc import checked_trace, checked_values
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import BvpTrace, FloatArray, Recording

log = logging.getLogger(__name__)
NAME = "PURE"
SETUP = "setup"
"""Name of the group."""
SETUPS = {
    "01": "steady",
    "02": "talking",
    "03": "slow translation",
    "04": "fast translation",
    "05": "small rotation",
    "06": "medium rotation",
}
MISSING_IMAGES_TOLERATED = 0.02
_RECORDING = re.compile(r"(\d+)-(\d+)")
_SAVED = re.compile(r"(\d{1,2})-?(0[1-6])")
"""Names of saved waveforms: the toolbox makes 101 of 01-01."""


def find_pure(root: str | Path) -> list[Recording]:
    """All recordings NN-MM below `root`, in natural order; damaged ones are listed too.

    Raises:
        DataError: no such folder, or no recording in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError("there is no such folder", path=root, remedy="correct DATA_PATH.")
    folders = [p for p in root.iterdir() if is_recording(p)]
    if not folders:
        raise DataError(
            "no folder named like 01-01 in it",
            path=root,
            remedy="give the folder that holds 01-01, 01-02, ... of PURE.",
        )
    return [_recording(folder) for folder in sorted(folders, key=lambda f: natural_key(f.name))]


def is_recording(folder: Path) -> bool:
    """Whether it is a folder named like 01-01."""
    return folder.is_dir() and bool(_RECORDING.fullmatch(folder.name))


def _recording(folder: Path) -> Recording:
    subject, setup = folder.name.split("-")
    inner, label = folder / folder.name, folder / f"{folder.name}.json"
    beside = folder.parent / f"{folder.name}.json"  # the JSON as it comes from the archive
    return Recording(
        dataset=NAME,
        id=folder.name,
        subject=subject,
        path=inner if inner.is_dir() else folder,
        label_path=label if label.exists() or not beside.exists() else beside,
        groups={SETUP: SETUPS.get(setup.zfill(2), setup)},
    )


def people_of(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """name -> (subject, setup in words), of names such as 101 or 01-01; empty unless all are."""
    return {name: (subject, SETUPS[setup]) for name, (subject, setup) in _parts(names).items()}


def own_names(names: Iterable[str]) -> dict[str, str]:
    """name -> what the recording is called in PURE, 01-01 for 101; empty unless all are such."""
    return {name: f"{subject}-{setup}" for name, (subject, setup) in _parts(names).items()}


def _parts(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """name -> the numbers of subject and setup; empty unless all have them."""
    found = {name: _SAVED.fullmatch(name) for name in names}
    return (
        {name: (match[1].zfill(2), match[2]) for name, match in found.items() if match}
        if all(found.values())
        else {}
    )


def image_times(names: list[str]) -> FloatArray | None:
    """Times in s, from the first image, of names Image<nanoseconds>.png; None if not so named."""
    ns = image_stamps(names)
    return None if ns is None else (ns - ns[0]) / 1e9


def image_stamps(names: list[str]) -> NDArray[np.int64] | None:
    """The nanoseconds in names Image<nanoseconds>.png; None if not all are so named."""
    stamps = [re.fullmatch(r"Image(\d{1,19})", Path(name).stem) for name in names]
    numbers = [int(stamp.group(1)) for stamp in stamps if stamp]
    if len(numbers) < len(names) or any(n > np.iinfo(np.int64).max for n in numbers):
        return None
    return np.array(numbers, dtype=np.int64)


def read_pure_label(recording: Recording) -> BvpTrace:
    """BVP and heart rate on the clock of the images: t = 0 is the first image.

    Raises:
        DataError: missing file, no JSON, keys missing, NaN or text among the numbers.
    """
    with _reading(recording) as (path, content):
        package = content["/FullPackage"]
        ns = np.array([int(p["Timestamp"]) for p in package], dtype=np.int64)
        bvp = _waveform(content)
        hr = np.array([float(p["Value"]["pulseRate"]) for p in package])
        listed = _listed(content)
        first_image = listed[0]
    _check_samples(bvp, path)
    trace = checked_trace(ns / 1e9, bvp, hr, path)
    on_disk = _complete_images(listed, recording)
    if on_disk is not None and len(on_disk):
        first_image = int(min(on_disk))  # the frames' clock starts there
    offset = (int(ns[0]) - first_image) / 1e9
    return replace(trace, t=trace.t + offset)


def read_pure_values(recording: Recording) -> FloatArray:
    """The BVP of a recording, every value in the JSON's order; it need hold no times.

    Raises:
        DataError: missing file, no JSON, no waveform, NaN or text among its numbers, or fewer
            images than the JSON lists, if it does.
    """
    with _reading(recording) as (path, content):
        bvp = _waveform(content)
        listed = _listed(content) if "/Image" in content else []
    _check_samples(bvp, path)
    _complete_images(listed, recording)
    return checked_values(bvp, path)


@contextmanager
def _reading(recording: Recording) -> Iterator[tuple[Path, Any]]:
    """The JSON and what it holds; `DataError` for what goes wrong while the block takes it."""
    path = recording.label_path
    if path is None or not path.is_file():
        raise DataError("the JSON of labels is missing", path=path, remedy="unpack PURE again.")
    try:
        yield path, json.loads(path.read_text())
    except KeyError as error:
        raise DataError(
            f"the JSON lacks the key {error}", path=path, remedy="unpack PURE again."
        ) from error
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise DataError(
            f"the JSON cannot be read: {error}", path=path, remedy="unpack PURE again."
        ) from error


def _waveform(content: Any) -> FloatArray:
    return np.array([float(p["Value"]["waveform"]) for p in content["/FullPackage"]])


def _listed(content: Any) -> list[int]:
    return [int(image["Timestamp"]) for image in content["/Image"]]


def _check_samples(bvp: FloatArray, path: Path) -> None:
    if not len(bvp):
        raise DataError("the JSON holds no samples", path=path, remedy="unpack PURE again.")


def _complete_images(listed: list[int], recording: Recording) -> NDArray[np.int64] | None:
    """`image_stamps` of those that are there.

    Raises:
        DataError: images that the JSON lists are not there: frames would close up unseen.
    """
    names = [path.name for path in recording.path.glob("*.png")]
    on_disk = image_stamps(names)
    if on_disk is None or not set(listed) & set(on_disk.tolist()):  # another clock, or none
        missing = max(0, len(listed) - len(names))
    else:
        missing = len(set(listed) - set(on_disk.tolist()))
    if names and missing > MISSING_IMAGES_TOLERATED * len(listed):
        raise DataError(
            f"{missing} of the {len(listed)} images that the JSON lists are missing",
            path=recording.path,
            remedy="unpack PURE again.",
        )
    if missing:
        log.info("%s: %d images of the JSON are missing", recording.path, missing)
    return on_disk


def missing_images(folder: str | Path) -> str:
    """Whether a recording NN-MM lacks images that its JSON lists: how many, or "".

    A JSON that is not there, cannot be read or lists none says nothing.
    """
    recording = _recording(Path(folder))
    try:
        with _reading(recording) as (_, content):
            listed = _listed(content)
    except DataError:
        return ""
    try:
        _complete_images(listed, recording)
    except DataError as error:
        return error.what
    return ""
