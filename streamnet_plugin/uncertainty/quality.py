"""How well intervals, samples and spreads tell the error: one function per measure.

All are of flat arrays over n windows and in the unit of the heart rate, bpm. Those of one number
per window give NaN where the window has NaN; those of one number for all windows refuse it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamnet_plugin.errors import DataError
from streamnet_plugin.statistics.bootstrap import bootstrap_intervals
from streamnet_plugin.statistics.results import Interval
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.subjects import (
    FEW_SUBJECTS,
    jackknife_interval,
    subject_codes,
)

TIE_DECIMALS = 9  # spreads or errors that differ by less than a billionth of a bpm are tied
MIN_WINDOWS = 3  # of two windows the rank correlation is +1 or -1 whatever was measured


def inside(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.bool_]:
    """Whether each truth lies in its interval, ends included.

    Args:
        truth: (n,) bpm.
        low, high: (n,) bpm; -inf and inf are allowed.

    Returns:
        (n,)

    Raises:
        DataError: no window, different lengths, NaN, an infinite truth, or low above high.
    """
    y, a, b = _intervals(truth, low, high)
    return (a <= y) & (y <= b)


def picp(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Prediction interval coverage probability: share of windows whose truth is in the interval.

    Khosravi et al.: Comprehensive review of neural network-based prediction intervals, IEEE Trans.
    Neural Networks 2011. Arguments and errors as in `inside`.

    >>> picp([60, 70, 80, 90], [55, 71, 79, 85], [65, 75, 81, np.inf])
    0.75
    """
    return float(inside(truth, low, high).mean())


def mean_width(low: ArrayLike, high: ArrayLike) -> tuple[float | None, int]:
    """Mean width of the finite intervals, bpm, and how many are infinite.

    Args:
        low, high: (n,) bpm; -inf and inf are allowed.

    Returns:
        None for the width if all are infinite.

    Raises:
        DataError: no window, different lengths, NaN, or low above high.

    >>> mean_width([50, 60, -np.inf], [60, 80, np.inf])
    (15.0, 1)
    """
    _, a, b = _intervals(np.zeros(len(np.atleast_1d(low))), low, high)
    width = b - a
    finite = width[np.isfinite(width)]
    return (float(finite.mean()) if len(finite) else None), len(width) - len(finite)


def interval_score(
    truth: ArrayLike, low: ArrayLike, high: ArrayLike, level: float
) -> FloatArray:  # (n,)
    """Winkler's score of central intervals: width plus 2 / alpha times the distance outside.

    Winkler: A decision-theoretic approach to interval estimation, JASA 1972; Gneiting, Raftery:
    Strictly proper scoring rules, JASA 2007, eq. 43. Lower is better; its expectation is least for
    the quantiles alpha / 2 and 1 - alpha / 2 of the truth.

    Args:
        truth: (n,) bpm.
        low, high: (n,) bpm.
        level: nominal coverage 1 - alpha, above 0 and below 1.

    Returns:
        (n,) bpm, inf where the interval is infinite.

    Raises:
        DataError: as in `inside`, or a level outside 0..1.

    >>> interval_score([60, 70], [55, 71], [65, 75], 0.9).round(9).tolist()  # 10; 4 + 20 * 1
    [10.0, 24.0]
    """
    if not 0 < level < 1:
        raise DataError(f"a nominal coverage of {level}; it must lie between 0 and 1")
    y, a, b = _intervals(truth, low, high)
    outside = np.maximum(a - y, 0) + np.maximum(y - b, 0)
    return b - a + 2 / (1 - level) * outside


def crps(samples: ArrayLike, truth: ArrayLike) -> FloatArray:  # (n,)
    """Continuous ranked probability score of the distribution that the samples are.

    CRPS = integral of (F(x) - [x >= truth])^2 dx with F the step function of the samples, which is
    mean |x_i - y| - mean |x_i - x_j| / 2 over all i, j (Gneiting, Raftery 2007, eq. 21). Computed
    as the sum over the gaps between sorted samples (Hersbach: Decomposition of the CRPS, Weather
    and Forecasting 2000) in O(S log S); a sum of positive terms, so never below 0.

    This is the one that tables show: what the harness hands out are these samples and their
    quantiles, and one sample scores its absolute error. To compare different numbers of samples use
    `fair_crps`.

    Args:
        samples: (n, S) bpm, S >= 1.
        truth: (n,) bpm.

    Returns:
        (n,) bpm, NaN where a sample or the truth is not finite.

    Raises:
        DataError: the shapes do not fit.

    >>> crps([[70.0], [69.0]], [72, 72]).tolist()
    [2.0, 3.0]
    >>> crps([[70.0, 74.0]], [72]).tolist()  # 2 - 4 / 4
    [1.0]
    """
    x, y, good = _samples(samples, truth)
    score = np.full(len(y), np.nan)
    x, y = x[good], y[good, None]
    size = x.shape[1]
    p = np.arange(1, size) / size  # F between the i-th and the next sample
    split = np.clip(y, x[:, :-1], x[:, 1:])
    between = (split - x[:, :-1]) @ p**2 + (x[:, 1:] - split) @ (1 - p) ** 2
    beyond = np.maximum(x[:, 0] - y[:, 0], 0) + np.maximum(y[:, 0] - x[:, -1], 0)
    score[good] = between + beyond
    return score


