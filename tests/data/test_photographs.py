"""Photographs with a pulse: what is put into them can be read, and what cannot be used is named.

The photographs are frames of the generator, as none of a person is at hand.
"""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from streamnet_plugin import cli
from streamnet_plugin.classical import pos
from streamnet_plugin.data.datasets import find_recordings
from streamnet_plugin.data.face import enlarged, largest_face
from streamnet_plugin.data.synthetic import easy, render
from streamnet_plugin.data.synthetic.photographs import PhotoClip, PhotoSettings, read_photograph
from streamnet_plugin.data.synthetic.writers import write_photograph_set
from streamnet_plugin.errors import ConfigError, DataError, NoFaceError, OutputError
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp

BAND = (0.6, 3.3)
QUIET = {"sway": 0.0, "drift": 0.0, "noise": 0.0}


@pytest.fixture(scope="module")
def photograph():
    return next(render(easy(3, noise=0.0)).frames())


def colours(clip):
    """Mean RGB (T, 3) of the face, where it is in the first frame."""
    frames = list(clip.frames())
    x, y, w, h = enlarged(largest_face(frames[0]), 0.6)
    return np.array([f[y : y + h, x : x + w].mean(axis=(0, 1)) for f in frames])


@pytest.mark.parametrize("hr", [56.0, 121.0])
def test_the_pulse_that_the_label_has_can_be_read(photograph, hr):
    clip = PhotoClip(photograph, PhotoSettings(hr_bpm=hr, duration_s=10))
    wave = pos(colours(clip), 30.0)
    assert refined_hr(clean_bvp(wave, 30.0, *BAND, False), 30.0, BAND) == pytest.approx(hr, abs=2)
    assert clip.hr.mean() == pytest.approx(hr, abs=0.1)
    assert len(clip.t) == len(clip.bvp) == len(clip.hr) == 300


def test_skin_darkens_with_the_blood_most_in_green(photograph):
    rgb = colours(PhotoClip(photograph, PhotoSettings(duration_s=5, **QUIET)))
    bvp = PhotoClip(photograph, PhotoSettings(duration_s=5)).bvp
    relative = rgb / rgb.mean(axis=0) - 1
    assert np.corrcoef(relative[:, 1], bvp)[0, 1] < -0.95
    red, green, blue = relative.std(axis=0)
    assert 0.004 < green < 0.01  # 0.8 % times 0.6 to 1.2, by place
    assert red < blue < green


def test_without_pulse_sway_and_noise_it_is_a_photograph(photograph):
    def last_against_first(**changes):
        settings = {"duration_s": 2, "pulse": 0.0, **QUIET, **changes}
        first, *_, last = PhotoClip(photograph, PhotoSettings(**settings)).frames()
        return np.abs(first.astype(int) - last).mean()

    assert last_against_first() == 0
    for change in ({"sway": 0.05}, {"drift": 0.05}, {"noise": 2.0}, {"pulse": 5.0}):
        assert last_against_first(**change) > 0.05


def test_the_same_settings_give_the_same_pixels(photograph):
    def first(seed):
        return next(PhotoClip(photograph, PhotoSettings(seed=seed, duration_s=1)).frames())

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_what_cannot_be_a_face_is_refused(photograph):
    settings = PhotoSettings(duration_s=1)
    with pytest.raises(NoFaceError):
        PhotoClip(np.full((300, 400, 3), 120, np.uint8), settings)
    gray = np.repeat(photograph.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    with pytest.raises(DataError, match="skin's colour"):
        PhotoClip(gray, settings)
    with pytest.raises(DataError, match="px wide, in a picture of 240 px"):
        PhotoClip(cv2.resize(photograph, (240, 180)), settings)
    for wrong in ({"sway": -1}, {"duration_s": 0}, {"noise": float("nan")}, {"hr_bpm": 10}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PhotoSettings(**wrong)


@pytest.fixture
def pictures(photograph, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("p1.png", "p10.jpg"):
        assert cv2.imwrite(str(folder / name), photograph[..., ::-1])
    (folder / "p2.jpg").write_text("no picture")
    (folder / "p3.png").touch()
    assert cv2.imwrite(str(folder / "p4.png"), np.full((300, 400, 3), 120, np.uint8))
    (folder / "notes.txt").write_text("not a picture, and not named like one")
    return folder


def test_a_set_names_the_pictures_that_it_cannot_use(pictures, tmp_path):
    out = tmp_path / "out"
    options = ["synth", "photos", str(pictures), str(out), "--seconds", "1"]
    result = CliRunner().invoke(cli.app, options)
    assert result.exit_code == cli.EXIT_FAILED
    assert "2 recordings in" in result.output
    for name, file in (("subject2", "p2.jpg"), ("subject3", "p3.png"), ("subject4", "p4.png")):
        assert f"FAILED {name} ({pictures / file}): " in result.output
    found = find_recordings("UBFC-rPPG", out)
    assert [recording.id for recording in found] == ["subject1", "subject5"]
    assert len((out / "subject1" / "ground_truth.txt").read_text().splitlines()[0].split()) == 30
    made_by = json.loads((out / "subject5" / "synthetic.json").read_text())
    assert made_by["settings"]["seed"] == 5
    assert len(made_by["settings"]["photograph"]) == 64


def test_what_is_there_is_kept_and_not_mixed_with_other_settings(pictures, tmp_path):
    settings = PhotoSettings(duration_s=1)
    failures = write_photograph_set(pictures, tmp_path / "out", settings)
    assert list(failures) == ["subject2", "subject3", "subject4"]
    video = tmp_path / "out" / "subject1" / "vid.avi"
    before = video.stat().st_mtime_ns
    write_photograph_set(pictures, tmp_path / "out", settings)
    assert video.stat().st_mtime_ns == before
    with pytest.raises(OutputError, match=r"sway 0\.025 instead of 0\.1"):
        write_photograph_set(pictures, tmp_path / "out", PhotoSettings(duration_s=1, sway=0.1))


def test_a_folder_named_like_a_picture_is_no_picture(tmp_path):
    with pytest.raises(DataError, match="cannot be read") as error:
        read_photograph(tmp_path)
    assert error.value.path == tmp_path


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_pictures_is_refused(tmp_path, exists):
    folder = tmp_path / "pictures"
    if exists:
        folder.mkdir()
    with pytest.raises(DataError, match="pictures" if exists else "no such folder"):
        write_photograph_set(folder, tmp_path / "out", PhotoSettings())
