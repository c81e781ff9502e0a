"""Checks on the colour trace that goes in and the waveform that comes out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import NoResultError
from streamnet_plugin.types import FloatArray
from streamnet_plugin.wording import count

WINDOW_S = 1.6
"""Analysis window of CHROM and POS: one beat at 37.5 bpm (de Haan & Jeanne 2013, Wang 2017).
No method reads less than that: it could not hold one slow beat."""

FLAT = 1e-10
"""Variation below this share of the level is rounding (float64 means of 8-bit pixels: 1e-16)."""


Trace = NDArray[np.floating[Any]]


def checked_trace(rgb: NDArray[Any], fs: float, *, colour: bool = True) -> Trace:
    """The trace (T, 3), or a `NoResultError` that says why no pulse can be in it.

    A float32 trace stays one, anything else becomes float64: rPPG-Toolbox's methods compute in
    the precision of its frames, float32, and PBV's matrix is so ill-conditioned that the precision
    decides its heart rate.

    Args:
        rgb: (T, 3) mean RGB per frame.
        fs: frame rate, Hz.
        colour: the method compares channels, so they must be positive and differ in their course.
    """
    x = np.asarray(rgb)
    if x.dtype != np.float32:
        x = x.astype(np.float64)
    if x.ndim != 2 or x.shape[1] != 3:
        raise NoResultError(
            f"expected an RGB trace of shape (T, 3), found {x.shape}",
            remedy="give the mean red, green and blue of each frame.",
        )
    if not (math.isfinite(fs) and fs > 0):
        raise NoResultError(f"the frame rate is {fs} Hz", remedy="give a positive frame rate.")
    need = math.ceil(WINDOW_S * fs)
    if len(x) < need:
        raise NoResultError(
            f"the trace has {count(len(x), 'frame')} ({len(x) / fs:.2f} s); at least {need} "
            f"({WINDOW_S} s at {fs:g} Hz) are needed",
            remedy="record a longer video.",
        )
    if not np.isfinite(x).all():
        bad = int(np.count_nonzero(~np.isfinite(x).all(axis=1)))
        raise NoResultError(
            f"{bad} of {len(x)} frames have a colour that is not finite",
            remedy="drop or interpolate those frames.",
        )
    channels = np.ascontiguousarray(x.T)  # three long rows are searched faster than columns
    if np.ptp(channels, axis=1).max() <= FLAT * np.abs(channels).max():
        raise NoResultError(
            "the trace is constant: every frame has the same mean colour",
            remedy="check that the video plays and that the face crop lies on a face.",
        )
    return _checked_colour(x) if colour else x


def checked_rgb(rgb: NDArray[Any], fs: float, *, colour: bool = True) -> FloatArray:
    """`checked_trace` in float64."""
    return checked_trace(rgb, fs, colour=colour).astype(np.float64)


def _checked_colour(x: Trace) -> Trace:
    mean = x.mean(axis=0)
    if np.min(mean) <= 0:
        raise NoResultError(
            f"a colour channel is empty: mean RGB is {np.round(mean, 3).tolist()}",
            remedy="use a colour video in RGB, 0 to 255.",
        )
    strength = np.linalg.svd(x.astype(np.float64) / mean - 1.0, compute_uv=False)
    if strength[1] <= FLAT * strength[0]:
        raise NoResultError(
            "the three channels are the same up to a factor: there is no colour to compare",
            remedy="use a colour video, or the method GREEN.",
        )
    return x


def green_beside(x: FloatArray, direction: Trace) -> FloatArray:
    """Green component (T,) of the trace (T, 3) projected orthogonally to a unit vector (3,)."""
    beside = np.eye(3)[1] - direction[1] * direction  # a product in the direction's precision
    projected: FloatArray = x @ beside
    return projected


def checked_bvp(bvp: FloatArray) -> FloatArray:
    """The waveform (T,), or a `NoResultError` if it is not finite or constant."""
    bad = int(np.count_nonzero(~np.isfinite(bvp)))
    if bad:
        raise NoResultError(
            f"the waveform has {bad} of {len(bvp)} values that are not finite: within some window "
            "the colour does not change, or is black",
            remedy="cut frozen or black frames out of the video.",
        )
    if np.ptp(bvp) <= FLAT * np.abs(bvp).max():
        raise NoResultError(
            "the waveform is constant", remedy="check that the face crop lies on a face."
        )
    return bvp
