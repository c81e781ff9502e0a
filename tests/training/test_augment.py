"""After every change of a clip, the heart rate read from it is the one its label has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from streamnet_plugin.classical.pos import pos
from streamnet_plugin.config import AUGMENT_LIMITS, Augmentation
from streamnet_plugin.data.clips import make_label
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.training.augment import (
    DRIFT_HZ,
    Augment,
    augmented,
    drift_curve,
    flipped,
    noisy,
    relit,
    resampled,
    shaken,
    shifted,
)

FS, LENGTH = 30.0, 300
BAND = (0.6, 3.3)
SIGNATURE = np.array([0.33, 0.77, 0.53])
TOLERANCE = 1.5
"""bpm, for windows of 10 s."""
ON = {
    "flip": True,
    "crop_jitter": 0.1,
    "shake": 0.05,
    "gain": 0.4,
    "drift": 0.1,
    "noise": 3.0,
    "resample": 0.25,
    "time_reversal": True,
}


def recording(bpm=75.0, seconds=20.0, seed=0, size=12):
    """A still face in 8 bits: frames (T, size, size, 3) and BVP (T,), systole up."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * FS)) / FS
    beat = 2 * np.pi * (bpm / 60 * t + rng.uniform())
    wave = 0.5 + 0.4 * np.sin(beat) + 0.1 * np.sin(2 * beat + 1)  # no time symmetry
    skin = np.array([170, 130, 110]) * rng.uniform(0.7, 1.2, (size, size, 1))
    pulse = 1 - 0.03 * SIGNATURE * wave[:, None, None, None]
    return np.rint(skin * pulse).astype(np.uint8), wave


def label_hr(wave):
    return refined_hr(
        clean_bvp(make_label(wave, "DiffNormalized"), FS, *BAND, differential=True), FS, BAND
    )


def video_hr(frames):
    """By POS, from the mean colours."""
    wave = pos(frames.mean(axis=(1, 2), dtype=np.float64), FS)
    return refined_hr(clean_bvp(wave, FS, *BAND, differential=False), FS, BAND)


def change(name, frames, wave, seed, start=200):
    rng = np.random.default_rng(seed)
    return augmented(frames, wave, start, LENGTH, FS, Augment(**{name: ON[name]}), rng)


@pytest.mark.parametrize("name", ON)
@given(bpm=st.floats(55, 150), seed=st.integers(0, 2**31))
@settings(max_examples=6, deadline=None)
def test_each_change_keeps_the_heart_rate_of_the_label(name, bpm, seed):
    frames, wave = change(name, *recording(bpm, seed=seed), seed)
    assert len(frames) == len(wave) == LENGTH + 1
    assert video_hr(frames) == pytest.approx(label_hr(wave), abs=TOLERANCE)
    if name != "resample":
        assert label_hr(wave) == pytest.approx(bpm, abs=TOLERANCE)


