"""How well a method agrees with itself.

One-way random effects: x_ij = m + a_i + e_ij, j = 1..n_i repetitions of i. All repetitions of a
thing are alike (seed 3 of one window has nothing to do with seed 3 of another), so there is no
second factor, and the intraclass correlation is the one-way, single-measure ICC(1,1) of Shrout and
Fleiss: Intraclass correlations, Psychological Bulletin 1979.

- **Windows of a recording**: the heart rate truly varies between them, so what is repeated is the
  *error* (read - true). Its within-recording SD says how far two readings of the same true rate
  differ. Its ICC is the share of the error's variance that belongs to the recording and that more
  windows would not average out: near 0 is good, near 1 is a bias of its own in every recording.
- **Other Monte Carlo samples**: the truth is the same in all repetitions, so what is repeated is
  the heart rate *read*. Its ICC is the reliability in the usual sense: near 1 is
  good. It grows with the range of heart rates in the data, as every ICC does.

The repeatability coefficient, 1.96 sqrt(2) s_w, is what two repetitions differ by at most in 95 %
of cases, if errors are normal (Bland, Altman: Measuring agreement in method comparison studies,
Statistical Methods in Medical Research 1999).

Intervals leave out one subject at a time (`jackknife_interval`), on the scale of logarithms: unlike
those of chi-squared and F they need no normal errors, and they respect that recordings of one
subject resemble each other; simulated subjects with normal and with heavy-tailed errors (Student's
t with 4 degrees of freedom) find the truth inside in 92-100 % (ICC) and 88-96 % (SD) of cases from
3 to 42 subjects, where chi-squared and the cluster bootstrap get down to about 70 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamnet_plugin.errors import DataError
from streamnet_plugin.statistics.results import Interval, Repeatability
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.subjects import jackknife_interval, subject_codes

FACTOR = 1.96 * np.sqrt(2)  # Bland, Altman 1999
ONCE = "nothing was measured twice"
SAME = "the repetitions do not differ"
ROUNDING = 1e-9  # bpm; a standard deviation below is rounding, and counts as 0


def retest_repeatability(
    error: ArrayLike, recordings: Sequence[str], subjects: Sequence[str]
) -> Repeatability:
    """Test and retest over the windows of a recording: the error read - true.

    Args:
        error: (n,) read - true, bpm; NaN windows are left out.
        recordings: (n,) which recording each window is of, unique within the subject.
        subjects: (n,) who it shows; intervals go by subject.

    Returns:
        Undefined numbers are None with a reason.

    Raises:
        DataError: different lengths.
    """
    x = np.asarray(error, dtype=np.float64)
    if x.ndim != 1 or not len(x) == len(recordings) == len(subjects):
        raise DataError(
            f"errors {x.shape}, but recordings of {len(recordings)} windows and subjects of "
            f"{len(subjects)}"
        )
    who, _ = subject_codes(subjects)
    names = np.array([f"{s}/{r}" for s, r in zip(who, recordings, strict=True)], dtype=str)
    what = "windows of a recording (error read - true)"
    return _repeatability(what, x, names, np.asarray(subjects, dtype=str))


def repetition_repeatability(
    hr: ArrayLike, subjects: Sequence[str], what: str = "Monte Carlo samples"
) -> Repeatability:
    """The same windows read again, from other Monte Carlo samples.

    Args:
        hr: (n, R) bpm, read from n windows in R repetitions; NaN where there was no result.
        subjects: (n,) who each window shows; intervals go by subject.
        what: what was repeated, e.g. "mean of 10 Monte Carlo samples".

    Returns:
        Undefined numbers are None with a reason.

    Raises:
        DataError: the shapes do not fit.
    """
    x = np.asarray(hr, dtype=np.float64)
    if x.ndim != 2 or len(x) != len(subjects):
        raise DataError(f"expected HR (n, R) and n subjects, found {x.shape} and {len(subjects)}")
    n_windows, n_repetitions = x.shape
    window = np.repeat(np.arange(n_windows), n_repetitions).astype(str)
    subject = np.repeat(np.asarray(subjects, dtype=str), n_repetitions)
    return _repeatability(what, x.ravel(), window, subject)


@dataclass(frozen=True)
class Groups:
    """Repetitions of G things, as one-way analysis of variance needs them, all (G,).

    Attributes:
        n: repetitions; mean: theirs; square: sum of squared deviations from it.
        subject: number of the subject, 0..n_subjects-1.
    """

    n: FloatArray
    mean: FloatArray
    square: FloatArray
    subject: NDArray[np.intp]
    n_subjects: int


@dataclass(frozen=True)
class Variances:
    """One-way analysis of variance with unequal numbers of repetitions; NaN where undefined.

    Attributes:
        between, within: mean squares; df_between, df_within: their degrees of freedom.
        n0: number of repetitions that stands for the unequal ones,
            (N - sum n_i^2 / N) / (G - 1) (Searle, Casella, McCulloch: Variance Components, 1992).
    """

    between: float
    within: float
    df_between: float
    df_within: float
    n0: float

    @property
    def within_sd(self) -> float:
        return float(np.sqrt(self.within))

    @property
    def icc(self) -> float:
        """(MSB - MSW) / (MSB + (n0 - 1) MSW): Shrout, Fleiss 1979, case 1; may be below 0."""
        total = self.between + (self.n0 - 1) * self.within
        return (self.between - self.within) / total if total > 0 else float("nan")


def one_way(groups: Groups, weights: FloatArray) -> Variances:
    """Analysis of variance where a group of weight 2, (G,), is there twice."""
    n_groups, total = float(weights.sum()), float(weights @ groups.n)
    centre = (weights * groups.n) @ groups.mean / total
    between = float((weights * groups.n) @ (groups.mean - centre) ** 2)
    within = float(weights @ groups.square)
    df_between, df_within = n_groups - 1, total - n_groups
    return Variances(
        between=_mean_square(between, df_between),
        within=_mean_square(within, df_within),
        df_between=df_between,
        df_within=df_within,
        n0=float((total - weights @ groups.n**2 / total) / df_between)
        if df_between > 0
        else float("nan"),
    )


def _mean_square(square: float, df: float) -> float:
    if df <= 0:
        return float("nan")
    mean = float(square / df)
    return mean if mean > ROUNDING**2 else 0.0


def _grouped(x: FloatArray, names: NDArray[np.str_], subjects: NDArray[np.str_]) -> Groups:
    subject, n_subjects = subject_codes(subjects)
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    n = np.bincount(group).astype(np.float64)
    mean = np.bincount(group, x) / n
    square = np.bincount(group, (x - mean[group]) ** 2).astype(np.float64)
    return Groups(n, mean, square, subject[first], n_subjects)


def _repeatability(
    what: str, x: FloatArray, names: NDArray[np.str_], subjects: NDArray[np.str_]
) -> Repeatability:
    good = np.isfinite(x)
    if not good.any():
        nothing = Interval(None, reason="no measurement")
        return Repeatability(what, nothing, nothing, nothing, 0, 0)
    groups = _grouped(x[good], names[good], subjects[good])
    within = _within_sd(groups)
    scaled = [None if v is None else FACTOR * v for v in (within.value, within.low, within.high)]
    return Repeatability(
        what,
        within_sd=within,
        coefficient=replace(within, value=scaled[0], low=scaled[1], high=scaled[2]),
        icc=_icc(groups),
        n_subjects=groups.n_subjects,
        n_measurements=int(good.sum()),
    )


def _within_sd(groups: Groups) -> Interval:
    def log_variance(w: FloatArray) -> float:
        within = one_way(groups, w[groups.subject]).within
        return float(np.log(within)) if within > 0 else float("nan")

    once = one_way(groups, np.ones(len(groups.n)))
    if once.df_within <= 0:
        return Interval(None, reason=ONCE)
    if once.within == 0:
        return Interval(0.0, reason=SAME)
    return jackknife_interval(
        once.within_sd, log_variance, groups.n_subjects, lambda z: float(np.exp(z / 2))
    )


def _icc(groups: Groups) -> Interval:
    """With the interval of log F, F = MSB / MSW, since ICC = (F - 1) / (F + n0 - 1)."""

    def log_f(w: FloatArray) -> float:
        v = one_way(groups, w[groups.subject])
        if not v.between > 0 or not v.within > 0:
            return float("nan")
        return float(np.log(v.between / v.within))

    def icc(z: float) -> float:
        return float((np.exp(z) - 1) / (np.exp(z) + once.n0 - 1))

    once = one_way(groups, np.ones(len(groups.n)))
    if once.df_within <= 0:
        return Interval(None, reason=ONCE)
    if once.df_between <= 0:
        return Interval(None, reason="only one thing was measured repeatedly")
    if not np.isfinite(once.icc):
        return Interval(None, reason="all measurements are equal")
    if once.within == 0:
        return Interval(once.icc, reason=SAME)
    return jackknife_interval(once.icc, log_f, groups.n_subjects, icc)
