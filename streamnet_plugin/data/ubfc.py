"""UBFC-rPPG (Bobbia et al., Pattern Recognition Letters 2019), both of its parts.

DATASET_2   subjectN/vid.avi   subjectN/ground_truth.txt   three lines: BVP, HR in bpm, time in s
DATASET_1   N-gt/vid.avi       N-gt/gtdump.xmp             columns: ms, HR, SpO2, BVP
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import BvpTrace, FloatArray, Recording
from streamnet_plugin.wording import count

NAME = "UBFC-rPPG"
VIDEO = "vid.avi"
LABELS = ("ground_truth.txt", "gtdump.xmp")
_RECORDING = re.compile(r"subject\d+|\d+-gt")


def find_ubfc(root: str | Path) -> list[Recording]:
    """All recordings at or below `root`, in natural order (subject2 before subject10).

    A subject's folder in which the video or the labels are missing is listed too: reading it
    fails, by name, instead of the subject being absent from the table.

    Raises:
        DataError: no such folder, or no recording in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError("there is no such folder", path=root, remedy="correct DATA_PATH.")
    folders = {path.parent for name in (VIDEO, *LABELS) for path in root.rglob(name)}
    folders |= {path for path in root.glob("subject*") if path.is_dir()}
    # Hidden folders are somebody's unfinished or rejected work.
    folders = {f for f in folders if not any(p[0] == "." for p in f.relative_to(root).parts)}
    if not folders:
        raise DataError(
            f"no {VIDEO}, {LABELS[0]} or {LABELS[1]} below this folder",
            path=root,
            remedy="give the folder that holds subject1, subject2, ... of UBFC-rPPG.",
        )
    # Two parts below one root can both have a subject 1; the relative path tells them apart.
    ids = {folder: folder.name for folder in folders}
    if len(set(ids.values())) < len(folders):
        ids = {folder: folder.relative_to(root).as_posix().replace("/", "-") for folder in folders}
    return [
        Recording(
            dataset=NAME,
            id=ids[folder],
            subject=ids[folder],
            path=folder / VIDEO,
            label_path=next((folder / n for n in LABELS if (folder / n).exists()), None)
            or folder / LABELS[0],
        )
        for folder in sorted(folders, key=lambda f: natural_key(ids[f]))
    ]


def named_like_ubfc(names: Iterable[str]) -> bool:
    """Whether all are names as UBFC-rPPG has them, which has one recording of each person."""
    return all(_RECORDING.fullmatch(name) for name in names)


def read_ubfc_label(recording: Recording) -> BvpTrace:
    """BVP, heart rate and times of a recording.

    Raises:
        DataError: missing or empty file, text or NaN among the numbers, lines of different
            lengths, or times that do not increase.
    """
    path, lines = _lines(recording)
    rows = [_numbers(line, path) for line in lines]
    if path.name == LABELS[1]:
        ms, hr, _, bvp = _columns(rows, path)
        return checked_trace(ms / 1000, bvp, hr, path)
    if len(rows) < 3:
        raise DataError(
            f"expected three lines (BVP, HR, time), found {len(rows)}",
            path=path,
            remedy="download the subject's ground truth again.",
        )
    bvp, hr, t = rows[:3]
    if not len(bvp) == len(hr) == len(t):
        raise DataError(
            f"the three lines hold {len(bvp)}, {len(hr)} and {len(t)} numbers",
            path=path,
            remedy="download the subject's ground truth again.",
        )
    return checked_trace(t, bvp, hr, path)


def read_ubfc_values(recording: Recording) -> FloatArray:
    """The BVP of a recording, every value in the file's order; nothing else need be in the file.

    Raises:
        DataError: missing or empty file, text or NaN among these numbers, or all are equal.
    """
    path, lines = _lines(recording)
    if path.name == LABELS[1]:
        bvp = _columns([_numbers(line, path) for line in lines], path)[3]
    else:
        bvp = _numbers(lines[0], path)
    return checked_values(bvp, path)


def _lines(recording: Recording) -> tuple[Path, list[str]]:
    """Those of the ground truth that are not empty."""
    path = recording.label_path
    if path is None or not path.is_file():
        raise DataError(
            "the ground truth is missing", path=path, remedy="download the subject's files again."
        )
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip(" ,\t")]
    if not lines:
        raise DataError("the ground truth is empty", path=path, remedy="download it again.")
    return path, lines


def _columns(rows: list[FloatArray], path: Path) -> FloatArray:
    """(4, N) of DATASET_1."""
    if any(len(row) != 4 for row in rows):
        raise DataError("expected four columns: ms, HR, SpO2, BVP", path=path)
    return np.array(rows).T


def checked_values(bvp: FloatArray, path: Path) -> FloatArray:
    """The BVP itself, or `DataError`: not finite, too short, or constant."""
    _check_finite(bvp, path)
    if len(bvp) < 2:
        raise DataError(f"the ground truth has {count(len(bvp), 'sample')}", path=path)
    if np.ptp(bvp) == 0:
        raise DataError(
            f"the ground truth is constant ({bvp[0]:g} throughout): the sensor was off",
            path=path,
            remedy="mend or remove this recording.",
        )
    return bvp


def _check_finite(values: FloatArray, path: Path) -> None:
    bad = int(np.sum(~np.isfinite(values)))
    if bad:
        raise DataError(
            f"{bad} of the ground truth's values are not numbers (NaN or infinite)",
            path=path,
            remedy="mend or remove this recording.",
        )


def checked_trace(t: FloatArray, bvp: FloatArray, hr: FloatArray | None, path: Path) -> BvpTrace:
    """A trace whose clock starts at 0, or `DataError`: not finite, too short, clock not rising."""
    _check_finite(np.concatenate([bvp, t]), path)
    checked_values(bvp, path)
    # Real files repeat a timestamp now and then; the later sample of a pair is left out.
    rising = np.concatenate([[True], np.diff(t) > 0])
    if np.any(np.diff(t) < 0) or rising.mean() < 0.5:
        raise DataError("the ground truth's clock runs backwards or stands still", path=path)
    return BvpTrace(
        t=(t - t[0])[rising],
        bvp=bvp[rising],
        hr=None if hr is None else hr[rising],
    )


def _numbers(line: str, path: Path) -> FloatArray:
    try:
        return np.array([float(word) for word in line.replace(",", " ").split()])
    except ValueError as error:
        raise DataError(
            f"text among the ground truth's numbers: {error}",
            path=path,
            remedy="mend or remove this recording.",
        ) from error