@given(bpm=st.floats(60, 140), seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_all_changes_together_keep_it(bpm, seed):
    rng = np.random.default_rng(seed)
    frames, wave = augmented(*recording(bpm, seed=seed), 100, LENGTH, FS, Augment(**ON), rng)
    assert video_hr(frames) == pytest.approx(label_hr(wave), abs=TOLERANCE)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_time_that_runs_faster_takes_pulse_and_label_along(factor):
    frames, wave = recording(80.0)
    at = 20 + factor * np.arange(LENGTH + 1)
    fast, label = resampled(frames, wave, at)
    assert video_hr(fast) == pytest.approx(80 * factor, abs=TOLERANCE)
    assert label_hr(label) == pytest.approx(80 * factor, abs=TOLERANCE)
    # The label of the clip as it was is wrong for it: these tests would notice.
    assert abs(video_hr(fast) - label_hr(wave[20 : 20 + LENGTH])) > 5 * TOLERANCE


def test_resampling_blends_neighbours_and_keeps_whole_places():
    frames, wave = recording()
    blended, between = resampled(frames, wave, np.array([4.0, 4.25, 599.0]))
    four, five = frames[4].astype(float), frames[5].astype(float)
    assert np.array_equal(blended[0], frames[4])
    assert blended[1] == pytest.approx(0.75 * four + 0.25 * five, abs=1e-3)
    assert np.array_equal(blended[2], frames[-1])
    assert between == pytest.approx([wave[4], 0.75 * wave[4] + 0.25 * wave[5], wave[-1]])


def test_a_faster_clip_takes_more_of_the_video_and_never_what_is_not_there():
    frames, wave = recording(seconds=LENGTH / FS)  # no frame to spare
    for seed in range(20):
        clip, label = change("resample", frames, wave, seed, start=0)
        assert len(clip) == len(label) == LENGTH + 1
        assert video_hr(clip) == pytest.approx(label_hr(label), abs=TOLERANCE)
    clip, label = change("flip", frames, wave, 0, start=0)
    assert len(clip) == len(label) == LENGTH


def test_a_clip_at_the_end_begins_earlier_when_time_runs_faster():
    frames, wave = recording()
    for seed in range(20):
        clip, label = change("resample", frames, wave, seed, start=len(frames) - LENGTH)
        assert len(clip) == LENGTH + 1
        # No last frame is repeated to fill up: the pulse goes on to the end.
        assert np.ptp(label[-4:]) > 0.05
        assert video_hr(clip) == pytest.approx(label_hr(label), abs=TOLERANCE)


def test_a_mirrored_clip_mirrored_again_is_the_clip():
    frames, _ = recording()
    assert np.array_equal(flipped(frames)[:, :, 0], frames[:, :, -1])
    assert np.array_equal(flipped(flipped(frames)), frames)


@given(down=st.integers(-4, 4), right=st.integers(-4, 4))
@settings(max_examples=20, deadline=None)
def test_a_shift_moves_all_frames_alike_and_repeats_the_edge(down, right):
    frames, _ = recording(seconds=1)
    moved = shifted(frames, down, right)
    for y in range(12):
        for x in range(12):
            want = frames[:, np.clip(y - down, 0, 11), np.clip(x - right, 0, 11)]
            assert np.array_equal(moved[:, y, x], want)


def test_crops_are_jittered_once_per_clip():
    frames, wave = recording(seconds=11)
    still = np.repeat(frames[:1], len(frames), axis=0)
    moved = [change("crop_jitter", still, wave, seed, start=0)[0] for seed in range(12)]
    assert all((clip == clip[0]).all() for clip in moved)
    assert len({clip.tobytes() for clip in moved}) > 3


def test_half_of_the_clips_shake_and_no_two_alike():
    frames, wave = recording(seconds=11)
    still = np.repeat(frames[:1], len(frames), axis=0)
    clips = [change("shake", still, wave, seed, start=0)[0] for seed in range(24)]
    moving = [clip for clip in clips if (clip != clip[0]).any()]
    assert 6 <= len(moving) <= 18
    assert len({clip.tobytes() for clip in moving}) == len(moving)
    at_rest = [clip for clip in clips if (clip == clip[0]).all()]
    assert all((clip[0] == still[0]).all() for clip in at_rest)


def test_a_shaken_picture_moves_as_a_whole_as_far_as_asked():
    size, strength = 64, 0.05
    y, x = np.mgrid[:size, :size]
    dot = np.exp(-((x - 31.5) ** 2 + (y - 31.5) ** 2) / (2 * 4.0**2))  # at the centre of turning
    still = np.repeat(dot[None, :, :, None].astype(np.float32) * np.ones(3, np.float32), 1800, 0)
    places = []
    for seed in range(6):
        moved = shaken(still, FS, strength, np.random.default_rng(seed))[..., 0]
        weight = moved.sum(axis=(1, 2))
        assert weight == pytest.approx(dot.sum(), rel=0.01)  # nothing brightens by moving
        places.append([(moved * of).sum(axis=(1, 2)) / weight - 31.5 for of in (x, y)])
    across, along = np.array(places).transpose(1, 0, 2)
    for place in (across, along):
        assert place.std() == pytest.approx(strength * size, rel=0.15)
    assert abs(np.corrcoef(across.ravel(), along.ravel())[0, 1]) < 0.3


def test_a_face_that_is_shaken_as_much_as_may_be_stays_in_the_picture_with_its_pulse():
    size = 48
    frames, _ = recording(bpm=75, size=1)
    y, x = np.mgrid[:size, :size]
    middle = (size - 1) / 2
    head = ((x - middle) / (size / 4)) ** 2 + ((y - middle) / (size / 3)) ** 2 < 1
    wall = np.array([60, 90, 200], np.uint8)  # bluer than skin
    still = np.where(head[..., None], frames[:, :1, :1], wall).astype(np.float32)
    for seed in range(4):
        moved = shaken(still, FS, AUGMENT_LIMITS["SHAKE"], np.random.default_rng(seed))
        skin = moved[..., 0] > moved[..., 2] + 30
        share = skin.sum(axis=(1, 2)) / head.sum()
        assert np.quantile(share, 0.1) > 0.4
        # Its edge is mixed with the wall, so the mean is over what is surely skin.
        colours = np.array([f[m].mean(axis=0) for f, m in zip(moved, skin, strict=True)])
        read = refined_hr(clean_bvp(pos(colours, FS), FS, *BAND, differential=False), FS, BAND)
        assert read == pytest.approx(75, abs=TOLERANCE)


def test_a_shaken_picture_turns():
    size = 64
    y = np.mgrid[:size, :size][0]
    bar = np.exp(-((y - 31.5) ** 2) / (2 * 3.0**2))
    still = np.repeat(bar[None, :, :, None].astype(np.float32), 900, 0) * np.ones(3, np.float32)
    turned = shaken(still, FS, 0.1, np.random.default_rng(1))[..., 0]
    middle = [
        (turned[:, :, c] * y[:, c]).sum(axis=1) / turned[:, :, c].sum(axis=1) for c in (22, 41)
    ]
    angle = np.arctan2(middle[1] - middle[0], 41 - 22)
    assert 0.01 < angle.std() < 0.12


def test_shaking_has_no_rhythm():
    """Its spectrum falls from the lowest rates on: no peak that a pulse could be taken for."""
    size = 48
    y, x = np.mgrid[:size, :size]
    dot = np.exp(-((x - 23.5) ** 2 + (y - 23.5) ** 2) / (2 * 3.0**2))
    still = np.repeat(dot[None, :, :, None].astype(np.float32), 3600, 0)
    power = 0
    for seed in range(8):
        moved = shaken(np.repeat(still, 3, 3), FS, 0.05, np.random.default_rng(seed))[..., 0]
        place = (moved * x).sum(axis=(1, 2)) / moved.sum(axis=(1, 2))
        parts = place.reshape(12, 300) - place.mean()
        power = power + (np.abs(np.fft.rfft(parts * np.hanning(300), axis=1)) ** 2).mean(axis=0)
    rates = np.fft.rfftfreq(300, 1 / FS)
    bands = [
        power[(rates >= low) & (rates < low + 0.5)].mean() for low in (0.2, 0.7, 1.2, 1.7, 2.2)
    ]
    assert bands == sorted(bands, reverse=True)


def test_a_gain_keeps_ac_to_dc_in_every_colour():
    frames, _ = recording()
    light = np.ones((len(frames), 1)) * [0.7, 1.1, 1.3]
    before, after = (f.mean(axis=(1, 2), dtype=np.float64) for f in (frames, relit(frames, light)))
    assert after.std(axis=0) / after.mean(axis=0) == pytest.approx(
        before.std(axis=0) / before.mean(axis=0), rel=1e-4
    )


def test_a_gain_does_not_saturate_the_pulse_away():
    frames, wave = recording()
    bright = np.rint(frames * (250 / frames.max())).astype(np.uint8)
    for seed in range(10):
        clip, _ = change("gain", bright, wave, seed)
        assert (clip == 255).mean() < 0.01


@given(seed=st.integers(0, 2**31), fs=st.sampled_from([20.0, 30.0, 60.0]))
@settings(max_examples=20, deadline=None)
def test_light_drifts_below_the_band_of_heart_rates(seed, fs):
    n = round(120 * fs)
    curve = drift_curve(n, fs, 0.2, np.random.default_rng(seed))
    assert np.abs(curve).max() <= 0.2
    spectrum = np.abs(np.fft.rfft(curve * np.hanning(n)[:, None], axis=0)) ** 2
    rates = np.fft.rfftfreq(n, 1 / fs)
    assert spectrum[rates > BAND[0]].sum() < 1e-6 * spectrum.sum()
    assert DRIFT_HZ[1] < BAND[0]


def test_noise_has_the_given_strength_and_no_mean_colour_or_rate():
    grey = np.full((200, 12, 12, 3), 100, np.float32)
    noise = noisy(grey, 2.0, np.random.default_rng(0)) - grey
    assert noise.std() == pytest.approx(2.0, rel=0.02)
    assert abs(noise.mean()) < 0.02
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_reversal_plays_both_backwards():
    frames, wave = recording()
    seen = set()
    for seed in range(8):
        clip, label = change("time_reversal", frames, wave, seed)
        forwards = np.array_equal(clip, frames[200 : 201 + LENGTH])
        assert np.array_equal(label[:: 1 if forwards else -1], wave[200 : 201 + LENGTH])
        assert np.array_equal(clip[:: 1 if forwards else -1], frames[200 : 201 + LENGTH])
        seen.add(forwards)
    assert seen == {True, False}


def test_switching_one_on_leaves_what_another_draws():
    frames, wave = recording()

    def waves(**on):
        rng = np.random.default_rng(3)
        return augmented(frames, wave, 50, LENGTH, FS, Augment(**on), rng)[1]

    alone, beside = waves(resample=0.2), waves(resample=0.2, gain=0.3, noise=2.0, flip=True)
    assert np.array_equal(alone, beside)


def test_off_is_off():
    frames, wave = recording()
    clip, label = augmented(frames, wave, 30, LENGTH, FS, Augment(), np.random.default_rng(0))
    assert np.array_equal(clip, frames[30 : 31 + LENGTH])
    assert np.array_equal(label, wave[30 : 31 + LENGTH])
    assert Augment().changes_nothing
    assert not any(Augment(**{name: ON[name]}).changes_nothing for name in ON)


@pytest.mark.parametrize("name", ON)
@pytest.mark.parametrize("wrong", [-0.1, float("nan"), 1000.0, "much", None])
def test_what_is_no_strength_is_refused_by_name(name, wrong):
    with pytest.raises(ConfigError, match=name):
        Augment(**{name: wrong})
    if name.upper() in AUGMENT_LIMITS:
        with pytest.raises(ConfigError, match=name):
            Augment(**{name: True})


@pytest.mark.parametrize("key", AUGMENT_LIMITS)
def test_a_yaml_takes_what_training_takes_and_no_more(key):
    limit = AUGMENT_LIMITS[key]
    assert getattr(Augment(**{key.lower(): limit}), key.lower()) == limit
    assert getattr(Augmentation(**{key: limit}), key) == limit
    with pytest.raises(ValidationError, match=key):
        Augmentation(**{key: limit * 1.01})
