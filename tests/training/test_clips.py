"""Clips from the uint8 crops: the harness's data bit for bit, and the same for every worker."""

from __future__ import annotations

import logging
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from streamnet_plugin.data.clips import Normaliser, make_input, make_label
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.training.augment import Augment
from streamnet_plugin.training.clips import VideoClips
from streamnet_plugin.types import FaceVideo, Recording

LENGTH = 20
STRONG = Augment(True, 0.1, 0.3, 0.1, 2.0, 0.2)


def make_video(name, n=70, seed=0, fs=30.0, size=(8, 6)):
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (n, *size, 3), dtype=np.uint8)
    bvp = np.sin(2 * np.pi * 1.2 * np.arange(n) / fs) + 0.1 * rng.standard_normal(n)
    return FaceVideo(Recording("test", name, name, Path(name)), frames, fs, bvp, (0, 0, 1, 1), "")


@pytest.fixture
def videos():
    return [make_video("a", 70, 1), make_video("b", 60, 2), make_video("c", 45, 3)]


def everything(clips, **options):
    loader = DataLoader(clips, batch_size=3, **options)
    batches = [clips.prepare(batch, "cpu") for batch in loader]
    return [torch.cat(part) for part in zip(*batches, strict=True)]


def test_data_and_labels_equal_the_harness_s(videos):
    clips = VideoClips(videos, LENGTH)
    x, label = everything(clips)
    assert x.shape == (3 + 3 + 2, LENGTH, 6, 8, 6)
    assert x.dtype == label.dtype == torch.float32
    place = 0
    for video in videos:
        normaliser, whole = Normaliser.fit(video.frames), make_label(video.bvp, "DiffNormalized")
        for start in range(0, len(video.frames) - LENGTH + 1, LENGTH):
            want = normaliser.network_input(video.frames, start, start + LENGTH)
            assert np.array_equal(x[place].numpy(), want)
            assert label[place].numpy() == pytest.approx(whole[start : start + LENGTH], abs=1e-6)
            place += 1
    # "b" ends with its last clip: the toolbox's zero frame.
    assert not x[5, -1, :3].any()
    assert label[5, -1] == 0


@pytest.mark.parametrize("types", [("Standardized",), ("Raw", "DiffNormalized")])
def test_other_types_and_labels(videos, types):
    x, label = everything(
        VideoClips(videos[1:2], LENGTH, data_types=types, label_type="Standardized")
    )
    want = make_input(videos[1].frames, types).transpose(0, 3, 1, 2)
    assert np.array_equal(x.flatten(0, 1).numpy(), want)
    assert label.flatten().numpy() == pytest.approx(
        make_label(videos[1].bvp, "Standardized"), abs=1e-6
    )


def test_a_clip_says_where_it_is_from(videos):
    batch = next(iter(DataLoader(VideoClips(videos, LENGTH), batch_size=4)))
    assert list(batch.video) == ["a", "a", "a", "b"]
    assert batch.chunk.tolist() == [0, 1, 2, 0]
    assert batch.frames.dtype == torch.uint8


def test_a_still_video_is_zero_not_nan(videos):
    still = replace(videos[0], frames=np.full((70, 8, 6, 3), 9, np.uint8))
    x, _ = everything(VideoClips([still], LENGTH))
    assert not x.any()


def test_epoch_seed_and_number_alone_decide_what_is_drawn(videos):
    def frames(clips, epoch, order):
        clips.set_epoch(epoch)
        return {i: clips[i].frames for i in order}

    first = frames(VideoClips(videos, LENGTH, augment=STRONG, seed=7), 3, range(8))
    used = VideoClips(videos, LENGTH, augment=STRONG, seed=7)
    used.set_epoch(1)
    used[4]
    again = frames(used, 3, [6, 2, 4])
    assert all(torch.equal(first[i], again[i]) for i in again)
    for clips, epoch in ((used, 4), (VideoClips(videos, LENGTH, augment=STRONG, seed=8), 3)):
        other = frames(clips, epoch, range(8))
        assert not any(torch.equal(first[i], other[i]) for i in range(8))


