"""Drawn heads: reflectance, where the pulse shows, and where the skin shines.

All faces are drawn by the functions below; no photograph of anybody is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.types import FloatArray

Map = NDArray[np.float32]
HEIGHT, WIDTH = 384, 320
"""Canvas of a head, px."""
CENTRE_X, CENTRE_Y, HALF_W, HALF_H = 160.0, 190.0, 92.0, 124.0
"""The face's ellipse on it: hairline to chin is 2 HALF_H, ear to ear 2 HALF_W."""

# Diffuse reflectance of skin (R, G, B) by Fitzpatrick type, as an 8-bit camera under white light
# sees it, relative to full scale.
SKIN = {
    1: (0.90, 0.73, 0.65),
    2: (0.84, 0.66, 0.56),
    3: (0.77, 0.58, 0.46),
    4: (0.64, 0.46, 0.35),
    5: (0.47, 0.32, 0.24),
    6: (0.31, 0.21, 0.165),
}
# Melanin absorbs light on its way to and from the vessels: the share of the pulse that is left.
PULSE_BY_TONE = {1: 1.0, 2: 0.95, 3: 0.85, 4: 0.7, 5: 0.5, 6: 0.35}
N_HEADS = 24
"""Heads that settings without a head draw from."""
MORE_HEADS = 1000
"""Numbers from here on are other heads, as many as there are numbers; below, they repeat."""


@dataclass(frozen=True)
class Head:
    """Maps (HEIGHT, WIDTH[, 3]) of one head, 0..1.

    Attributes:
        albedo: diffuse reflectance with form shading, RGB.
        pulse: how strongly the pulse shows, 1 on the cheeks and forehead, 0 on hair and eyes.
        shine: specular highlights.
        mask: 1 on the head and shoulders, 0 outside.
        mouth: 1 where an opening mouth turns dark.
    """

    albedo: Map
    pulse: Map
    shine: Map
    mask: Map
    mouth: Map


@lru_cache(maxsize=32)
def head(identity: int, tone: int, glasses: bool = False, beard: float = 0.0) -> Head:
    """Head number `identity` in Fitzpatrick type `tone`, with a beard of density 0..1.

    Any whole number will do: below `MORE_HEADS` there are N_HEADS different ones.
    """
    number = identity if identity >= MORE_HEADS else identity % N_HEADS
    rng = np.random.default_rng([number, 20251124])
    u, v = _face_coordinates(rng.uniform(0.93, 1.08), rng.uniform(0.95, 1.06))
    skin = np.array(SKIN[tone]) * rng.uniform(0.95, 1.05)
    hair = np.array([0.10, 0.075, 0.06]) * rng.uniform(0.6, 2.2 if tone <= 3 else 1.2)
    hairline = rng.uniform(-0.80, -0.66)
    face = _soft(_radius(u, v) < 1.0, 1.5)
    form = _form(u, v)
    albedo = skin * form[..., None] * (1 + 0.035 * _texture(rng, 2.0) + 0.05 * _texture(rng, 9.0))
    albedo = _blush(albedo, u, v, rng)
    albedo, quiet = _features(albedo, u, v, rng, hair)
    if beard:
        albedo, quiet = _bearded(albedo, quiet, u, v, hair, beard, number)
    if glasses:
        albedo, quiet = _with_glasses(albedo, quiet, u, v, number)
    pulse = face * (0.55 + 0.45 * _blob(u, v, 0, 0.0, 0.75, 0.8)) * (1 - quiet)
    neck = _soft((np.abs(u) < 0.62) & (v > 0.6), 3.0)
    albedo = _blend(_blend(np.zeros_like(albedo), skin * 0.62, neck), albedo, face)
    shirt = _soft(v > 1.28 + 0.25 * np.abs(u) ** 1.5, 2.5) * (np.abs(u) < 1.65)
    albedo = _blend(albedo, rng.uniform(0.1, 0.75, 3), shirt)
    crown = _soft((_radius(u, v, 1.13) < 1.0) & (v < hairline + 0.28 * u**2 + 0.02), 3.0)
    sides = _soft(
        (_radius(u, v, 1.10) < 1.0) & (np.abs(u) > 0.90) & (v < rng.uniform(-0.2, 0.3)), 3
    )
    strands = 1 + 0.25 * _texture(rng, 1.2)
    for region in (crown, sides):
        albedo = _blend(albedo, hair * strands, region)
    bald = 1 - np.maximum(crown, sides)
    shine = sum((_blob(u, v, x, y, sx, sy) for x, y, sx, sy in _HIGHLIGHTS), np.zeros_like(u)) * (
        face * bald
    )
    mask = np.max([face, neck, shirt, crown, sides], axis=0)
    mouth = _blob(u, v, 0, 0.53, 0.17, 0.055) * face
    maps = (albedo, pulse * bald * (1 - shirt), shine, mask, mouth)
    return Head(*(np.ascontiguousarray(np.clip(m, 0, 1), np.float32) for m in maps))


