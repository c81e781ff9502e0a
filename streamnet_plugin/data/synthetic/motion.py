"""How a head moves: the six setups of PURE, and six that it does not have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import FloatArray

# PURE's setup number -> name (Stricker et al., RO-MAN 2014).
SETUPS = {
    1: "steady",
    2: "talking",
    3: "slow_translation",
    4: "fast_translation",
    5: "small_rotation",
    6: "medium_rotation",
}
OTHERS = ("bobbing", "looking", "nodding", "leaning", "shaking", "swaying")
"""bobbing: up and down and to the sides in the rhythm of steps, a rate that a heart could have;
looking: at one place after the other, up, down and to the sides; nodding: the head turns down and
up; leaning: towards the camera and back; shaking: the head turns to the sides as for a no;
swaying: it moves and turns every way without a rhythm, wide and fast, as in sport or in a car."""
SWAY_S = (0.12, 0.8)
"""Shortest and longest time constant of swaying, s; what is between is drawn by its logarithm."""
MOTIONS = (*SETUPS.values(), *OTHERS)


@dataclass(frozen=True)
class Motion:
    """Per frame, (T,) each.

    Attributes:
        x, y: shift in face widths.
        yaw, pitch: degrees; positive pitch looks down.
        mouth: opening, 0..1.
        size: of the face, 1 where it stands.
        roll: degrees; positive tilts the head counter-clockwise in the picture.
    """

    x: FloatArray
    y: FloatArray
    yaw: FloatArray
    mouth: FloatArray
    pitch: FloatArray
    size: FloatArray
    roll: FloatArray


def motion(setup: str, t: FloatArray, scale: float, rng: np.random.Generator) -> Motion:
    """Motion of that name at times `t` (s); `scale` 1 is PURE's, 0 none."""
    sway = 0.012 * scale
    x, y = sway * _wander(t, 4.0, rng), 0.7 * sway * _wander(t, 4.0, rng)
    yaw, mouth = 1.0 * scale * _wander(t, 3.0, rng), np.zeros_like(t)
    pitch, size, roll = np.zeros_like(t), np.ones_like(t), np.zeros_like(t)
    if setup == "talking":
        speech = np.clip(_wander(t, 0.28, rng), 0, None) * (_wander(t, 2.5, rng) > -0.8)
        mouth = np.clip(0.6 * scale * speech, 0, 1)
        y = y + 0.012 * scale * _wander(t, 0.8, rng)
        yaw = yaw + 3.0 * scale * _wander(t, 1.5, rng)
    elif setup == "slow_translation":
        x = x + 0.22 * scale * _sweep(t, 9.0, rng)
    elif setup == "fast_translation":
        x = x + 0.22 * scale * _sweep(t, 4.5, rng)
    elif setup == "small_rotation":
        yaw = yaw + 17.0 * scale * _targets(t, 3.5, rng)
    elif setup == "medium_rotation":
        yaw = yaw + 30.0 * scale * _targets(t, 3.5, rng)
    elif setup == "bobbing":
        steps = _steps(t, rng)
        x = x + 0.02 * scale * np.sin(np.pi * steps)  # to a side and back takes two steps
        y = y + 0.025 * scale * np.abs(np.sin(np.pi * steps))
    elif setup == "looking":
        pitch = 12.0 * scale * _targets(t, 2.5, rng)
        yaw = yaw + 12.0 * scale * _targets(t, 2.5, rng)
    elif setup == "nodding":
        pitch = 12.0 * scale * _wander(t, 1.8, rng)
    elif setup == "shaking":
        yaw = yaw + 9.0 * scale * _wander(t, 1.3, rng)
    elif setup == "leaning":
        size = 1 + 0.12 * np.clip(scale * _wander(t, 5.0, rng), -3, 3)
        y = y + 0.05 * scale * _wander(t, 5.0, rng)
    elif setup == "swaying":
        time_constant = float(np.exp(rng.uniform(*np.log(SWAY_S))))
        parts = scale * np.array([0.06, 0.06, 5.0, 4.0, 2.5])[:, None]  # widths, degrees
        parts = parts * np.stack([_drift(t, time_constant, rng) for _ in parts])
        x, y, yaw, pitch, roll = (
            a + b for a, b in zip((x, y, yaw, pitch, roll), parts, strict=True)
        )
    elif setup != "steady":
        raise unknown_motion(setup)
    return Motion(x, y, yaw, mouth, pitch, size, roll)


