"""What holds for every method, and equality with the real toolbox."""

import pickle
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from streamnet_plugin import classical
from streamnet_plugin.classical import METHODS
from streamnet_plugin.classical.chrom import covered_frames
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.types import Method

BAND = (0.6, 3.3)
TOOLBOX_NAMES = ("GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT")
every_method = pytest.mark.parametrize("name", METHODS)
colour_method = pytest.mark.parametrize("name", [name for name in METHODS if name != "GREEN"])


def test_the_seven_and_the_variants_that_depart_from_their_paper():
    papers = ("CHROM", "POS", "PBV", "OMIT", "ICA")
    assert set(METHODS) == {*TOOLBOX_NAMES, *(f"{name}:paper" for name in papers)}
    assert all(METHODS[name].name == name for name in METHODS)


@every_method
def test_can_be_registered_and_sent_to_a_worker(name):
    target = f"streamnet_plugin.classical:{name.replace(':paper', '_PAPER')}"
    method = EntryPoint(name, target, "rppg.methods").load()
    assert isinstance(method, Method)
    assert pickle.loads(pickle.dumps(method)) == method


@every_method
def test_functions_are_exported_beside_the_objects(name):
    function = getattr(classical, name.lower().replace(":", "_"))
    assert function is METHODS[name].function


@every_method
@pytest.mark.parametrize("bpm", [50.0, 72.0, 131.0])
@pytest.mark.parametrize("fs", [20.0, 30.0])
def test_heart_rate_and_polarity_of_the_bvp(name, bpm, fs, skin):
    video = skin(bpm=bpm, fs=fs)
    bvp = METHODS[name].from_rgb(video.rgb, fs).bvp
    assert bvp.shape == (len(video.rgb),)
    assert bvp.dtype == np.float64
    clean = clean_bvp(bvp, fs, *BAND, False)
    assert refined_hr(clean, fs, BAND) == pytest.approx(bpm, abs=1)
    truth = clean_bvp(video.bvp, fs, *BAND, False)
    assert np.corrcoef(clean, truth)[0, 1] > 0.7


@every_method
def test_brightness_of_the_video_does_not_change_the_waveform(name, skin):
    video = skin()
    bvp = METHODS[name].from_rgb(video.rgb, 30).bvp
    dark = METHODS[name].from_rgb(video.rgb / 7, 30).bvp
    assert np.corrcoef(bvp, dark)[0, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "GREEN" and "ICA" not in n])
def test_common_brightness_changes_are_cancelled(name, skin):
    """Light that flickers at 100 bpm must not be read (ICA may: the flicker is a source too)."""
    video = skin(noise=0.01, light=0.0)
    t = np.arange(len(video.rgb)) / 30
    rgb = video.rgb * (1 + 0.03 * np.sin(2 * np.pi * 100 / 60 * t))[:, None]
    clean = clean_bvp(METHODS[name].from_rgb(rgb, 30).bvp, 30, *BAND, False)
    assert refined_hr(clean, 30, BAND) == pytest.approx(video.bpm, abs=1)


@every_method
def test_frames_trace_and_video_give_the_same(name, skin, face_video):
    frames = np.clip(skin(seconds=10).frames(noise=3), 0, 255).astype(np.uint8)
    method = METHODS[name]
    rgb = frames.mean(axis=(1, 2)).astype(method.precision)
    from_video = method.predict(face_video(frames))
    assert from_video.differential is False
    assert from_video.samples is None
    np.testing.assert_allclose(from_video.bvp, method.from_rgb(rgb, 30).bvp, rtol=1e-9)
    same = method.from_frames(frames.astype(method.precision), 30).bvp
    np.testing.assert_allclose(from_video.bvp, same, rtol=1e-9)


@pytest.mark.parametrize("name", TOOLBOX_NAMES)
def test_what_follows_the_toolbox_reads_face_videos_in_float32(name):
    assert METHODS[name].precision is np.float32


@every_method
@pytest.mark.parametrize("fs", [15.0, 30.0, 59.94])
def test_two_seconds_are_enough(name, fs, skin):
    video = skin(seconds=2.0, fs=fs)
    assert np.isfinite(METHODS[name].from_rgb(video.rgb, fs).bvp).all()


@every_method
def test_less_than_one_slow_beat_is_too_short(name, skin):
    with pytest.raises(NoResultError, match=r"47 frames \(1\.57 s\); at least 48"):
        METHODS[name].from_rgb(skin().rgb[:47], 30)
    for n in (0, 1, 2, 10):
        with pytest.raises(NoResultError):
            METHODS[name].from_rgb(skin().rgb[:n], 30)


