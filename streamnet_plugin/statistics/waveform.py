"""Beats of a read waveform against the true one: inter-beat intervals (IBI), RMSSD, SDNN.

Beats are the systolic peaks that neurokit2 finds (Elgendi et al., PLoS ONE 8 (2013) e76585), after
a cubic spline has refined the frame grid: at 30 Hz a peak known to a frame alone would add some
24 ms to RMSSD. At slow rates Elgendi's fixed refractory time lets the dicrotic wave pass for a
beat, so it is half the period of the waveform's own heart rate here.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.statistics.bootstrap import mean_interval
from streamnet_plugin.statistics.results import Interval
from streamnet_plugin.types import FloatArray
from streamnet_plugin.wording import count

PEAK_HZ = 500.0
"""Rate at which peaks are sought."""
REFRACTORY_S = 0.3
"""No two beats are closer, whatever the rate: Elgendi's own."""
RATE_BAND_HZ = (0.6, 3.3)
"""Where the waveform's own heart rate is sought, as in the convention toolbox-2025."""
MAX_MISCOUNT = 0.1
"""The true beats are trusted if their number fits the spectral heart rate this well, or by one."""
FIRST_IBI_SHARE = 0.8
"""A first IBI below this share of the median begins at a dicrotic wave."""
TOLERANCE_S = 0.15
"""Two beats are the same within 150 ms, as ANSI/AAMI EC57 matches the beats of an ECG."""
MAX_LAG_S = 0.5
"""Face and finger are some 0.1 to 0.3 s apart; half a beat at 60 bpm is as far as is sought."""
MIN_S = 5.0
"""Fewer seconds hold too few beats to say anything."""
MIN_IBI_SHARE = 0.5
"""IBIs are compared if this share of the true ones was read: noise hits a beat here and there."""
MIN_HRV_INTERVALS = 30
"""RMSSD and SDNN need about 30 s of beats: Munoz et al., PLoS ONE 10 (2015) e0138921."""
MIN_HRV_SHARE = 0.8
"""... and this share of the true intervals: what is left of fewer is no longer the same rhythm."""
WAVEFORM_METRICS = {
    "beat F1 (%)": "f1",
    "IBI error (ms)": "ibi_error",
    "RMSSD error (ms)": "rmssd_error",
    "SDNN error (ms)": "sdnn_error",
}
"""Metric -> field of `BeatErrors`."""


@dataclass(frozen=True)
class BeatErrors:
    """Beats of one video, times in ms; None where there is none, then `reason` says why.

    Attributes:
        n_true, n_read, n_matched: beats of the true and the read waveform, and pairs of them
            within `TOLERANCE_S` once the constant delay between the waveforms is taken out.
        n_intervals: IBIs whose two ends are matched, with no beat of either waveform between.
        f1: harmonic mean of the shares of matched beats among the true and the read ones, %.
        ibi_error: mean absolute difference of these IBIs.
        rmssd_read, rmssd_true, sdnn_read, sdnn_true: heart-rate variability from these IBIs.
        rmssd_error, sdnn_error: their absolute differences.
        lag: the read waveform comes so much later.
        reason: why something is missing.
    """

    n_true: int = 0
    n_read: int = 0
    n_matched: int = 0
    n_intervals: int = 0
    f1: float | None = None
    ibi_error: float | None = None
    rmssd_read: float | None = None
    rmssd_true: float | None = None
    sdnn_read: float | None = None
    sdnn_true: float | None = None
    rmssd_error: float | None = None
    sdnn_error: float | None = None
    lag: float | None = None
    reason: str = ""


