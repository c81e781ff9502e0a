"""What has no pulse is withheld, an easy pulse is not: photographs, walls, dolls, noise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamnet_plugin.comparison import predict_all
from streamnet_plugin.config import load_config
from streamnet_plugin.data.synthetic import SETUPS, SynthSettings, easy, render_face_clip
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.progress import Silent
from streamnet_plugin.registry import get_method
from streamnet_plugin.scoring import score
from streamnet_plugin.types import FaceVideo, Recording

METHODS = ("STREAMNet", "GREEN", "ICA", "CHROM", "LGI", "POS", "OMIT")  # PBV fails on easy ones too
N_FRAMES, FS, WINDOW_S = 300, 30.0, 10.0
ANY_PULSE = np.sin(2 * np.pi * 1.2 * np.arange(N_FRAMES) / FS)
VIDEOS = 3


def video(name, frames, bvp=ANY_PULSE):
    frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return FaceVideo(Recording("made", name, name, Path(name)), frames, FS, bvp, (0, 0, 1, 1), name)


def rendered(settings):
    cv2.setNumThreads(1)
    return render_face_clip(settings, 36)


@pytest.fixture(scope="module")
def easy_clips():
    return [rendered(easy(300 + i, duration_s=N_FRAMES / FS)) for i in range(VIDEOS)]


@pytest.fixture(scope="module")
def withheld():
    """(videos) -> share of 10 s windows that are withheld, or have no result, by method."""
    methods = [get_method(name) for name in METHODS]
    convention = get_convention("toolbox-2025")

    def shares(videos):
        pairs, _, _ = predict_all(methods, videos, load_config("benchmark/demo"), Silent())
        rows, _ = score(pairs, convention, WINDOW_S, "FFT")
        found = {}
        for name in METHODS:
            mine = [row for row in rows if row.method == name]
            assert len(mine) == len(videos) * N_FRAMES / FS / WINDOW_S
            found[name] = np.mean([bool(row.withheld or row.reason) for row in mine])
        return found

    return shares


def test_an_easy_pulse_is_kept(withheld, easy_clips):
    shares = withheld([video(f"easy{i}", *clip) for i, clip in enumerate(easy_clips)])
    assert np.mean(list(shares.values())) <= 0.10, shares
    assert shares["STREAMNet"] <= 0.10


def still(clips, rng):
    for frames, _ in clips:
        yield frames[:1] + rng.normal(0, 1.0, (N_FRAMES, *frames.shape[1:]))


def photograph(clips, rng):
    """A printed face before a camera with noise."""
    return list(still(clips, rng))


def flickering_photograph(clips, rng):
    """The same under a lamp that pulses like a heart."""
    t = np.arange(N_FRAMES) / FS
    return [
        frames * (1 + 0.01 * np.sin(2 * np.pi * rng.uniform(0.8, 2.5) * t))[:, None, None, None]
        for frames in still(clips, rng)
    ]


def wall(clips, rng):
    """One colour under drifting light."""
    size = (N_FRAMES, 36, 36, 3)
    light = 1 + 0.002 * np.cumsum(rng.normal(size=(VIDEOS, N_FRAMES)), axis=1) / 3
    paint = np.array([150.0, 140, 120])
    return [paint * light[i][:, None, None, None] + rng.normal(0, 1.5, size) for i in range(VIDEOS)]


def noise(clips, rng):
    return [rng.integers(0, 256, (N_FRAMES, 36, 36, 3)) for _ in range(VIDEOS)]


def doll(clips, rng):
    """A mannequin: a face that moves and shines, without blood."""
    base = SynthSettings(duration_s=N_FRAMES / FS, pulse=0.0, noise=2.0, illumination_drift=0.03)
    return [
        rendered(replace(base, seed=400 + i, motion=motion))[0].astype(float)
        for i, motion in enumerate(list(SETUPS.values())[:VIDEOS])
    ]


@pytest.mark.parametrize("made", [photograph, flickering_photograph, wall, noise, doll])
def test_without_a_pulse_it_is_withheld(withheld, easy_clips, made):
    videos = made(easy_clips, np.random.default_rng(1))
    shares = withheld([video(f"{made.__name__}{i}", v) for i, v in enumerate(videos)])
    assert np.mean(list(shares.values())) >= 0.95, shares
    assert shares["STREAMNet"] >= 0.95
