"""Whether a rhythm in the face's colour is light or blood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import periodogram

from streamnet_plugin.signal.confidence import HALF_WIDTH_HZ, line_snr
from streamnet_plugin.types import FloatArray


@dataclass(frozen=True)
class RhythmColour:
    """What varies at one rate in a face's mean colour.

    Attributes:
        brightness_snr_db: power of the brightness at this rate against the rest of the band, dB.
        colour: how much more green varies than red, relative to the brightness: 0 for light that
            changes, 0.8 for blood. NaN where a channel is black or nothing varies.
        share: of the band's power of green minus red, what lies at this rate, 0..1. NaN where a
            channel is black or both vary alike.
    """

    brightness_snr_db: float
    colour: float
    share: float = float("nan")


def rhythm_colour(
    rgb: FloatArray, fs: float, hr_bpm: float, band: tuple[float, float]
) -> RhythmColour:
    """Colour of the rhythm at `hr_bpm` in the mean RGB (T, 3) of the frames; `band` in Hz.

    Light multiplies all channels by the same factor. Blood does not: relative to the skin's
    colour, its pulse is strongest in green and has 0.43 of that in red, 0.69 in blue (de Haan and
    van Leest, Physiol. Meas. 35, 2014), so green minus red is 0.8 of the mean of the three. No
    calibration is needed. Gray video, and video compressed so strongly that only its brightness
    is left, cannot be told from flicker; a lamp of another colour than the rest of the light can
    look like blood.

    >>> t = np.arange(600) / 30
    >>> wave = 0.01 * np.sin(2 * np.pi * 1.2 * t)[:, None]
    >>> light = np.array([180.0, 120, 90]) * (1 + wave * [1, 1, 1])
    >>> blood = np.array([180.0, 120, 90]) * (1 + wave * [0.43, 1, 0.69])
    >>> [round(rhythm_colour(x, 30.0, 72.0, (0.6, 3.3)).colour, 1) for x in (light, blood)]
    [0.0, 0.8]
    """
    mean = rgb.mean(axis=0)
    if not (np.isfinite(rgb).all() and np.all(mean > 0)):
        return RhythmColour(float("-inf"), float("nan"))
    x = rgb / mean - 1
    brightness = x.mean(axis=1)
    alike, _ = _powers(brightness, fs, hr_bpm, band)
    apart, rest = _powers(x[:, 1] - x[:, 0], fs, hr_bpm, band)
    return RhythmColour(
        brightness_snr_db=line_snr(brightness, fs, hr_bpm, band),
        colour=float(np.sqrt(apart / alike)) if alike > 0 else float("nan"),
        share=apart / (apart + rest) if apart + rest > 0 else float("nan"),
    )


def rhythms(
    rgb: FloatArray, fs: float, hr_bpm: float, band: tuple[float, float]
) -> tuple[RhythmColour, ...]:
    """Colours of the rhythm at `hr_bpm` and, where the band reaches that far down, at half of it.

    Methods that divide one colour by another, POS and CHROM, turn a light that flickers at one
    rate into a pulse of twice that. Half the rate counts without its harmonic, which is the rate.
    """
    found = rhythm_colour(rgb, fs, hr_bpm, band)
    if hr_bpm / 120 < band[0] or not np.isfinite(found.brightness_snr_db):
        return (found,)
    half = rhythm_colour(rgb, fs, hr_bpm / 2, band)
    brightness = (rgb / rgb.mean(axis=0) - 1).mean(axis=1)
    return found, replace(half, brightness_snr_db=_line_db(brightness, fs, hr_bpm / 2, band))


def _line_db(x: FloatArray, fs: float, hr_bpm: float, band: tuple[float, float]) -> float:
    """Power of `x` (T,) around a rate against the rest of the band, dB."""
    line, rest = _powers(x, fs, hr_bpm, band)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(10 * np.log10(np.divide(line, rest)))


def _powers(
    x: FloatArray, fs: float, hr_bpm: float, band: tuple[float, float]
) -> tuple[float, float]:
    """Power of `x` (T,) within `HALF_WIDTH_HZ` of a rate, and in the rest of the band."""
    f, power = periodogram(x, fs, window="hann", nfft=max(4096, len(x)), detrend="linear")
    line = np.abs(f - hr_bpm / 60) <= HALF_WIDTH_HZ
    rest = (f >= band[0]) & (f <= band[1]) & ~line
    return float(power[line].sum()), float(power[rest].sum())