def beat_errors(pred: FloatArray, label: FloatArray, fs: float) -> BeatErrors:
    """Beat by beat, how far a read waveform is from the true one.

    The IBIs are those of matched beats, so a poor waveform is judged by the part that it got
    right: `f1` belongs beside them.

    Args:
        pred, label: (T,) clean BVP (`signal.pulse.clean_bvp`), systole up in both.
        fs: Hz.
    """
    reason = _unusable(pred, label, fs)
    if reason:
        return BeatErrors(reason=reason)
    read, true = beat_times(pred, fs), beat_times(label, fs)
    reason = _doubtful(true, label, fs)
    if reason:
        return BeatErrors(len(true), len(read), reason=reason)
    lag = delay(pred, label, fs)
    i, j = match_beats(true, read - lag)
    # The matched beats k and k + 1 bound an interval if neither waveform has a beat between them.
    k = np.flatnonzero((np.diff(i) == 1) & (np.diff(j) == 1))
    f1 = 200 * len(i) / (len(true) + len(read))
    found = BeatErrors(len(true), len(read), len(i), len(k), f1=f1, lag=1000 * lag)
    reason = _too_few_read("IBI error", len(k), len(true) - 1, MIN_IBI_SHARE)
    if reason:
        return replace(found, reason=reason)
    ibi_true = 1000 * (true[i[k + 1]] - true[i[k]])
    ibi_read = 1000 * (read[j[k + 1]] - read[j[k]])
    found = replace(found, ibi_error=float(np.abs(ibi_read - ibi_true).mean()))
    reason = _no_variability(len(k), len(true) - 1)
    if reason:
        return replace(found, reason=reason)
    neighbours = np.diff(k) == 1
    (rmssd_read, sdnn_read), (rmssd_true, sdnn_true) = (
        variability(ibi, neighbours) for ibi in (ibi_read, ibi_true)
    )
    return replace(
        found,
        rmssd_read=rmssd_read,
        rmssd_true=rmssd_true,
        sdnn_read=sdnn_read,
        sdnn_true=sdnn_true,
        rmssd_error=abs(rmssd_read - rmssd_true),
        sdnn_error=abs(sdnn_read - sdnn_true),
    )


def _unusable(pred: FloatArray, label: FloatArray, fs: float) -> str:
    if len(pred) != len(label):
        return f"the waveforms have {len(pred)} and {len(label)} samples"
    if len(pred) < MIN_S * fs:
        return f"{len(pred) / fs:.1f} s are too short for beats: at least {MIN_S:g} s are needed"
    if not (np.isfinite(pred).all() and np.isfinite(label).all()):
        return "a waveform has values that are not finite"
    if np.ptp(pred) == 0 or np.ptp(label) == 0:
        return "a waveform is constant"
    return ""


def _doubtful(true: FloatArray, label: FloatArray, fs: float) -> str:
    """Why the beats (n,) found in the true waveform are not to be believed; empty if they are."""
    if len(true) < 2:
        return f"{count(len(true), 'beat')} in the true waveform"
    hr = refined_hr(label, fs, RATE_BAND_HZ)
    expected = hr / 60 * len(label) / fs
    if abs(len(true) - expected) <= 1 + MAX_MISCOUNT * expected:
        return ""
    return f"{len(true)} beats in the true waveform, where {expected:.0f} fit its {hr:.0f} bpm"


def _too_few_read(what: str, n: int, n_true: int, share: float) -> str:
    if n and n >= share * n_true:
        return ""
    return (
        f"{100 * n / n_true:.0f} % of the true intervals were read: {what} needs {100 * share:g} %"
    )


def _no_variability(n: int, n_true: int) -> str:
    """Why `n` of `n_true` intervals give no RMSSD and SDNN; empty if they do."""
    if n < MIN_HRV_INTERVALS:
        return f"{count(n, 'interval')}: RMSSD and SDNN need {MIN_HRV_INTERVALS}"
    return _too_few_read("RMSSD or SDNN", n, n_true, MIN_HRV_SHARE)


def variability(ibi: FloatArray, neighbours: NDArray[np.bool_]) -> tuple[float, float]:
    """RMSSD and SDNN (n - 1) of intervals (n,), in their unit.

    Definitions: Task Force of the ESC and NASPE, Circulation 93 (1996) 1043.

    Args:
        neighbours: (n - 1,) whether an interval and the next share a beat; one does at least.
    """
    steps = np.diff(ibi)[neighbours]
    return float(np.sqrt(np.mean(steps**2))), float(np.std(ibi, ddof=1))


