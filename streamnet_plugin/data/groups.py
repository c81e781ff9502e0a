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
REMEDY = "give it a column `recording` with names as in windows.csv, and one per kind of group."


def with_groups(recordings: Sequence[Recording], root: str | Path) -> list[Recording]:
    """The recordings with the groups that `groups.csv` and the generator's manifests give them.

    What a dataset's own names say (PURE's setups) is kept unless `groups.csv` says otherwise.

    Raises:
        DataError: `groups.csv` cannot be read, or names a recording twice or one that is not there.
    """
    found, known = GroupsOf(root), {r.id for r in recordings}
    strange = [name for name in found.table if name not in known]
    if strange:
        raise DataError(
            f"there is no recording {strange[0]!r}", path=Path(root) / GROUPS_FILE, remedy=REMEDY
        )
    return [replace(r, groups=found.joined(r.id, r.groups)) for r in recordings]


class GroupsOf:
    """The groups of a dataset's folder, by recording; none where there is no such folder.

    Raises:
        DataError: its `groups.csv` cannot be read.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        path = self.root / GROUPS_FILE
        self.table = read_table(path, REMEDY) if path.is_file() else {}

    def joined(self, recording: str, own: Mapping[str, str]) -> dict[str, str]:
        """The groups that its own name gives a recording, and those that the folder gives it."""
        made = _of_synthetic(self.root / recording)
        if "setup" in own:  # PURE's name for the same thing
            made.pop("motion", None)
        return {**made, **own, **self.table.get(recording, {})}


def read_table(path: Path, remedy: str) -> dict[str, dict[str, str]]:
    """recording -> column -> what stands there, without empty cells.

    Raises:
        DataError: it cannot be read, or names no recording, or one twice; with this remedy.
    """
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
        if name in found:
            raise DataError(f"the recording {name!r} has two rows", path=path, remedy=remedy)
        found[name] = {key: value for key, value in row.items() if value}
    return found


def _of_synthetic(folder: Path) -> dict[str, str]:
    """Motion and skin tone of a recording of our generator; nothing for all others."""
    try:
        settings = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["settings"]
        return {"motion": str(settings["motion"]), "skin tone": str(settings["skin_tone"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