def fair_crps(samples: ArrayLike, truth: ArrayLike) -> FloatArray:  # (n,)
    """Unbiased estimate of the CRPS of the distribution that the samples are drawn from.

    mean |x_i - y| - mean |x_i - x_j| / 2 over i != j (Ferro: Fair scores for ensemble forecasts,
    Q. J. R. Meteorol. Soc. 2014), so its expectation does not depend on S. Single values may
    be below 0.

    Args:
        samples: (n, S) bpm.
        truth: (n,) bpm.

    Returns:
        (n,) bpm, NaN where a sample or the truth is not finite, and everywhere for S = 1.

    Raises:
        DataError: the shapes do not fit.

    >>> fair_crps([[70.0, 74.0]], [72]).tolist()  # 2 - 4 / 2
    [0.0]
    """
    x, _, good = _samples(samples, truth)
    size = x.shape[1]
    score = crps(samples, truth)
    if size == 1:
        return np.full(len(score), np.nan)
    i = np.arange(1, size)
    pairs = np.diff(x[good]) @ (i * (size - i))  # sum over i < j of |x_i - x_j|
    score[good] -= pairs / (size**2 * (size - 1))
    return score


def calibration_curve(truth: ArrayLike, low: ArrayLike, high: ArrayLike) -> FloatArray:  # (L,)
    """Empirical coverage of intervals at L nominal levels, to be held against those levels.

    Kuleshov, Fenner, Ermon: Accurate uncertainties for deep learning using calibrated regression,
    ICML 2018.

    Args:
        truth: (n,) bpm.
        low, high: (L, n) bpm.

    Returns:
        (L,) 0..1.

    Raises:
        DataError: as in `inside`, or different numbers of levels.

    >>> calibration_curve([60, 70], [[59, 71], [50, 60]], [[61, 72], [80, 80]]).tolist()
    [0.5, 1.0]
    """
    a, b = np.atleast_2d(np.asarray(low, float)), np.atleast_2d(np.asarray(high, float))
    if len(a) != len(b):
        raise DataError(f"lower ends at {len(a)} levels, but upper ends at {len(b)}")
    return np.array([picp(truth, *ends) for ends in zip(a, b, strict=True)])


def calibration_error(levels: ArrayLike, coverage: ArrayLike) -> float:
    """Mean absolute difference of nominal and empirical coverage.

    Chung et al.: Uncertainty Toolbox, 2021 (mean absolute calibration error).

    Args:
        levels, coverage: (L,) 0..1.

    Raises:
        DataError: no level, different lengths or NaN.

    >>> round(calibration_error([0.5, 0.9], [0.6, 0.9]), 3)
    0.05
    """
    nominal, empirical = _flat(levels=levels, coverage=coverage)
    return float(np.abs(nominal - empirical).mean())


def spread_error_correlation(
    spread: ArrayLike, error: ArrayLike, subjects: Sequence[str], seed: int = 0
) -> Interval:
    """Spearman's rank correlation of spread and absolute error over windows.

    Its interval is a cluster bootstrap over subjects; with fewer than `FEW_SUBJECTS` of them, a
    jackknife over subjects of Fisher's z.

    Args:
        spread: (n,) what should be large where the error is.
        error: (n,) absolute errors, bpm.
        subjects: (n,) who each window is of.
        seed: of the bootstrap.

    Returns:
        -1..1. Without a value, but with a reason, for fewer than three windows and where all
        spreads or all errors are tied.

    Raises:
        DataError: no window, different lengths or not finite.
    """
    s, e = _flat(spread=spread, error=error)
    codes, k = subject_codes(subjects)
    if len(codes) != len(s):
        raise DataError(f"{len(s)} windows, but subjects of {len(codes)}")
    s_codes, e_codes = _tie_codes(s), _tie_codes(e)
    if len(s) < MIN_WINDOWS:
        return Interval(None, reason=f"fewer than {MIN_WINDOWS} windows")
    for tied, what in ((s_codes, "spreads"), (e_codes, "errors")):
        if not tied.any():
            return Interval(None, reason=f"all {what} are equal")

    def correlation(w: FloatArray) -> float:
        return _weighted_spearman(s_codes, e_codes, w[codes])

    def fisher_z(w: FloatArray) -> float:
        r = correlation(w)
        return float(np.arctanh(r)) if abs(r) < 1 else float("nan")

    if k >= FEW_SUBJECTS:

        def correlations(times: FloatArray) -> FloatArray:
            return np.apply_along_axis(correlation, -1, times)[None]

        return bootstrap_intervals(correlations, k, seed=seed)[0]
    return jackknife_interval(correlation(np.ones(k)), fisher_z, k, lambda z: float(np.tanh(z)))


