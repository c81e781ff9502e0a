"""One's own video: flicker is no pulse, a stated frame rate is believed, a calibrator used."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamnet_plugin import cli, prediction
from streamnet_plugin.data.synthetic import easy, render
from streamnet_plugin.data.synthetic.writers import write_video
from streamnet_plugin.errors import ConfigError, DataError, NoFaceError
from streamnet_plugin.prediction import predict
from streamnet_plugin.uncertainty.calibration import CalibratorFile, save_calibrators
from streamnet_plugin.uncertainty.conformal import calibrate

FEW_SAMPLES = 6
"""Instead of 30: every one takes a quarter of a second here."""
SMALL = {"width": 320, "height": 240, "duration_s": 12.0}


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(prediction, "MC_SAMPLES", FEW_SAMPLES)


def test_light_that_flickers_is_not_trusted(tmp_path):
    doll = easy(80, pulse=0.0, flicker=0.01, flicker_hz=1.4, skin_tone=5, **SMALL)
    video = write_video(tmp_path / "doll.avi", doll)
    reading = predict(video, "GREEN")
    assert reading.hr_bpm == pytest.approx(84, abs=1)
    (doubt,) = reading.doubts  # nothing else is wrong with so clear a line
    assert "the light flickers" in doubt
    assert "not to be trusted" in reading.describe()
    assert not predict(video, "POS").trusted
    assert not predict(video, "STREAMNet").trusted


@pytest.mark.parametrize(
    ("seed", "tone", "methods"),
    [(1, 1, ["STREAMNet", "POS"]), (3, 2, ["POS"]), (8, 3, ["POS"]), (54, 4, ["POS"])],
)
def test_a_pulse_is_trusted_whatever_the_skin(tmp_path, seed, tone, methods):
    settings = easy(seed, hr_bpm=80.0, skin_tone=tone, **SMALL)
    video = write_video(tmp_path / "me.avi", settings)
    for method in methods:
        reading = predict(video, method)
        assert reading.doubts == ()
        assert reading.hr_bpm == pytest.approx(80, abs=3)


def test_a_pulse_beside_a_lamp_of_another_rate_is_trusted(tmp_path):
    settings = easy(92, flicker=0.005, flicker_hz=2.0, hr_bpm=72.0, **SMALL)
    assert predict(write_video(tmp_path / "me.avi", settings), "POS").trusted


def test_a_slow_pulse_that_was_doubled_is_not_trusted(tmp_path):
    video = write_video(tmp_path / "slow.avi", easy(500, hr_bpm=45.0, **SMALL))
    reading = predict(video, "POS")
    assert reading.hr_bpm == pytest.approx(90, abs=3)
    (doubt,) = reading.doubts
    assert f"the heart may beat at {reading.hr_bpm / 2:.0f} bpm" in doubt


def test_a_stated_frame_rate_decides_the_heart_rate(tmp_path, monkeypatch):
    """A file that says 15 Hz of a video of 30 Hz halves the heart rate; --fps puts it right."""
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("me.avi", cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (320, 240))
    for frame in render(easy(7, hr_bpm=150.0, **SMALL)).frames():
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    assert predict("me.avi", "POS").hr_bpm == pytest.approx(75, abs=2)
    result = CliRunner().invoke(cli.app, ["predict", "me.avi", "-m", "POS", "--fps", "30"])
    assert result.exit_code == 0
    assert float(result.output.split("HR ")[1].split()[0]) == pytest.approx(150, abs=3)
    assert "12.0 s of video" in result.output


def test_remedies_are_those_of_predict(tmp_path):
    settings = easy(7, width=320, height=240, duration_s=1.0, light=0.01)
    with pytest.raises(NoFaceError) as error:
        predict(write_video(tmp_path / "dark.avi", settings), "POS")
    assert "DO_" not in str(error.value)


def calibrator_of(path, method="POS", n=12, largest=None, **changes):
    """A file of `n` subjects, scores 1, 2, ..., n or `largest`: at 90 %, q of 12 is the last."""
    scores = np.arange(1.0, n + 1)
    scores[-1] = largest or n
    made = CalibratorFile(
        {method: calibrate(3 * scores, np.full(n, 2.0), [f"s{i}" for i in range(n)])},
        "toolbox-2025 (0.6-3.3 Hz)",
        "whole videos",
        sampled=frozenset({method} - {"POS"}),
    )
    save_calibrators(replace(made, **changes), path)
    return path


@pytest.fixture
def own_video(ubfc_subject):
    return ubfc_subject / "vid.avi"


@pytest.mark.parametrize("method", ["POS", "STREAMNet"])
def test_a_calibrator_gives_an_interval_around_the_reading(
    own_video, tmp_path, monkeypatch, method
):
    monkeypatch.setattr(prediction, "MC_SAMPLES", 2)
    reading = predict(own_video, method, calibrator=calibrator_of(tmp_path / "c.json", method))
    assert (reading.hr_std_bpm is None) == (method == "POS")
    assert reading.half_width_bpm == pytest.approx(12 * (reading.spread_bpm + 1))
    low, high = reading.interval
    assert low == pytest.approx(max(36, reading.hr_bpm - reading.half_width_bpm))
    assert high == pytest.approx(min(198, reading.hr_bpm + reading.half_width_bpm))
    assert f"90 % interval {low:.1f}-{high:.1f} bpm" in reading.describe()
    assert "Note: the interval was calibrated on whole videos" in reading.describe()


@pytest.mark.parametrize(
    ("method", "sampled", "said"),
    [("POS", {"POS"}, "made with"), ("STREAMNet", (), "made without")],
)
def test_a_calibrator_of_other_spreads_is_refused(own_video, tmp_path, method, sampled, said):
    file = calibrator_of(tmp_path / "c.json", method, sampled=frozenset(sampled))
    with pytest.raises(ConfigError, match=f"{said} Monte Carlo samples of {method}"):
        predict(own_video, method, calibrator=file)


def test_the_interval_ends_with_the_band_of_heart_rates(own_video, tmp_path):
    huge = calibrator_of(tmp_path / "c.json", largest=1000)
    reading = predict(own_video, "POS", calibrator=huge)
    assert reading.half_width_bpm > 198
    assert reading.interval == pytest.approx((36.0, 198.0))
    assert "90 % interval 36.0-198.0 bpm" in reading.describe()


def test_without_a_calibrator_there_is_no_interval(own_video):
    reading = predict(own_video, "POS")
    assert reading.half_width_bpm is None
    assert reading.spread_bpm > 0
    assert "interval" not in reading.describe()


def test_too_few_subjects_in_the_calibrator_make_no_number(own_video, tmp_path):
    few = calibrator_of(tmp_path / "c.json", n=5)
    reading = predict(own_video, "POS", calibrator=few)
    assert reading.half_width_bpm == float("inf")
    assert "90 % interval unknown (too few subjects in the calibrator)" in reading.describe()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"convention": "neurips-2023 (0.75-2.5 Hz)"}, "neurips-2023 .*, predict reads with toolb"),
        ({"method": "STREAMNet"}, "does not know POS.*it knows STREAMNet"),
    ],
)
def test_a_calibrator_of_something_else_is_refused(tmp_path, changes, says):
    """Before the video is looked at."""
    path = calibrator_of(tmp_path / "c.json", **changes)
    with pytest.raises(ConfigError, match=says) as error:
        predict(tmp_path / "no.avi", "POS", calibrator=path)
    assert error.value.path == path
    path.write_text("{}")
    with pytest.raises(DataError, match="no calibrator file"):
        predict(tmp_path / "no.avi", "POS", calibrator=path)


def test_the_command_takes_a_calibrator(own_video, tmp_path):
    path = calibrator_of(tmp_path / "c.json")
    result = CliRunner().invoke(
        cli.app,
        [
            "predict",
            str(own_video),
            "-m",
            "POS",
            "--calibrator",
            str(path),
            "-o",
            str(tmp_path / "p"),
        ],
    )
    assert result.exit_code == 0
    assert "90 % interval" in result.output
