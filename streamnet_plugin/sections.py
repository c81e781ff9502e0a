"""Which recordings a DATA section of a protocol means: its folder, its range, its fold."""

from __future__ import annotations

from pathlib import Path

from streamnet_plugin.config import Data, shipped_configs
from streamnet_plugin.data.datasets import find_recordings
from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.splits import read_split, select_range, subjects_of
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import Recording
from streamnet_plugin.wording import some

SPLITS = "splits"


def recordings_of(data: Data) -> list[Recording]:
    """The recordings of a section: the subjects of its fold, and of these BEGIN to END.

    Raises:
        ConfigError: nothing is left; or there is no such split or part of it, or the dataset lacks
            one of its subjects.
        DataError: no recordings in its folder.
    """
    found = find_recordings(data.DATASET, Path(data.DATA_PATH))
    if has_fold(data):
        found = _of_fold(found, data)
    return select_range(found, data.BEGIN, data.END)


def has_fold(data: Data) -> bool:
    """Whether a section names a part of a split file of ours; the toolbox's folds are CSVs."""
    return data.FOLD.FOLD_PATH.endswith(".json")


def find_split(path: str | Path) -> Path:
    """A split file by its path, or a shipped one by its name, e.g. `splits/ubfc-30-12.json`.

    Raises:
        ConfigError: neither; lists the shipped ones.
    """
    given, shipped = Path(path), shipped_configs() / SPLITS / Path(path).name
    if given.is_file():
        return given
    if shipped.is_file() and given.parent in (Path(), Path(SPLITS)):
        return shipped
    known = sorted(f"{SPLITS}/{p.name}" for p in shipped.parent.glob("*.json"))
    raise ConfigError(
        "no such split file, and none of that name is shipped",
        path=given,
        remedy="give a path to a split file, or one of: " + ", ".join(known) + ".",
    )


def _of_fold(found: list[Recording], data: Data) -> list[Recording]:
    path, name = find_split(data.FOLD.FOLD_PATH), data.FOLD.FOLD_NAME
    parts = read_split(path)
    if name not in parts:
        raise ConfigError(
            f"FOLD_NAME is {name!r}, and the split has no such part",
            path=path,
            remedy=f"use one of {', '.join(parts)}.",
        )
    missing = sorted(set(parts[name]) - set(subjects_of(found)), key=natural_key)
    if missing:
        raise ConfigError(
            f"the split's part {name!r} names {some(missing)}, and the dataset in "
            f"{data.DATA_PATH} has no such subject",
            path=path,
            remedy="complete the dataset, or use another split.",
        )
    return [r for r in found if r.subject in parts[name]]