def unknown_motion(setup: str) -> ConfigError:
    return ConfigError(f"unknown motion {setup!r}", remedy="use one of " + ", ".join(MOTIONS) + ".")


def _wander(t: FloatArray, period: float, rng: np.random.Generator) -> FloatArray:
    """Smooth random motion of about unit size that turns round every `period` seconds."""
    periods = period * rng.uniform(0.6, 1.8, 5)
    phases = rng.uniform(0, 2 * np.pi, 5)
    waves = np.sin(2 * np.pi * t[:, None] / periods + phases)
    out: FloatArray = waves @ rng.uniform(0.4, 1.0, 5) / 1.6
    return out


def smooth_noise(
    n: int,
    steps: float,
    rng: np.random.Generator,
    *,
    margin: int | None = None,
    at: FloatArray | None = None,
) -> FloatArray:
    """Random motion (n,) without any rhythm, around 0, of unit standard deviation over a long time.

    Args:
        n: values.
        steps: time constant, in values.
        rng: of the noise.
        margin: values drawn and left out at each end; None takes just over 4 `steps`.
        at: places (m,) between 0 and n - 1, to have the motion there instead.
    """
    margin = int(4 * steps) + 1 if margin is None else margin
    smooth = gaussian_filter1d(rng.standard_normal(n + 2 * margin), steps)[margin : margin + n]
    if at is not None:
        smooth = np.interp(at, np.arange(n), smooth)
    # Over all time, not over what is shown, where slow motion would count as fast.
    out: FloatArray = smooth * np.sqrt(2 * np.sqrt(np.pi) * steps)
    return out


def _drift(t: FloatArray, time_constant: float, rng: np.random.Generator) -> FloatArray:
    """`smooth_noise` at times that need not be evenly spaced."""
    step = time_constant / 20
    n, at = int(np.ptp(t) / step) + 40, (t - t.min()) / step
    return smooth_noise(n, 20, rng, margin=80, at=at)


def _sweep(t: FloatArray, period: float, rng: np.random.Generator) -> FloatArray:
    """To and fro along a line at nearly constant speed, the pace varying a little: -1..1."""
    pace = 1 + 0.12 * _wander(t, 6.0, rng)
    cycle = np.cumsum(pace * np.gradient(t)) / period + rng.uniform()
    return np.arcsin(0.96 * np.sin(2 * np.pi * cycle)) / np.arcsin(0.96)


def _targets(t: FloatArray, dwell: float, rng: np.random.Generator) -> FloatArray:
    """Turning from one target to the next, dwelling on each: -1..1, quick smooth turns."""
    n = int(t[-1] / (0.7 * dwell)) + 3
    starts = np.cumsum(rng.uniform(0.7 * dwell, 1.3 * dwell, n)) - dwell
    places = rng.uniform(-1, 1, n + 1)
    out = np.full_like(t, places[0])
    for start, place, before in zip(starts, places[1:], places, strict=False):
        turn = np.clip((t - start) / 0.6, 0, 1)
        out += (place - before) * (3 * turn**2 - 2 * turn**3)
    return out


def _steps(t: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Number of steps gone at time `t`: 1.2 to 2.6 a second, the pace varying a little."""
    pace = rng.uniform(1.2, 2.6) * (1 + 0.04 * _wander(t, 4.0, rng))
    out: FloatArray = np.cumsum(pace * np.gradient(t)) + rng.uniform()
    return out
