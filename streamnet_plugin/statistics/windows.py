"""Which windows there are, which have a result, and whose they are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.report.results import WindowKey, WindowRow
from streamnet_plugin.types import FloatArray


def known(value: float | None) -> TypeGuard[float]:
    """Whether there is a number: None and NaN stand for none."""
    return value is not None and math.isfinite(value)


def has_result(row: WindowRow) -> bool:
    """Whether both heart rates are there; what metrics leave out otherwise."""
    return row.status == "ok" and known(row.hr_pred) and known(row.hr_label)


def with_result(rows: Iterable[WindowRow]) -> list[WindowRow]:
    return [row for row in rows if has_result(row)]


def by_method(rows: Iterable[WindowRow]) -> dict[str, list[WindowRow]]:
    """The rows of each method, in order of first appearance."""
    found: dict[str, list[WindowRow]] = {}
    for row in rows:
        found.setdefault(row.method, []).append(row)
    return found


def column(rows: Sequence[WindowRow], name: str) -> FloatArray:
    """One field of the rows (W,), NaN where there is no number."""
    values = [getattr(row, name) for row in rows]
    return np.array([v if known(v) else np.nan for v in values], dtype=np.float64)


SAME_HR_BPM = 0.5
"""True HRs, of the refined peak, that differ by no more are one. A network is held against the
difference-normalised label, others against the label itself: on the demo these are 0.03 bpm apart
at most, and yet may fall on two points of the FFT's grid."""
SAME_TIME = 0.1
"""Share of a window's length by which its ends may differ: models that cut a video into clips of
their own length leave out different ends of it."""


def truth_of(rows: Sequence[WindowRow]) -> FloatArray:
    """What a method was compared with in each window: true HR in bpm, start and end in s (W, 3)."""
    refined, grid = column(rows, "hr_label_refined"), column(rows, "hr_label")
    hr = np.where(np.isfinite(refined), refined, grid)
    return np.stack([hr, column(rows, "start_s"), column(rows, "end_s")], axis=-1)


def same_truth(truths: FloatArray) -> NDArray[np.bool_]:
    """Whether methods were compared with the same: (..., M, 3) of `truth_of` -> (...).

    Windows are paired by their number. That is the same stretch of the same video, with the same
    label, only where true HR and time agree; other frame rates, alignments or labels do not. NaN
    (no result) differs from nothing.
    """
    if truths.shape[-2] < 2:
        return np.ones((*truths.shape[:-2],), dtype=np.bool_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no method has a result
        apart = np.nanmax(truths, axis=-2) - np.nanmin(truths, axis=-2)  # (..., 3)
        length = np.nanmin(truths[..., 2] - truths[..., 1], axis=-1)
    hr, start, end = np.moveaxis(np.nan_to_num(apart), -1, 0)
    slack = SAME_TIME * np.nan_to_num(length)
    return np.asarray((hr <= SAME_HR_BPM) & (start <= slack) & (end <= slack))


@dataclass(frozen=True)
class ErrorTable:
    """Absolute errors of every method on every window, bpm.

    Attributes:
        methods: M names; keys, subjects: of the W windows.
        errors: (W, M), NaN where a method has no result.
        truths: (W, M, 3) of `truth_of`, NaN there too.
    """

    methods: tuple[str, ...]
    keys: tuple[WindowKey, ...]
    subjects: tuple[str, ...]
    errors: FloatArray
    truths: FloatArray

    def other_truth(self) -> frozenset[WindowKey]:
        """Windows in which not all methods with a result have the same truth."""
        return frozenset(self.keys[i] for i in np.flatnonzero(~same_truth(self.truths)))

    def n_other_truth(self, methods: Sequence[str]) -> int:
        """Windows that all of these have, but not with the same truth: they are not compared."""
        both, same = self._both(methods)
        return int(np.count_nonzero(both & ~same))

    def _both(self, methods: Sequence[str]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(W,) where all have a result, and where their truth is the same."""
        columns = [self.methods.index(m) for m in methods]
        both = np.asarray(np.isfinite(self.errors[:, columns]).all(axis=1))
        return both, same_truth(self.truths[:, columns])

    def common(self, methods: Sequence[str]) -> tuple[FloatArray, list[str]]:
        """Mean errors (n, len(methods)) of the subjects over the windows that all have alike."""
        columns = self.errors[:, [self.methods.index(m) for m in methods]]
        both, same = self._both(methods)
        found: dict[str, list[int]] = {}
        for i in np.flatnonzero(both & same):
            found.setdefault(self.subjects[i], []).append(int(i))
        means = [columns[windows].mean(axis=0) for windows in found.values()]
        return np.array(means).reshape(-1, len(methods)), list(found)


def error_table(rows: Sequence[WindowRow]) -> ErrorTable:
    """The rows as a table, methods and windows in order of first appearance."""
    methods = tuple(by_method(rows))
    owners: dict[WindowKey, str] = {}
    for row in rows:
        owners.setdefault(row.key, row.person)
    place = {key: i for i, key in enumerate(owners)}
    errors = np.full((len(owners), len(methods)), np.nan)
    good = with_result(rows)
    truths = np.full((*errors.shape, 3), np.nan)
    at = [place[row.key] for row in good], [methods.index(row.method) for row in good]
    errors[at] = np.abs(column(good, "hr_pred") - column(good, "hr_label"))
    truths[at] = truth_of(good)
    return ErrorTable(methods, tuple(owners), tuple(owners.values()), errors, truths)
