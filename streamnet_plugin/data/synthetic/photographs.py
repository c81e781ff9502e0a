"""Photographs of real faces, given a pulse that is known.

A step from drawn faces towards real ones: skin, hair, light and background are a camera's, the
pulse and the sway of the head are made up. What it lacks of a real recording: the head does not
turn, nothing moves within the face, and shadows move with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from streamnet_plugin.data.face import Box, largest_face
from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.synthetic.motion import smooth_noise
from streamnet_plugin.data.synthetic.pulse import bvp, heart_rate
from streamnet_plugin.data.synthetic.scene import check_ranges
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import FloatArray, FrameArray

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
LONGEST_SIDE = 900
"""px: larger photographs are shrunk to it before anything else."""
LEAST_FACE = 90
"""px, of the face in a photograph of that size."""
NEIGHBOURS = 8
"""See `find_faces`: there is but one picture to find the face in, and time enough."""
LEAST_SKIN = 0.3
"""Share of the face's box that must be of skin's colour."""
SKIN = ((133, 185), (75, 135))
"""Range of Cr and Cb (Chai and Ngan, IEEE Trans. CSVT 9, 1999, somewhat wider in Cr)."""
STRENGTH = 0.008
"""Standard deviation of green, relative to the skin's own, where the pulse is 1."""
RED, BLUE = (0.25, 0.5), (0.45, 0.75)
"""Ranges of the pulse in red and blue relative to green, around the 0.43 and 0.69 of de Haan and
van Leest (Physiol. Meas. 35, 2014)."""
ROUNDNESS = 0.5
"""Of the waveform, see `pulse.bvp`: a face's is rounder than a finger's."""
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "duration_s": (1, 3600),
    "fs": (5, 240),
    "width": (160, 1920),
    "height": (120, 1080),
    "hr_bpm": (40, 180),
    "pulse": (0, 10),
    "sway": (0, 0.5),
    "sway_s": (0.05, 60),
    "drift": (0, 0.5),
    "noise": (0, 100),
}
"""What `PhotoSettings` takes, in its units; both ends included."""


@dataclass(frozen=True)
class PhotoSettings:
    """Everything beside the photograph that makes one recording.

    Attributes:
        photograph: SHA-256 of its file.
        seed: of all that is random.
        duration_s, fs: s, Hz.
        width, height: px of the video.
        hr_bpm: mean heart rate; None draws one from 48-150.
        pulse: its strength; 1 is 0.8 % of the skin's green (standard deviation), 0 none.
        sway: standard deviation of the head's place, in widths of the face.
        sway_s: time constant of that sway, s.
        drift: relative standard deviation of slow changes of the light.
        noise: standard deviation of the sensor's noise, 8-bit levels.
    """

    photograph: str = ""
    seed: int = 0
    duration_s: float = 20.0
    fs: float = 30.0
    width: int = 320
    height: int = 240
    hr_bpm: float | None = None
    pulse: float = 1.0
    sway: float = 0.025
    sway_s: float = 0.5
    drift: float = 0.01
    noise: float = 1.5

    def __post_init__(self) -> None:
        """`ConfigError` for values that make no recording."""
        check_ranges(self, RANGES)


