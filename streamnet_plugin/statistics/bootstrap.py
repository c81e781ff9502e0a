"""Cluster bootstrap: subjects are drawn with replacement, each with all of its windows.

Windows of one subject are alike, so an interval that takes them as independent is too narrow. The
subject is the unit here, and every statistic is computed from sums over a subject's windows: a
resample is then a product of "how often each subject was drawn" with these sums.

Source: Davison & Hinkley, Bootstrap Methods and their Application (1997), section 3.8; BCa:
Efron, JASA 82 (1987), as `scipy.stats.bootstrap` computes it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.evaluation.aggregate import METRICS
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.statistics.results import Interval
from streamnet_plugin.statistics.windows import column, with_result
from streamnet_plugin.types import FloatArray
from streamnet_plugin.wording import count

Statistic = Callable[[FloatArray], FloatArray]
"""How often each subject is drawn (..., n) -> m values (m, ...), NaN where undefined."""

N_RESAMPLES = 9999
BATCH_DRAWS = 2_000_000
"""So many drawn subjects are held in memory at once."""
BCA, PERCENTILE, EXACT = "BCa", "percentile", "Clopper-Pearson over subjects"
WITHIN_BPM = (3, 5, 10)
TABLE_METRICS = (*METRICS, *(f"within {bpm} bpm" for bpm in WITHIN_BPM))
UNDEFINED_SHARE = 0.01
"""No interval if the statistic is undefined in more than this share of the resamples."""
ROUNDING = 1e-12
"""Differences below this share of a value are rounding, not variation."""
DECIMALS = 10
"""To which statistics of resamples are rounded."""


def min_subjects(level: float) -> int:
    """The fewest subjects that get an interval: 6 at 95 %.

    With n subjects whose values all have one sign, every resample has that sign, so the interval
    excludes 0; an exact test can then reach p = 2 / 2^n at best. Below this n an interval would
    call a difference significant that no exact test could.

    Raises:
        ConfigError: `level` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ConfigError(
            f"a confidence level of {level:g} is not between 0 and 1", remedy="use 0.95, say."
        )
    return max(2, math.ceil(1 - math.log2(1 - level) - 1e-9))


def too_few(n: int, level: float) -> str:
    """Why `n` subjects get no interval; empty if they do."""
    least = min_subjects(level)
    if n >= least:
        return ""
    return f"{count(n, 'subject')}: a {100 * level:g} % interval needs at least {least}"


def bootstrap_intervals(
    statistic: Statistic,
    n: int,
    *,
    level: float = 0.95,
    seed: int = 0,
    undefined: str = "not defined by these windows",
) -> list[Interval]:
    """Bootstrap intervals of m statistics of n subjects, from the same resamples.

    BCa where it exists; the percentile interval where it does not (the acceleration or the bias
    correction is not finite, or a few resamples leave the statistic undefined).

    Args:
        statistic: see `Statistic`.
        n: number of subjects.
        level: confidence level, 0..1.
        seed: of the resamples; the same for the same n.
        undefined: the reason given where the statistic itself is NaN.

    Returns:
        m intervals; those that do not exist have their reason.

    Raises:
        ConfigError: `level` is not between 0 and 1.
    """
    with np.errstate(all="ignore"):
        values = np.atleast_1d(statistic(np.ones(n)))
    reason = too_few(n, level)
    if reason:
        return [_without(v, undefined if np.isnan(v) else reason) for v in values]
    low, high, drawn = _resample(statistic, n, level, seed)
    return [
        _interval(*parts, level, undefined) for parts in zip(values, low, high, drawn, strict=True)
    ]


