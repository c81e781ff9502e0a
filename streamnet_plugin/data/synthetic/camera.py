"""A camera: optics, colours, noise, tone curve and compression of one frame after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.types import FloatArray, FrameArray

if TYPE_CHECKING:
    from streamnet_plugin.data.synthetic.scene import SynthSettings

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G, B in brightness (ITU-R BT.601, the colour space of JPEG)."""
FINE = 16
"""Steps of the tone curve's table per 8-bit level."""
MCU = 16
"""JPEG with half the colours' resolution codes squares of so many pixels."""


class Camera:
    """Makes 8-bit frames of what the sensor sees; each part is off where its setting is neutral.

    Args:
        settings: blur, saturation, warmth, noise, shot_noise, gamma, jpeg.
        shape: (h, w) of the pictures.
        scale: of the resolution: 1/4 stands for means of 4 x 4 pixels, which have a quarter of the
            noise and of the blur.
    """

    def __init__(self, settings: SynthSettings, shape: tuple[int, int], scale: float) -> None:
        self._s, self._scale = settings, scale
        self._noise = np.empty((*shape, 3), np.float32)
        self._colours = colour_matrix(settings.saturation, settings.warmth)
        self._tone = tone_table(settings.gamma)

    def take(self, light: NDArray[np.float32]) -> FrameArray:
        """(h, w, 3) uint8 of the light on the sensor, 255 full scale; `light` is used up."""
        s = self._s
        picture: Any = light
        if s.blur > 0:
            picture = cv2.GaussianBlur(picture, (0, 0), s.blur * self._scale)
        if self._colours is not None:
            picture = cv2.transform(picture, self._colours)
        if s.shot_noise > 0:
            cv2.randn(self._noise, np.zeros(1), np.ones(1))
            variance = s.noise**2 + s.shot_noise * np.maximum(picture, 0)
            picture += np.float32(self._scale) * np.sqrt(variance) * self._noise
        elif s.noise > 0:
            cv2.randn(self._noise, np.zeros(1), np.full(1, s.noise * self._scale))
            picture += self._noise
        if self._tone is None:
            np.rint(picture, out=picture)
            frame = np.clip(picture, 0, 255, out=picture).astype(np.uint8)
        else:
            np.multiply(np.clip(picture, 0, 255, out=picture), FINE, out=picture)
            frame = self._tone[picture.astype(np.uint16)]
        return through_jpeg(frame, s.jpeg) if s.jpeg else frame


def colour_matrix(saturation: float, warmth: float) -> FloatArray | None:
    """(3, 3) from the scene's R, G, B to the camera's; None where it changes nothing.

    Saturation moves colours away from their grey, or to it, as filters and matrices of cameras do;
    warmth is a white balance, more red and less blue.
    """
    if saturation == 1 and warmth == 0:
        return None
    mixed = saturation * np.eye(3) + (1 - saturation) * LUMA
    return np.array([1 + warmth, 1.0, 1 - warmth])[:, None] * mixed


def tone_table(gamma: float) -> FrameArray | None:
    """8-bit values at steps of 1 / FINE level, 255 (x / 255) ** gamma; None for gamma 1."""
    if gamma == 1:
        return None
    levels = np.arange(255 * FINE + 1) / (255 * FINE)
    return np.rint(255 * levels**gamma).astype(np.uint8)


def through_jpeg(frame: FrameArray, quality: int) -> FrameArray:
    """What is left of (h, w, 3) RGB after JPEG compression, as in a webcam's Motion-JPEG stream."""
    _, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])