class PhotoClip:
    """One recording; frames are made as they are asked for.

    Args:
        photograph: (H, W, 3) uint8 RGB, one face that is frontal and in colour.
        settings: of the recording.

    Attributes:
        settings: with the heart rate that was drawn.
        t, bvp, hr: (T,) s, systole up, bpm, at the frames; so are t_label, bvp_label, hr_label.

    Raises:
        NoFaceError: no face in it.
        DataError: the face is small, or has hardly any of skin's colours.
    """

    def __init__(self, photograph: FrameArray, settings: PhotoSettings) -> None:
        rng = np.random.default_rng([settings.seed, 1])
        drawn = round(float(rng.uniform(48, 150)), 1)
        hr_bpm = drawn if settings.hr_bpm is None else settings.hr_bpm
        self.settings = s = replace(settings, hr_bpm=hr_bpm)
        self._picture = _shrunk(photograph)
        self._face = _usable_face(self._picture)
        self._skin = _skin(self._picture, self._face, rng)
        n = round(s.duration_s * s.fs)
        self.t: FloatArray = np.arange(n) / s.fs
        self.hr = heart_rate(self.t, hr_bpm, rng)
        self.bvp = bvp(self.t, self.hr, rng, ROUNDNESS)
        self.t_label, self.bvp_label, self.hr_label = self.t, self.bvp, self.hr
        self._colour = np.array([rng.uniform(*RED), 1.0, rng.uniform(*BLUE)], np.float32)
        wander = [smooth_noise(n, s.sway_s * s.fs, rng) for _ in range(3)]
        self._x, self._y, self._turn = s.sway * np.array(wander)
        self._light = 1 + s.drift * smooth_noise(n, s.fs, rng)
        self._share = float(rng.uniform(0.42, 0.58))

    def frames(self) -> Iterator[FrameArray]:
        """(H, W, 3) uint8 RGB, one after the other; memory does not grow with the duration."""
        s = self.settings
        rng = np.random.default_rng([s.seed, 2])
        left, top, side, _ = self._face
        zoom = self._share * s.height / side
        picture = self._picture.astype(np.float32)
        beats = STRENGTH * s.pulse * (self.bvp - self.bvp.mean()) / self.bvp.std()
        centre = left + side / 2, top + side / 2
        for i in range(len(self.t)):
            # The turn is the sway of a head on its neck: 1 degree where it sways 0.025 widths.
            place = cv2.getRotationMatrix2D(centre, 40.0 * float(self._turn[i]), zoom)
            place[0, 2] += s.width / 2 - centre[0] + self._x[i] * side * zoom
            place[1, 2] += s.height / 2 - centre[1] + self._y[i] * side * zoom
            size = (s.width, s.height)
            frame = cv2.warpAffine(picture, place, size, borderMode=cv2.BORDER_REPLICATE)
            skin = cv2.warpAffine(self._skin, place, size)
            # More blood takes up more light: the skin is darkest where the BVP is highest.
            reflected = 1 - beats[i] * skin[..., None] * self._colour
            noise = s.noise * rng.standard_normal(frame.shape, np.float32)
            shown = self._light[i] * reflected * frame + noise
            yield np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def read_photograph(path: str | Path) -> tuple[FrameArray, str]:
    """(H, W, 3) uint8 RGB, and the SHA-256 of the file; `DataError` for what is no picture."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"it cannot be read: {error.strerror}",
            path=path,
            remedy="mend or remove it.",
        ) from error
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise DataError("it is no picture that OpenCV reads", path=path, remedy="use JPEG or PNG.")
    return np.ascontiguousarray(image[..., ::-1]), hashlib.sha256(data).hexdigest()


def find_photographs(folder: str | Path) -> list[Path]:
    """The pictures in a folder, in natural order; `DataError` if there are none."""
    folder = Path(folder)
    files = folder.iterdir() if folder.is_dir() else ()
    found = [p for p in files if p.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(
            "no pictures in it" if folder.is_dir() else "there is no such folder",
            path=folder,
            remedy="give a folder of photographs, each with a face (JPEG, PNG, ...).",
        )
    return sorted(found, key=lambda p: natural_key(p.name))


def _shrunk(image: FrameArray) -> FrameArray:
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _usable_face(picture: FrameArray) -> Box:
    box = largest_face(picture, NEIGHBOURS)
    if box[2] < LEAST_FACE:
        raise DataError(
            f"its face is {box[2]} px wide, in a picture of {picture.shape[1]} px",
            remedy=f"use a portrait, whose face has at least {LEAST_FACE} px.",
        )
    return box


def _skin(picture: FrameArray, face: Box, rng: np.random.Generator) -> np.ndarray:
    """(H, W) float32: how strongly the pulse is seen at each place, about 0 to 1."""
    _, cr, cb = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
    (low_r, high_r), (low_b, high_b) = SKIN
    coloured = (cr >= low_r) & (cr <= high_r) & (cb >= low_b) & (cb <= high_b)
    x, y, w, h = face
    share = float(coloured[y : y + h, x : x + w].mean())
    if share < LEAST_SKIN:
        raise DataError(
            f"only {100 * share:.0f} % of its face is of skin's colour",
            remedy="use a photograph in colour, without strong make-up or coloured light.",
        )
    oval = np.zeros(coloured.shape, np.float32)
    centre = (round(x + w / 2), round(y + 0.55 * h))
    cv2.ellipse(oval, centre, (round(0.5 * w), round(0.62 * h)), 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(oval * coloured, (0, 0), 0.02 * w)
    patches = rng.uniform(0.6, 1.2, (5, 5)).astype(np.float32)  # blood is not everywhere the same
    spread = cv2.resize(patches, coloured.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return soft * spread
