"""Intervals with a promised coverage: normalised conformal prediction, by subject.

A window's score is |read HR - true HR| / (spread + `FLOOR_BPM`), its interval HR +/- q (spread +
`FLOOR_BPM`). Windows of one person resemble each other, so that windows are not exchangeable;
people are. Therefore every one of K calibration subjects has the mass 1 / (K + 1), shared equally
by its windows, the person who is read has the mass 1 / (K + 1) at infinity, and q is the quantile
of that distribution: hierarchical conformal prediction (Lee, Barber, Willett, arXiv 2306.06342,
2023, section 3; Lei et al., JASA 113, 2018, for the normalised score).

**What is promised.** In a window of a new person of the same population and recording conditions,
the interval covers the true HR with at least the nominal probability, whatever the distribution
of errors and however bad the spread; on average over persons and calibration sets, not for every
single person. With one window per person it covers by at most 1 / (K + 1) more. A spread that
tells bad windows from good ones makes intervals narrow, it is not needed for coverage. Under
another camera, motion or skin the promise is void, and the report shows what happens.

Why not MAPIE: it knows split and cross-conformal prediction, but no groups: it would treat windows
as exchangeable. With one window per subject both agree, which is a test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamnet_plugin.errors import DataError
from streamnet_plugin.types import FloatArray

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages that are reported."""

FLOOR_BPM = 1.0
"""Added to every spread: no reading is surer than about the width of a spectral line's top, and a
spread of zero would make an interval of zero width."""

ROUNDING = 1e-9


@dataclass(frozen=True)
class Calibrator:
    """Conformal scores of calibration subjects.

    Attributes:
        scores: (n,) ascending, without unit.
        masses: (n,) of each score; together K / (K + 1).
        n_subjects: K.
    """

    scores: FloatArray
    masses: FloatArray
    n_subjects: int

    def factor(self, level: float) -> float:
        """Quantile of the scores: half width per bpm of spread; infinite with too few subjects.

        Raises:
            DataError: `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise DataError(f"a coverage of {level}", remedy="use a number between 0 and 1.")
        reached = np.flatnonzero(np.cumsum(self.masses) >= level - ROUNDING)
        return float(self.scores[reached[0]]) if len(reached) else math.inf

    def half_width(self, spread_bpm: float, level: float) -> float:
        """Half width in bpm of the interval around a reading of that spread."""
        return self.factor(level) * (spread_bpm + FLOOR_BPM)

    def half_widths(self, spread_bpm: float) -> dict[str, float | None]:
        """The same for all `LEVELS`, by their percentage; None where infinite."""
        widths = {percent(level): self.half_width(spread_bpm, level) for level in LEVELS}
        return {name: width if math.isfinite(width) else None for name, width in widths.items()}

    def to_dict(self) -> dict[str, Any]:
        return {
            "scores": self.scores.tolist(),
            "masses": self.masses.tolist(),
            "n_subjects": self.n_subjects,
        }

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Calibrator:
        """The inverse of `to_dict`.

        Raises:
            DataError: this cannot have been written by it.
        """
        try:
            scores = np.array(tree["scores"], dtype=np.float64)
            masses = np.array(tree["masses"], dtype=np.float64)
            n = int(tree["n_subjects"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"this is no calibrator: {error}") from error
        sound = (
            scores.ndim == masses.ndim == 1
            and len(scores) == len(masses) > 0
            and bool(np.isfinite(scores).all() and (masses > 0).all())
            and bool((np.diff(scores) >= 0).all() and scores[0] >= 0)
            and n > 0
            and math.isclose(masses.sum(), n / (n + 1), rel_tol=1e-6)
        )
        if not sound:
            raise DataError("this is no calibrator: its scores or their masses are damaged")
        return cls(scores, masses, n)


def interval_around(
    hr_bpm: float, half_width_bpm: float | None, hr_range: tuple[float, float] | None
) -> tuple[float, float]:
    """The calibrated interval of a HR, bpm.

    It ends where the HR band does: no true HR lies beyond, so that nothing is lost. An infinite one
    (None or inf) stays infinite, since it says that nothing is known.
    """
    if half_width_bpm is None or math.isinf(half_width_bpm):
        return -math.inf, math.inf
    low, high = hr_range or (-math.inf, math.inf)
    return max(low, hr_bpm - half_width_bpm), min(high, hr_bpm + half_width_bpm)


def finite_interval(
    hr_bpm: float | None, half_width_bpm: float | None, hr_range: tuple[float, float] | None
) -> tuple[float, float] | None:
    """The same where it says something: None without a HR, and for an infinite one."""
    if hr_bpm is None or half_width_bpm is None or math.isinf(half_width_bpm):
        return None
    return interval_around(hr_bpm, half_width_bpm, hr_range)


def percent(level: float) -> str:
    """`percent(0.9)` is "90"."""
    return f"{100 * level:g}"


def subjects_needed(level: float) -> int:
    """The fewest calibration subjects for a finite interval: 9 for 90 %, 19 for 95 %."""
    return max(1, math.ceil(1 / (1 - level) - ROUNDING) - 1)


def calibrate(
    abs_error_bpm: FloatArray, spread_bpm: FloatArray, subjects: Sequence[str]
) -> Calibrator:
    """Split conformal: scores of windows (n,) of calibration subjects, none of them to be tested.

    Raises:
        DataError: no window, other lengths, or an error or spread that is negative or not finite.
    """
    error, spread = np.asarray(abs_error_bpm, float), np.asarray(spread_bpm, float)
    if not len(error) == len(spread) == len(subjects):
        raise DataError(
            f"{len(error)} errors, {len(spread)} spreads and {len(subjects)} subjects do not match"
        )
    if not len(error):
        raise DataError("no window has a result: nothing can be calibrated")
    if not (np.isfinite(error).all() and np.isfinite(spread).all()):
        raise DataError("an error or a spread is not finite", remedy="leave such windows out.")
    if error.min() < 0 or spread.min() < 0:
        raise DataError("an error or a spread is negative")
    _, member, windows = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)
    k = len(windows)
    scores = error / (spread + FLOOR_BPM)
    order = np.argsort(scores, kind="stable")
    return Calibrator(scores[order], 1 / ((k + 1) * windows[member[order]]), k)


def cross_calibrators(
    abs_error_bpm: FloatArray,
    spread_bpm: FloatArray,
    subjects: Sequence[str],
    *,
    folds: int | None = None,
    seed: int = 0,
) -> dict[str, Calibrator | None]:
    """Cross-conformal: for every subject, a calibrator of the subjects outside its fold.

    Nothing is fitted but the scores, so that each of them is a split-conformal one and keeps its
    promise.

    Args:
        abs_error_bpm, spread_bpm, subjects: (n,) windows.
        folds: number of parts; None leaves one subject out at a time.
        seed: of the folds.

    Returns:
        By subject; None where nobody is left to calibrate it.
    """
    error, spread = np.asarray(abs_error_bpm, float), np.asarray(spread_bpm, float)
    names = np.asarray(subjects)
    people = np.random.default_rng(seed).permutation(np.unique(names))
    parts = np.array_split(people, min(folds or len(people), len(people)) or 1)
    found: dict[str, Calibrator | None] = {}
    for part in parts:
        others = ~np.isin(names, part)
        calibrator = (
            calibrate(error[others], spread[others], names[others].tolist())
            if others.any()
            else None
        )
        found.update((str(subject), calibrator) for subject in part)
    return found
