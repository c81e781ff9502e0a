"""One's own video: light that flickers is no pulse, and a stated frame rate is believed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamnet_plugin import cli
from streamnet_plugin.data.synthetic import easy, render
from streamnet_plugin.data.synthetic.writers import write_video
from streamnet_plugin.errors import NoFaceError
from streamnet_plugin.prediction import predict

SMALL = {"width": 320, "height": 240, "duration_s": 12.0}


@pytest.mark.parametrize(("seed", "tone"), [(70, 2), (80, 5)])
def test_light_that_flickers_is_not_trusted(tmp_path, seed, tone):
    doll = easy(seed, pulse=0.0, flicker=0.01, flicker_hz=1.4, skin_tone=tone, **SMALL)
    video = write_video(tmp_path / "doll.avi", doll)
    reading = predict(video)
    assert reading.hr_bpm == pytest.approx(84, abs=1)
    (doubt,) = reading.doubts  # nothing else is wrong with so clear a line
    assert "the light flickers" in doubt
    assert "not to be trusted" in reading.describe()
    assert not predict(video, "POS").trusted


@pytest.mark.parametrize(("seed", "tone"), [(1, 1), (8, 3), (54, 4)])
def test_a_pulse_is_trusted_whatever_the_skin(tmp_path, seed, tone):
    settings = replace(easy(seed, hr_bpm=80.0, **SMALL), skin_tone=tone)
    video = write_video(tmp_path / "me.avi", settings)
    for method in ("STREAMNet", "POS"):
        reading = predict(video, method)
        assert reading.doubts == ()
        assert reading.hr_bpm == pytest.approx(80, abs=3)


def test_a_pulse_beside_a_lamp_of_another_rate_is_trusted(tmp_path):
    settings = easy(92, flicker=0.005, flicker_hz=2.0, hr_bpm=72.0, **SMALL)
    assert predict(write_video(tmp_path / "me.avi", settings)).trusted


def test_a_stated_frame_rate_decides_the_heart_rate(tmp_path, monkeypatch):
    """A file that says 15 Hz of a video of 30 Hz halves the heart rate; --fps puts it right."""
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("me.avi", cv2.VideoWriter.fourcc(*"MJPG"), 15.0, (320, 240))
    for frame in render(easy(7, hr_bpm=100.0, **SMALL)).frames():
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    assert predict("me.avi", "POS").hr_bpm == pytest.approx(50, abs=2)
    result = CliRunner().invoke(cli.app, ["predict", "me.avi", "-m", "POS", "--fps", "30"])
    assert result.exit_code == 0
    assert float(result.output.split("HR ")[1].split()[0]) == pytest.approx(100, abs=3)
    assert "12.0 s of video" in result.output


def test_remedies_are_those_of_predict(tmp_path):
    settings = easy(7, width=320, height=240, duration_s=1.0, light=0.01)
    with pytest.raises(NoFaceError) as error:
        predict(write_video(tmp_path / "dark.avi", settings), "POS")
    assert "DO_" not in str(error.value)
