"""Figures of the shipped checkpoint: errors by group, and a card that says them."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from streamnet_plugin.errors import CheckpointError, ConfigError, NoResultError
from streamnet_plugin.model.checkpoint import save_checkpoint
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.training.make_checkpoint import (
    begun,
    by_group,
    hr_errors,
    main,
    model_card,
    weights_path,
)
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


@pytest.fixture
def metadata():
    row = {"recordings": 2, "no_result": 0, "mae_bpm": 1.25}
    none = {"recordings": 2, "no_result": 2, "mae_bpm": None}
    return {
        "image_size": 36, "parameters": 542375, "epoch": 4, "git_commit": "abc", "command": "make",
        "training": {"recordings": 400, "duration_s": 12.0, "epochs": 8, "clips": 790, "seed": 1,
                     "learning_rate": 0.002, "precision": "bfloat16", "validation": 48,
                     "test_duration_s": 20.0, "augment": {"flip": True}},
        "test_recordings": 108,
        "test": {"STREAMNet": {"all": row}, "POS": {"all": none}},
    }  # fmt: skip


def test_the_card_says_what_was_measured(metadata):
    card = model_card(metadata)
    assert "| all | 2 | 1.25 | none (2) |" in card
    assert "not a medical" in card
    assert "number 5" in card
    assert "1 - Pearson, bfloat16, seed 1" in card
    assert "ME-chunk" not in card  # not measured, not mentioned


def test_the_card_of_weights_that_went_on_tells_every_training(metadata):
    first = metadata["training"]
    second = first | {"recordings": 90, "swaying": 50, "clips": 179, "epochs": 3}
    metadata["training"] = second | {"clips": 178, "augment": {"shake": 0.08}}
    metadata["start"] = {
        "sha256": "f00d", "command": "make more", "git_commit": "abb", "training": second,
        "start": {"sha256": "cafe", "command": "make", "git_commit": "aba", "training": first},
    }  # fmt: skip
    card = " ".join(model_card(metadata).split())
    assert "400 synthetic recordings" in card
    assert "8 epochs of 790 clips" in card
    assert "3 epochs of 179 clips" in card
    assert "90 recordings, 50 of them of heads that sway" in card
    assert card.count("camera shake in half") == 1
    assert card.index("camera shake in half") > card.index("178 clips") > card.index("179")
    assert "best of the last epochs is taken (number 5)" in card
    assert "f00d, was made by `make more` at commit abb" in card
    assert "cafe, was made by `make` at commit aba" in card


def test_the_card_of_a_first_training_tells_of_its_swaying_heads(metadata):
    metadata["training"] |= {"swaying": 40}
    assert "40 of them of heads that sway at random" in model_card(metadata)


def options(tmp_path, start):
    return argparse.Namespace(size=36, start=start, work=tmp_path, out=tmp_path / "out")


def test_a_training_begins_with_the_weights_it_is_given(tmp_path):
    torch.manual_seed(3)
    before = STREAMNet(STREAMNetConfig(36, 36))
    told = {"command": "make", "git_commit": "abc", "training": {"epochs": 8}}
    save_checkpoint(before, tmp_path / "start.safetensors", told)
    model, start = begun(options(tmp_path, tmp_path / "start.safetensors"))
    assert start["training"] == {"epochs": 8}
    assert start["command"] == "make"
    assert len(start["sha256"]) == 64
    assert "start" not in start  # its weights were random
    for name, value in before.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert begun(options(tmp_path, None))[1] == {}
    save_checkpoint(model, tmp_path / "more.safetensors", told | {"start": start})
    assert begun(options(tmp_path, tmp_path / "more.safetensors"))[1]["start"] == start


def test_weights_that_are_not_there_are_one_line(tmp_path, monkeypatch, capsys):
    words = ["--work", str(tmp_path), "--out", str(tmp_path), "--start", str(tmp_path / "no")]
    monkeypatch.setattr("sys.argv", ["make_checkpoint", *words])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "error: " in (said := capsys.readouterr().err)
    assert "no: there is no such file" in said


def test_weights_of_another_size_or_unknown_origin_are_no_start(tmp_path):
    save_checkpoint(STREAMNet(STREAMNetConfig(36, 36)), tmp_path / "bare.safetensors", {})
    with pytest.raises(CheckpointError, match=r"bare\.safetensors.*does not say how it was made"):
        begun(options(tmp_path, tmp_path / "bare.safetensors"))
    save_checkpoint(STREAMNet(STREAMNetConfig(72, 72)), tmp_path / "large.safetensors", {})
    with pytest.raises(CheckpointError, match="72"):
        begun(options(tmp_path, tmp_path / "large.safetensors"))


def test_the_weights_to_begin_with_are_not_written_over(tmp_path):
    start = weights_path(options(tmp_path, None))
    start.parent.mkdir()
    save_checkpoint(STREAMNet(STREAMNetConfig(36, 36)), start, {"command": "make"})
    with pytest.raises(ConfigError, match=r"written over.*--out"):
        begun(options(tmp_path, start.parent / ".." / "out" / start.name))
