"""Changes to a clip after which its label is still true.

Each is a pure function with a reason why heart rate and waveform stay what the label says. Values
stay float32 from the first change to the last and are rounded to 8 bits once, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.config import AUGMENT_LIMITS
from streamnet_plugin.data.synthetic.motion import smooth_noise
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import FloatArray, FrameArray

Float32Array = NDArray[np.float32]
SHAKE_S = (0.08, 1.0)
"""Range of the time constant of a shaken picture, s: about what a hand and a neck do."""
DRIFT_HZ = (0.02, 0.3)
"""Light drifts this slowly: the lowest band in use begins at 0.6 Hz, the slowest heart at 0.67."""
DRIFT_WAVES = 3
TINT = 1 / 3
"""Share of the gain's range by which the colours differ from one another."""
SATURATED = 0.001
"""A gain leaves at least this share of the values that it could push over 255 where they are."""
WHITE = 255


@dataclass(frozen=True)
class Augment:
    """How strongly clips are changed; all off unless asked for.

    Attributes:
        flip: mirror half of the clips, left for right.
        crop_jitter: largest shift of the crop, as a share of its side; one shift per clip.
        gain: brightness times 1 / (1 + gain) to 1 + gain, with a tint of a third of that.
        drift: largest relative swing of slow changes of the light.
        noise: largest standard deviation of added noise, 8-bit levels.
        resample: time runs 1 / (1 + resample) to 1 + resample times as fast, and so does the pulse.
        time_reversal: play half of the clips backwards. The heart rate stays, the waveform does
            not: systole is then slow and diastole fast, which no heart does.
        shake: half of the clips move as a whole, at random and without rhythm; the largest
            standard deviation of that, as a share of the side, and in radian of its turns.
    """

    flip: bool = False
    crop_jitter: float = 0.0
    gain: float = 0.0
    drift: float = 0.0
    noise: float = 0.0
    resample: float = 0.0
    time_reversal: bool = False
    shake: float = 0.0

    def __post_init__(self) -> None:
        """`ConfigError` for what is no strength."""
        for field in fields(self):
            value, limit = getattr(self, field.name), AUGMENT_LIMITS.get(field.name.upper())
            if limit is None:
                if not isinstance(value, bool):
                    raise ConfigError(f"{field.name} is {value!r}", remedy="use true or false.")
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{field.name} is {value!r}, a number is expected")
            elif not 0 <= value <= limit:  # false for NaN too
                raise ConfigError(f"{field.name} is {value}", remedy=f"use 0 to {limit:g}.")

    @property
    def changes_nothing(self) -> bool:
        """Whether all is off."""
        return not any(getattr(self, field.name) for field in fields(self))


def augmented(
    frames: FrameArray,
    bvp: FloatArray,
    start: int,
    length: int,
    fs: float,
    augment: Augment,
    rng: np.random.Generator,
) -> tuple[FrameArray, FloatArray]:
    """A changed clip and its BVP, cut from a video.

    What is drawn for one change does not depend on whether another is on.

    Args:
        frames, bvp: of the whole video, (T, H, W, 3) uint8 and (T,).
        start, length: the clip in frames; a faster clip is cut from more of the video, and
            begins earlier where the video ends too soon.
        fs: Hz.
        augment: how strongly.
        rng: of all that is drawn.

    Returns:
        length + 1 frames and values, the last for the difference; `length` where the video has no
        frame after the clip.
    """
    pace, mirror, backwards = rng.uniform(-1, 1), rng.random() < 0.5, rng.random() < 0.5
    shift = rng.uniform(-1, 1, 2) * augment.crop_jitter * np.array(frames.shape[1:3])
    brightness, tint = rng.uniform(-1, 1), rng.uniform(-1, 1, 3)
    light = 1 + drift_curve(length + 1, fs, augment.drift, rng)
    hand = rng.spawn(1)[0]  # a stream of its own: as many values as the shaking is slow
    clip, wave = _cut(frames, bvp, start, length, (1 + augment.resample) ** pace)
    if augment.time_reversal and backwards:
        clip, wave = clip[::-1], wave[::-1]
    if augment.flip and mirror:
        clip = flipped(clip)
    clip = shifted(clip, *(round(float(s)) for s in shift))
    clip = shaken(clip, fs, augment.shake * max(0.0, hand.uniform(-1, 1)), hand)
    gain = (1 + augment.gain) ** ((1 - TINT) * brightness + TINT * tint)
    if augment.gain:
        gain = np.minimum(gain, _largest_gain(clip))
    clip = relit(clip, gain * light[: len(clip)])
    clip = noisy(clip, augment.noise * rng.random(), rng)
    return np.clip(np.rint(clip), 0, WHITE).astype(np.uint8), wave


def _cut(
    frames: FrameArray, bvp: FloatArray, start: int, length: int, factor: float
) -> tuple[Float32Array, FloatArray]:
    if factor == 1:
        part = slice(start, start + length + 1)
        return frames[part].astype(np.float32), bvp[part]
    last = len(frames) - 1
    factor = min(factor, last / length)
    begin = max(0.0, min(start, last - factor * length))
    return resampled(frames, bvp, begin + factor * np.arange(length + 1, dtype=np.float64))