def beat_times(x: FloatArray, fs: float) -> FloatArray:
    """Times in s of the systolic peaks of a clean BVP (T,), `MIN_S` or longer; maybe none."""
    from neurokit2 import ppg_findpeaks
    from scipy.interpolate import CubicSpline

    t = np.arange(len(x)) / fs
    fine = np.arange(0, t[-1], 1 / PEAK_HZ)
    smooth = CubicSpline(t, (x - np.mean(x)) / np.std(x))(fine)
    hr = refined_hr(x, fs, RATE_BAND_HZ)
    apart = max(REFRACTORY_S, 30 / hr) if np.isfinite(hr) else REFRACTORY_S
    # neurokit2 counts the refractory time from the first sample on, as if a beat were there; a
    # level lead-in of that length keeps the first beat.
    lead = int(np.ceil(apart * PEAK_HZ)) + 1
    try:
        found = ppg_findpeaks(
            np.pad(smooth, (lead, 0), mode="edge"), sampling_rate=PEAK_HZ, mindelay=apart
        )
    except IndexError:  # neurokit2's way to say that it found no wave
        return np.zeros(0)
    beats: FloatArray = (np.asarray(found["PPG_Peaks"], dtype=np.float64) - lead) / PEAK_HZ
    ibi = np.diff(beats)
    # No beat before the first has kept a dicrotic wave from taking its place.
    if len(ibi) > 2 and ibi[0] < FIRST_IBI_SHARE * np.median(ibi):
        return beats[1:]
    return beats


def delay(pred: FloatArray, label: FloatArray, fs: float) -> float:
    """By how much `pred` (T,) comes later than `label`, s: the best fit within `MAX_LAG_S`."""
    most = min(round(MAX_LAG_S * fs), len(pred) - 1)
    p, g = pred - np.mean(pred), label - np.mean(label)
    lags, n = range(-most, most + 1), len(p)
    fit = [p[max(0, k) : n + min(0, k)] @ g[max(0, -k) : n - max(0, k)] for k in lags]
    return lags[int(np.argmax(fit))] / fs


def match_beats(true: FloatArray, read: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the beats that are each other's nearest, within `TOLERANCE_S`; times in s."""
    if not (len(true) and len(read)):
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    distance = np.abs(true[:, None] - read[None])
    i, j = np.arange(len(true)), distance.argmin(axis=1)
    mutual = (distance.argmin(axis=0)[j] == i) & (distance[i, j] <= TOLERANCE_S)
    return i[mutual], j[mutual]


def waveform_metrics(
    errors: Sequence[BeatErrors],
    subjects: Sequence[Hashable],
    videos: Sequence[str] = (),
    *,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """`WAVEFORM_METRICS` of one method: means over its videos (V,), with cluster intervals.

    A video without a value is left out, which `reason` says beside the interval; `videos` (V,) are
    their names, for `missing`.
    """
    found = {}
    for metric, name in WAVEFORM_METRICS.items():
        values = np.array([_number(getattr(e, name)) for e in errors], dtype=np.float64)
        interval = mean_interval(values, subjects, level=level, seed=seed)
        lost = _left_out(errors, values)
        if interval.value is None:
            interval = Interval(None, reason=lost)
        elif lost:
            reason = f"{interval.reason}; {lost}" if interval.reason else lost
            names = tuple(sorted(v for v, x in zip(videos, values, strict=False) if np.isnan(x)))
            interval = replace(interval, reason=reason, missing=names)
        found[metric] = interval
    return found


def _left_out(errors: Sequence[BeatErrors], values: FloatArray) -> str:
    """How many videos (V,) have no value, and why the first of them; empty if all have one."""
    if not len(errors):
        return "there are no waveforms"
    lost = np.flatnonzero(np.isnan(values))
    if not len(lost):
        return ""
    why = errors[lost[0]].reason
    return f"{len(lost)} of {count(len(errors), 'video')} without a value, the first: {why}"


def _number(value: float | None) -> float:
    return np.nan if value is None else value
