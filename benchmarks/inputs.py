"""What both sides are given: the same numbers from the same seeds."""

from __future__ import annotations

import numpy as np

FS = 30.0
CLIP = 180
"""Frames of a clip."""


def traces(frames: int) -> np.ndarray:
    """Colour traces (T, 3) float32, 0..255: a pulse of 72 bpm, slow light, noise."""
    rng = np.random.default_rng(frames)
    t = np.arange(frames) / FS
    pulse = np.sin(2 * np.pi * 1.2 * t)[:, None] * np.array([0.3, 0.8, 0.5])
    light = 2 * np.sin(2 * np.pi * 0.05 * t)[:, None]
    noise = rng.normal(0, 0.2, (frames, 3))
    return (np.array([150.0, 110.0, 90.0]) + pulse + light + noise).astype(np.float32)


def waveforms(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """A read and a true difference-normalised waveform (T,) each, of 72 bpm."""
    rng = np.random.default_rng(frames)
    label = np.diff(np.sin(2 * np.pi * 1.2 * np.arange(frames + 1) / FS))
    return label + rng.normal(0, 0.1, frames), label


def clip_batch(clips: int, size: int) -> np.ndarray:
    """Network input (clips, 180, 6, size, size) float32."""
    rng = np.random.default_rng(size)
    return rng.standard_normal((clips, CLIP, 6, size, size), dtype=np.float32)


def clip_labels(clips: int) -> np.ndarray:
    """Labels (clips, 180) float32."""
    return np.random.default_rng(clips).standard_normal((clips, CLIP), dtype=np.float32)
