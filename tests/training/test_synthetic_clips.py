"""The clips that the shipped checkpoint is trained on."""

from __future__ import annotations

import numpy as np

from streamnet_plugin.data.synthetic import easy, render_face_clip
from streamnet_plugin.training.synthetic_clips import (
    ClipDataset,
    load_video,
    random_settings,
    render_many,
)


def test_clips_are_cut_from_videos_normalised_whole():
    videos = [render_face_clip(easy(s, duration_s=4, width=320, height=240), 16) for s in range(3)]
    clips = ClipDataset(videos, length=60)
    assert len(clips) == 6
    x, label = clips[1]
    assert x.shape == (60, 6, 16, 16)
    assert label.shape == (60,)
    assert x.dtype == label.dtype == np.float32


def test_rendered_clips_are_kept(tmp_path):
    settings = [random_settings(s, (0, 1), 1.0) for s in range(2)]
    paths = render_many(settings, tmp_path, 16, jobs=1)
    stamps = [p.stat().st_mtime_ns for p in paths]
    assert render_many(settings, tmp_path, 16, jobs=1) == paths
    assert stamps == [p.stat().st_mtime_ns for p in paths]
    frames, bvp = load_video(paths[0])
    assert frames.shape == (30, 16, 16, 3)
    assert bvp.shape == (30,)
