"""The loop learns, repeats itself, and stops when the loss is lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamnet_plugin.data.synthetic import easy, render_face_clip
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.training.loop import TrainSettings, negative_pearson, train
from streamnet_plugin.training.synthetic_clips import (
    ClipDataset,
    load_video,
    random_settings,
    render_many,
)


@pytest.fixture(scope="module")
def clips():
    videos = [render_face_clip(easy(s, duration_s=4, width=320, height=240), 16) for s in range(3)]
    return ClipDataset(videos, length=60)


def fit(clips, **changes):
    torch.manual_seed(1)
    losses = []
    settings = TrainSettings(epochs=3, batch_clips=2, **changes)
    net = STREAMNet(STREAMNetConfig(16, 16))
    train(net, clips, settings, lambda epoch, loss: losses.append(loss))
    return net, losses


def test_the_loss_falls_and_the_same_seed_gives_the_same_weights(clips):
    first, losses = fit(clips)
    again, _ = fit(clips)
    assert losses[-1] < 0.9 * losses[0]
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_clips_are_cut_from_videos_normalised_whole(clips):
    assert len(clips) == 6
    x, label = clips[1]
    assert x.shape == (60, 6, 16, 16)
    assert label.shape == (60,)
    assert x.dtype == label.dtype == np.float32


def test_a_lost_loss_stops_with_the_step(clips):
    with pytest.raises(StreamnetError, match="at step"):
        fit(clips, learning_rate=1e12)


def test_no_clips_are_refused():
    with pytest.raises((ConfigError, ValueError)):
        train(STREAMNet(), ClipDataset([]), TrainSettings(epochs=1))


def test_negative_pearson():
    x = torch.randn(3, 50)
    assert negative_pearson(x, 2 * x + 1).item() == pytest.approx(0, abs=1e-5)
    assert negative_pearson(x, -x).item() == pytest.approx(2, abs=1e-5)


def test_rendered_clips_are_kept(tmp_path):
    settings = [random_settings(s, (0, 1), 1.0) for s in range(2)]
    paths = render_many(settings, tmp_path, 16, jobs=1)
    stamps = [p.stat().st_mtime_ns for p in paths]
    assert render_many(settings, tmp_path, 16, jobs=1) == paths
    assert stamps == [p.stat().st_mtime_ns for p in paths]
    frames, bvp = load_video(paths[0])
    assert frames.shape == (30, 16, 16, 3)
    assert bvp.shape == (30,)
