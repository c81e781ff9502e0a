"""What is known of recordings beside their pulse: motion, skin tone, or whatever a table says."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from streamnet_plugin.data.synthetic.writers import MANIFEST
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import Recording

GROUPS_FILE = "groups.csv"
"""In a dataset's folder: a column `recording`, and one for each kind of group."""
RECORDING = "recording"


def with_groups(recordings: Sequence[Recording], root: str | Path) -> list[Recording]:
    """The recordings with the groups that `groups.csv` and the generator's manifests give them.

    What a dataset's own names say (PURE's setups) is kept unless `groups.csv` says otherwise.

    Raises:
        DataError: `groups.csv` cannot be read, or names a recording twice or one that is not there.
    """
    table = _read_table(Path(root) / GROUPS_FILE, {r.id for r in recordings})
    return [
        replace(r, groups={**_of_synthetic(r), **r.groups, **table.get(r.id, {})})
        for r in recordings
    ]


def _read_table(path: Path, known: set[str]) -> Mapping[str, Mapping[str, str]]:
    if not path.is_file():
        return {}
    remedy = "give it a column `recording` with names as in windows.csv, and one per kind of group."
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"this table cannot be read: {error}", path=path, remedy=remedy) from error
    if RECORDING not in columns:
        raise DataError("there is no column `recording`", path=path, remedy=remedy)
    found: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise DataError(f"row {number} is not as long as the header", path=path, remedy=remedy)
        name = row.pop(RECORDING)
        if name not in known:
            raise DataError(f"there is no recording {name!r}", path=path, remedy=remedy)
        if name in found:
            raise DataError(f"the recording {name!r} has two rows", path=path, remedy=remedy)
        found[name] = {key: value for key, value in row.items() if value}
    return found


def _of_synthetic(recording: Recording) -> dict[str, str]:
    """Motion and skin tone of a recording of our generator; nothing for all others."""
    for folder in (recording.path, recording.path.parent):
        try:
            settings = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["settings"]
            return {"motion": str(settings["motion"]), "skin tone": str(settings["skin_tone"])}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}
