"""A head, a light and a camera: frames with a known pulse.

The colour of a pixel follows the dichromatic reflection model of Wang et al. (IEEE TBME 64(7),
2017, eq. 1): light times (specular + diffuse + pulse). Specular reflection carries no pulse; the
pulse has the colour of blood, not of skin, and darkens it, since blood absorbs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import cv2
import numpy as np

from streamnet_plugin.data.face import Box, enlarged, largest_face
from streamnet_plugin.data.synthetic import head as heads
from streamnet_plugin.data.synthetic.camera import MCU, Camera
from streamnet_plugin.data.synthetic.motion import MOTIONS, Motion, motion, unknown_motion
from streamnet_plugin.data.synthetic.pulse import bvp, heart_rate
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import FloatArray, FrameArray

SIGNATURE = np.array([0.33, 0.77, 0.53]) / 0.77
"""Relative strength of the pulse in R, G, B (de Haan & van Leest 2014), 1 in green."""
PULSE_STRENGTH = 0.016
"""Peak-to-peak change of green on light skin: 1-2 % of its level (Verkruysse et al. 2008)."""
LABEL_FS = 60.0
"""Rate of a contact pulse oximeter's samples, Hz."""
FACE_SHARE = 0.30
"""Width of the face in the picture, as PURE and UBFC-rPPG show it."""
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "duration_s": (0.01, 3600),
    "fs": (1, 240),
    "width": (64, 4096),
    "height": (64, 4096),
    "hr_bpm": (40, 180),
    "skin_tone": (1, 6),
    "motion_scale": (0, 10),
    "pulse": (0, 10),
    "light": (0.01, 3),
    "illumination_drift": (0, 0.5),
    "flicker": (0, 0.5),
    "flicker_hz": (0, 120),
    "noise": (0, 100),
    "shine": (0, 5),
    "blur": (0, 20),
    "saturation": (0, 3),
    "warmth": (-0.5, 0.5),
    "shot_noise": (0, 10),
    "gamma": (0.2, 4),
    "jpeg": (0, 100),
    "jitter_ms": (0, 100),
    "dropped": (0, 0.5),
    "beard": (0, 1),
    "roundness": (0, 1),
    "clutter": (0, 1),
}
"""What `SynthSettings` takes, in its units; both ends included."""
WHOLE = ("seed", "width", "height", "skin_tone", "jpeg")
"""Of these and of `PhotoSettings`, what must be whole numbers."""
MOST_JITTER = 0.45
"""Of a frame's time: exposures keep their order."""
THINGS, THING_SIZES = 60, (0.01, 0.15)
"""In a cluttered room; half their width and height, in widths of the picture."""
TRAINING_SCALE = 4
"""`render_face_clip` renders at a quarter of the camera's resolution."""


