"""The camera's parts, each alone, and what they leave alone when they are off."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from streamnet_plugin.data.face import crop, find_faces
from streamnet_plugin.data.synthetic import (
    MOTIONS,
    SETUPS,
    SynthSettings,
    render,
    render_crops,
    render_face_clip,
)
from streamnet_plugin.data.synthetic.camera import (
    LUMA,
    Camera,
    colour_matrix,
    through_jpeg,
    tone_table,
)
from streamnet_plugin.data.synthetic.head import MORE_HEADS, N_HEADS, head
from streamnet_plugin.data.synthetic.motion import motion
from streamnet_plugin.data.synthetic.pulse import beat, bvp
from streamnet_plugin.errors import ConfigError

TINY = SynthSettings(seed=3, duration_s=0.5, width=96, height=72, skin_tone=2, head=4)
QUIET = {"noise": 0.0, "flicker": 0.0, "illumination_drift": 0.0}
ADDED = {
    "blur": 1.5,
    "saturation": 1.3,
    "warmth": 0.2,
    "shot_noise": 0.05,
    "gamma": 0.7,
    "jpeg": 60,
    "jitter_ms": 5.0,
    "dropped": 0.3,
    "glasses": True,
    "beard": 0.8,
}


def frames_of(settings):
    return np.stack(list(render(settings).frames()))


def taken(level, shape=(60, 80), scale=1.0, **settings):
    """A grey card of some level through a camera."""
    cv2.setRNGSeed(1)
    camera = Camera(replace(TINY, **settings), shape, scale)
    return camera.take(np.full((*shape, 3), level, np.float32))


@pytest.mark.parametrize(
    ("changes", "mean", "place"),
    [
        ({}, (146.2024, 144.1703, 140.1966), 143.8337),
        ({"motion": "talking", "shine": 0.4}, (146.8271, 144.9838, 141.0184), 144.5387),
        ({"motion": "medium_rotation", "flicker_hz": 3.0}, (146.1667, 145.026, 141.3235), 144.2246),
    ],
)
def test_what_was_rendered_before_there_were_cameras_is_unchanged(changes, mean, place):
    """Means of all pixels, and weighted by their place; tolerances are for other processors."""
    frames = frames_of(replace(TINY, **changes)).astype(np.float64)
    rows, columns = np.mgrid[0:72, 0:96]
    weights = (1 + np.cos(0.7 * rows) * np.sin(0.3 * columns))[..., None]
    assert frames.mean(axis=(0, 1, 2)) == pytest.approx(mean, abs=0.01)
    assert (frames * weights).mean() == pytest.approx(place, abs=0.01)


@pytest.mark.parametrize("name", ADDED)
def test_each_part_changes_the_picture_and_not_the_label(name):
    plain, changed = render(TINY), render(replace(TINY, **{name: ADDED[name]}))
    assert not np.array_equal(np.stack(list(plain.frames())), np.stack(list(changed.frames())))
    for field in ("t", "bvp", "hr", "bvp_label"):
        assert np.array_equal(getattr(plain, field), getattr(changed, field))


def test_a_neutral_camera_only_rounds():
    assert (taken(117.4, noise=0) == 117).all()
    assert (taken(300.0, noise=0) == 255).all()


@pytest.mark.parametrize("level", [40.0, 160.0])
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_shot_noise_grows_with_the_light(level, scale):
    frame = taken(level, (200, 200), scale, noise=1.5, shot_noise=0.05).astype(float)
    want = scale**2 * (1.5**2 + 0.05 * level) + 1 / 12  # and the rounding's
    assert frame.var() == pytest.approx(want, rel=0.03)
    assert frame.mean() == pytest.approx(level, abs=0.05)


def test_saturation_keeps_greys_and_brightness():
    for saturation in (0.0, 0.6, 1.7):
        matrix = colour_matrix(saturation, 0.0) if saturation != 1 else np.eye(3)
        assert matrix @ [90, 90, 90] == pytest.approx([90, 90, 90])
        assert LUMA @ matrix @ [120, 80, 30] == pytest.approx(LUMA @ [120, 80, 30])
    assert np.ptp(colour_matrix(0.0, 0.0) @ [120, 80, 30]) == pytest.approx(0)
    assert colour_matrix(1.0, 0.0) is None


def test_warmth_is_more_red_and_less_blue():
    assert colour_matrix(1.0, 0.2) @ [100, 100, 100] == pytest.approx([120, 100, 80])
    r, g, b = taken(100.0, noise=0, warmth=-0.2)[0, 0]
    assert (r, g, b) == (80, 100, 120)


def test_a_tone_curve_keeps_black_and_white_and_scales_ac_to_dc():
    assert tone_table(1.0) is None
    for gamma in (0.5, 2.0):
        table = tone_table(gamma)
        assert table[0] == 0
        assert table[-1] == 255
        assert (np.diff(table.astype(int)) >= 0).all()
        assert taken(127.5, noise=0, gamma=gamma)[0, 0, 0] == round(255 * 0.5**gamma)
    dark, bright = (float(taken(v, noise=0, gamma=0.5).mean()) for v in (100.0, 121.0))
    assert bright / dark == pytest.approx(1.21**0.5, abs=0.01)


def test_blur_smooths_and_keeps_the_mean():
    rng = np.random.default_rng(0)
    light = rng.uniform(50, 200, (60, 80, 3)).astype(np.float32)
    sharp, soft, less = (
        Camera(replace(TINY, noise=0, blur=b), (60, 80), scale).take(light.copy()).astype(float)
        for b, scale in ((0, 1), (2.0, 1), (2.0, 0.25))
    )
    assert soft.std() < 0.3 * sharp.std()
    assert soft.std() < less.std() < sharp.std()
    assert soft.mean() == pytest.approx(sharp.mean(), abs=1)


def test_worse_jpeg_loses_more():
    frame = frames_of(replace(TINY, duration_s=0.1))[0]
    lost = [np.abs(through_jpeg(frame, q).astype(int) - frame).mean() for q in (95, 60, 20)]
    assert 0 < lost[0] < lost[1] < lost[2]


def test_frames_are_exposed_early_or_late_but_in_order():
    settings = replace(TINY, duration_s=20, jitter_ms=8.0)
    clip = render(settings)
    late = clip._exposed - clip.t
    assert (np.diff(clip._exposed) > 0).all()
    assert 1000 * late.std() == pytest.approx(8.0, rel=0.15)
    assert abs(late).max() < 0.5 / settings.fs
    at_exposure = np.interp(clip._exposed, clip.t_label, clip.bvp_label)
    assert clip._shown[:-1] == pytest.approx(at_exposure[:-1], abs=0.03)
    assert np.abs(clip._shown - clip.bvp).max() > 0.05


def test_dropped_frames_show_the_one_before():
    frames = frames_of(replace(TINY, duration_s=10, dropped=0.2))
    repeated = (frames[1:] == frames[:-1]).all(axis=(1, 2, 3))
    assert np.mean(repeated) == pytest.approx(0.2, abs=0.07)


def test_no_pulse_shows_through_beard_and_glasses():
    plain, bearded, glasses = head(4, 2), head(4, 2, beard=1.0), head(4, 2, glasses=True)
    chin, eyes, forehead = (
        (slice(285, 305), slice(140, 180)),
        (slice(165, 178), slice(80, 240)),
        (
            slice(105, 125),
            slice(120, 200),
        ),
    )
    assert bearded.pulse[chin].mean() < 0.4 * plain.pulse[chin].mean()
    assert bearded.albedo[chin].mean() < 0.6 * plain.albedo[chin].mean()
    assert glasses.pulse[eyes].mean() < 0.95 * plain.pulse[eyes].mean()
    for other in (bearded, glasses):
        assert other.pulse[forehead] == pytest.approx(plain.pulse[forehead], abs=0.02)


def test_faces_with_beard_and_glasses_are_found():
    found = 0
    for number in range(4):
        settings = SynthSettings(
            seed=number, duration_s=0.1, width=320, height=240, head=MORE_HEADS + number,
            skin_tone=1 + number % 6, glasses=True, beard=0.8,
        )  # fmt: skip
        found += any(80 < w < 160 for _, _, w, _ in find_faces(next(render(settings).frames())))
    assert found == 4


def test_numbers_from_more_heads_on_are_other_heads():
    assert np.array_equal(head(5, 1).albedo, head(5 + N_HEADS, 1).albedo)
    more = {head(MORE_HEADS + i, 1).albedo.tobytes() for i in (0, 1, N_HEADS)}
    assert len(more | {head(MORE_HEADS % N_HEADS, 1).albedo.tobytes()}) == 4


def moved(name, seconds=30.0, scale=1.0):
    t = np.arange(round(30 * seconds)) / 30
    return t, motion(name, t, scale, np.random.default_rng(2))


def test_steps_come_at_a_rate_that_a_heart_could_have():
    t, m = moved("bobbing")
    power = np.abs(np.fft.rfft(m.y - m.y.mean())) ** 2
    rates = np.fft.rfftfreq(len(t), 1 / 30)
    assert 1.1 < rates[rates > 0.6][np.argmax(power[rates > 0.6])] < 2.8


def test_heads_look_around_and_dwell_on_what_they_see():
    t, m = moved("looking")
    for angle in (m.pitch, m.yaw):
        assert 10 < np.ptp(angle) < 50
    still = np.abs(np.gradient(m.pitch, t)) < 1e-9
    assert 0.4 < still.mean() < 0.95
    assert not np.array_equal(np.sign(m.pitch), np.sign(m.yaw))


def test_heads_nod_lean_and_do_neither_in_pures_setups():
    assert 10 < np.ptp(moved("nodding")[1].pitch) < 60
    assert 0.1 < np.ptp(moved("leaning")[1].size) < 0.7
    for name in SETUPS.values():
        assert not moved(name)[1].pitch.any()
        assert (moved(name)[1].size == 1).all()
    for name in MOTIONS:
        m = moved(name, scale=0.0)[1]
        assert not any(np.ptp(x) for x in (m.x, m.y, m.yaw, m.mouth, m.pitch, m.size, m.roll))


def test_a_shaken_head_turns_to_the_sides_faster_than_any_of_pures():
    def turns_per_minute(name):
        t, m = moved(name)
        return (np.diff(np.sign(np.gradient(m.yaw))) != 0).sum() / t[-1] * 60

    assert 10 < np.ptp(moved("shaking")[1].yaw) < 70
    assert turns_per_minute("shaking") > 1.3 * max(map(turns_per_minute, SETUPS.values()))


@pytest.mark.parametrize("seed", range(4))
def test_a_swaying_head_moves_and_turns_every_way_without_a_rhythm(seed):
    t = np.arange(9000) / 30
    m = motion("swaying", t, 1.0, np.random.default_rng(seed))
    for place in (m.x, m.y):
        assert place.std() == pytest.approx(0.06, rel=0.15)
    for angle in (m.yaw, m.pitch, m.roll):
        assert 2 < angle.std() < 6
    power = np.abs(np.fft.rfft(m.x - m.x.mean())) ** 2
    assert power.max() < 0.2 * power.sum()  # of a rhythm, nearly all would be at one rate
    # The autocorrelation of such motion falls to 1 / e after two time constants.
    lag = np.array([np.corrcoef(m.x[:-k], m.x[k:])[0, 1] for k in range(1, 120)])
    assert 2 * 0.12 * 0.8 < np.argmax(lag < 0.37) / 30 < 2 * 0.8 * 1.2


def test_a_tilted_head_is_turned_counter_clockwise_about_its_middle():
    def face(roll):
        clip = render(replace(TINY, width=320, height=240, motion_scale=0.0, **QUIET))
        clip._motion = replace(clip._motion, roll=np.full(len(clip.t), roll))
        return next(clip.frames())

    def apart(degrees):
        turn = cv2.getRotationMatrix2D((160, 0.46 * 240), degrees, 1.0)
        turned = cv2.warpAffine(face(0.0), turn, (320, 240))
        middle = slice(80, 140), slice(130, 190)
        return np.abs(turned[middle].astype(float) - tilted[middle]).mean()

    tilted = face(10.0)
    assert apart(10.0) < 1.0
    assert apart(10.0) < 0.3 * min(apart(d) for d in (-10.0, 0.0, 5.0))


def test_clutter_is_behind_the_head_and_has_edges():
    bare, full = (
        next(render(replace(TINY, width=320, height=240, clutter=c, **QUIET)).frames()).astype(int)
        for c in (0.0, 1.0)
    )
    assert np.array_equal(bare[90:130, 145:175], full[90:130, 145:175])  # the face
    walls = [np.abs(np.diff(picture[:, :80], axis=1)).mean() for picture in (bare, full)]
    assert walls[1] > 4 * walls[0]


def test_a_leaning_face_grows_in_the_picture():
    settings = SynthSettings(
        seed=1, duration_s=12, fs=1, width=320, height=240, motion="leaning", skin_tone=2,
        motion_scale=1.5,
    )  # fmt: skip
    clip = render(settings)
    widths = [max(w for _, _, w, _ in find_faces(f)) for f in clip.frames()]
    assert np.corrcoef(widths, clip._motion.size)[0, 1] > 0.9


def test_a_rounder_pulse_has_the_same_rate_and_less_of_a_second_harmonic():
    t = np.arange(1200) / 60
    share = []
    for roundness in (0.0, 0.5, 1.0):
        wave = bvp(t, np.full(len(t), 60.0), np.random.default_rng(1), roundness)
        power = np.abs(np.fft.rfft(wave - wave.mean()))
        assert np.argmax(power) == 20
        share.append(power[40] / power[20])
    assert share[0] > 1.5 * share[1] > 0
    assert share[2] < 0.05
    assert beat(np.array([0.19])) > 0.99 * beat(np.linspace(0, 1, 500)).max()


@pytest.mark.parametrize("jpeg", [0, 70])
def test_crops_are_those_of_the_whole_picture(jpeg):
    settings = SynthSettings(
        seed=6, duration_s=0.4, motion="fast_translation", skin_tone=3, jpeg=jpeg, **QUIET
    )
    (small, large), wave, box = render_crops(settings, (36, 72))
    clip = render(settings)
    whole = [crop(f, box) for f in clip.frames()]
    assert np.array_equal(wave, clip.bvp)
    if jpeg:  # no short cut there
        assert np.array_equal(render_face_clip(settings, 36)[0], small)
    for crops, size in ((small, 36), (large, 72)):
        want = np.stack(
            [cv2.resize(f, (size, size), interpolation=cv2.INTER_AREA) for f in whole]
        ).astype(int)
        assert crops.shape == want.shape
        assert np.abs(crops - want).mean() < 0.02
        assert np.abs(crops - want).max() <= (4 if jpeg else 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blur": -1}, {"saturation": float("nan")}, {"warmth": 0.6}, {"shot_noise": -0.1},
        {"gamma": 0}, {"jpeg": 101}, {"jpeg": 60.5}, {"jitter_ms": -1}, {"dropped": 0.9},
        {"glasses": 1}, {"beard": 1.1}, {"roundness": 2}, {"clutter": -0.1},
    ],
)  # fmt: skip
def test_settings_of_no_camera_are_refused_by_name(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(TINY, **wrong)
