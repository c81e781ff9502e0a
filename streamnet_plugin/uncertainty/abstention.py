"""When a reading is better withheld: no pulse, or more error than is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import DataError
from streamnet_plugin.signal.light import RhythmColour
from streamnet_plugin.types import FloatArray

MAX_SPREAD_BPM = 7.0
"""A larger spectral spread is no pulse ..."""
SPREAD_SECONDS = 80.0
"""... and in windows below 11 s, one larger than this over the window's length: lines grow broad.

Measured on synthetic faces without a pulse, of all motions and lights of the training range, and
on easy ones with a pulse, 5 to 30 s long, five methods (GREEN, ICA, CHROM, POS, STREAM-Net): of
those without, the 5 % quantile lies above the limit (ICA at 30 s just below it, 6.6 bpm, where the
10 % quantile is 7.3); of those with, the 95 % quantile lies below (ICA at 5 s just above, 16.4).
"""
MIN_WINDOW_S = 5.0
"""In a shorter window a pulse cannot be told from noise."""
MAX_MC_SD_BPM = 5.0
"""Monte Carlo samples whose heart rates differ by more do not show one pulse."""
MIN_COLOUR = 0.25
"""Of a rhythm that is clear in the brightness, green must vary more than red by this share: blood
has 0.8, synthetic faces 0.5 and more, flickering light up to 0.14 (overexposed skin)."""
MIN_BRIGHTNESS_SNR_DB = 0.0
"""The brightness has a clear rhythm of its own where that holds half of the band's power."""
MIN_HALF_SHARE = 1 / 3
"""Where the heart may beat at half the rate that was read, that holds this share of the band's
power of green minus red ..."""
HALF_TO_READ = (2.0, 12.0)
"""... and this many times the power at the rate itself: a pulse has 2.8 times that of its harmonic
(synthetic faces at 45 to 55 bpm, the median), motion at half of a true rate often less, a drift of
the light, without a harmonic, more.

Measured on synthetic faces of all motions, seven methods, windows of 10 s: a lower end of 1.5 costs
14 of 473 right readings of moving faces instead of 6, a share of 1/4 instead of 1/3 costs 10.
"""

ROUNDING = 1e-9

TOO_SHORT = "too short"
NO_PULSE = "no pulse"
SAMPLES = "samples disagree"
FLICKER = "light flickers"
DOUBLED = "may be doubled"
UNSURE = "too unsure"


def is_flicker(colour: RhythmColour) -> bool:
    """Whether the rhythm that was read is one of the light, not of blood."""
    return colour.brightness_snr_db > MIN_BRIGHTNESS_SNR_DB and colour.colour < MIN_COLOUR


def is_doubled(colours: Sequence[RhythmColour]) -> bool:
    """Whether blood pulses at half the rate that was read, so that its harmonic may be what was.

    POS and CHROM take the mean out of every 1.6 s, and with it much of a slow pulse, not of its
    harmonic.

    Args:
        colours: of the rhythms at the rate and at half of it; without the second, which is below
            the band, nothing can be told.
    """
    if len(colours) < 2:
        return False
    read, half = colours
    low, high = (ratio * read.share for ratio in HALF_TO_READ)
    return half.colour >= MIN_COLOUR and half.share >= MIN_HALF_SHARE and low <= half.share <= high


def max_spread(seconds: float) -> float:
    """The largest spectral spread, bpm, that still is a pulse in a window of that length."""
    return max(MAX_SPREAD_BPM, SPREAD_SECONDS / seconds)


def doubt(
    spectral_bpm: float | None,
    seconds: float,
    mc_sd_bpm: float | None = None,
    colours: Sequence[RhythmColour] = (),
) -> str:
    """Why a window is withheld at the default setting; empty where it is not.

    Args:
        spectral_bpm: the spectral spread; None where it is not known.
        seconds: length of the window.
        mc_sd_bpm: standard deviation of HR over Monte Carlo samples, None without.
        colours: of the rhythms that the HR may stand for, at its rate and at half of it, see
            `signal.light.rhythms`; none where the colours of the face are not known.
    """
    if seconds < MIN_WINDOW_S:
        return TOO_SHORT
    if spectral_bpm is not None and not spectral_bpm <= max_spread(seconds):  # NaN is no pulse
        return NO_PULSE
    if mc_sd_bpm is not None and mc_sd_bpm > MAX_MC_SD_BPM:
        return SAMPLES
    if any(is_flicker(colour) for colour in colours):
        return FLICKER
    if is_doubled(colours):  # last: what else is wrong with it is worse
        return DOUBLED
    return ""


def threshold_for_error(
    abs_error_bpm: FloatArray, spread_bpm: FloatArray, subjects: Sequence[str], target_bpm: float
) -> float:
    """The largest spread up to which windows are kept for a mean absolute error of the target.

    Every subject counts once: a window weighs 1 / (windows of its subject). On the windows given
    the target is kept; on a new subject it is on average, as far as these subjects speak for it.

    Returns:
        bpm; minus infinity where even the surest windows are worse than the target.

    Raises:
        DataError: nothing to choose from, or a target that is no error.
    """
    if not (np.isfinite(target_bpm) and target_bpm > 0):
        raise DataError(f"a target error of {target_bpm} bpm", remedy="give e.g. 3.")
    order, weight, last = _by_spread(np.asarray(spread_bpm, float), subjects)
    errors = np.cumsum(weight * np.asarray(abs_error_bpm, float)[order])
    kept = np.flatnonzero((errors / np.cumsum(weight))[last] <= target_bpm)
    return float(np.asarray(spread_bpm)[order][last[kept[-1]]]) if len(kept) else float("-inf")


def threshold_for_coverage(spread_bpm: FloatArray, subjects: Sequence[str], share: float) -> float:
    """The smallest spread up to which at least this share of windows is kept, 0..1.

    Every subject counts once. Raises `DataError` for a share that is none, or without windows.
    """
    if not 0 < share <= 1:
        raise DataError(f"a coverage of {share}", remedy="give a share between 0 and 1.")
    order, weight, last = _by_spread(np.asarray(spread_bpm, float), subjects)
    kept = (np.cumsum(weight) / weight.sum())[last]
    first = np.flatnonzero(kept >= share - ROUNDING)[0]
    return float(np.asarray(spread_bpm)[order][last[first]])


def _by_spread(
    spread: FloatArray, subjects: Sequence[str]
) -> tuple[NDArray[np.intp], FloatArray, NDArray[np.intp]]:
    """Windows in order of spread, their weights, and where each run of equal spreads ends."""
    if not len(spread):
        raise DataError("no window has a result: no threshold can be chosen")
    _, member, windows = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)
    order = np.argsort(spread, kind="stable")
    last = np.flatnonzero(np.append(np.diff(spread[order]) > 0, True))
    return order, (1.0 / windows[member])[order], last
