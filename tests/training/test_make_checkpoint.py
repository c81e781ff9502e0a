"""Figures of the shipped checkpoint: errors by group, and a card that says them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamnet_plugin.errors import NoResultError
from streamnet_plugin.training.make_checkpoint import by_group, hr_errors, model_card
from streamnet_plugin.types import FaceVideo, Prediction, Recording

FS = 30.0


def video(name, hr, motion="steady", tone="1"):
    t = np.arange(600) / FS
    groups = {"motion": motion, "skin tone": tone}
    recording = Recording("synthetic", name, name, Path(name), groups=groups)
    frames = np.zeros((600, 4, 4, 3), np.uint8)
    return FaceVideo(recording, frames, FS, np.sin(2 * np.pi * hr / 60 * t), (0, 0, 4, 4), name)


class Reads:
    """Reads a rate 6 bpm above the truth, nothing from one video, and silence from another."""

    name = "reads"

    def predict(self, video):
        if video.recording.id == "lost":
            raise NoResultError("nothing")
        if video.recording.id == "silent":
            return Prediction(np.zeros(len(video.frames)))
        t = np.arange(600) / FS
        return Prediction(np.sin(2 * np.pi * 78 / 60 * t))


def test_errors_are_of_the_refined_hr_and_nothing_is_lost():
    videos = [
        video("a", 72),
        video("b", 78, "talking", "2"),
        video("lost", 72),
        video("silent", 72),
    ]
    errors = hr_errors(Reads(), videos)
    assert errors["a"] == pytest.approx(6, abs=0.1)
    assert errors["b"] == pytest.approx(0, abs=0.1)
    assert errors["lost"] is None
    assert errors["silent"] is None
    groups = by_group(errors, videos)
    assert groups["all"]["recordings"] == 4
    assert groups["all"]["no_result"] == 2
    assert groups["all"]["mae_bpm"] == pytest.approx(3, abs=0.1)
    assert groups["all"]["within_5_bpm"] == 0.25  # what gave nothing is within nothing
    assert groups["motion talking"]["mae_bpm"] == pytest.approx(0, abs=0.1)
    assert set(groups) == {"all", "motion steady", "motion talking", "skin tone 1", "skin tone 2"}


def test_the_card_says_what_was_measured():
    row = {"recordings": 2, "no_result": 0, "mae_bpm": 1.25}
    none = {"recordings": 2, "no_result": 2, "mae_bpm": None}
    metadata = {
        "image_size": 36, "parameters": 542375, "epoch": 4, "git_commit": "abc", "command": "make",
        "training": {"recordings": 400, "duration_s": 12.0, "epochs": 8, "clips": 790, "seed": 1,
                     "learning_rate": 0.002, "precision": "bfloat16", "validation": 48,
                     "test_duration_s": 20.0},
        "test_recordings": 108,
        "test": {"STREAMNet": {"all": row}, "POS": {"all": none}},
    }  # fmt: skip
    card = model_card(metadata)
    assert "| all | 2 | 1.25 | none (2) |" in card
    assert "not a medical" in card
    assert "number 5" in card
    assert "1 - Pearson, bfloat16, seed 1" in card
    assert "ME-chunk" not in card  # not measured, not mentioned
