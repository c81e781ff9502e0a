"""Where frames come from: a camera that is not there, stalls or is too fast; a file in step."""

from __future__ import annotations

import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from streamnet_plugin.errors import DataError, NoFaceError
from streamnet_plugin.live import source
from streamnet_plugin.live.run import LiveSettings, live
from streamnet_plugin.live.source import (
    MAX_FAILED_READS,
    Shot,
    beside,
    counting_gaps,
    open_camera,
    open_file,
    paced,
)


class FakeCamera:
    """What `cv2.VideoCapture` is to us: `reads` are its answers, None for a failure."""

    def __init__(self, reads, opened=True):
        self.reads, self.opened, self.released = iter(reads), opened, False
        self.asked = {}

    def __call__(self, number):
        self.number = number
        return self

    def isOpened(self):
        return self.opened

    def set(self, what, value):
        self.asked[what] = value

    def read(self):
        image = next(self.reads)
        return image is not None, image

    def release(self):
        self.released = True


@pytest.fixture
def camera(monkeypatch):
    def use(reads, opened=True):
        fake = FakeCamera(reads, opened)
        monkeypatch.setattr(cv2, "VideoCapture", fake)
        monkeypatch.setattr(source, "FAILED_PAUSE_S", 0.0)
        return fake

    return use


BLUE = np.zeros((4, 6, 3), np.uint8)
BLUE[..., 0] = 255


def test_a_cameras_frames_are_rgb_with_the_time_they_came(camera):
    fake = camera([None, BLUE, BLUE])
    before = time.perf_counter()
    first, second = itertools.islice(open_camera(2, 30.0, threading.Event()), 2)
    assert fake.number == 2
    assert fake.asked == {cv2.CAP_PROP_FPS: 30.0}
    assert first.frame[0, 0].tolist() == [0, 0, 255]
    assert before <= first.time == first.read_at <= second.time


def test_no_such_camera_is_an_error_at_once(camera):
    fake = camera([], opened=False)
    with pytest.raises(DataError, match=r"there is no camera 3.*--video FILE"):
        open_camera(3, 30.0, threading.Event())
    assert fake.released


def test_a_camera_that_is_pulled_out_is_an_error(camera):
    fake = camera([BLUE] + [None] * MAX_FAILED_READS)
    shots = open_camera(0, 30.0, threading.Event())
    next(shots)
    with pytest.raises(DataError, match=r"camera 0 gives no frames.*cable"):
        next(shots)
    assert fake.released


def test_a_camera_is_let_go_when_it_is_stopped(camera):
    fake, stop = camera(itertools.repeat(BLUE)), threading.Event()
    shots = open_camera(0, 30.0, stop)
    next(shots)
    stop.set()
    assert list(shots) == []
    assert fake.released


def test_the_command_reads_a_camera_until_its_time_is_over(camera, tmp_path):
    def frames():
        while True:
            time.sleep(0.01)
            yield BLUE.repeat(10, axis=0).repeat(10, axis=1)

    fake = camera(frames())
    settings = LiveSettings(camera=1, method="POS", duration_s=0.2, output=tmp_path / "live.csv")
    with pytest.raises(NoFaceError, match=r"no face in 0\.2 s"):
        live(settings)
    assert fake.number == 1
    assert fake.released


def shots_at(times, **options):
    return [Shot(BLUE, t, 0.0, **options) for t in times]


def test_frames_missing_between_the_times_are_counted():
    times = np.arange(60) / 30
    kept = np.delete(times, [20, 21, 40])
    assert sum(s.lost for s in counting_gaps(shots_at(kept))) == 3
    trembling = times + np.random.default_rng(0).uniform(-0.01, 0.01, 60)
    assert sum(s.lost for s in counting_gaps(shots_at(trembling))) == 0
    assert sum(s.lost for s in counting_gaps(shots_at(times[:2], lost=1))) == 2  # on top


def test_a_slower_camera_loses_nothing():
    """In weak light a camera exposes longer: after some frames that is its usual rate."""
    times = np.concatenate([np.arange(60) / 30, 2 + np.arange(200) / 12])
    late = [s.lost for s in counting_gaps(shots_at(times))][60 + source.USUAL :]
    assert sum(late) == 0


def test_a_file_plays_at_its_own_rate(now, stop):
    played = [(s.read_at, now[0]) for s in paced(shots_at([5.0, 5.1, 5.4]), stop)]
    assert played == [pytest.approx((t, t)) for t in (100.0, 100.1, 100.4)]


def test_a_frame_that_comes_late_was_due_at_its_own_time(now, stop):
    def slowly():
        for shot in shots_at([5.0, 5.1, 5.2]):
            now[0] += 0.15  # to decode it
            yield shot

    played = [(s.read_at, now[0]) for s in paced(slowly(), stop)]
    assert played == [
        pytest.approx(t) for t in ((100.15, 100.15), (100.25, 100.3), (100.35, 100.45))
    ]


def test_what_is_not_taken_in_time_is_lost_and_counted():
    waiting = source._Waiting(5)
    waiting.fill(shots_at(np.arange(20) / 30, lost=1), threading.Event())
    got = [waiting.take(0) for _ in range(5)]
    assert [s.time for s in got] == pytest.approx(np.arange(15, 20) / 30)  # the newest are kept
    assert [s.lost for s in got] == [1 + 15 * 2, 1, 1, 1, 1]
    assert waiting.take(0) is None
    assert waiting.over


def test_nothing_is_lost_of_what_is_taken_in_time():
    got = list(beside(shots_at(np.arange(12) / 30), threading.Event(), size=12))
    assert [s.time for s in got] == pytest.approx(np.arange(12) / 30)
    assert {s.lost for s in got} == {0}


def test_errors_of_the_source_reach_the_reader():
    def broken():
        yield Shot(BLUE, 0.0, 0.0)
        raise DataError("the video is truncated")

    taking = beside(broken(), threading.Event())
    next(taking)
    with pytest.raises(DataError, match="truncated"):
        next(taking)


def test_stopping_ends_a_source_that_never_ends():
    stop = threading.Event()
    threads = threading.active_count()

    def forever():
        for k in itertools.count():
            yield Shot(BLUE, k / 30, 0.0)

    taking = beside(forever(), stop)
    next(taking)
    stop.set()
    assert list(taking) == []
    assert threading.active_count() == threads


def test_a_files_clock_is_the_frames_clock(ubfc_subject):
    times = [s.time for s in itertools.islice(open_file(ubfc_subject / "vid.avi"), 4)]
    assert times == pytest.approx(np.arange(4) / 30, abs=1e-3)
    with pytest.raises(DataError, match="the video is missing"):
        open_file(ubfc_subject / "none.avi")
