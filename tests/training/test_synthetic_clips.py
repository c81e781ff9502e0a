"""The distribution of training covers what it should, and the test is outside of it."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from streamnet_plugin.data.synthetic import MOTIONS, SETUPS, render
from streamnet_plugin.errors import DataError
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.training import synthetic_clips
from streamnet_plugin.training.synthetic_clips import (
    HARD_MOTIONS,
    HELD_OUT_CAMERA,
    HELD_OUT_MOTIONS,
    held_out_settings,
    rendered,
    training_settings,
    validation_settings,
)

BAND = (0.6, 3.3)


@pytest.fixture(scope="module")
def sets():
    return (
        training_settings(1500, swaying=300),
        validation_settings(200, swaying=100),
        held_out_settings(),
    )


def values(settings, name):
    return [getattr(s, name) for s in settings]


def test_nobody_and_no_seed_is_in_two_sets(sets):
    for name in ("head", "seed"):
        train, valid, test = (set(values(s, name)) for s in sets)
        assert not train & valid
        assert not train & test
        assert not valid & test
    assert len(set(values(sets[0], "head"))) > 200


def test_two_motions_are_only_in_the_test(sets):
    train, valid, test = (set(values(s, "motion")) for s in sets)
    assert test == set(MOTIONS)
    assert train == valid == set(MOTIONS) - set(HELD_OUT_MOTIONS)
    assert set(SETUPS.values()) < train


def test_the_camera_of_the_test_is_outside_of_what_training_draws(sets):
    for name in ("saturation", "warmth", "gamma", "shot_noise", "jpeg"):
        seen = [v for v in values(sets[0], name) if v != 0]
        assert not min(seen) <= HELD_OUT_CAMERA[name] <= max(seen), name


def broad(train):
    """Without every third one, which is hard, and without the swaying heads."""
    return [s for i, s in enumerate(train[:1500]) if i % 3 < 2]


def test_training_is_broad(sets):
    train = broad(sets[0])
    rates = np.array(values(train, "hr_bpm"))
    assert rates.min() < 42
    assert rates.max() > 178
    assert np.histogram(rates, 7, (40, 180))[0].min() > 0.7 * len(train) / 7
    for name in ("skin_tone", "motion", "width"):
        counts = Counter(values(train, name))
        assert min(counts.values()) > 0.75 * len(train) / len(counts)
    for name in ("jpeg", "dropped", "beard", "glasses", "jitter_ms", "blur"):
        assert 0.1 < np.mean([v != 0 for v in values(train, name)]) < 0.8


def test_a_third_of_the_training_is_dark_skin_in_motion_at_any_rate(sets):
    train = sets[0]
    hard = train[2:1500:3]
    assert set(values(hard, "skin_tone")) == {5, 6}
    assert set(values(hard, "motion")) == set(HARD_MOTIONS)
    assert min(values(hard, "jpeg")) > HELD_OUT_CAMERA["jpeg"]
    assert np.histogram(values(hard, "hr_bpm"), 7, (40, 180))[0].min() > 0.6 * len(hard) / 7
    assert set(values(broad(train), "skin_tone")) == set(range(1, 7))


def test_swaying_heads_come_on_top_and_are_as_broad_as_the_others(sets):
    assert sets[0][:1500] == training_settings(1500)
    assert sets[1][:200] == validation_settings(200)
    assert {s.motion for s in broad(sets[0])} == set(MOTIONS) - {*HELD_OUT_MOTIONS, "swaying"}
    sway = sets[0][1500:]
    assert set(values(sway, "motion")) == set(values(sets[1][200:], "motion")) == {"swaying"}
    assert set(values(sway, "skin_tone")) == set(range(1, 7))
    assert np.histogram(values(sway, "hr_bpm"), 7, (40, 180))[0].min() > 0.6 * len(sway) / 7
    assert 0.7 < np.mean([s.clutter > 0 for s in sway]) < 0.9
    assert not any(s.clutter for s in sets[0][:1500])


def test_the_test_has_each_motion_in_each_tone_and_ties_neither_to_the_rate(sets):
    test = sets[2]
    assert Counter(zip(values(test, "motion"), values(test, "skin_tone"), strict=True)) == Counter(
        {(motion, tone): 1 for motion in MOTIONS for tone in range(1, 7)}
    )
    rates = np.array(values(test, "hr_bpm"))
    assert np.histogram(rates, 7, (40, 180))[0].min() >= 7
    for group in (values(test, "skin_tone"), values(test, "light"), range(len(test))):
        assert abs(np.corrcoef(rates, group)[0, 1]) < 0.3


def test_the_labels_of_the_test_show_the_heart_rate_they_were_made_with(sets):
    for s in sets[2]:
        label = clean_bvp(render(s).bvp, s.fs, *BAND, differential=False)
        assert refined_hr(label, s.fs, BAND) == pytest.approx(s.hr_bpm, abs=2.0)


def test_more_recordings_begin_with_the_same(sets):
    assert training_settings(5) == sets[0][:5]
    two_rounds = held_out_settings(2)
    assert two_rounds[: len(sets[2])] == sets[2]
    assert not set(values(two_rounds[len(sets[2]) :], "hr_bpm")) & set(values(sets[2], "hr_bpm"))
    assert all(a.head != b.head for a, b in zip(sets[2], two_rounds[len(sets[2]) :], strict=True))


@pytest.fixture
def two():
    return [
        replace(s, duration_s=0.5, width=320, height=240, light=0.9, skin_tone=2)
        for s in training_settings(2)
    ]


def test_what_is_rendered_is_kept_and_frames_stay_on_disk(tmp_path, two, monkeypatch):
    first = rendered(two, tmp_path, (36, 72))
    monkeypatch.setattr(synthetic_clips, "render_crops", None)  # nothing is rendered again
    again = rendered(two, tmp_path, (36, 72))
    for size in (36, 72):
        for s, a, b in zip(two, first[size], again[size], strict=True):
            assert isinstance(a.frames, np.memmap)
            assert a.frames.shape == (15, size, size, 3)
            assert np.array_equal(a.frames, b.frames)
            assert np.array_equal(a.bvp, render(s).bvp)
            assert a.recording.groups == {"motion": s.motion, "skin tone": "2"}
    with pytest.raises(TypeError):
        rendered([replace(two[0], light=0.8)], tmp_path, (36,))  # other settings, other pixels


def test_a_damaged_recording_is_made_anew(tmp_path, two):
    (video,) = rendered(two[:1], tmp_path, (36,))[36]
    want = np.array(video.frames)
    with open(video.frames.filename, "r+b") as file:
        file.truncate(100)
    (video,) = rendered(two[:1], tmp_path, (36,))[36]
    assert np.array_equal(video.frames, want)


def test_a_recording_without_a_face_is_left_out_by_name(tmp_path, two, caplog):
    dark = replace(two[0], light=0.01, noise=0.0, shot_noise=0.0)
    with caplog.at_level(logging.WARNING):
        videos = rendered([dark, two[1]], tmp_path, (36,))[36]
    assert [v.recording.id for v in videos] == [str(two[1].seed)]
    assert f"synthetic {dark.seed}: no face" in caplog.text


def test_too_many_open_files_are_no_damage(tmp_path, two, monkeypatch):
    rendered(two[:1], tmp_path, (36,))

    def full(*args, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(np, "memmap", full)
        with pytest.raises(DataError, match="ulimit"):
            rendered(two[:1], tmp_path, (36,))
    monkeypatch.setattr(synthetic_clips, "render_crops", None)  # it is still there
    assert len(rendered(two[:1], tmp_path, (36,))[36]) == 1
