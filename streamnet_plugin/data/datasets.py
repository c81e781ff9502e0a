"""Datasets by name: where their recordings are, and how to read them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from streamnet_plugin.data.groups import with_groups
from streamnet_plugin.data.pure import NAME as PURE
from streamnet_plugin.data.pure import find_pure, read_pure_label, read_pure_values
from streamnet_plugin.data.ubfc import NAME as UBFC
from streamnet_plugin.data.ubfc import find_ubfc, read_ubfc_label, read_ubfc_values
from streamnet_plugin.data.video import find_videos
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import BvpTrace, FaceVideo, FloatArray, Recording

FINDERS: dict[str, Callable[[str | Path], list[Recording]]] = {
    UBFC: find_ubfc,
    PURE: find_pure,
    "video": find_videos,
}
LABELS: dict[str, Callable[[Recording], BvpTrace]] = {UBFC: read_ubfc_label, PURE: read_pure_label}
VALUES: dict[str, Callable[[Recording], FloatArray]] = {
    UBFC: read_ubfc_values,
    PURE: read_pure_values,
}


FOREIGN = "rppg.datasets"
"""Entry points: name of a dataset -> (Data, cache folder, Reporter) -> PreprocessReport."""


def foreign_dataset(name: str) -> Callable[..., Any] | None:
    """What reads a dataset that another package knows; None for our own and unknown ones."""
    if name in FINDERS:
        return None
    points = {point.name: point for point in entry_points(group=FOREIGN)}
    return points[name].load() if name in points else None


def find_recordings(dataset: str, root: str | Path) -> list[Recording]:
    """The recordings of a dataset below `root`, in natural order.

    Raises:
        ConfigError: no dataset of that name; lists the known ones.
        DataError: nothing to find there, or a `groups.csv` that is damaged.
    """
    if dataset not in FINDERS:
        raise ConfigError(
            f"no dataset is named {dataset!r}", remedy="use one of " + ", ".join(FINDERS) + "."
        )
    return with_groups(FINDERS[dataset](root), root)


def read_label(recording: Recording) -> BvpTrace | None:
    """The ground truth; None for a video that has none. Raises `DataError` if it is damaged."""
    return LABELS[recording.dataset](recording) if recording.dataset in LABELS else None


def read_label_values(recording: Recording) -> FloatArray | None:
    """The ground truth without its clock, for labels that are placed by number.

    Of what other scripts write in these formats times and heart rates may be missing or crude: the
    toolbox does not look at them. None and `DataError` as `read_label`.
    """
    return VALUES[recording.dataset](recording) if recording.dataset in VALUES else None


def dataset_fingerprint(videos: Iterable[FaceVideo]) -> str:
    """One short hash over who and what all videos show, whatever their order and their places."""
    of = ((v.recording.dataset, v.recording.id, v.recording.subject, v.fingerprint) for v in videos)
    return hashlib.sha256(repr(sorted(of)).encode()).hexdigest()[:16]
