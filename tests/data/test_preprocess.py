"""Crops, labels in step, the cache, and a batch that goes on past damaged videos."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamnet_plugin.atomic import remove_leftovers
from streamnet_plugin.data import cache, preprocess
from streamnet_plugin.data.clips import label_of, make_label
from streamnet_plugin.data.datasets import dataset_fingerprint
from streamnet_plugin.data.face import crop, enlarged, find_faces, largest_face
from streamnet_plugin.data.preprocess import (
    PreprocessSettings,
    labels_by_index,
    preprocess_all,
    preprocess_recording,
    stretched,
)
from streamnet_plugin.data.pure import find_pure
from streamnet_plugin.data.synthetic import SynthSettings, easy, render
from streamnet_plugin.data.synthetic.writers import write_video
from streamnet_plugin.data.ubfc import find_ubfc
from streamnet_plugin.data.video import find_videos, open_frames
from streamnet_plugin.errors import DataError, NoFaceError, OutputError
from streamnet_plugin.types import Recording

WHOLE = PreprocessSettings(width=16, height=12, crop_face=False)
FACE = PreprocessSettings(width=36, height=36)
TRUTH = {"width": 320, "height": 240, "duration_s": 10.0, "hr_bpm": 72.0}


@pytest.fixture
def subject(tmp_path, ubfc_subject):
    shutil.copytree(ubfc_subject, tmp_path / "data" / "subject1")
    return tmp_path / "data" / "subject1"


def one(folder):
    return find_ubfc(folder.parent)[0]


def small_video(path, n=60, size=(48, 64), fps=30.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, size[::-1])
    for i in range(n):
        writer.write(np.full((*size, 3), (i * 4) % 250, np.uint8))
    writer.release()
    return find_videos(path)[0]


def entries(folder):
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_crops_are_those_of_the_formula(subject, tmp_path):
    video = preprocess_recording(one(subject), FACE, tmp_path / "cache")
    frames = [f for _, f in open_frames(subject / "vid.avi")]
    x, y, w, h = largest_face(frames[0])
    assert video.face_box == (
        max(0, int(x - 0.25 * w)),
        max(0, int(y - 0.25 * h)),
        int(1.5 * w),
        int(1.5 * h),
    )
    bx, by, bw, bh = video.face_box
    expected = cv2.resize(
        frames[7][by : by + bh, bx : bx + bw], (36, 36), interpolation=cv2.INTER_AREA
    )
    assert np.array_equal(video.frames[7], expected)
    assert video.frames.shape == (300, 36, 36, 3)


def test_labels_are_in_step_with_the_frames(subject, pure_recording, tmp_path):
    ubfc = preprocess_recording(one(subject), FACE, tmp_path / "cache")
    pure = preprocess_recording(find_pure(pure_recording.parent)[0], FACE, tmp_path / "cache")
    for video, seed in ((ubfc, 0), (pure, 1)):
        truth = render(easy(seed, **TRUTH)).bvp[: len(video.bvp)]
        assert len(video.bvp) == len(video.frames)
        assert np.corrcoef(video.bvp, truth)[0, 1] > 0.999
        inner = video.frames[:, 12:24, 12:24, 1].mean(axis=(1, 2))
        assert np.corrcoef(inner, video.bvp)[0, 1] < -0.5  # blood darkens the skin


def test_index_alignment_stretches_the_labels():
    x = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    assert stretched(x, 9) == pytest.approx(np.linspace(0, 4, 9))


class TestLabelsByIndex:
    """As the toolbox does it: by the label's number, whatever its timestamp says."""

    INDEX = replace(WHOLE, align="index")

    def rewrite(self, folder, change):
        """Change the columns (BVP, HR, t) of a recording's ground truth."""
        path = folder / "ground_truth.txt"
        columns = np.array([[float(x) for x in row.split()] for row in path.open()])
        columns = change(columns)
        path.write_text("\n".join(" ".join(f"{x:.9e}" for x in row) for row in columns) + "\n")
        return columns[0]

    def test_ubfc_label_i_is_frame_is(self, subject, tmp_path):
        bvp = self.rewrite(subject, lambda c: np.hstack([c, c[:, -7:] + [[0], [0], [1.0]]]))
        assert len(bvp) == 307
        video = preprocess_recording(one(subject), self.INDEX, tmp_path / "cache")
        assert np.array_equal(video.bvp, bvp[:300])
        again = preprocess_recording(one(subject), self.INDEX, tmp_path / "cache")
        for kept in (video, again):
            assert np.array_equal(kept.bvp_after, bvp[300:])
            assert np.array_equal(label_of(kept, "Raw"), bvp[:300])
            # As the toolbox: first the difference of all that the file has, then the cut.
            for kind in ("DiffNormalized", "Standardized"):
                assert label_of(kept, kind) == pytest.approx(make_label(bvp, kind)[:300])

    @pytest.mark.parametrize(
        "change",
        [
            lambda rows: rows[:1],
            lambda rows: [rows[0], rows[1][:12], rows[2][:-1]],
            lambda rows: [rows[0], rows[1], [0.0] * 300],
            lambda rows: [rows[0], rows[1], [round(t, 1) for t in rows[2]]],
        ],
        ids=["BVP alone", "lines of other lengths", "no clock", "crude clock"],
    )
    def test_of_ubfc_it_needs_the_bvp_alone(self, subject, tmp_path, change):
        path = subject / "ground_truth.txt"
        rows = [[float(x) for x in row.split()] for row in path.open()]
        path.write_text("\n".join(" ".join(map(repr, row)) for row in change(rows)))
        video = preprocess_recording(one(subject), self.INDEX, tmp_path / "cache")
        assert np.array_equal(video.bvp, rows[0])

    @pytest.mark.parametrize("broken", ["nan", "x"])
    def test_a_damaged_bvp_is_named_all_the_same(self, subject, tmp_path, broken):
        path = subject / "ground_truth.txt"
        path.write_text(path.read_text().replace(" ", f" {broken} ", 1))
        with pytest.raises(DataError) as error:
            preprocess_recording(one(subject), self.INDEX, tmp_path / "cache")
        assert error.value.path == path

    def test_ubfc_samples_whose_time_repeats_count(self, subject, tmp_path):
        def repeat(columns):
            columns[2, 100] = columns[2, 99]
            return columns

        bvp = self.rewrite(subject, repeat)
        video = preprocess_recording(one(subject), self.INDEX, tmp_path / "cache")
        assert np.array_equal(video.bvp, bvp)

    def test_too_few_labels_of_ubfc_are_an_error_with_its_remedy(self, subject, tmp_path):
        self.rewrite(subject, lambda c: c[:, :290])
        with pytest.raises(DataError) as error:
            preprocess_recording(one(subject), self.INDEX, tmp_path / "cache")
        assert "290 labels are too few for the 300 frames of vid.avi" in error.value.what
        assert error.value.path.name == "ground_truth.txt"
        assert "EVALUATION.LABEL_ALIGNMENT: timestamp" in error.value.remedy
        by_time = preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
        assert len(by_time.bvp) == len(by_time.frames)

    def test_pure_is_stretched_as_before(self, pure_recording, tmp_path):
        (recording,) = find_pure(pure_recording.parent)
        video = preprocess_recording(recording, self.INDEX, tmp_path / "cache")
        package = json.loads(recording.label_path.read_text())["/FullPackage"]
        waveform = np.array([p["Value"]["waveform"] for p in package], dtype=float)
        assert video.bvp == pytest.approx(stretched(waveform, len(video.frames)))

    @pytest.mark.parametrize(
        ("change", "name"),
        [
            (lambda c: c.pop("/Image"), "{0}"),
            (lambda c: [p.pop("Timestamp") for p in c["/FullPackage"]], "{0}"),
            (lambda c: [p["Value"].pop("pulseRate") for p in c["/FullPackage"]], "{0}"),
            (lambda c: [i.update(Timestamp=n) for n, i in enumerate(c["/Image"])], "{0}"),
            (lambda c: None, "frame_{1:05d}.png"),
        ],
        ids=["no images", "no clock", "no pulse rate", "another clock", "numbered images"],
    )
    def test_of_pure_it_needs_the_waveform_alone(self, pure_recording, tmp_path, change, name):
        folder = tmp_path / "01-01"
        shutil.copytree(pure_recording, folder)
        path = folder / "01-01.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        for number, image in enumerate(sorted(folder.rglob("*.png"))):
            image.rename(image.with_name(name.format(image.name, number)))
        (recording,) = find_pure(tmp_path)
        video = preprocess_recording(recording, self.INDEX, tmp_path / "cache")
        (whole,) = find_pure(pure_recording.parent)
        expected = preprocess_recording(whole, self.INDEX, tmp_path / "cache")
        assert np.array_equal(video.frames, expected.frames)
        assert np.array_equal(video.bvp, expected.bvp)
        for image in list(folder.rglob("*.png"))[::3]:
            image.unlink()
        if "/Image" in content:  # what the JSON lists and is not there is missed on any clock
            with pytest.raises(DataError, match=r"images that the JSON lists are missing"):
                preprocess_recording(recording, self.INDEX, tmp_path / "cache")

    def test_ubfc_dataset_1_has_a_rate_of_its_own(self):
        recording = Recording("UBFC-rPPG", "1-gt", "1-gt", Path("vid.avi"), Path("gtdump.xmp"))
        label = labels_by_index(np.arange(60.0), 30, recording)
        assert label == pytest.approx(np.linspace(0, 59, 30))