_HIGHLIGHTS = ((-0.1, -0.52, 0.28, 0.10), (0.0, 0.08, 0.05, 0.14), (-0.42, 0.08, 0.11, 0.09),
               (0.40, 0.10, 0.08, 0.08))  # fmt: skip


def _face_coordinates(wide: float, high: float) -> tuple[FloatArray, FloatArray]:
    """u, v in units of the face's half axes, (0, 0) between eyes and nose tip."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    return (x - CENTRE_X) / (HALF_W * wide), (y - CENTRE_Y) / (HALF_H * high)


def _radius(u: FloatArray, v: FloatArray, grow: float = 1.0) -> FloatArray:
    """Below 1 inside the face: an ellipse whose lower half tapers to the chin."""
    taper = 1 - 0.22 * np.clip(v, 0, 1) ** 2
    return (np.abs(u) / (taper * grow)) ** 2.2 + (np.abs(v) / grow) ** 2.3


def _form(u: FloatArray, v: FloatArray) -> FloatArray:
    """Lambert shading of an ellipsoid lit from the front, slightly from above."""
    z = np.sqrt(np.clip(1 - 0.75 * u**2 - 0.55 * v**2, 0.05, 1))
    return np.clip(0.35 + 0.62 * z - 0.10 * v, 0, 1.05)


def _blob(u: FloatArray, v: FloatArray, x: float, y: float, sx: float, sy: float) -> FloatArray:
    return np.exp(-0.5 * (((u - x) / sx) ** 2 + ((v - y) / sy) ** 2))


def _soft(region: NDArray[np.bool_], sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(region.astype(np.float64), (0, 0), sigma), np.float64)


def _texture(rng: np.random.Generator, sigma: float) -> FloatArray:
    """Smooth noise (HEIGHT, WIDTH, 1) of unit standard deviation."""
    noise = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH)), (0, 0), sigma)
    return (noise / noise.std())[..., None]


def _blend(below: FloatArray, above: FloatArray, alpha: FloatArray) -> FloatArray:
    return below + alpha[..., None] * (above - below)


def _darken(image: FloatArray, amount: FloatArray) -> FloatArray:
    return image * (1 - amount[..., None])


def _blush(
    albedo: FloatArray, u: FloatArray, v: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Redder cheeks and nose: less green and blue."""
    amount = rng.uniform(0.05, 0.13)
    red = sum(_blob(u, v, x, y, 0.24, 0.2) for x, y in ((-0.45, 0.2), (0.45, 0.2), (0, 0.2)))
    return albedo * (1 - amount * np.asarray(red)[..., None] * np.array([0.15, 1.0, 0.9]))


