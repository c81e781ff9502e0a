"""Errors and coverage on parts of the windows: setup, skin tone, HR range, SNR, window length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.statistics.bootstrap import mean_interval
from streamnet_plugin.statistics.results import GroupRow, Interval, LengthRow
from streamnet_plugin.statistics.windows import (
    by_method,
    column,
    has_result,
    known,
    with_result,
)
from streamnet_plugin.uncertainty.subjects import share_interval

HR, SNR = "HR (bpm)", "SNR (dB)"
HR_EDGES = (60.0, 80.0, 100.0)
"""bpm; 60 and 100 bound the normal resting heart rate."""
SNR_EDGES = (-5.0, 0.0, 5.0)
"""dB."""
NOMINAL = "90"
"""Coverage of the intervals that groups are checked for, %."""


def mae_interval(rows: Sequence[WindowRow], *, level: float = 0.95, seed: int = 0) -> Interval:
    """MAE (bpm) of the rows that have a result, over all windows, with its cluster interval."""
    good = with_result(rows)
    error = np.abs(column(good, "hr_pred") - column(good, "hr_label"))
    return mean_interval(error, [row.person for row in good], level=level, seed=seed)


def coverage_interval(rows: Sequence[WindowRow], nominal: str) -> Interval | None:
    """Share of windows, 0..1, whose calibrated interval holds the true refined HR.

    Every subject weighs the same, since a window of a new person is what is promised.

    None if no window has an interval, or all are infinite (None in `half_widths`): these hold
    whatever is true. Among finite ones, an infinite one counts as holding it.
    """
    calibrated = [
        row
        for row in rows
        if nominal in row.half_widths and known(row.hr_pred_refined) and known(row.hr_label_refined)
    ]
    if all(row.half_widths[nominal] is None for row in calibrated):
        return None
    error = np.abs(column(calibrated, "hr_pred_refined") - column(calibrated, "hr_label_refined"))
    half = np.array([_or_infinite(row.half_widths[nominal]) for row in calibrated])
    return share_interval(error <= half, [row.person for row in calibrated], by_subject=True)


def _or_infinite(width: float | None) -> float:
    return np.inf if width is None else width


def coverage_warning(coverage: Interval | None, nominal: str) -> str:
    """What to say where the nominal coverage lies above the whole interval; else empty."""
    if coverage is None or coverage.value is None:
        return ""
    if coverage.low is None or coverage.high is None or coverage.high >= float(nominal) / 100:
        return ""
    share, low, high = (100 * x for x in (coverage.value, coverage.low, coverage.high))
    return (
        f"coverage {share:.0f} % ({low:.0f}-{high:.0f} %) is below the nominal {float(nominal):g} %"
    )


def group_rows(
    rows: Sequence[WindowRow], *, level: float = 0.95, seed: int = 0
) -> tuple[GroupRow, ...]:
    """Every method on every value of every group that its windows with a result have.

    Groups: the keys of `WindowRow.groups`, the dataset if there are several, and the ranges of the
    true HR and of the window's SNR. The SNR is the method's own, so the windows of one SNR range
    differ between methods.
    """
    datasets = len({row.dataset for row in rows}) > 1
    parts: dict[str, dict[str, dict[str, list[WindowRow]]]] = {}
    for row in rows:
        if has_result(row):
            for group, value in _groups_of(row, datasets).items():
                methods = parts.setdefault(group, {}).setdefault(value, {})
                methods.setdefault(row.method, []).append(row)
    return tuple(
        _group_row(group, value, method, mine, level, seed)
        for group, values in parts.items()
        for value in sorted(values, key=_order(group))
        for method, mine in values[value].items()
    )


def _groups_of(row: WindowRow, datasets: bool) -> dict[str, str]:
    found = dict(row.groups)
    if datasets:
        found["dataset"] = row.dataset
    if known(row.hr_label):
        found[HR] = range_of(row.hr_label, HR_EDGES)
    if known(row.snr_db):
        found[SNR] = range_of(row.snr_db, SNR_EDGES)
    return found


def range_of(value: float, edges: Sequence[float]) -> str:
    """ "<60", "60 to <80", ..., ">=100": the range of `value` between `edges`."""
    return _range_names(edges)[int(np.searchsorted(edges, value, side="right"))]


def _range_names(edges: Sequence[float]) -> list[str]:
    inner = [f"{a:g} to <{b:g}" for a, b in pairwise(edges)]
    return [f"<{edges[0]:g}", *inner, f">={edges[-1]:g}"]


def _order(group: str) -> Callable[[str], tuple[int, str]]:
    """Ranges from low to high, other values by name."""
    ranges = _range_names({HR: HR_EDGES, SNR: SNR_EDGES}.get(group, (0.0,)))
    return lambda value: (ranges.index(value) if value in ranges else 0, value)


def _group_row(
    group: str, value: str, method: str, rows: Sequence[WindowRow], level: float, seed: int
) -> GroupRow:
    coverage = coverage_interval(rows, NOMINAL)
    return GroupRow(
        group=group,
        value=value,
        method=method,
        n_subjects=len({row.person for row in rows}),
        n_windows=len(rows),
        mae=mae_interval(rows, level=level, seed=seed),
        coverage=coverage,
        warning=coverage_warning(coverage, NOMINAL),
    )


def length_rows(
    rows_by_seconds: Mapping[float | None, Sequence[WindowRow]],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[LengthRow, ...]:
    """MAE of every method at every window length in s (None: whole video), as they come."""
    return tuple(
        LengthRow(
            seconds=seconds,
            method=method,
            n_subjects=len({row.person for row in with_result(mine)}),
            n_windows=len(with_result(mine)),
            n_no_result=len(mine) - len(with_result(mine)),
            mae=mae_interval(mine, level=level, seed=seed),
        )
        for seconds, rows in rows_by_seconds.items()
        for method, mine in by_method(rows).items()
    )
