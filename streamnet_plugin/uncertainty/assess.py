"""How well one method's uncertainty tells its errors, from its rows of results."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import DataError
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.statistics.results import Coverage, Interval, UncertaintyQuality
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.quality import (
    aurc,
    calibration_error,
    excess_aurc,
    inside,
    interval_score,
    mean_width,
    risk_coverage,
    spread_error_correlation,
)
from streamnet_plugin.uncertainty.subjects import share_interval

MAX_CURVE_POINTS = 200  # of the risk-coverage curve, evenly spaced: what a plot can show


def assess(
    rows: Sequence[WindowRow], crps_by_window: Sequence[float | None] | None = None, seed: int = 0
) -> UncertaintyQuality | None:
    """Coverage, scores and risk-coverage curve of one method, by its refined heart rates.

    Windows without a result, without a spread or with a number that is missing or not finite are
    left out. A dataset's subject is one person, another dataset's of the same name another.

    Args:
        rows: of one method.
        crps_by_window: CRPS of each row's Monte Carlo samples, bpm, as long as `rows`; None where
            a row has none.
        seed: of the bootstrap.

    Returns:
        None if no window has a spread.

    Raises:
        DataError: `crps_by_window` is not as long as `rows`, or a nominal coverage or half width is
            none.
    """
    scores = (None,) * len(rows) if crps_by_window is None else tuple(crps_by_window)
    if len(scores) != len(rows):
        raise DataError(f"{len(rows)} windows, but CRPS of {len(scores)}")
    pairs = [(row, score) for row, score in zip(rows, scores, strict=True) if _usable(row)]
    if not pairs:
        return None
    good = [row for row, _ in pairs]
    known = [score for _, score in pairs if score is not None and np.isfinite(score)]
    spread = np.array([row.spread for row in good], dtype=np.float64)
    error = np.abs(_pred(good) - _truth(good))
    levels = _levels(good)
    return UncertaintyQuality(
        levels=levels,
        calibration_error=_calibration_error(levels),
        spearman=spread_error_correlation(spread, error, [row.person for row in good], seed),
        crps=float(np.mean(known)) if known else None,
        risk_coverage=_thinned(*risk_coverage(spread, error)),
        aurc=aurc(spread, error),
        excess_aurc=excess_aurc(spread, error),
    )


def _usable(row: WindowRow) -> bool:
    numbers = (row.spread, row.hr_pred_refined, row.hr_label_refined)
    return row.status == "ok" and all(x is not None and np.isfinite(x) for x in numbers)


def _pred(good: Sequence[WindowRow]) -> FloatArray:
    return np.array([row.hr_pred_refined for row in good], dtype=np.float64)


def _truth(good: Sequence[WindowRow]) -> FloatArray:
    return np.array([row.hr_label_refined for row in good], dtype=np.float64)


def _levels(good: Sequence[WindowRow]) -> tuple[Coverage, ...]:
    names = {name for row in good for name in row.half_widths if _has(row, name)}
    by_level = sorted((_level(name), name) for name in names)
    return tuple(_coverage(level, name, good) for level, name in by_level)


def _level(name: str) -> float:
    try:
        level = float(name) / 100
    except ValueError:
        level = float("nan")
    if not 0 < level < 1:
        raise DataError(f'expected a nominal coverage such as "90" (%), found {name!r}')
    return level


def _coverage(level: float, name: str, good: Sequence[WindowRow]) -> Coverage:
    """Of the windows that have an interval of this level; the Winkler score of infinite intervals
    is infinite, hence not defined if there is one. Widths and scores are those within the band."""
    rows = [row for row in good if _has(row, name)]
    half = np.array([_half_width(row, name) for row in rows])
    pred, truth = _pred(rows), _truth(rows)
    hit = inside(truth, pred - half, pred + half)
    low, high = np.array([row.interval(name) for row in rows], dtype=np.float64).T
    width, n_infinite = mean_width(low, high)
    score = interval_score(truth, low, high, level).mean()
    return Coverage(
        level=level,
        picp=_picp(hit, rows, n_infinite),
        mean_width=width,
        winkler=float(score) if np.isfinite(score) else None,
        n_windows=len(rows),
        n_infinite=n_infinite,
        by_subject=_picp(hit, rows, n_infinite, by_subject=True),
    )


def _has(row: WindowRow, name: str) -> bool:
    half = row.half_widths.get(name, float("nan"))
    return half is None or not np.isnan(half)


def _half_width(row: WindowRow, name: str) -> float:
    half = row.half_widths[name]
    return float("inf") if half is None else half


def _picp(
    hit: NDArray[np.bool_], rows: Sequence[WindowRow], n_infinite: int, by_subject: bool = False
) -> Interval:
    if n_infinite == len(rows):
        return Interval(1.0, reason="every interval is infinite: too few subjects calibrate it")
    return share_interval(hit, [row.person for row in rows], by_subject=by_subject)


def _calibration_error(levels: Sequence[Coverage]) -> float | None:
    """Over the levels that were calibrated at all; infinite intervals everywhere are no attempt.

    Of the coverage that is promised, which is by subject.
    """
    tried = [c for c in levels if c.n_infinite < c.n_windows]
    if not tried:
        return None
    coverage = np.array([c.promised.value for c in tried], dtype=np.float64)
    return calibration_error([c.level for c in tried], coverage)


def _thinned(kept: FloatArray, mae: FloatArray) -> tuple[tuple[float, float], ...]:
    """At most `MAX_CURVE_POINTS` points, the first and the last among them."""
    n = len(kept)
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_CURVE_POINTS)).round().astype(int))
    return tuple((float(kept[i]), float(mae[i])) for i in chosen)
