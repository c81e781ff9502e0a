"""ICA: the independent component of the colour channels that looks most like a pulse.

Poh, McDuff & Picard, "Non-contact, automated cardiac pulse measurements using video imaging and
blind source separation", Optics Express 18(10), 2010, and "Advancements in noncontact,
multiparameter physiological measurements using a webcam", IEEE TBME 58(1), 2011.
"""

from __future__ import annotations

import numpy as np

from streamnet_plugin.classical.jade import jade
from streamnet_plugin.classical.traces import checked_bvp, checked_rgb
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.signal.detrend import detrend
from streamnet_plugin.signal.filters import bandpass, min_samples
from streamnet_plugin.types import FloatArray

TOOLBOX_LAMBDA = 100.0
TOOLBOX_BAND_HZ = (0.7, 2.5)
TOOLBOX_ORDER = 3
PAPER_LAMBDA, PAPER_FS = 10.0, 15.0  # Poh 2011: lambda 10 at 15 Hz
PAPER_BAND_HZ = (0.75, 4.0)  # Poh 2010: HR searched within 45-240 bpm


def ica(rgb: FloatArray, fs: float) -> FloatArray:
    """ICA as rPPG-Toolbox computes it, oriented so that the BVP (T,) rises in systole.

    Channels are detrended (lambda 100) and normalised, separated by JADE; the component with the
    sharpest spectral peak at any frequency is taken and band-passed (Butterworth, order 3,
    0.7-2.5 Hz, zero phase). ICA leaves the sign open; here it is the one that falls with the
    detrended green.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless, or its
            components do not converge, or the frame rate (Hz) is not above 5 Hz.
    """
    x = _checked(rgb, fs, TOOLBOX_BAND_HZ[1])
    channels = _normalise(detrend(x, TOOLBOX_LAMBDA))
    sources = jade(channels.T)  # (3, T)
    n = sources.shape[1]
    power = np.abs(np.fft.fft(sources, axis=1)[:, 1 : 1 + (n - 1) // 2]) ** 2
    best = int(np.argmax(power.max(axis=1) / power.sum(axis=1)))
    pulse = bandpass(sources[best], fs, *TOOLBOX_BAND_HZ, order=TOOLBOX_ORDER)
    return checked_bvp(_oriented(pulse, channels[:, 1]))


def ica_paper(rgb: FloatArray, fs: float) -> FloatArray:
    """ICA that looks for the pulse among heart rates only; BVP (T,) rising in systole.

    The trace is detrended with the papers' cut-off (lambda 10 at 15 Hz; lambda grows with the
    square of the frame rate for the same cut-off), normalised and separated by JADE. Of the
    components, the one whose highest peak within 45-240 bpm holds the largest share of its power
    is taken, unfiltered. ICA leaves the sign open; it is the one that falls with the detrended
    green.

    Raises:
        NoResultError: the trace (T, 3) is too short, not finite, constant or colourless, or its
            components do not converge, or the frame rate (Hz) is not above 8 Hz.
    """
    x = _checked(rgb, fs, PAPER_BAND_HZ[1])
    channels = _normalise(detrend(x, PAPER_LAMBDA * (fs / PAPER_FS) ** 2))
    sources = jade(channels.T)
    power = np.abs(np.fft.rfft(sources, axis=1)) ** 2
    f = np.fft.rfftfreq(sources.shape[1], 1 / fs)
    inside = (f >= PAPER_BAND_HZ[0]) & (f <= PAPER_BAND_HZ[1])
    best = int(np.argmax(power[:, inside].max(axis=1) / power.sum(axis=1)))
    return checked_bvp(_oriented(sources[best], channels[:, 1]))


def _checked(rgb: FloatArray, fs: float, highest_hz: float) -> FloatArray:
    x = checked_rgb(rgb, fs)
    if fs <= 2 * highest_hz or len(x) < min_samples(TOOLBOX_ORDER):
        raise NoResultError(
            f"{len(x)} frames at {fs:g} Hz: ICA needs at least {min_samples(TOOLBOX_ORDER)} frames "
            f"at over {2 * highest_hz:g} Hz",
            remedy="use a longer video, or a higher frame rate.",
        )
    return x


def _normalise(x: FloatArray) -> FloatArray:
    """Each column of (T, 3) to mean 0 and deviation 1."""
    deviation = x.std(axis=0)
    if np.min(deviation) == 0:
        raise NoResultError("a colour channel is constant", remedy="use another method.")
    return (x - x.mean(axis=0)) / deviation


def _oriented(pulse: FloatArray, green: FloatArray) -> FloatArray:
    """`pulse` (T,) or its negative, whichever falls when the green light rises."""
    return -pulse if pulse @ green > 0 else pulse
