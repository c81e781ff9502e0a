"""Errors and coverage on parts of the windows: setup, skin tone, HR, SNR, spread, window length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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

HR, SNR, SPREAD = "HR (bpm)", "SNR (dB)", "spread (bpm)"
HR_EDGES = (60.0, 80.0, 100.0)
"""bpm; 60 and 100 bound the normal resting heart rate."""
SNR_EDGES = (-5.0, 0.0, 5.0)
"""dB."""
SPREAD_EDGES = (2.0, 5.0, 15.0)
"""bpm; of the uncertainty before calibration, which needs no label."""
NOMINAL = "90"
"""Coverage of the intervals that groups are checked for, %."""
MIN_GROUP_SUBJECTS = 5
"""The coverage of fewer people is told, but not judged or drawn."""
OWN_SNR = (
    "coverage is not judged by SNR: it is taken at the true HR, so a low one picks the windows "
    "that were read wrongly, however good the intervals"
)


def mae_interval(rows: Sequence[WindowRow], *, level: float = 0.95, seed: int = 0) -> Interval:
    """MAE (bpm) of the rows that have a result, over all windows, with its cluster interval."""
    good = with_result(rows)
    error = np.abs(column(good, "hr_pred") - column(good, "hr_label"))
    return mean_interval(error, [row.person for row in good], level=level, seed=seed)


def coverage_interval(
    rows: Sequence[WindowRow], nominal: str, *, level: float = 0.95
) -> Interval | None:
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
    return share_interval(
        error <= half, [r.person for r in calibrated], by_subject=True, level=level
    )


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
    true HR and of the window's SNR and spread. These two are the method's own, so the windows of
    one range differ between methods. Coverage is not told by SNR: see `OWN_SNR`.

    A warning stands where the coverage is below nominal by more than its interval at the level that
    Holm's correction demands over all groups of one method that have `MIN_GROUP_SUBJECTS`.
    """
    datasets = len({row.dataset for row in rows}) > 1
    parts: dict[str, dict[str, dict[str, list[WindowRow]]]] = {}
    for row in rows:
        if has_result(row):
            for group, value in _groups_of(row, datasets).items():
                methods = parts.setdefault(group, {}).setdefault(value, {})
                methods.setdefault(row.method, []).append(row)
    cells = [
        (_group_row(group, value, method, mine, level, seed), mine)
        for group, values in parts.items()
        for value in sorted(values, key=_order(group))
        for method, mine in values[value].items()
    ]
    return _warned(cells, level)


def _warned(
    cells: Sequence[tuple[GroupRow, Sequence[WindowRow]]], level: float
) -> tuple[GroupRow, ...]:
    """The groups with warnings, Holm-corrected (see `paired.holm`) within each method.

    There is no p here but an interval of any level: what would be rejected at (1 - level) / (m - r)
    is found for r = 0, 1, ... until no more than r of the m groups are, which is Holm's step-down.
    """
    rows = [row for row, _ in cells]
    for method in dict.fromkeys(row.method for row in rows):
        judged = [i for i, row in enumerate(rows) if row.method == method and _is_judged(row)]
        suspects = [i for i in judged if coverage_warning(rows[i].coverage, NOMINAL)]
        rejected: list[int] = []
        while suspects:
            strict = 1 - (1 - level) / (len(judged) - len(rejected))
            found = [i for i in suspects if _is_low(cells[i][1], strict)]
            if len(found) <= len(rejected):
                break
            rejected = found
            if len(rejected) == len(suspects):
                break
        for i in rejected:
            warning = coverage_warning(rows[i].coverage, NOMINAL)
            rows[i] = replace(rows[i], warning=warning)
    return tuple(rows)


def _is_judged(row: GroupRow) -> bool:
    known = row.coverage is not None and row.coverage.value is not None
    return known and row.n_subjects >= MIN_GROUP_SUBJECTS


def _is_low(rows: Sequence[WindowRow], level: float) -> bool:
    return bool(coverage_warning(coverage_interval(rows, NOMINAL, level=level), NOMINAL))


def _groups_of(row: WindowRow, datasets: bool) -> dict[str, str]:
    found = dict(row.groups)
    if datasets:
        found["dataset"] = row.dataset
    if known(row.hr_label):
        found[HR] = range_of(row.hr_label, HR_EDGES)
    if known(row.snr_db):
        found[SNR] = range_of(row.snr_db, SNR_EDGES)
    if known(row.spread):
        found[SPREAD] = range_of(row.spread, SPREAD_EDGES)
    return found


def range_of(value: float, edges: Sequence[float]) -> str:
    """ "<60", "60 to <80", ..., ">=100": the range of `value` between `edges`."""
    return _range_names(edges)[int(np.searchsorted(edges, value, side="right"))]


def _range_names(edges: Sequence[float]) -> list[str]:
    inner = [f"{a:g} to <{b:g}" for a, b in pairwise(edges)]
    return [f"<{edges[0]:g}", *inner, f">={edges[-1]:g}"]


def _order(group: str) -> Callable[[str], tuple[int, str]]:
    """Ranges from low to high, other values by name."""
    edges = {HR: HR_EDGES, SNR: SNR_EDGES, SPREAD: SPREAD_EDGES}
    ranges = _range_names(edges.get(group, (0.0,)))
    return lambda value: (ranges.index(value) if value in ranges else 0, value)


def _group_row(
    group: str, value: str, method: str, rows: Sequence[WindowRow], level: float, seed: int
) -> GroupRow:
    coverage = coverage_interval(rows, NOMINAL, level=level)
    if group == SNR and coverage is not None:
        coverage = Interval(None, reason=OWN_SNR)
    return GroupRow(
        group=group,
        value=value,
        method=method,
        n_subjects=len({row.person for row in rows}),
        n_windows=len(rows),
        mae=mae_interval(rows, level=level, seed=seed),
        coverage=coverage,
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