def test_another_frame_rate_is_resampled_by_time(tmp_path):
    settings = SynthSettings(seed=2, fs=25.0, duration_s=8.0, width=320, height=240, hr_bpm=66)
    write_video(tmp_path / "v.avi", settings)
    video = preprocess_recording(find_videos(tmp_path / "v.avi")[0], FACE, tmp_path / "cache")
    assert len(video.frames) == pytest.approx(240, abs=2)
    assert video.fs == 30.0


def test_an_uneven_clock_is_resampled_to_an_even_one(tmp_path):
    """Images 20 ms apart, then 60 ms apart; brightness says when each was taken."""
    times = np.concatenate([np.arange(0, 1, 0.02), np.arange(1, 4, 0.06)])
    for t in times:
        value = np.full((12, 16, 3), round(50 * t), np.uint8)
        cv2.imwrite(str(tmp_path / f"Image{round(t * 1e9)}.png"), value)
    (recording,) = find_videos(tmp_path)
    video = preprocess_recording(recording, WHOLE, tmp_path / "cache")
    shown = video.frames[:, 0, 0, 0] / 50
    even = np.arange(len(shown)) / 30
    assert np.abs(shown - even).max() < 0.045


def test_the_cache_is_used_and_knows_what_changed(subject, tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    first = preprocess_recording(one(subject), WHOLE, folder)
    monkeypatch.setattr(preprocess, "open_frames", None)  # a second decoding would fail
    again = preprocess_recording(one(subject), WHOLE, folder)
    assert np.array_equal(first.frames, again.frames)
    assert np.array_equal(first.bvp, again.bvp)
    monkeypatch.undo()
    os.utime(subject / "vid.avi", (1, 1))
    preprocess_recording(one(subject), WHOLE, folder)
    assert len(list(folder.iterdir())) == 2


def test_the_fingerprint_is_of_what_is_seen_wherever_it_lies(subject, tmp_path):
    def made(subject):
        return preprocess_recording(one(subject), WHOLE, tmp_path / "cache")

    first = made(subject)
    copy = Path(shutil.copytree(subject, tmp_path / "elsewhere" / subject.name))
    assert made(copy).fingerprint == first.fingerprint
    assert dataset_fingerprint([made(copy)]) == dataset_fingerprint([first])
    renamed = copy.rename(copy.with_name("subject99"))
    assert dataset_fingerprint([made(renamed)]) != dataset_fingerprint([first])
    bvp, *others = (renamed / "ground_truth.txt").read_text().splitlines()
    bvp = bvp.replace(bvp.split()[5], "0.123", 1)
    (renamed / "ground_truth.txt").write_text("\n".join([bvp, *others]))
    assert made(renamed).fingerprint != first.fingerprint


def test_a_recording_that_cannot_be_looked_at_costs_one(tmp_path, monkeypatch):
    recordings = [small_video(tmp_path / f"{i}.avi") for i in range(3)]
    real = cache.key

    def key(recording, parameters):
        if recording.id == "1":
            raise PermissionError(13, "Permission denied")
        return real(recording, parameters)

    monkeypatch.setattr(cache, "key", key)
    monkeypatch.setattr(preprocess, "be_one_of_several", lambda: None)
    work = preprocess.processes
    monkeypatch.setattr(preprocess, "processes", lambda w, jobs, *o: work(w, 1, *o))  # patched
    report = preprocess_all(recordings, WHOLE, tmp_path / "cache", jobs=2)
    assert [v.recording.id for v in report.videos] == ["0", "2"]
    (failure,) = report.failures
    assert "PermissionError" in failure.reason


def test_crops_that_are_there_need_no_processes(subject, tmp_path, monkeypatch):
    recordings = [one(subject), one(Path(shutil.copytree(subject, tmp_path / "subject2")))]
    asked, real = [], preprocess.processes

    def processes(work, jobs, *others):
        asked.append(jobs)
        return real(work, 1, *others)

    monkeypatch.setattr(preprocess, "processes", processes)
    preprocess_all(recordings, WHOLE, tmp_path / "cache", jobs=2)
    report = preprocess_all(recordings, WHOLE, tmp_path / "cache", jobs=2)
    assert asked == [2, 1]
    assert len(report.videos) == 2


def test_a_cut_cache_file_is_made_again(subject, tmp_path, caplog):
    folder = tmp_path / "cache"
    whole = np.array(preprocess_recording(one(subject), WHOLE, folder).frames)
    (entry,) = folder.iterdir()
    data = (entry / cache.FRAMES).read_bytes()
    (entry / cache.FRAMES).write_bytes(data[: len(data) // 2])
    again = preprocess_recording(one(subject), WHOLE, folder)
    assert "damaged cache entry" in caplog.text
    assert np.array_equal(again.frames, whole)


def test_a_full_disk_leaves_nothing_half_made(subject, tmp_path, monkeypatch):
    def full(path, frames):
        next(frames)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache, "append", full)
    with pytest.raises(OutputError, match="No space left"):
        preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
    assert entries(tmp_path / "cache") == []


def test_an_unwritable_cache_is_named(subject, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="STREAMNET_CACHE"):
        preprocess_recording(one(subject), WHOLE, tmp_path / "file" / "cache")


def test_ctrl_c_leaves_finished_videos_and_no_rubbish(tmp_path, monkeypatch):
    recordings = [small_video(tmp_path / f"{i}.avi") for i in range(3)]
    folder = tmp_path / "cache"
    real, calls = cache.append, []

    def interrupted(path, frames):
        calls.append(path)
        if len(calls) == 2:
            next(frames)
            raise KeyboardInterrupt
        return real(path, frames)

    monkeypatch.setattr(cache, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        preprocess_all(recordings, WHOLE, folder)
    assert [n.split("-")[1] for n in entries(folder)] == ["0"]
    monkeypatch.undo()
    assert len(preprocess_all(recordings, WHOLE, folder).videos) == 3


def test_one_bad_video_among_ten_costs_one(tmp_path):
    recordings = [small_video(tmp_path / f"{i}.avi") for i in range(10)]
    recordings[4].path.write_bytes(b"broken")
    seen = []
    report = preprocess_all(recordings, WHOLE, tmp_path / "cache", jobs=2, progress=seen.append)
    assert [v.recording.id for v in report.videos] == [str(i) for i in range(10) if i != 4]
    (failure,) = report.failures
    assert failure.path == recordings[4].path
    assert failure.reason
    assert failure.remedy
    assert len(seen) == 10


def test_more_recordings_than_files_may_be_open(tmp_path):
    """Each one's crops stay mapped, which holds a file open; many systems allow 1,024."""
    resource = pytest.importorskip("resource")
    recordings = [small_video(tmp_path / f"{i}.avi", n=30) for i in range(60)]
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(os.listdir("/dev/fd")) + 30
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
        assert len(preprocess_all(recordings, WHOLE, tmp_path / "cache").videos) == 60
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (few + 60, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("n", [1, 5])
def test_a_few_frames_are_no_video(tmp_path, n):
    with pytest.raises(DataError, match=rf"{n} frames?, at least"):
        preprocess_recording(small_video(tmp_path / "v.avi", n), WHOLE, tmp_path / "cache")


def test_no_face_says_where_it_looked(tmp_path):
    with pytest.raises(NoFaceError, match="frames 0 to 29"):
        preprocess_recording(small_video(tmp_path / "v.avi"), FACE, tmp_path / "cache")


def composed(path, place):
    """A video in which the drawn face is put where `place(i, face, wall)` puts it."""
    frames = list(render(SynthSettings(seed=3, duration_s=6, **SIZE)).frames())
    wall = np.full_like(frames[0], 128)
    shown = [place(i, f, wall) for i, f in enumerate(frames)]
    height, width = shown[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (width, height))
    for frame in shown:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return find_videos(path)[0]


SIZE = {"width": 320, "height": 240}


def test_a_face_that_leaves_is_told(tmp_path):
    recording = composed(tmp_path / "v.avi", lambda i, face, wall: face if i < 45 else wall)
    with pytest.raises(DataError, match="leaves the crop: seen in 2 of 6"):
        preprocess_recording(recording, FACE, tmp_path / "cache")


def test_a_face_that_comes_a_little_late_is_found(tmp_path):
    recording = composed(tmp_path / "v.avi", lambda i, face, wall: wall if i < 9 else face)
    video = preprocess_recording(recording, FACE, tmp_path / "cache")
    assert video.notes == ("the first face is in frame 9; its box is used",)


def test_of_two_faces_the_larger_is_taken(tmp_path):
    def place(i, face, wall):
        small = cv2.resize(face, (160, 120), interpolation=cv2.INTER_AREA)
        beside = np.full((240, 160, 3), 128, np.uint8)
        beside[60:180] = small
        return np.hstack([beside, face])

    recording = composed(tmp_path / "v.avi", place)
    video = preprocess_recording(recording, FACE, tmp_path / "cache")
    assert video.notes == ("2 faces in frame 0; the largest is used",)
    assert video.face_box[0] > 160


def test_what_is_a_face_in_one_frame_only_is_none(tmp_path, monkeypatch):
    """Haar's largest box of the first frame may be a pattern; the face is found again."""
    recording = composed(tmp_path / "v.avi", lambda i, face, wall: face)
    real = preprocess.find_faces
    looks = iter([[(0, 0, 230, 230)]])  # larger than the face, in the first look alone
    monkeypatch.setattr(preprocess, "find_faces", lambda f: next(looks, []) + real(f))
    video = preprocess_recording(recording, FACE, tmp_path / "cache")
    monkeypatch.undo()
    plain = preprocess_recording(recording, FACE, tmp_path / "other")
    assert video.face_box == plain.face_box


def test_a_face_that_is_often_away_is_noted(tmp_path):
    settings = composed(tmp_path / "v.avi", lambda i, face, wall: face if i % 90 < 60 else wall)
    video = preprocess_recording(settings, FACE, tmp_path / "cache")
    (note,) = video.notes
    assert re.search(r"in the crop in \d+ of \d+ looks", note)
    assert preprocess_recording(settings, FACE, tmp_path / "cache").notes == (note,)  # cached too


@pytest.mark.parametrize(("keep", "ok"), [(0.5, False), (0.95, True), (1.3, True)])
def test_labels_shorter_or_longer_than_the_video(subject, tmp_path, keep, ok):
    path = subject / "ground_truth.txt"
    rows = [np.array(line.split(), float) for line in path.read_text().splitlines()]
    n = int(keep * 300)
    t = np.arange(n) / 30
    rows = [np.interp(t, rows[2], rows[0], period=10), np.full(n, 72.0), t]
    path.write_text("\n".join(" ".join(f"{v:.5f}" for v in row) for row in rows))
    if not ok:
        with pytest.raises(DataError, match="covers"):
            preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
        return
    video = preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
    assert len(video.frames) == len(video.bvp) == pytest.approx(min(n, 300), abs=1)
    if keep > 1:
        assert "longer than the video" in video.notes[0]


def test_a_constant_ground_truth_is_an_error(subject, tmp_path):
    path = subject / "ground_truth.txt"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([" ".join(["0.5"] * 300), *rows[1:]]))
    with pytest.raises(DataError, match="constant") as error:
        preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
    assert error.value.path == path


def test_a_stated_frame_rate_overrides_the_files(tmp_path):
    recording = small_video(tmp_path / "v.avi", n=60, fps=15.0)
    stated = replace(WHOLE, fps=30.0)
    assert len(preprocess_recording(recording, WHOLE, tmp_path / "cache").frames) == 119
    assert len(preprocess_recording(recording, stated, tmp_path / "cache").frames) == 60


def test_frames_of_another_rate_by_index_are_noted(tmp_path):
    recording = small_video(tmp_path / "v.avi", n=60, fps=15.0)
    video = preprocess_recording(recording, replace(WHOLE, align="index"), tmp_path / "cache")
    assert len(video.frames) == 60
    assert "15.0 Hz" in video.notes[0]


def test_leftovers_of_killed_processes_are_removed(tmp_path):
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    for name in (dead, str(os.getpid())):
        (tmp_path / f".making-{name}-x").mkdir()
    remove_leftovers(tmp_path)
    assert entries(tmp_path) == [f".making-{os.getpid()}-x"]


def test_errors_of_a_full_disk_come_from_several_processes(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    recordings = [small_video(folder / f"{i}.avi") for i in range(2)]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="STREAMNET_CACHE"):
        preprocess_all(recordings, WHOLE, tmp_path / "file" / "cache", jobs=2)


def test_whatever_goes_wrong_with_one_video_the_rest_goes_on(tmp_path, monkeypatch):
    recordings = [small_video(tmp_path / f"{i}.avi") for i in range(2)]
    real = preprocess.open_frames

    def broken(path, *rates):
        if path.stem == "0":
            raise ZeroDivisionError("odd")
        return real(path, *rates)

    monkeypatch.setattr(preprocess, "open_frames", broken)
    report = preprocess_all(recordings, WHOLE, tmp_path / "cache")
    assert len(report.videos) == 1
    assert "ZeroDivisionError: odd" in report.failures[0].reason


def test_dynamic_detection_follows_a_moving_face(tmp_path):
    settings = SynthSettings(seed=1, duration_s=4, motion="fast_translation", **SIZE)
    write_video(tmp_path / "v.avi", settings)
    (recording,) = find_videos(tmp_path / "v.avi")
    still = preprocess_recording(recording, FACE, tmp_path / "cache")
    moving = PreprocessSettings(width=36, height=36, detect_every=10)
    follows = preprocess_recording(recording, moving, tmp_path / "cache")
    middle = PreprocessSettings(width=36, height=36, detect_every=10, median_box=True)
    median = preprocess_recording(recording, middle, tmp_path / "cache")
    assert np.array_equal(still.frames[:10], follows.frames[:10])
    frames = [f for _, f in open_frames(tmp_path / "v.avi")]
    expected = cv2.resize(
        crop(frames[25], enlarged(find_faces(frames[20])[0], 1.5)),
        (36, 36),
        interpolation=cv2.INTER_AREA,
    )
    assert np.array_equal(follows.frames[25], expected)
    assert median.face_box != still.face_box


def test_the_cache_holds_three_bytes_per_pixel(subject, tmp_path):
    preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    assert (entry / cache.FRAMES).stat().st_size == 300 * 12 * 16 * 3
    assert json.loads((entry / cache.META).read_text())["shape"] == [300, 12, 16, 3]


class Counted:
    """A source that knows how many of its frames are alive at once."""

    def __init__(self, path, frames, fs=30.0):
        self.path, self.frames, self.fs = path, frames, fs
        self.alive, self.most = 0, 0

    def __iter__(self):
        for i, frame in enumerate(self.frames):
            given = frame.copy()
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(given, self._gone)
            yield i / self.fs, given
            del given

    def _gone(self):
        self.alive -= 1


@pytest.mark.parametrize("beside", [False, True])
def test_no_more_than_two_frames_are_held(tmp_path, monkeypatch, beside):
    """However large and fast the camera: a face, also one that comes late, or two of them."""
    face = next(render(SynthSettings(seed=3, duration_s=1, **SIZE)).frames())
    wall = np.full_like(face, 128)
    other = cv2.resize(face, (240, 180), interpolation=cv2.INTER_AREA)
    aside = np.vstack([other, np.full((60, 240, 3), 128, np.uint8)]) if beside else wall[:, :240]
    shown = [np.hstack([face if i > 8 else wall, aside]) for i in range(60)]
    source = Counted(tmp_path / "v.avi", shown)
    source.path.write_bytes(b"")
    monkeypatch.setattr(preprocess, "open_frames", lambda path, *rates: source)
    recording = Recording("video", "v", "v", source.path)
    video = preprocess_recording(recording, FACE, tmp_path / "cache")
    assert len(video.frames) == 60
    assert source.most <= 2
    assert source.alive == 0


def test_frames_before_the_face_are_cropped_by_its_box(tmp_path):
    recording = composed(tmp_path / "v.avi", lambda i, face, wall: wall if i < 9 else face)
    video = preprocess_recording(recording, FACE, tmp_path / "cache")
    assert len(video.frames) == 180
    frames = [frame for _, frame in open_frames(recording.path)]
    for i in (0, 8, 9):
        part = crop(frames[i], video.face_box)
        assert np.array_equal(
            video.frames[i], cv2.resize(part, (36, 36), interpolation=cv2.INTER_AREA)
        )


def test_a_face_is_shown_or_a_protocols_key_is_set(tmp_path):
    """A protocol's key is a remedy only where there is a protocol."""
    recording = small_video(tmp_path / "v.avi")
    with pytest.raises(NoFaceError) as error:
        preprocess_recording(recording, FACE, tmp_path / "cache")
    assert "DO_CROP_FACE" not in error.value.remedy
    (failure,) = preprocess_all([recording], FACE, tmp_path / "cache").failures
    assert "DO_CROP_FACE" in failure.remedy


def test_a_cache_entry_with_too_few_labels_is_made_again(subject, tmp_path, caplog):
    whole = preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    meta = json.loads((entry / cache.META).read_text())
    meta["bvp"] = meta["bvp"][:-1]
    (entry / cache.META).write_text(json.dumps(meta))
    again = preprocess_recording(one(subject), WHOLE, tmp_path / "cache")
    assert "299 labels for 300 frames" in caplog.text
    assert np.array_equal(again.bvp, whole.bvp)