@dataclass(frozen=True)
class SynthSettings:
    """Everything that makes one recording; the same settings give the same pixels.

    Attributes:
        seed: of all that is random, 0 or more.
        duration_s, fs: s (up to an hour), Hz (5-240).
        width, height: px, 64-4096.
        hr_bpm: mean heart rate, 40-180; None draws one from 45-150.
        head: number of the drawn head; None draws one.
        skin_tone: Fitzpatrick type 1-6; None draws one.
        motion: one of the six setups of PURE or of six others, see `motion.MOTIONS`.
        motion_scale: 1 is PURE's motion, 0 none.
        pulse: strength of the pulse; 1 is normal, 0 a mannequin.
        light: 1 is good light, 0.3 weak.
        illumination_drift: relative size of slow changes of the light.
        flicker: relative size of fast changes of the light.
        flicker_hz: rate of a lamp that flickers regularly; 0 flickers at random.
        noise: standard deviation of the sensor's noise, 8-bit levels.
        shine: strength of specular highlights.
        blur: standard deviation of the optics' blur, px.
        saturation, warmth: of the camera's colours, 1 and 0 neutral, see `camera.colour_matrix`.
        shot_noise: variance of the noise per 8-bit level of light, in levels; comes on top.
        gamma: of the camera's tone curve, 1 straight.
        jpeg: quality of the compression, 1 (worst) to 100; 0 for none.
        jitter_ms: standard deviation of when a frame is exposed, ms; its time and label stay.
        dropped: share of frames that show the one before once more.
        glasses: whether the head wears any.
        beard: its density, 0 to 1.
        roundness: of the pulse's waveform, 0 a finger's, 1 a sine. With 0, the second harmonic of
            a pulse below 45 bpm passes the filters better than the first, and heart rates by
            spectrum come out doubled.
        clutter: how much stands before the wall behind the head, 0 nothing, 1 as on full shelves.
    """

    seed: int = 0
    duration_s: float = 20.0
    fs: float = 30.0
    width: int = 640
    height: int = 480
    hr_bpm: float | None = None
    head: int | None = None
    skin_tone: int | None = None
    motion: str = "steady"
    motion_scale: float = 1.0
    pulse: float = 1.0
    light: float = 1.0
    illumination_drift: float = 0.01
    flicker: float = 0.001
    noise: float = 1.5
    shine: float = 0.18
    flicker_hz: float = 0.0
    blur: float = 0.0
    saturation: float = 1.0
    warmth: float = 0.0
    shot_noise: float = 0.0
    gamma: float = 1.0
    jpeg: int = 0
    jitter_ms: float = 0.0
    dropped: float = 0.0
    glasses: bool = False
    beard: float = 0.0
    roundness: float = 0.0
    clutter: float = 0.0

    def __post_init__(self) -> None:
        """`ConfigError` for values that make no recording."""
        if self.motion not in MOTIONS:
            raise unknown_motion(self.motion)
        if not isinstance(self.glasses, bool):
            raise ConfigError(f"glasses is {self.glasses!r}", remedy="use true or false.")
        check_ranges(self, RANGES)
        if self.duration_s * self.fs < 2:
            raise ConfigError(
                f"{self.duration_s:g} s at {self.fs:g} Hz are less than 2 frames",
                remedy="make duration_s longer.",
            )

    def resolved(self) -> SynthSettings:
        """The same settings with what was None drawn from the seed."""
        rng = np.random.default_rng([self.seed, 1])
        drawn: dict[str, Any] = {
            "hr_bpm": round(float(rng.uniform(45, 150)), 1),
            "head": int(rng.integers(heads.N_HEADS)),
            "skin_tone": int(rng.integers(1, 7)),
        }
        return replace(self, **{k: v for k, v in drawn.items() if getattr(self, k) is None})