def _features(
    albedo: FloatArray,
    u: FloatArray,
    v: FloatArray,
    rng: np.random.Generator,
    hair: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Eyes, brows, nose and mouth drawn in; also where no pulse shows, (HEIGHT, WIDTH)."""
    eye_x, eye_y = rng.uniform(0.38, 0.44), rng.uniform(-0.20, -0.14)
    quiet = np.zeros_like(u)
    brow = rng.uniform(0.6, 0.9)
    for side in (-1, 1):
        x = side * eye_x
        albedo = _darken(albedo, 0.38 * _blob(u, v, x, eye_y, 0.20, 0.105))  # socket
        albedo = _darken(albedo, 0.18 * _blob(u, v, side * 0.17, eye_y, 0.06, 0.10))
        opening = ((u - x) / 0.155) ** 2 + ((v - eye_y) / 0.058) ** 2
        white = _soft(opening < 1, 1.0)
        albedo = _blend(albedo, np.array([0.62, 0.60, 0.58]), 0.85 * white)
        iris = _soft(((u - x) / 0.068) ** 2 + ((v - eye_y) / 0.052) ** 2 < 1, 0.8)
        albedo = _blend(albedo, np.array([0.06, 0.05, 0.045]), iris)
        lid = _blob(u, v - 0.12 * (u - x) ** 2 / 0.1, x, eye_y - 0.055, 0.13, 0.018)
        albedo = _darken(albedo, 0.8 * lid)
        arch = v + 0.5 * (u - x) ** 2
        line = _blob(u, arch, x, eye_y - 0.17, 0.15, 0.030)
        albedo = _blend(albedo, hair, np.clip(1.2 * brow * line, 0, 0.92))
        nostril = _blob(u, v, side * 0.10, 0.27, 0.040, 0.020)
        albedo = _darken(albedo, 0.6 * nostril)
        albedo = _darken(albedo, 0.16 * _blob(u, v, side * 0.17, 0.17, 0.035, 0.10))  # nose side
        quiet = np.maximum(quiet, np.maximum(white, np.clip(1.3 * line, 0, 1)))
    albedo *= 1 + 0.10 * _blob(u, v, 0, -0.02, 0.07, 0.26)[..., None]  # bridge of the nose
    albedo = _darken(albedo, 0.22 * _blob(u, v, 0, 0.33, 0.16, 0.03))
    curve = v - 0.25 * u**2 * rng.uniform(-0.4, 1.0)
    lips = _blob(u, curve, 0, 0.53, rng.uniform(0.19, 0.24), 0.055)
    albedo = _blend(albedo, albedo * np.array([0.80, 0.52, 0.55]), np.clip(1.2 * lips, 0, 1))
    albedo = _darken(albedo, 0.55 * _blob(u, curve, 0, 0.53, 0.20, 0.012))
    albedo = _darken(albedo, 0.15 * _blob(u, v, 0, 0.66, 0.16, 0.03))
    return albedo, quiet


def _bearded(
    albedo: FloatArray,
    quiet: FloatArray,
    u: FloatArray,
    v: FloatArray,
    hair: FloatArray,
    density: float,
    identity: int,
) -> tuple[FloatArray, FloatArray]:
    """Hair on jaw, chin and upper lip; where it covers the skin, no pulse shows."""
    rng = np.random.default_rng([identity, 1])
    jaw = v > 0.36 + 0.10 * np.cos(2.2 * u) - 0.35 * np.abs(u) ** 3
    lips = _blob(u, v, 0, 0.53, 0.20, 0.055)
    cover = density * _soft(jaw, 4.0) * (1 - np.clip(1.4 * lips, 0, 1))
    cover = np.clip(cover * (1 + 0.3 * _texture(rng, 1.2)[..., 0]), 0, 0.95)
    return _blend(albedo, hair, cover), np.maximum(quiet, cover)


def _with_glasses(
    albedo: FloatArray, quiet: FloatArray, u: FloatArray, v: FloatArray, identity: int
) -> tuple[FloatArray, FloatArray]:
    """Dark rims and a bridge; the glass takes a little light."""
    rng = np.random.default_rng([identity, 2])
    x, y, width = 0.42, -0.15, rng.uniform(0.26, 0.31)
    height, rim = width * rng.uniform(0.5, 0.75), rng.uniform(0.02, 0.05)
    frame = np.zeros_like(u)
    glass = np.zeros_like(u)
    for side in (-1, 1):
        radius = np.sqrt(((u - side * x) / width) ** 2 + ((v - y) / height) ** 2)
        glass = np.maximum(glass, _soft(radius < 1, 1.0))
        frame = np.maximum(frame, _soft(np.abs(radius - 1) < rim / width, 0.8))
    bridge = (np.abs(u) < x - width) & (np.abs(v - y + 0.03) < rim / 2)
    frame = np.maximum(frame, _soft(bridge, 0.8))
    albedo = _blend(_darken(albedo, 0.1 * glass), rng.uniform(0.03, 0.3) * np.ones(3), frame)
    return albedo, np.maximum(quiet, frame)
