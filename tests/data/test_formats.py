"""UBFC-rPPG, PURE and own videos: what is read, and what damaged files are told."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from streamnet_plugin.data.datasets import find_recordings, read_label
from streamnet_plugin.data.natural import natural_key
from streamnet_plugin.data.pure import find_pure, read_pure_label
from streamnet_plugin.data.synthetic import SynthSettings, easy, render
from streamnet_plugin.data.synthetic.writers import write_pure_set, write_ubfc
from streamnet_plugin.data.ubfc import find_ubfc, read_ubfc_label
from streamnet_plugin.data.video import find_videos, open_frames
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.types import Recording

TINY = {"width": 160, "height": 120, "duration_s": 2.0}


def labelled(tmp_path, text, name="ground_truth.txt"):
    path = tmp_path / name
    path.write_text(text)
    return Recording("UBFC-rPPG", "s", "s", tmp_path / "vid.avi", path)


def write_avi(path, frames, fps=30.0, colour=True):
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (width, height), colour
    )
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def gray_frames(n, size=(48, 64)):
    return [np.full((*size, 3), 40 + i % 100, np.uint8) for i in range(n)]


def test_natural_order():
    names = ["subject10", "subject2", "a", "subject1"]
    assert sorted(names, key=natural_key) == ["a", "subject1", "subject2", "subject10"]


def test_ubfc_is_found_in_natural_order_under_a_misleading_parent(tmp_path, ubfc_subject):
    root = tmp_path / "subject99"
    for n in (10, 2, 1):
        shutil.copytree(ubfc_subject, root / f"subject{n}")
    assert [r.id for r in find_ubfc(root)] == ["subject1", "subject2", "subject10"]


def test_a_subject_without_its_video_is_listed(tmp_path, ubfc_subject):
    shutil.copytree(ubfc_subject, tmp_path / "subject1")
    (tmp_path / "subject2").mkdir()
    assert [r.id for r in find_ubfc(tmp_path)] == ["subject1", "subject2"]


def test_both_parts_of_ubfc_hold_the_same_pulse(tmp_path, ubfc_subject):
    two = find_ubfc(ubfc_subject.parent)[0]
    settings = easy(0, width=160, height=120, duration_s=10.0, hr_bpm=72.0)
    write_ubfc(tmp_path / "1-gt", settings, "mjpg", dataset=1)
    one = find_ubfc(tmp_path)[0]
    a, b = read_ubfc_label(two), read_ubfc_label(one)
    at = np.linspace(0.5, 9.0, 200)
    r = np.corrcoef(np.interp(at, a.t, a.bvp), np.interp(at, b.t, b.bvp))[0, 1]
    assert r > 0.99
    assert a.hr.mean() == pytest.approx(72, abs=1)
    assert b.hr.mean() == pytest.approx(72, abs=1)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("1 2 3\n60 60 60\n", "three lines"),
        ("1 2 3\n60 60 60\n0 0.1\n", "3, 3 and 2"),
        ("1 nan 3\n60 60 60\n0 0.1 0.2\n", "not numbers"),
        ("1 two 3\n60 60 60\n0 0.1 0.2\n", "text"),
        ("1 2 3\n60 60 60\n0.2 0.1 0\n", "backwards"),
    ],
)
def test_damaged_ubfc_labels_are_named(tmp_path, text, says):
    with pytest.raises(DataError, match=says) as error:
        read_ubfc_label(labelled(tmp_path, text))
    assert error.value.path == tmp_path / "ground_truth.txt"


def test_missing_and_empty_folders(tmp_path):
    for finder in (find_ubfc, find_pure, find_videos):
        with pytest.raises(DataError, match="no such"):
            finder(tmp_path / "nowhere")
        with pytest.raises(DataError):
            finder(tmp_path)


def test_unknown_dataset_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="UBFC-rPPG, PURE, video"):
        find_recordings("UBFC", tmp_path)


def test_pure_has_subjects_and_setups(tmp_path):
    write_pure_set(tmp_path, 2, setups=(1, 4), **TINY)
    found = find_pure(tmp_path)
    assert [r.id for r in found] == ["01-01", "01-04", "02-01", "02-04"]
    assert [r.subject for r in found] == ["01", "01", "02", "02"]
    assert found[1].groups == {"setup": "fast translation"}


def test_pure_labels_lie_on_the_images_clock(pure_recording):
    recording = find_pure(pure_recording.parent)[0]
    path = recording.label_path
    content = json.loads(path.read_text())
    trace = read_pure_label(recording)
    assert 1 / np.median(np.diff(trace.t)) == pytest.approx(60, rel=0.01)
    first_label = content["/FullPackage"][0]["Timestamp"]
    first_image = content["/Image"][0]["Timestamp"]
    assert trace.t[0] == pytest.approx((first_label - first_image) / 1e9)
    times = np.array([t for t, _ in open_frames(recording.path)])
    truth = render(easy(1, width=320, height=240, duration_s=10.0, hr_bpm=72.0)).bvp
    at_images = np.interp(times, trace.t, trace.bvp)
    assert np.corrcoef(at_images, truth)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.pop("/FullPackage"), "FullPackage"),
        (lambda c: c["/FullPackage"][0]["Value"].pop("waveform"), "waveform"),
        (lambda c: c["/FullPackage"].clear(), "no samples"),
        (lambda c: c["/FullPackage"][3]["Value"].update(waveform="x"), "cannot be read"),
        (lambda c: c["/FullPackage"][3]["Value"].update(waveform=float("nan")), "not numbers"),
    ],
)
def test_damaged_pure_labels_are_named(tmp_path, pure_recording, change, says):
    shutil.copytree(pure_recording, tmp_path / "01-01")
    path = tmp_path / "01-01" / "01-01.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=says):
        read_pure_label(find_pure(tmp_path)[0])


def test_a_truncated_avi_is_an_error_with_both_counts(tmp_path):
    path = write_avi(tmp_path / "vid.avi", gray_frames(90, (240, 320)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError):
        list(open_frames(path))


def test_an_empty_and_a_false_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(DataError, match="0 bytes"):
        open_frames(tmp_path / "a.mp4")
    for name, text in (("b.mp4", "not a video"), ("c.txt", "0.1 0.2\n" * 200)):
        (tmp_path / name).write_text(text)  # the second is drawn, as by a terminal
        with pytest.raises(DataError, match="decoded"):
            open_frames(tmp_path / name)


def test_a_zero_byte_png_is_named(tmp_path):
    for i in range(40):
        cv2.imwrite(str(tmp_path / f"Image{i * 33_333_333}.png"), np.zeros((8, 8, 3), np.uint8))
    bad = tmp_path / f"Image{7 * 33_333_333}.png"
    bad.write_bytes(b"")
    with pytest.raises(DataError, match="image 8 of 40") as error:
        list(open_frames(tmp_path))
    assert error.value.path == bad


@pytest.mark.parametrize("fps", [0.5, 2000.0])
def test_an_absurd_frame_rate_needs_the_true_one(tmp_path, fps):
    path = write_avi(tmp_path / "v.avi", gray_frames(5), fps=fps)
    with pytest.raises(DataError, match="--fps"):
        open_frames(path)
    assert open_frames(path, fps=30.0).fs == 30.0


def test_gray_and_transparent_images_become_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.full((8, 8), 7, np.uint8))
    bgra = np.zeros((8, 8, 4), np.uint8)
    bgra[...] = (1, 2, 3, 255)
    cv2.imwrite(str(tmp_path / "1.png"), bgra)
    frames = [f for _, f in open_frames(tmp_path, fps=30.0)]
    assert frames[0].shape == (8, 8, 3)
    assert (frames[0] == 7).all()
    assert tuple(frames[1][0, 0]) == (3, 2, 1)


def test_a_grayscale_video_is_read(tmp_path):
    frames = [f[..., 0] for f in gray_frames(5)]
    path = write_avi(tmp_path / "v.avi", frames, colour=False)
    assert next(iter(open_frames(path)))[1].shape == (48, 64, 3)


def test_own_videos_have_no_label(tmp_path):
    write_avi(tmp_path / "me.avi", gray_frames(3))
    (found,) = find_videos(tmp_path / "me.avi")
    assert read_label(found) is None
    assert found.id == "me"


def test_the_writers_record_their_settings(ubfc_subject):
    manifest = json.loads((ubfc_subject / "synthetic.json").read_text())
    assert SynthSettings(**manifest["settings"]).hr_bpm == 72.0


def test_raw_recordings_lose_nothing(tmp_path):
    settings = easy(2, width=160, height=120, duration_s=1.0)
    write_ubfc(tmp_path / "subject1", settings, codec="raw")
    read = [f for _, f in open_frames(tmp_path / "subject1" / "vid.avi")]
    assert np.array_equal(np.stack(read), np.stack(list(render(settings).frames())))


def test_images_that_the_json_lists_are_missed(tmp_path, pure_recording):
    shutil.copytree(pure_recording, tmp_path / "01-01")
    images = sorted((tmp_path / "01-01" / "01-01").glob("*.png"))
    for image in images[100:150]:
        image.unlink()
    with pytest.raises(DataError, match="50 of the 300 images"):
        read_label(find_pure(tmp_path)[0])


def test_labels_keep_step_when_the_first_images_are_missing(tmp_path, pure_recording):
    shutil.copytree(pure_recording, tmp_path / "01-01")
    images = sorted((tmp_path / "01-01" / "01-01").glob("*.png"))
    whole = read_label(find_pure(tmp_path)[0])
    for image in images[:3]:
        image.unlink()
    assert read_label(find_pure(tmp_path)[0]).t == pytest.approx(
        whole.t - 0.1, abs=2e-3
    )  # two clocks that jitter by 1 ms


def test_a_timestamp_beyond_all_clocks_is_a_data_error(tmp_path, pure_recording):
    shutil.copytree(pure_recording, tmp_path / "01-01")
    path = tmp_path / "01-01" / "01-01.json"
    content = json.loads(path.read_text())
    content["/FullPackage"][5]["Timestamp"] = 10**30
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="cannot be read"):
        read_label(find_pure(tmp_path)[0])


def test_hidden_folders_are_no_recordings(tmp_path, ubfc_subject):
    shutil.copytree(ubfc_subject, tmp_path / "subject1")
    shutil.copytree(ubfc_subject, tmp_path / ".making-1-x")
    shutil.copytree(ubfc_subject, tmp_path / ".trash" / "subject2")
    assert [r.id for r in find_ubfc(tmp_path)] == ["subject1"]