def _resample(
    statistic: Statistic, n: int, level: float, seed: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ends of the BCa intervals, (m,) each, and the bootstrap distributions (m, resamples)."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    def of_drawn(subjects: FloatArray, axis: int = -1) -> FloatArray:
        # BCa counts how many resamples lie below the estimate. Those that draw everybody once equal
        # it: rounding errors must not decide on which side of it they are.
        found: FloatArray = np.atleast_1d(statistic(_times_drawn(subjects, n)))
        return found.round(DECIMALS)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        found = bootstrap(
            (np.arange(n),),
            of_drawn,
            vectorized=True,
            n_resamples=N_RESAMPLES,
            batch=max(1, BATCH_DRAWS // n),
            confidence_level=level,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    ends = found.confidence_interval
    return np.atleast_1d(ends.low), np.atleast_1d(ends.high), found.bootstrap_distribution


def _times_drawn(subjects: FloatArray, n: int) -> FloatArray:
    """How often each of n subjects is among the drawn ones: (..., k) numbers -> (..., n)."""
    rows = np.asarray(subjects).astype(np.intp).reshape(-1, np.shape(subjects)[-1])
    flat = rows + n * np.arange(len(rows))[:, None]
    times = np.bincount(flat.ravel(), minlength=n * len(rows))
    return times.reshape(*np.shape(subjects)[:-1], n).astype(np.float64)


def _interval(
    value: float, low: float, high: float, drawn: FloatArray, level: float, undefined: str
) -> Interval:
    if not np.isfinite(value):
        return _without(value, undefined)
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < (1 - UNDEFINED_SHARE) * len(drawn):
        lost = 100 * (1 - len(finite) / len(drawn))
        return _without(value, f"not defined in {lost:.0f} % of the bootstrap resamples")
    if np.ptp(finite) <= ROUNDING * max(1.0, abs(value)):
        return _without(value, "the same in every bootstrap resample: no variation to judge by")
    slack = max(10.0**-DECIMALS, ROUNDING * abs(value))
    if len(finite) == len(drawn) and low - slack <= value <= high + slack:
        return Interval(float(value), float(low), float(high), BCA)
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    if not low - slack <= value <= high + slack:
        return _without(value, "the bootstrap distribution lies to one side of the estimate")
    return Interval(float(value), float(low), float(high), PERCENTILE)


def _without(value: float, reason: str) -> Interval:
    return Interval(float(value) if np.isfinite(value) else None, reason=reason)


def subject_numbers(subjects: Sequence[Hashable]) -> tuple[NDArray[np.intp], int]:
    """Each window's subject as a number 0..n-1 by first appearance, (W,), and n."""
    numbers: dict[Hashable, int] = {}
    found = [numbers.setdefault(subject, len(numbers)) for subject in subjects]
    return np.array(found, dtype=np.intp), len(numbers)


def subject_sums(values: FloatArray, subjects: Sequence[Hashable]) -> FloatArray:
    """Sums (n, K) over each subject's windows of K columns (W, K), NaN counting as 0."""
    number, n = subject_numbers(subjects)
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, number, np.nan_to_num(values, nan=0.0))
    return sums


def mean_interval(
    values: FloatArray, subjects: Sequence[Hashable], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """The mean over windows (W,), NaN left out, with its cluster-bootstrap interval."""
    kept = np.isfinite(values)
    if not kept.any():
        return Interval(None, reason="no window has a result")
    subjects = [s for s, keep in zip(subjects, kept, strict=True) if keep]
    columns = np.stack([values[kept], np.ones(np.count_nonzero(kept))], axis=1)
    sums = subject_sums(columns, subjects)

    def mean(times: FloatArray) -> FloatArray:
        total, n = np.moveaxis(times @ sums, -1, 0)
        return (total / n)[None]

    return bootstrap_intervals(mean, len(sums), level=level, seed=seed)[0]


def at_boundary(found: Interval, n: int, level: float, top: float) -> Interval:
    """`found`, or its exact interval where it is a share at 0 or at `top` (see above)."""
    if found.value is None or found.low is not None or too_few(n, level):
        return found
    worst = ((1 - level) / 2) ** (1 / n)  # P(all of n) = 2.5 % at this probability
    if found.value >= top * (1 - ROUNDING):
        return Interval(top, top * worst, top, EXACT)
    if found.value <= top * ROUNDING:
        return Interval(0.0, 0.0, top * (1 - worst), EXACT)
    return found


def metric_intervals(
    rows: Sequence[WindowRow], *, level: float = 0.95, seed: int = 0
) -> dict[str, Interval]:
    """`TABLE_METRICS` of one method over its windows that have a result.

    MAE, RMSE and MAE (refined) in bpm, MAPE in %, SNR in dB, "within 3 bpm" in % of windows. The
    values are those of `evaluation.aggregate`, over all windows as one pool.
    """
    good = with_result(rows)
    if not good:
        return {name: Interval(None, reason="no window has a result") for name in TABLE_METRICS}
    subjects = [row.person for row in good]
    sums = subject_sums(_columns(good), subjects)
    found = bootstrap_intervals(
        lambda times: _metrics(times @ sums), len(sums), level=level, seed=seed
    )
    named = dict(zip(TABLE_METRICS, found, strict=True))
    for name in TABLE_METRICS[len(METRICS) :]:
        named[name] = at_boundary(named[name], len(sums), level, 100.0)
    if named["Pearson"].value is None:
        reason = "needs at least 3 windows and different heart rates among them"
        named["Pearson"] = Interval(None, reason=reason)
    return named


def _columns(rows: Sequence[WindowRow]) -> FloatArray:
    """What `_metrics` needs the sums of, (W, K)."""
    pred, label = column(rows, "hr_pred"), column(rows, "hr_label")
    error = np.abs(pred - label)
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(label > 0, 100 * error / label, np.nan)
    p, g = pred - pred.mean(), label - label.mean()  # so that the sums keep their digits
    means = [
        percent,
        column(rows, "snr_db"),
        column(rows, "macc"),
        np.abs(column(rows, "hr_pred_refined") - column(rows, "hr_label_refined")),
    ]
    counts = [np.isfinite(x).astype(np.float64) for x in means]
    within = [(error <= bpm + ROUNDING * label).astype(np.float64) for bpm in WITHIN_BPM]
    parts = [np.ones(len(rows)), error, error**2, p, g, p * p, g * g, p * g]
    return np.stack([*parts, *means, *counts, *within], axis=1)


def _metrics(sums: FloatArray) -> FloatArray:
    """`TABLE_METRICS` from the sums (..., K) of `_columns`: (10, ...)."""
    n, error, square, p, g, pp, gg, pg, *rest = np.moveaxis(sums, -1, 0)
    totals, counts, within = rest[:4], rest[4:8], rest[8:]
    percent, snr, macc, refined = (t / c for t, c in zip(totals, counts, strict=True))
    return np.stack(
        [error / n, np.sqrt(square / n), percent, _pearson(n, p, g, pp, gg, pg), snr, macc]
        + [refined]
        + [100 * w / n for w in within]
    )


def _pearson(
    n: FloatArray, p: FloatArray, g: FloatArray, pp: FloatArray, gg: FloatArray, pg: FloatArray
) -> FloatArray:
    """Pearson's r from sums; NaN below 3 windows or without variance, as in `aggregate`."""
    var_p, var_g = pp - p * p / n, gg - g * g / n
    defined = (n >= 3) & (var_p > ROUNDING * pp) & (var_g > ROUNDING * gg)
    r = (pg - p * g / n) / np.sqrt(var_p * var_g)
    return np.where(defined, np.clip(r, -1, 1), np.nan)
