"""One window: heart rate, SNR and MACC of a read waveform against the true one."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from streamnet_plugin.errors import DataError, NoResultError
from streamnet_plugin.evaluation.conventions import Convention
from streamnet_plugin.signal.difference import difference_normalised
from streamnet_plugin.signal.filters import min_samples
from streamnet_plugin.signal.heart_rate import fft_hr, peak_hr, refined_hr, refined_hrs
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.signal.quality import macc, snr
from streamnet_plugin.types import FloatArray, Prediction
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)

HrMethod = Literal["FFT", "Peak"]

FLAT = 1e-12
"""A waveform whose swing is below this share of its level has no pulse in it, only rounding."""

FLAT_CLEAN = 1e-9
"""The same after detrending, which leaves rounding errors of up to 1e-11 of a straight line."""

TAIL_SAMPLES = 9
"""rPPG-Toolbox leaves out a last window that is shorter than this."""


@dataclass(frozen=True)
class McHr:
    """HR over Monte Carlo samples, bpm: mean, standard deviation (n - 1), quantiles.

    Attributes:
        n: samples that have a heart rate, of all that were given.
        hrs: (n,) these heart rates.
    """

    mean: float
    std: float
    q05: float
    q50: float
    q95: float
    n: int
    hrs: FloatArray = field(repr=False, compare=False, default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class WindowResult:
    """The numbers of one window; all NaN, with a reason, where there is no result.

    Attributes:
        hr_label, hr_pred: bpm, by the chosen HR method.
        hr_label_refined, hr_pred_refined: bpm, interpolated spectral peak.
        snr_db: dB. macc: 0..1.
        mc: HR over Monte Carlo samples, None if there were none.
        reason: why there is no result, None if there is one.
        hr_label_peak, hr_pred_peak: bpm, mean distance of maxima, whatever the chosen method.
    """

    hr_label: float
    hr_pred: float
    hr_label_refined: float
    hr_pred_refined: float
    snr_db: float
    macc: float
    mc: McHr | None = None
    reason: str | None = None
    hr_label_peak: float = float("nan")
    hr_pred_peak: float = float("nan")

    @property
    def ok(self) -> bool:
        return self.reason is None

    @property
    def status(self) -> str:
        return "ok" if self.ok else "no result"


def evaluate_window(
    pred: FloatArray,
    label: FloatArray,
    fs: float,
    convention: Convention,
    *,
    differential: bool,
    differential_label: bool | None = None,
    hr_method: HrMethod = "FFT",
    samples: FloatArray | None = None,
    covered: int | None = None,
    inverted: bool = False,
) -> WindowResult:
    """Score one window as rPPG-Toolbox does, refusing what it would score as 36.9 bpm.

    Args:
        pred, label: (T,).
        fs: Hz.
        convention: names the HR band.
        differential: `pred` is a normalised first difference of the BVP.
        differential_label: `label` is one; the same as `differential` if not given.
        hr_method: "FFT" (spectral peak) or "Peak" (mean distance of maxima).
        samples: (S, T) Monte Carlo samples of `pred`.
        covered, inverted: see `Prediction`.

    Raises:
        DataError: `samples` does not have the length of `pred`.
        ConfigError: the convention's band does not fit the frame rate.
    """
    if differential_label is None:
        differential_label = differential
    if samples is not None and samples.shape[1:] != np.shape(pred):
        raise DataError(f"samples of shape {samples.shape} for a waveform of {np.shape(pred)}")
    if len(pred) != len(label):
        return _other_length(pred, label)
    band = convention.band
    try:
        p = clean_waveform("prediction", pred[:covered], fs, band, differential)
        g = clean_waveform("label", label, fs, band, differential_label)
    except NoResultError as error:
        return _no_result(error.what)
    if inverted:
        p = -p
    if samples is not None:
        samples = samples[:, :covered]
    hr_pred, hr_label = _hr(p, fs, convention, hr_method), _hr(g, fs, convention, hr_method)
    if not (np.isfinite(hr_pred) and np.isfinite(hr_label)):
        return _no_result(f"{len(p) / fs:.1f} s are too short for a heart rate ({hr_method})")
    return WindowResult(
        hr_label=hr_label,
        hr_pred=hr_pred,
        hr_label_refined=refined_hr(g, fs, band),
        hr_pred_refined=refined_hr(p, fs, band),
        snr_db=snr(p, hr_label, fs, band),
        macc=macc(p, g),
        mc=None if samples is None else mc_heart_rate(samples, fs, convention, differential),
        hr_label_peak=peak_hr(g, fs),
        hr_pred_peak=peak_hr(p, fs),
    )


def evaluate_video(
    prediction: Prediction,
    label_bvp: FloatArray,
    fs: float,
    convention: Convention,
    *,
    window_s: float | None = None,
    hr_method: HrMethod = "FFT",
) -> list[WindowResult]:
    """Score a whole video, or its windows: one result per slice of `window_slices`, in order.

    Args:
        prediction: its `bvp` and `samples` span the video.
        label_bvp: (T,) true BVP. For a differential prediction it is difference-normalised over
            the whole video first, as the toolbox's labels of such networks are.
        fs: Hz.
        convention: names the HR band.
        window_s: window length in s; None is one window, the whole video.
        hr_method: "FFT" or "Peak".

    A prediction of another length than the label has no result in any window.
    """
    label = difference_normalised(label_bvp) if prediction.differential else label_bvp
    scored = evaluate_prediction(
        prediction, label, fs, convention, window_s=window_s, hr_method=hr_method
    )
    return [result for _, result in scored]


def evaluate_prediction(
    prediction: Prediction,
    label: FloatArray,
    fs: float,
    convention: Convention,
    *,
    window_s: float | None = None,
    hr_method: HrMethod = "FFT",
) -> list[tuple[slice, WindowResult]]:
    """`evaluate_video` with a label (T,) that is in the prediction's own domain already.

    Returns:
        Each window's frames and result.
    """
    pred, samples = prediction.bvp, prediction.samples
    slices = window_slices(len(label), fs, window_s)
    if len(pred) != len(label):
        return [(part, _other_length(pred, label)) for part in slices]
    n = len(pred) if prediction.covered is None else prediction.covered
    if len(slices) > 1:  # what is covered of the last window may be no window of its own
        slices = [part for part in slices if n - part.start >= TAIL_SAMPLES]
    return [
        (
            part,
            evaluate_window(
                pred[part],
                label[part],
                fs,
                convention,
                differential=prediction.differential,
                hr_method=hr_method,
                samples=None if samples is None else samples[:, part],
                covered=min(part.stop, n) - part.start,
                inverted=prediction.inverted,
            ),
        )
        for part in slices
    ]


def window_slices(n_frames: int, fs: float, window_s: float | None = None) -> list[slice]:
    """Windows of `window_s` seconds side by side, cut as rPPG-Toolbox cuts them.

    None means one window, the whole video; so does a window longer than the video. The last window
    may be shorter; it is left out below `TAIL_SAMPLES` samples, unless it is the only one.

    Raises:
        DataError: the window holds no sample.
    """
    length = n_frames if window_s is None else min(n_frames, round(window_s * fs))
    if length < 1 and n_frames:
        raise DataError(
            f"a window of {window_s} s holds no sample at {fs:g} Hz", remedy="use a longer window."
        )
    slices = [slice(i, min(i + length, n_frames)) for i in range(0, n_frames, max(1, length))]
    if len(slices) > 1 and n_frames - slices[-1].start < TAIL_SAMPLES:
        tail = slices.pop()
        log.info("last %d frames are no window of their own", n_frames - tail.start)
    return slices or [slice(0, 0)]


def mc_heart_rate(
    samples: FloatArray, fs: float, convention: Convention, differential: bool
) -> McHr | None:
    """Distribution of the refined HR over samples (S, T); None with fewer than two that have one.

    The refined HR, because the benchmark's grid (3.5 bpm at 10 s) would hide small spreads. All
    samples are cleaned and transformed at once.
    """
    samples = np.asarray(samples, dtype=np.float64)
    usable = np.isfinite(samples).all(axis=1) & (np.ptp(samples, axis=1) > 0)
    if np.count_nonzero(usable) < 2:
        return None
    clean = clean_bvp(samples[usable], fs, *convention.band, differential)
    hr = refined_hrs(clean, fs, convention.band)
    hr = hr[np.isfinite(hr)]
    if len(hr) < 2:
        return None
    q05, q50, q95 = (float(q) for q in np.quantile(hr, [0.05, 0.5, 0.95]))
    return McHr(float(hr.mean()), float(hr.std(ddof=1)), q05, q50, q95, n=len(hr), hrs=hr)


def _hr(x: FloatArray, fs: float, convention: Convention, method: HrMethod) -> float:
    return peak_hr(x, fs) if method == "Peak" else float(fft_hr(x, fs, convention.band))


def clean_waveform(
    what: str, x: FloatArray, fs: float, band: tuple[float, float], differential: bool
) -> FloatArray:
    """The waveform (T,) ready to be measured, cleaned by `clean_bvp`.

    Args:
        what: it is, for the error, e.g. "prediction".

    Raises:
        NoResultError: nothing in it but rounding errors, too short, or not finite.
    """
    x = np.asarray(x)
    if len(x) == 0:
        raise NoResultError(f"the {what} is empty")
    bad = int(np.count_nonzero(~np.isfinite(x)))
    if bad:
        raise NoResultError(f"the {what} has {bad} of {len(x)} values that are not finite")
    if len(x) < min_samples():
        raise NoResultError(
            f"the {what} has {count(len(x), 'sample')} ({len(x) / fs:.1f} s); "
            f"at least {min_samples()} are needed"
        )
    level = float(np.max(np.abs(x)))
    if np.ptp(x) <= FLAT * level:
        raise NoResultError(f"the {what} is constant")
    clean = clean_bvp(x, fs, *band, differential)
    if differential:
        level = float(np.max(np.abs(np.cumsum(x, dtype=np.float64))))
    if np.max(np.abs(clean)) <= FLAT_CLEAN * level:
        raise NoResultError(f"the {what} is a straight line: nothing is left without its trend")
    return clean


def _other_length(pred: FloatArray, label: FloatArray) -> WindowResult:
    if not len(label):
        return _no_result("there is no true waveform to compare with")
    return _no_result(f"the prediction has {count(len(pred), 'sample')}, the label {len(label)}")


def _no_result(reason: str) -> WindowResult:
    nan = float("nan")
    return WindowResult(nan, nan, nan, nan, nan, nan, reason=reason)
