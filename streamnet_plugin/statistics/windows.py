"""Which windows there are, which have a result, and whose they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

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


@dataclass(frozen=True)
class ErrorTable:
    """Absolute errors of every method on every window, bpm.

    Attributes:
        methods: M names; keys, subjects: of the W windows.
        errors: (W, M), NaN where a method has no result.
    """

    methods: tuple[str, ...]
    keys: tuple[WindowKey, ...]
    subjects: tuple[str, ...]
    errors: FloatArray

    def common(self, methods: Sequence[str]) -> tuple[FloatArray, list[str]]:
        """Mean errors (n, len(methods)) of the subjects over the windows that all have."""
        columns = self.errors[:, [self.methods.index(m) for m in methods]]
        both = np.isfinite(columns).all(axis=1)
        found: dict[str, list[int]] = {}
        for i in np.flatnonzero(both):
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
    error = np.abs(column(good, "hr_pred") - column(good, "hr_label"))
    at = [place[row.key] for row in good]
    errors[at, [methods.index(row.method) for row in good]] = error
    return ErrorTable(methods, tuple(owners), tuple(owners.values()), errors)
