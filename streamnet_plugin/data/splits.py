"""Splits of recordings by subject: no person is on two sides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from streamnet_plugin.atomic import write_text
from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import Recording
from streamnet_plugin.wording import count

MIN_FOLDS = 3


def subjects_of(recordings: Sequence[Recording]) -> list[str]:
    """The subjects, each once, in natural order."""
    return sorted({r.subject for r in recordings}, key=natural_key)


def select_range(recordings: Sequence[Recording], begin: float, end: float) -> list[Recording]:
    """Recordings of the subjects between the fractions BEGIN and END of their natural order.

    Raises:
        ConfigError: no subject is left.
    """
    subjects = subjects_of(recordings)
    chosen = set(subjects[int(begin * len(subjects)) : int(end * len(subjects))])
    if not chosen:
        raise ConfigError(
            f"BEGIN {begin:g} to END {end:g} of {count(len(subjects), 'subject')} selects none",
            remedy="widen the range.",
        )
    return [r for r in recordings if r.subject in chosen]


def split_subjects(
    recordings: Sequence[Recording], fractions: Mapping[str, float], seed: int
) -> dict[str, list[str]]:
    """Subjects dealt to named parts at random, e.g. {"train": 0.8, "test": 0.2}.

    Raises:
        ConfigError: fractions that do not add up to 1, or a part that would get no subject.
    """
    if abs(sum(fractions.values()) - 1) > 1e-6 or min(fractions.values()) <= 0:
        raise ConfigError(f"fractions {dict(fractions)} must be positive and add up to 1")
    subjects = subjects_of(recordings)
    shuffled = [subjects[i] for i in np.random.default_rng(seed).permutation(len(subjects))]
    edges = np.rint(np.cumsum([0.0, *fractions.values()]) * len(subjects)).astype(int)
    parts = {
        name: sorted(shuffled[start:stop], key=natural_key)
        for name, start, stop in zip(fractions, edges, edges[1:], strict=False)
    }
    empty = [name for name, part in parts.items() if not part]
    if empty:
        raise ConfigError(f"too few subjects ({len(subjects)}): none is left for {empty[0]!r}")
    return parts


def fold_splits(subjects: Sequence[str], folds: int, seed: int) -> list[dict[str, list[str]]]:
    """K splits: every subject is in "test" of one, in "valid" of another, in "train" of the rest.

    Raises:
        ConfigError: fewer than three folds, or fewer subjects than folds.
    """
    if folds < MIN_FOLDS:
        raise ConfigError(
            f"{count(folds, 'fold')}: training, validation and test need one each at least",
            remedy=f"use {MIN_FOLDS} or more.",
        )
    if len(subjects) < folds:
        raise ConfigError(
            f"{count(len(subjects), 'subject')} make no {folds} folds",
            remedy=f"use at most {len(subjects)}.",
        )
    shuffled = [subjects[i] for i in np.random.default_rng(seed).permutation(len(subjects))]
    parts = [sorted(shuffled[k::folds], key=natural_key) for k in range(folds)]
    splits = []
    for k in range(folds):
        valid = (k + 1) % folds
        rest = [s for j, part in enumerate(parts) if j not in (k, valid) for s in part]
        splits.append(
            {"train": sorted(rest, key=natural_key), "valid": parts[valid], "test": parts[k]}
        )
    return splits


def check_split(parts: Mapping[str, Sequence[str]], path: str | Path | None = None) -> None:
    """`ConfigError` that names the first subject found in two parts, and the file of the split."""
    where: dict[str, str] = {}
    for name, part in parts.items():
        for subject in part:
            if where.setdefault(subject, name) != name:
                raise ConfigError(
                    f"subject {subject!r} is in {where[subject]!r} and in {name!r}",
                    path=path,
                    remedy="keep each subject in one part only.",
                )


def write_split(parts: Mapping[str, Sequence[str]], path: str | Path) -> None:
    """Write a split as JSON, after checking it; `ConfigError` if it leaks, or `OutputError`."""
    check_split(parts)
    write_text(Path(path), json.dumps(parts, indent=1) + "\n", "the split")


def read_split(path: str | Path) -> dict[str, list[str]]:
    """Read and check a split; `ConfigError` if it is none, or leaks."""
    try:
        content = json.loads(Path(path).read_text())
        parts = {str(k): [str(s) for s in v] for k, v in content.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"this is no split file: {error}", path=path) from error
    check_split(parts, path)
    return parts