def resampled(
    frames: FrameArray, bvp: FloatArray, at: FloatArray
) -> tuple[Float32Array, FloatArray]:
    """Frames and BVP at the places `at` (n,), in frames from the video's start, by interpolation.

    Both move along the same clock, so a video played 1.2 times as fast shows a heart that beats 1.2
    times as fast, and the label says so. Neighbours are blended linearly: the nearest frame would
    repeat some and skip others, a jitter that the label does not have.
    """
    at = np.clip(at, 0, len(frames) - 1)
    low = np.minimum(at.astype(int), len(frames) - 2)
    weight = (at - low).astype(np.float32)
    first = int(low[0])
    block = np.asarray(frames[first : int(low[-1]) + 2], np.float32)
    w = weight[:, None, None, None]
    blended = block[low - first] * (1 - w) + block[low - first + 1] * w
    return blended, np.interp(at, np.arange(len(bvp)), bvp)


def flipped(frames: Float32Array) -> Float32Array:
    """Mirrored left for right. Every pixel keeps its values over time."""
    return frames[:, :, ::-1]


def shifted(frames: Float32Array, down: int, right: int) -> Float32Array:
    """The picture moved by whole pixels, its edge repeated; the same in all frames.

    Pixels keep their values over time and nothing moves: a shift that changed from frame to frame
    would be a motion.
    """
    rows, columns = (np.arange(n) for n in frames.shape[1:3])
    rows = np.clip(rows - down, 0, len(rows) - 1)
    columns = np.clip(columns - right, 0, len(columns) - 1)
    return frames[:, rows[:, None], columns]


def shaken(
    frames: Float32Array, fs: float, strength: float, rng: np.random.Generator
) -> Float32Array:
    """The picture moved and turned as a whole, from frame to frame, its edge repeated.

    As by a hand that holds the camera, or by a head that sways: a motion without rhythm, which the
    label knows nothing of. The skin's colour stays what it was, wherever it is now.

    Args:
        frames: (T, H, W, 3).
        fs: Hz.
        strength: standard deviation of the place, as a share of the side; a turn has up to as much,
            in radian.
        rng: of all that is drawn.
    """
    if strength == 0:
        return frames
    low, high = np.log(SHAKE_S)
    steps = max(1.0, fs * float(np.exp(rng.uniform(low, high))))
    x, y, turn = (strength * smooth_noise(len(frames), steps, rng) for _ in range(3))
    turn = np.degrees(turn * rng.random())
    height, width = frames.shape[1:3]
    centre = (width - 1) / 2, (height - 1) / 2
    out = np.empty(frames.shape, np.float32)
    for i, frame in enumerate(frames):
        place = cv2.getRotationMatrix2D(centre, float(turn[i]), 1.0)
        place[:, 2] += x[i] * width, y[i] * height
        cv2.warpAffine(
            np.ascontiguousarray(frame), place, (width, height), out[i],
            cv2.INTER_CUBIC, cv2.BORDER_REPLICATE,
        )  # fmt: skip
    return out


def relit(frames: Float32Array, light: FloatArray) -> Float32Array:
    """Frames under another light (T, 3), relative to the one they were taken in.

    Light multiplies what skin reflects, the steady part and the pulse alike, so AC / DC, which is
    what every method reads, stays what it was (Wang et al., IEEE TBME 64(7), 2017, eq. 1).
    """
    return frames * light[:, None, None].astype(np.float32)


def drift_curve(n: int, fs: float, strength: float, rng: np.random.Generator) -> FloatArray:
    """(n, 3) slow relative changes of the light's colours, at most `strength`.

    Sinusoids of `DRIFT_HZ`, all below the band of heart rates: a filter takes them out, and none
    can be taken for a pulse.
    """
    rates, phases = rng.uniform(*DRIFT_HZ, DRIFT_WAVES), rng.uniform(0, 2 * np.pi, DRIFT_WAVES)
    waves = np.sin(2 * np.pi * rates * np.arange(n)[:, None] / fs + phases)  # (n, waves)
    weights = rng.dirichlet(np.ones(DRIFT_WAVES))
    colours = rng.uniform(0.8, 1.0, 3)
    return strength * rng.random() * (waves @ weights)[:, None] * colours


def noisy(frames: Float32Array, std: float, rng: np.random.Generator) -> Float32Array:
    """Frames with white noise of standard deviation `std` (8-bit levels) on every value.

    Its mean is zero and it knows nothing of the pulse: averaged over the face it is small at every
    rate alike.
    """
    if std == 0:
        return frames
    return frames + np.float32(std) * rng.standard_normal(frames.shape, np.float32)


def _largest_gain(frames: Float32Array) -> FloatArray:
    """(3,) gain after which no more than `SATURATED` of each colour's values are over 255.

    A saturated pixel has lost its pulse.
    """
    bright = np.quantile(frames[::10].reshape(-1, 3), 1 - SATURATED, axis=0, method="higher")
    return np.asarray(np.maximum(1.0, WHITE / np.maximum(bright, 1)), np.float64)
