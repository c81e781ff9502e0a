"""MAE, RMSE, MAPE, Pearson, SNR and MACC over windows, with the toolbox's standard errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamnet_plugin.errors import DataError
from streamnet_plugin.evaluation.windows import WindowResult
from streamnet_plugin.types import FloatArray


@dataclass(frozen=True)
class Estimate:
    """A value and its standard error; None where the windows do not define it."""

    value: float | None
    standard_error: float | None


METRICS = ("MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC", "MAE (refined)")
UNDEFINED = Estimate(None, None)


@dataclass(frozen=True)
class Summary(Mapping[str, Estimate]):
    """Estimates by metric name (`METRICS`), what they rest on, and what to know about them.

    Attributes:
        metrics: MAE, RMSE and MAE (refined) in bpm, MAPE in %, SNR in dB, Pearson and MACC.
        n_windows: windows with a result; n_no_result: windows without.
        n_videos, n_subjects: among the windows with a result; None if it was not said which
            window belongs to which.
        notes: why an estimate is undefined, or leaves windows out.
    """

    metrics: Mapping[str, Estimate]
    n_windows: int
    n_no_result: int
    n_videos: int | None
    n_subjects: int | None
    notes: tuple[str, ...]

    def __getitem__(self, name: str) -> Estimate:
        return self.metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)


def aggregate(
    windows: Sequence[WindowResult],
    *,
    videos: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
) -> Summary:
    """Metrics over the windows that have a result.

    The standard errors are rPPG-Toolbox's, which take windows as independent; with several windows
    of one video they are too small. Pearson needs three windows and two distinct values on each
    side; in two windows r is +1 or -1 whatever was measured.

    Args:
        windows: results, those without one included: they are counted.
        videos, subjects: which video and which person each window belongs to.

    Raises:
        DataError: `videos` or `subjects` is not as long as `windows`.
    """
    good = [w for w in windows if w.ok]
    notes: list[str] = []
    return Summary(
        metrics=_metrics(good, notes) if good else dict.fromkeys(METRICS, UNDEFINED),
        n_windows=len(good),
        n_no_result=len(windows) - len(good),
        n_videos=_distinct(windows, videos, "videos"),
        n_subjects=_distinct(windows, subjects, "subjects"),
        notes=tuple(notes) if good else ("no window has a result",),
    )


def _metrics(good: Sequence[WindowResult], notes: list[str]) -> dict[str, Estimate]:
    label, pred = np.array([w.hr_label for w in good]), np.array([w.hr_pred for w in good])
    error = np.abs(pred - label)
    square = error**2
    spread = float(np.sqrt(square.std() / np.sqrt(len(good))))
    r = pearson(pred, label)
    if r == UNDEFINED:
        notes.append("Pearson needs at least 3 windows and different heart rates among them")
    db = np.array([w.snr_db for w in good])
    if not np.isfinite(db).all():
        notes.append(
            f"SNR leaves out {np.count_nonzero(~np.isfinite(db))} windows too short to have a "
            "spectral point near the true heart rate"
        )
    return {
        "MAE": _mean(error),
        "RMSE": Estimate(float(np.sqrt(square.mean())), spread),
        "MAPE": _mean(100 * error / label),
        "Pearson": r,
        "SNR": _mean(db[np.isfinite(db)]),
        "MACC": _mean(np.array([w.macc for w in good])),
        "MAE (refined)": _mean(
            np.abs(np.array([w.hr_pred_refined - w.hr_label_refined for w in good]))
        ),
    }


def _mean(x: FloatArray) -> Estimate:
    """Mean and std / sqrt(n), the deviation being the population's."""
    if not len(x):
        return UNDEFINED
    return Estimate(float(x.mean()), float(x.std() / np.sqrt(len(x))))


def pearson(x: FloatArray, y: FloatArray) -> Estimate:
    """Pearson's r and sqrt((1 - r^2) / (n - 2)); undefined below 3 values or without variance."""
    n = len(x)
    if n < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return UNDEFINED
    r = float(np.corrcoef(x, y)[0, 1])
    return Estimate(r, float(np.sqrt(max(0.0, 1 - r**2) / (n - 2))))


def _distinct(
    windows: Sequence[WindowResult], groups: Sequence[str] | None, what: str
) -> int | None:
    if groups is None:
        return None
    if len(groups) != len(windows):
        raise DataError(f"{len(windows)} windows, but {what} of {len(groups)}")
    return len({group for window, group in zip(windows, groups, strict=True) if window.ok})
