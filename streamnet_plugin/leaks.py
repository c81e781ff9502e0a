"""People on two sides of a split: the same subject in training, validation or test data."""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from streamnet_plugin.config import Data
from streamnet_plugin.data.datasets import FINDERS
from streamnet_plugin.data.splits import subjects_of
from streamnet_plugin.errors import StreamnetError
from streamnet_plugin.sections import has_fold, recordings_of
from streamnet_plugin.types import FaceVideo, Recording
from streamnet_plugin.wording import some


def leaks(sections: Mapping[str, Data]) -> Iterator[tuple[str, tuple[str, str]]]:
    """One line, with its fix, for each two sections that share people; and their names.

    Ranges BEGIN to END of one folder must not overlap, whatever lies in it. Where the folders can
    be read, the subjects that both sections select are named, also those of two folders of one
    dataset.
    """
    recordings = {name: selected(data) for name, data in sections.items()}
    for (first, a), (second, b) in combinations(sections.items(), 2):
        folds = has_fold(a) or has_fold(b)
        if not a.DATASET or a.DATASET != b.DATASET or (a.FOLD != b.FOLD and not folds):
            continue  # folds of the toolbox's own are lists in its own files
        same_root = Path(a.DATA_PATH).resolve() == Path(b.DATA_PATH).resolve()
        overlap = same_root and not folds and max(a.BEGIN, b.BEGIN) < min(a.END, b.END)
        shared = shared_subjects(recordings[first], recordings[second])
        if overlap or shared:
            text = (
                f"leak: {first}.DATA ({_range(a)}) and {second}.DATA ({_range(b)}) "
                f"of {a.DATASET} {'overlap' if overlap else 'share people'}: {_who(shared)} in "
                f"both. {_fix(same_root)}"
            )
            yield text, (first, second)


def _range(data: Data) -> str:
    return data.FOLD.FOLD_NAME if has_fold(data) else f"{data.BEGIN}-{data.END}"


def _who(subjects: Sequence[str]) -> str:
    if not subjects:
        return "the same subjects are"
    return f"subject {subjects[0]} is" if len(subjects) == 1 else f"subjects {some(subjects)} are"


def _fix(same_root: bool) -> str:
    if same_root:
        return "Use disjoint ranges, e.g. TRAIN 0.0-0.6, VALID 0.6-0.8, TEST 0.8-1.0."
    return "Keep each subject in one of the two folders; rename those that are other people."


def selected(data: Data) -> list[Recording]:
    """The recordings that a section selects on disk; none where they cannot be read."""
    if data.DATASET not in FINDERS or not Path(data.DATA_PATH).is_dir():
        return []
    try:
        return recordings_of(data)
    except StreamnetError:
        return []


def subjects_by_section(
    sections: Mapping[str, Data], test: str, videos: Sequence[FaceVideo]
) -> dict[str, list[str]]:
    """The people of every section whose folder can be read, for `write_split`.

    Where sections read several folders, a name alone is no person: each gets its dataset, or, if
    they are folders of one dataset, its folder before it.

    Args:
        sections: of the protocol.
        test: the name of the one that `videos` are from; they are in it, wherever it lies.
        videos: what was read.
    """
    homes = {(data.DATASET, str(Path(data.DATA_PATH).resolve())) for data in sections.values()}
    one_each = len({dataset for dataset, _ in homes}) == len(homes)
    parts = {}
    for name, data in sections.items():
        found = selected(data)
        if name == test:
            found = [*found, *(video.recording for video in videos)]
        before = "" if len(homes) == 1 else f"{data.DATASET if one_each else data.DATA_PATH}/"
        if found:
            parts[name] = [before + subject for subject in subjects_of(found)]
    return parts


def shared_subjects(first: Sequence[Recording], second: Sequence[Recording]) -> list[str]:
    """The people that are among both, by the names of their subjects.

    Two datasets in one format often have a subject1 each, who are two people: a recording that
    both have under one name is the same only if its labels are. Subjects without such a recording
    are the same if their names are.
    """
    mine = {r.id: r for r in first}
    theirs = {r.id: r for r in second}
    others = {
        mine[name].subject
        for name in mine.keys() & theirs.keys()
        if not _same_recording(mine[name], theirs[name])
    }
    both = {r.subject for r in first} & {r.subject for r in second}
    return [subject for subject in subjects_of(first) if subject in both - others]


def _same_recording(first: Recording, second: Recording) -> bool:
    a, b = first.label_path, second.label_path
    if first.path.resolve() == second.path.resolve() or a is None or b is None:
        return True
    return not (a.is_file() and b.is_file()) or filecmp.cmp(a, b, shallow=False)
