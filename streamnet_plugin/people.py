"""Who saved waveforms show: subjects, not recordings, are the unit of every interval and test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamnet_plugin.data.groups import read_table
from streamnet_plugin.data.pure import NAME as PURE
from streamnet_plugin.data.pure import SETUP as PURE_SETUP
from streamnet_plugin.data.pure import people_of
from streamnet_plugin.data.ubfc import named_like_ubfc
from streamnet_plugin.errors import DataError
from streamnet_plugin.scoring import WaveformPair
from streamnet_plugin.wording import count, some

SUBJECT = "subject"
"""Column of a CSV of waveforms, and of a table of subjects."""
NAME_THEM = (
    "name them by --subjects FILE, a CSV with the columns recording and subject, or in a CSV of "
    "waveforms by a column subject."
)
"""What to do where nobody said who recordings show, when waveforms are scored again."""
SCORE_AGAIN = (
    "name them in a CSV with the columns recording and subject, and score the results folder by "
    "`streamnet evaluate FOLDER --subjects FILE`."
)
"""The same where they are read and scored at once."""
REMEDY = "give it the columns recording and subject, and a row for every recording."


@dataclass(frozen=True)
class SubjectTable:
    """What a table says of recordings.

    Attributes:
        path: of the CSV.
        rows: recording -> its `subject`, and groups by other names.
    """

    path: Path = Path()
    rows: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def unused(self, recordings: Iterable[str]) -> list[str]:
        """A note on its rows that are of none of these recordings."""
        strange = sorted(self.rows.keys() - {*recordings})
        if not strange:
            return []
        return [
            f"{self.path}: {count(len(strange), 'row')} of no recording here ({some(strange)})."
        ]


NO_TABLE = SubjectTable()


def read_subjects(path: str | Path) -> SubjectTable:
    """A CSV with the columns recording and subject; all others are groups, as in `groups.csv`.

    Raises:
        DataError: it cannot be read, or a row has no subject.
    """
    path = Path(path)
    rows = read_table(path, REMEDY)
    without = [name for name, row in rows.items() if SUBJECT not in row]
    if without:
        raise DataError(f"the recording {without[0]!r} has no subject", path=path, remedy=REMEDY)
    return SubjectTable(path, rows)


def identified(pairs: Sequence[WaveformPair], table: SubjectTable = NO_TABLE) -> list[WaveformPair]:
    """The pairs of one source under the subjects that the table, or their names, tell.

    Names tell them if all are like PURE's, or all like UBFC-rPPG's, and nobody else does.

    Raises:
        DataError: the table contradicts the source, or lacks a recording whose subject is unknown.
    """
    named = _by_name([_by_table(pair, table) for pair in pairs])
    lacking = [pair.recording for pair in named if pair.subject_assumed] if table.rows else []
    if lacking:
        raise DataError(
            f"there is no row for {count(len({*lacking}), 'recording')} ({some(lacking)})",
            path=table.path,
            remedy=REMEDY,
        )
    return named


def _by_table(pair: WaveformPair, table: SubjectTable) -> WaveformPair:
    if pair.recording not in table.rows:
        return pair
    groups = dict(table.rows[pair.recording])
    subject = groups.pop(SUBJECT)
    if not pair.subject_assumed and pair.subject != subject:
        raise DataError(
            f"the recording {pair.recording!r} is of {subject!r} here, and of {pair.subject!r} "
            f"by what {pair.method} was read from",
            path=table.path,
            remedy="leave that row out, or correct it.",
        )
    return replace(pair, subject=subject, subject_assumed=False, groups={**pair.groups, **groups})


def _by_name(pairs: list[WaveformPair]) -> list[WaveformPair]:
    names = [pair.recording for pair in pairs]
    if not all(pair.subject_assumed for pair in pairs):
        return pairs
    if named_like_ubfc(names):
        return [replace(pair, subject_assumed=False) for pair in pairs]
    people = people_of(names)
    return (
        [
            replace(
                pair,
                subject=person,
                subject_assumed=False,
                groups={**pair.groups, PURE_SETUP: setup},
            )
            for pair in pairs
            for person, setup in [people[pair.recording]]
        ]
        if people
        else pairs
    )


def agreed(pairs: Sequence[WaveformPair]) -> list[WaveformPair]:
    """The pairs of all sources; what one knows of a recording's subject holds in the others.

    Raises:
        DataError: two say different subjects.
    """
    known: dict[tuple[str, str], WaveformPair] = {}
    for pair in pairs:
        if pair.subject_assumed:
            continue
        other = known.setdefault((pair.dataset, pair.recording), pair)
        if other.subject != pair.subject:
            raise DataError(
                f"the recording {pair.recording!r} is of {pair.subject!r} by {pair.method}, and of "
                f"{other.subject!r} by {other.method}",
                path=pair.path or None,
                remedy="name its subject alike in all sources.",
            )
    return [
        replace(pair, subject=known[key].subject, subject_assumed=False)
        if pair.subject_assumed and (key := (pair.dataset, pair.recording)) in known
        else pair
        for pair in pairs
    ]


def people_notes(pairs: Sequence[WaveformPair]) -> list[str]:
    """Says so where names alone tell subjects, and where nobody does."""
    return [*_told_by_name(pairs), *assumed_notes(pairs, NAME_THEM)]


def _told_by_name(pairs: Sequence[WaveformPair]) -> list[str]:
    found: dict[str, list[WaveformPair]] = {}
    for pair in pairs:
        if pair.dataset != PURE and PURE_SETUP in pair.groups and people_of([pair.recording]):
            found.setdefault(pair.method, []).append(pair)
    return [
        f"{method}: {count(len(own), 'recording')} of "
        f"{count(len({p.subject for p in own}), 'person', 'people')}, by their names, which are "
        f"all like those of {PURE} ({own[0].recording}: person {own[0].subject}, "
        f"{own[0].groups[PURE_SETUP]})."
        for method, own in found.items()
    ]


def assumed_notes(pairs: Sequence[WaveformPair], remedy: str = SCORE_AGAIN) -> list[str]:
    """A note on recordings that count as subjects; a single one is a single subject anyway.

    Chunks of a recording, which are scored as recordings of their own, count once.
    """
    assumed = [pair for pair in pairs if pair.subject_assumed]
    recordings = {(pair.dataset, pair.subject) for pair in assumed}
    if len(recordings) < 2:
        return []
    return [
        f"{', '.join(dict.fromkeys(pair.method for pair in assumed))}: nobody said who the "
        f"{len(recordings)} recordings show, so each counts as a subject of its own. If some show "
        f"the same person, there are fewer subjects, and intervals and tests are too sure: {remedy}"
    ]