def _weighted_spearman(x: NDArray[np.intp], y: NDArray[np.intp], w: FloatArray) -> float:
    """Of codes that sort and tie as the values do, a window of weight 2 being there twice."""
    ranks = []
    for codes in (x, y):
        weight = np.bincount(codes, w)
        if np.count_nonzero(weight) < 2:
            return float("nan")
        middle = np.cumsum(weight) - weight / 2
        ranks.append(middle[codes] - w.sum() / 2)  # the mean rank, up to 1/2, is half the weight
    a, b = ranks
    r = (w * a * b).sum() / np.sqrt((w * a**2).sum() * (w * b**2).sum())
    return float(np.clip(r, -1, 1))


def risk_coverage(spread: ArrayLike, error: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean error of the windows kept, when only the surest are, by the share of windows kept.

    Geifman, El-Yaniv: Selective classification for deep neural networks, NeurIPS 2017. Nothing
    tells tied windows apart: each counts with the mean error of its tie, which is the mean curve
    over all orders within ties, whatever the order of the windows.

    Args:
        spread: (n,) the surest window has the smallest.
        error: (n,) absolute errors, bpm.

    Returns:
        (n,) shares 1/n, 2/n, ..., 1 and (n,) bpm.

    Raises:
        DataError: no window, different lengths or not finite.

    >>> kept, mae = risk_coverage([1, 3, 3], [2, 9, 1])
    >>> mae.tolist()  # 2, (2 + 5) / 2, (2 + 5 + 5) / 3
    [2.0, 3.5, 4.0]
    """
    s, e = _flat(spread=spread, error=error)
    codes = _tie_codes(s)
    tied_mean = np.bincount(codes, e) / np.bincount(codes)
    return _mean_of_first(tied_mean[np.sort(codes)])


def aurc(spread: ArrayLike, error: ArrayLike) -> float:
    """Area under the risk-coverage curve: the mean of its n values, bpm; lower is better.

    Geifman, Uziel, El-Yaniv: Bias-reduced uncertainty estimation for deep neural classifiers, ICLR
    2019. A spread that says nothing has the MAE as its expectation. Arguments and errors
    as in `risk_coverage`.

    >>> aurc([1, 2, 3], [0, 3, 3])  # (0 + 1.5 + 2) / 3
    1.1666666666666667
    """
    return float(risk_coverage(spread, error)[1].mean())


def excess_aurc(spread: ArrayLike, error: ArrayLike) -> float:
    """AURC above that of the order by the errors themselves, which no spread can beat, bpm.

    Geifman, Uziel, El-Yaniv 2019 (E-AURC). Arguments and errors as in `risk_coverage`.

    >>> excess_aurc([1, 2, 3], [0, 3, 3])
    0.0
    """
    _, e = _flat(spread=spread, error=error)
    perfect = float(_mean_of_first(np.sort(e))[1].mean())
    return max(0.0, aurc(spread, error) - perfect)


def _mean_of_first(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    i = np.arange(1, len(x) + 1)
    return i / len(x), np.cumsum(x) / i


def _tie_codes(x: FloatArray) -> NDArray[np.intp]:
    """(n,) 0, 1, ... in the order of the values; tied values have the same."""
    return np.unique(np.round(x, TIE_DECIMALS), return_inverse=True)[1].reshape(-1)


def _flat(**arrays: ArrayLike) -> list[FloatArray]:
    """The arrays as (n,) floats, finite and of one length."""
    out = _same_length(**arrays)
    for name, x in zip(arrays, out, strict=True):
        if not np.isfinite(x).all():
            raise DataError(f"{name} has {np.count_nonzero(~np.isfinite(x))} values not finite")
    return out


def _same_length(**arrays: ArrayLike) -> list[FloatArray]:
    out = [np.asarray(x, dtype=np.float64) for x in arrays.values()]
    if any(x.ndim != 1 or x.shape != out[0].shape or not len(x) for x in out):
        shapes = ", ".join(f"{name} {x.shape}" for name, x in zip(arrays, out, strict=True))
        raise DataError(f"expected one or more values and as many of each, found {shapes}")
    return out


def _intervals(
    truth: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    y, a, b = _same_length(truth=truth, low=low, high=high)
    if not np.isfinite(y).all():
        raise DataError(f"truth has {np.count_nonzero(~np.isfinite(y))} values not finite")
    bad = ~((a <= b) & (a < np.inf) & (b > -np.inf))
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(f"window {i} has no interval: from {a[i]} to {b[i]}")
    return y, a, b


def _samples(
    samples: ArrayLike, truth: ArrayLike
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """(n, S) sorted samples, (n,) truth, (n,) whether all of a window is finite."""
    x, y = np.asarray(samples, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1] or not x.shape[1]:
        raise DataError(f"expected samples (n, S) and truth (n,), found {x.shape} and {y.shape}")
    return np.sort(x, axis=1), y, np.isfinite(x).all(axis=1) & np.isfinite(y)