def test_an_augmented_clip_is_normalised_by_itself(videos):
    x, label = everything(VideoClips(videos, LENGTH, augment=STRONG))
    for clip, wave in zip(x, label, strict=True):
        assert clip[:, 3:].mean() == pytest.approx(0, abs=0.02)  # the frame after it counts too
        assert clip[:, 3:].std() == pytest.approx(1, abs=0.02)
        assert clip[:, :3].std() == pytest.approx(1, abs=0.05)
        assert wave.std() == pytest.approx(1, abs=0.05)


def test_augmentations_that_are_all_off_change_nothing(videos):
    plain, off = (everything(VideoClips(videos, LENGTH, augment=a)) for a in (None, Augment()))
    assert torch.equal(plain[0], off[0])
    assert torch.equal(plain[1], off[1])


def test_running_workers_hear_of_the_epoch_and_measure_for_all(videos):
    clips = VideoClips(videos, LENGTH, augment=STRONG)
    loader = DataLoader(clips, batch_size=8, num_workers=1, persistent_workers=True)
    for epoch in (0, 5):
        clips.set_epoch(epoch)
        (batch,) = loader
        want = torch.stack([clips[i].frames for i in range(8)])
        assert torch.equal(batch.frames, want)
    plain = VideoClips(videos, LENGTH)
    assert plain._moments.isnan().all()
    everything(plain, num_workers=1)
    assert not plain._moments.isnan().any()


def test_memory_maps_travel_as_names(tmp_path, videos):
    path = tmp_path / "frames.u8"
    videos[0].frames.tofile(path)
    frames = np.memmap(path, np.uint8, "r", shape=(70, 8, 6, 3))
    whole, part = (
        replace(videos[0], frames=frames),
        replace(videos[0], frames=frames[10:], bvp=videos[0].bvp[10:]),
    )
    clips = VideoClips([whole, part], LENGTH)
    data = pickle.dumps(clips)
    back = pickle.loads(data)
    assert len(data) < part.frames.size + 10_000  # one of them, not both
    assert isinstance(back._videos[0].frames, np.memmap)
    for i in range(len(clips)):
        assert torch.equal(back[i].frames, clips[i].frames)


def test_a_short_video_is_left_out_by_name(videos, caplog):
    with caplog.at_level(logging.WARNING):
        clips = VideoClips([videos[0], make_video("brief", LENGTH - 1)], LENGTH)
    assert len(clips) == 3
    assert "brief" in caplog.text
    with pytest.raises(ConfigError, match="brief has 19"):
        VideoClips([make_video("brief", LENGTH - 1)], LENGTH)


def test_a_clip_whose_label_stands_still_is_left_out_by_name(videos, caplog):
    bvp = videos[0].bvp.copy()
    bvp[19:41] = 0.5
    clips = VideoClips([replace(videos[0], bvp=bvp)], LENGTH)
    assert [clips[i].chunk for i in range(len(clips))] == [0, 2]
    assert "test a: the label of frames 20 to 39" in caplog.text


def bad_label(video, kind):
    bvp = video.bvp.copy()
    if kind == "nan":
        bvp[5] = np.nan
    return replace(video, bvp={"nan": bvp, "constant": 0 * bvp, "none": None, "few": bvp[1:]}[kind])


@pytest.mark.parametrize(
    ("kind", "what"),
    [("nan", "nan at frame 5"), ("constant", "0 throughout"), ("none", "no labels"),
     ("few", "59 labels for 60 frames")],
)  # fmt: skip
def test_labels_that_teach_nothing_are_refused_by_name(videos, kind, what):
    with pytest.raises(ConfigError, match=rf"test b.*{what}"):
        VideoClips([videos[0], bad_label(videos[1], kind)], LENGTH)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda v: VideoClips([], LENGTH), "no videos"),
        (lambda v: VideoClips(v, 1), "at least 2"),
        (lambda v: VideoClips(v, LENGTH, data_types=("Diff",)), "'Diff'"),
        (lambda v: VideoClips(v, LENGTH, label_type="Diff"), "'Diff'"),
        (lambda v: VideoClips([*v, make_video("odd", size=(9, 6))], LENGTH), "odd are 6 x 9 px"),
        (lambda v: VideoClips([*v, make_video("slow", fs=25.0)], LENGTH), "slow has 25"),
    ],
)
def test_what_makes_no_clips_is_refused(videos, make, what):
    with pytest.raises(ConfigError, match=what):
        make(videos)