@every_method
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda x: np.full_like(x, np.nan), "600 of 600 frames"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 7, np.nan, x), "1 of 600 frames"),
        (lambda x: np.where(np.arange(len(x))[:, None] == 7, np.inf, x), "1 of 600 frames"),
        (lambda x: np.full_like(x, 117.3), "constant"),
        (lambda x: np.zeros_like(x), "constant"),
        (lambda x: x[:, :2], r"shape \(T, 3\)"),
        (lambda x: x[:, 0], r"shape \(T, 3\)"),
    ],
    ids=["NaN", "one NaN", "infinite", "constant", "black", "two channels", "one channel"],
)
def test_a_trace_without_a_pulse_is_an_error(name, spoil, reason, skin):
    with pytest.raises(NoResultError, match=reason) as error:
        METHODS[name].from_rgb(spoil(skin(seconds=20).rgb), 30)
    assert error.value.remedy


@colour_method
def test_grey_video_has_no_colour_to_compare(name, skin):
    grey = np.repeat(skin().rgb[:, 1:2], 3, axis=1)
    with pytest.raises(NoResultError, match="no colour"):
        METHODS[name].from_rgb(grey * [1.0, 0.5, 0.25], 30)


@colour_method
def test_an_empty_channel_is_named(name, skin):
    with pytest.raises(NoResultError, match="channel is empty"):
        METHODS[name].from_rgb(skin().rgb * [1, 1, 0], 30)


@pytest.mark.parametrize("fs", [0.0, -30.0, float("nan"), float("inf")])
@every_method
def test_absurd_frame_rate(name, fs, skin):
    with pytest.raises(NoResultError, match="frame rate"):
        METHODS[name].from_rgb(skin().rgb, fs)


@pytest.mark.parametrize("name", ["POS", "CHROM", "ICA", "CHROM:paper", "ICA:paper"])
def test_frame_rate_too_low_for_the_filter(name, skin):
    with pytest.raises(NoResultError, match="4 Hz"):
        METHODS[name].from_rgb(skin(fs=4.0, seconds=60, bpm=60).rgb, 4.0)


@pytest.mark.parametrize("name", ["CHROM", "CHROM:paper", "POS", "POS:paper"])
def test_black_frames_within_a_window_are_no_result(name, skin):
    rgb = skin().rgb
    rgb[300:420] = 0.0
    with pytest.raises(NoResultError, match="not finite") as error:
        METHODS[name].from_rgb(rgb, 30)
    assert "black" in error.value.remedy


@every_method
def test_error_of_a_video_names_file_and_method(name, face_video):
    video = face_video(np.full((90, 4, 4, 3), 80, np.uint8))
    with pytest.raises(NoResultError) as error:
        METHODS[name].predict(video)
    assert error.value.path == video.recording.path
    assert name in str(error.value)


@pytest.mark.parametrize("shape", [(90, 4, 4), (90, 4, 4, 1), (90, 4, 4, 4), (0, 4, 4, 3)])
def test_frames_of_another_shape(shape):
    with pytest.raises(NoResultError, match="frames of shape"):
        METHODS["POS"].from_frames(np.ones(shape), 30)


@every_method
def test_input_is_not_changed(name, skin):
    rgb = skin(seconds=5).rgb
    before = rgb.copy()
    METHODS[name].from_rgb(rgb, 30)
    np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize("name", TOOLBOX_NAMES)
@pytest.mark.parametrize(
    ("seconds", "fs", "noise"), [(30, 30, 0.5), (30, 30, 20.0), (18.04, 25, 2.0), (2.4, 30, 0.5)]
)
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_equals_the_toolbox(name, seconds, fs, noise, precision, skin, toolbox):
    frames = skin(seconds=seconds, fs=float(fs)).frames(noise=noise, size=8).astype(precision)
    theirs = toolbox(name, frames, fs)
    ours = METHODS[name].from_frames(frames, fs).bvp
    n = len(theirs)
    if name == "CHROM":
        sign = 1
        assert n == covered_frames(len(frames), fs)
    else:
        sign = np.sign(theirs @ ours) if name == "ICA" else -1
        assert n == len(frames)
    np.testing.assert_allclose(ours[:n], sign * theirs, rtol=0, atol=1e-7 * np.std(theirs))