def check_ranges(settings: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """`ConfigError` for attributes that are no numbers, or outside their range; None is neither."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            raise ConfigError(f"{name} is {value!r}, a number is expected")
        if not low <= value <= high:  # false for NaN too
            raise ConfigError(f"{name} is {value}", remedy=f"use {low:g} to {high:g}.")
        if name in WHOLE and value != int(value):
            raise ConfigError(f"{name} is {value}", remedy="use a whole number.")


def easy(seed: int, **changes: Any) -> SynthSettings:
    """Sitting still in good light, light skin: every method should read it."""
    tone = 1 + seed % 3
    return replace(SynthSettings(seed=seed, skin_tone=tone, motion_scale=0.5), **changes)


def hard(seed: int, **changes: Any) -> SynthSettings:
    """Fast motion, dark skin, weak light: the classical methods should fail."""
    base = SynthSettings(
        seed=seed,
        skin_tone=5 + seed % 2,
        motion="fast_translation",
        motion_scale=1.3,
        light=0.45,
        illumination_drift=0.05,
        flicker=0.004,
        noise=2.5,
    )
    return replace(base, **changes)


class SynthClip:
    """One recording; frames are rendered as they are asked for.

    Attributes:
        settings: resolved, nothing None.
        t: (T,) s, times of the frames.
        bvp: (T,) at the frames, systole up.
        hr: (T,) instantaneous heart rate, bpm.
        t_label, bvp_label, hr_label: the same at the 60 Hz of a contact sensor.
    """

    def __init__(self, settings: SynthSettings) -> None:
        self.settings = s = settings.resolved()
        assert s.hr_bpm is not None
        n = round(s.duration_s * s.fs)
        self.t: FloatArray = np.arange(n) / s.fs
        # One fine clock for both: the label's samples and the frames see the same pulse.
        fine = np.arange(round(s.duration_s * 4 * LABEL_FS) + 1) / (4 * LABEL_FS)
        fine_hr = heart_rate(fine, s.hr_bpm, self._rng(2))
        fine_bvp = bvp(fine, fine_hr, self._rng(3), s.roundness)
        self.t_label: FloatArray = np.arange(round(s.duration_s * LABEL_FS)) / LABEL_FS
        self.bvp, self.hr = (np.interp(self.t, fine, y) for y in (fine_bvp, fine_hr))
        self.bvp_label, self.hr_label = (
            np.interp(self.t_label, fine, y) for y in (fine_bvp, fine_hr)
        )
        self._exposed = self._exposures()
        self._shown = np.interp(self._exposed, fine, fine_bvp)
        self._repeated = self._rng(10).random(n) < s.dropped
        self._repeated[0] = False

    def _rng(self, part: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, part])

    def _exposures(self) -> FloatArray:
        """(T,) s, when each frame is exposed: near its time, and in order."""
        s = self.settings
        if s.jitter_ms == 0:
            return self.t
        late = s.jitter_ms / 1000 * self._rng(9).standard_normal(len(self.t))
        most = MOST_JITTER / s.fs
        return np.maximum(self.t + np.clip(late, -most, most), 0)

    @cached_property
    def _motion(self) -> Motion:
        s = self.settings
        return motion(s.motion, self._exposed, s.motion_scale, self._rng(4))

    @cached_property
    def _light(self) -> FloatArray:
        """(T, 3) brightness of the light."""
        s, rng = self.settings, self._rng(5)
        t = self._exposed
        drift = np.zeros((len(t), 3))
        for period in rng.uniform(3.0, 25.0, 4):
            wave = np.sin(2 * np.pi * t / period + rng.uniform(0, 2 * np.pi))
            drift += wave[:, None] * (1 + 0.15 * rng.standard_normal(3))
        flicker = rng.standard_normal(len(t))[:, None]
        if s.flicker_hz:
            flicker = np.sin(2 * np.pi * (s.flicker_hz * t[:, None] + rng.uniform()))
        return s.light * (1 + s.illumination_drift * drift / 2 + s.flicker * flicker)

    def frames(self) -> Iterator[FrameArray]:
        """(H, W, 3) uint8 RGB, one after the other; memory does not grow with the duration."""
        cv2.setRNGSeed(self.settings.seed)
        yield from self._render(self.settings.width, self.settings.height, 1.0)

    def _render(
        self, width: int, height: int, scale: float, window: Box | None = None
    ) -> Iterator[FrameArray]:
        """Frames in a camera of `scale` times the resolution, or the `window` of each."""
        s = self.settings
        left, top, w, h = window or (0, 0, width, height)
        room = _background(width, height, self._rng(6))
        if s.clutter:
            _furnish(room, s.clutter, self._rng(11))
        room = np.ascontiguousarray(room[top : top + h, left : left + w])
        painter = _Painter(s, float(self._rng(7).uniform(-0.25, 0.25)))
        camera = Camera(s, (h, w), scale)
        zoom = FACE_SHARE * width / (2 * heads.HALF_W)
        behind = np.empty_like(room)
        m = self._motion
        frame = np.empty((0, 0, 3), np.uint8)
        for i in range(len(self.t)):
            if not self._repeated[i]:
                painter.paint(m, i, self._shown[i])
                place = self._placement(i, zoom, width, height)
                place[:, 2] += 0.5 * width / s.width - 0.5  # pixels are centred on half numbers
                place[:, 2] -= left, top
                picture, mask = painter.placed(place, (w, h))
                np.multiply(room, 1 - mask, out=behind)
                picture += behind
                light = (255 * self._light[i]).astype(np.float32)
                picture.reshape(h, -1)[:] *= np.tile(light, w)
                frame = camera.take(picture)
            yield frame

    def _placement(self, i: int, zoom: float, width: int, height: int) -> FloatArray:
        """Affine map of the head's canvas into the picture at frame i."""
        m = self._motion
        zoom = zoom * m.size[i]
        yaw, pitch = np.deg2rad(m.yaw[i]), np.deg2rad(m.pitch[i])
        across, down = zoom * np.cos(yaw), zoom * np.cos(pitch)  # a turned head looks narrower
        face = 2 * heads.HALF_W * zoom
        centre_x = width / 2 + face * (m.x[i] + 0.25 * np.sin(yaw))
        centre_y = 0.46 * height + face * (m.y[i] + 0.25 * np.sin(pitch))
        roll = np.deg2rad(m.roll[i])
        turned = np.array(
            [
                [across * np.cos(roll), down * np.sin(roll)],
                [-across * np.sin(roll), down * np.cos(roll)],
            ]
        )
        at = np.array([centre_x, centre_y]) - turned @ [heads.CENTRE_X, heads.CENTRE_Y]
        return np.column_stack([turned, at])


class _Painter:
    """The head of some settings under the light, on its canvas; one buffer for all frames.

    Arrays are (HEIGHT, 3 * WIDTH), colours beside each other: NumPy is slow in rows of three.
    """

    def __init__(self, s: SynthSettings, side: float) -> None:
        assert s.head is not None
        assert s.skin_tone is not None
        h = heads.head(s.head, s.skin_tone, s.glasses, s.beard)
        strength = s.pulse * PULSE_STRENGTH * heads.PULSE_BY_TONE[s.skin_tone]
        signature = (strength * SIGNATURE).astype(np.float32)
        self._albedo = _flat(h.albedo)
        self._pulsatile = _flat(h.albedo * h.pulse[..., None] * signature)  # what blood takes away
        self._shine, self._mouth, self._mask = (
            _flat(np.repeat(x[..., None], 3, axis=2)) for x in (h.shine, h.mouth, h.mask)
        )
        self._layer = np.zeros((heads.HEIGHT, heads.WIDTH, 4), np.float32)
        self._layer[..., 3] = h.mask
        _, columns = np.mgrid[-1:1:2j, -1 : 1 : heads.WIDTH * 1j]
        self._columns = np.repeat(columns[0].astype(np.float32), 3)
        self._side, self._strength = side, s.shine  # light from the left or the right
        self._canvas, self._spare = np.empty_like(self._albedo), np.empty_like(self._albedo)

    def paint(self, m: Motion, i: int, bvp: float) -> None:
        """The head of frame i, black outside of it."""
        canvas, spare, side = self._canvas, self._spare, self._side
        turn = np.sin(np.deg2rad(m.yaw[i]))
        np.multiply(self._pulsatile, np.float32(bvp), out=spare)
        np.subtract(self._albedo, spare, out=canvas)
        # A turned or displaced head meets the light at another angle.
        form = 1 + np.float32(0.9 * turn + side) * 0.35 * self._columns
        form *= np.float32(1 + 0.25 * side * m.x[i] - 0.10 * turn**2)
        form *= np.float32(1 - 0.25 * np.sin(np.deg2rad(m.pitch[i])) + 0.3 * (m.size[i] - 1))
        canvas *= form
        shine = np.float32(self._strength * (1 + 1.5 * abs(turn) + 0.6 * side * m.x[i]))
        np.multiply(self._shine, shine, out=spare)
        canvas += spare
        if m.mouth[i] > 0:
            np.multiply(self._mouth, np.float32(0.75 * m.mouth[i]), out=spare)
            canvas *= np.subtract(1, spare, out=spare)
        canvas *= self._mask

    def placed(self, place: FloatArray, size: tuple[int, int]) -> tuple[Any, Any]:
        """The canvas in a picture of `size` (w, h), and its mask, (h, w, 3) each."""
        head = self._canvas.reshape(heads.HEIGHT, heads.WIDTH, 3)
        cv2.mixChannels([head], [self._layer], [0, 0, 1, 1, 2, 2])
        layer = cv2.warpAffine(self._layer, place, size, flags=cv2.INTER_LINEAR)
        picture, mask = np.empty((2, size[1], size[0], 3), np.float32)
        cv2.mixChannels([layer], [picture, mask], [0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 3, 5])
        return picture, mask


def _flat(colours: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(colours, np.float32).reshape(len(colours), -1)


def render(settings: SynthSettings) -> SynthClip:
    """A recording of these settings, its frames not yet rendered."""
    return SynthClip(settings)


def render_face_clip(settings: SynthSettings, size: int = 36) -> tuple[FrameArray, FloatArray]:
    """Face crops as preprocessing would make them, several times faster: for training.

    The scene is rendered at a quarter of the resolution with a quarter of the noise, which is
    what averaging 4 x 4 pixels leaves; the crop comes from the detector on a full first frame.
    With JPEG compression, whose squares have the size they have, it is rendered as `render_crops`
    does.

    Returns:
        frames (T, size, size, 3) uint8 RGB and bvp (T,).

    Raises:
        NoFaceError: the detector sees no face in the first frame.
    """
    if settings.jpeg:
        crops = render_crops(settings, (size,))
        return crops.frames[0], crops.bvp
    clip = render(settings)
    s, k = clip.settings, TRAINING_SCALE
    box = _first_box(clip)
    x, y, w, h = (round(v / k) for v in box)
    cv2.setRNGSeed(s.seed)
    small = clip._render(s.width // k, s.height // k, 1.0 / k)
    faces = [
        cv2.resize(f[y : y + h, x : x + w], (size, size), interpolation=cv2.INTER_AREA)
        for f in small
    ]
    return np.asarray(faces, dtype=np.uint8), clip.bvp


class Crops(NamedTuple):
    """Face crops of one recording.

    Attributes:
        frames: (T, size, size, 3) uint8 RGB for each size.
        bvp: (T,), systole up.
        box: (x, y, w, h) of the crop in the picture, px.
    """

    frames: list[FrameArray]
    bvp: FloatArray
    box: Box


def render_crops(settings: SynthSettings, sizes: Sequence[int]) -> Crops:
    """Face crops as preprocessing would make them of the whole video, at its full resolution.

    Only the part around the face is rendered. That is as good as the whole, but not the same
    pixels: the noise is drawn for fewer of them.

    Raises:
        NoFaceError: the detector sees no face in the first frame.
    """
    clip = render(settings)
    s = clip.settings
    box = x, y, w, h = _first_box(clip)
    left, top = x // MCU * MCU, y // MCU * MCU  # the squares that JPEG codes stay the same
    right, bottom = min(s.width, -(-(x + w) // MCU) * MCU), min(s.height, -(-(y + h) // MCU) * MCU)
    cv2.setRNGSeed(s.seed)
    out = [np.empty((len(clip.t), size, size, 3), np.uint8) for size in sizes]
    frames = clip._render(s.width, s.height, 1.0, (left, top, right - left, bottom - top))
    for i, frame in enumerate(frames):
        face = frame[y - top : y - top + h, x - left : x - left + w]
        for crops, size in zip(out, sizes, strict=True):
            crops[i] = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
    return Crops(out, clip.bvp, box)


def _first_box(clip: SynthClip) -> Box:
    return enlarged(largest_face(next(clip.frames())), 1.5)


def _background(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A wall with a gradient and large soft structures, (H, W, 3) float32."""
    coarse = rng.uniform(0.75, 1.15, (4, 5, 1)) * rng.uniform(0.25, 0.75) * np.ones(3)
    coarse *= rng.uniform(0.9, 1.1, 3)
    wall = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(wall, 0.05, 0.95).astype(np.float32)


def _furnish(room: np.ndarray, clutter: float, rng: np.random.Generator) -> None:
    """Things of any size and colour before the wall, painted over it in place."""
    height, width = room.shape[:2]
    things = np.rint(255 * room).astype(np.uint8)  # OpenCV smooths edges in 8 bits alone
    smallest, largest = np.log(THING_SIZES)
    for _ in range(THINGS):
        middle = rng.uniform(0, 1, 2) * (width, height)
        half = width * np.exp(rng.uniform(smallest, largest, 2))
        colour = (rng.uniform(8, 240) * rng.uniform(0.6, 1.0, 3)).tolist()
        angle, round_ = rng.normal(0, 10), rng.random() < 0.3
        thing: Any = (middle.tolist(), (2 * half).tolist(), angle)
        if round_:
            cv2.ellipse(things, thing, colour, -1, cv2.LINE_AA)
        else:
            corners = np.rint(cv2.boxPoints(thing)).astype(np.int32)
            cv2.fillPoly(things, [corners], colour, cv2.LINE_AA)
    room += np.float32(clutter) * (np.float32(1 / 255) * things - room)
