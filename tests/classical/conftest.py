"""Skin under changing light after the dichromatic model, with a known pulse."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from streamnet_plugin.types import FaceVideo, Recording
from toolbox_adapters.rppg_toolbox.capture import FUNCTIONS
from toolbox_adapters.rppg_toolbox.compat import toolbox_environment

SKIN = np.array([170.0, 120.0, 95.0])
ABSORPTION = np.array([0.33, 0.77, 0.53])  # relative, R, G, B (de Haan & van Leest 2014)


@dataclass(frozen=True)
class Skin:
    rgb: np.ndarray  # (T, 3)
    bvp: np.ndarray  # (T,), systole up
    fs: float
    bpm: float

    def frames(self, noise=0.5, size=4, seed=0):
        """(T, size, size, 3) float64 around the trace."""
        rng = np.random.default_rng(seed)
        return self.rgb[:, None, None] + noise * rng.normal(size=(len(self.rgb), size, size, 3))


def make_skin(seconds=30.0, fs=30.0, bpm=72.0, strength=0.02, light=0.01, noise=0.02, seed=0):
    """C(t) = I(t) (skin (1 - strength x absorption x bvp) + specular) + noise.

    More blood absorbs more light, green most: the BVP goes against every channel. The wave climbs
    fast and falls slowly, so that it differs from its own mirror image.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * fs)) / fs
    phase = 2 * np.pi * bpm / 60 * t
    bvp = np.sin(phase) + 0.25 * np.sin(2 * phase + 0.6)
    intensity = 1 + light * np.sin(2 * np.pi * 0.15 * t + 1)
    specular = 0.02 * rng.normal(size=(len(t), 1)).cumsum(axis=0)  # the head drifts
    diffuse = SKIN * (1 - strength * ABSORPTION * bvp[:, None])
    rgb = intensity[:, None] * (diffuse + specular) + noise * rng.normal(size=(len(t), 3))
    return Skin(rgb, bvp, fs, bpm)


@pytest.fixture
def skin():
    return make_skin


@pytest.fixture
def face_video(tmp_path):
    def make(frames, fs=30.0):
        recording = Recording("video", "me", "me", tmp_path / "me.mp4")
        return FaceVideo(recording, frames, fs, None, (0, 0, 4, 4), "f")

    return make


@pytest.fixture(scope="module")  # no longer: another checkout cannot be imported meanwhile
def toolbox():
    """The real rPPG-Toolbox's functions: (name, frames, fs) -> waveform."""
    root = os.environ.get("RPPG_TOOLBOX")
    if not root:
        pytest.skip("set RPPG_TOOLBOX to a checkout of the rPPG-Toolbox to compare with it")

    def run(name, frames, fs):
        predictor = importlib.import_module("unsupervised_methods.unsupervised_predictor")
        method = getattr(predictor, FUNCTIONS[name])
        takes_fs = name in ("ICA", "CHROM", "POS")
        return np.asarray(method(frames, fs) if takes_fs else method(frames)).ravel()

    with toolbox_environment(Path(root).resolve()):
        yield run
