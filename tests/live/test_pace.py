"""Whether the machine keeps up is said as it is: rates, delays and losses by its own clock."""

from __future__ import annotations

import csv
import threading
import weakref
from functools import partial

import pytest

from streamnet_plugin.classical import POS
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.live.readers import reader_for
from streamnet_plugin.live.record import Recorder
from streamnet_plugin.live.run import _Course, _loop
from streamnet_plugin.live.session import Session
from streamnet_plugin.live.source import QUEUED_FRAMES, Shot, beside, paced
from streamnet_plugin.live.view import Lines, footer

FS, PX = 30.0, 12


class Screen(Lines):
    """Takes so many seconds for an update, and for every frame."""

    def __init__(self, now, update_s=0.0, frame_s=0.0):
        self.now, self.update_s, self.frame_s = now, update_s, frame_s
        self.updates = []

    def update(self, update):
        self.now[0] += self.update_s
        self.updates.append(update)

    def frame(self, frame, box):
        self.now[0] += self.frame_s
        return True


@pytest.fixture
def play(scene, tmp_path):
    """(shots, view, stop) -> summary, and the rows of its CSV file."""

    def played(shots, view, stop):
        session = Session(
            partial(reader_for, POS, fs=FS, px=PX), PX, FS, get_convention("toolbox-2025")
        )
        with Recorder(tmp_path / "live.csv") as recorder:
            course = _Course(recorder.path, "POS", session, [])
            _loop(session, shots, recorder, [view], None, stop, course)
        summary = course.summary()
        with summary.csv.open(newline="") as file:
            return summary, list(csv.DictReader(file))

    return played


def shots_of(scene, seconds):
    return (Shot(scene.frame(k / FS), k / FS, 0.0) for k in range(round(seconds * FS)))


def test_a_machine_that_keeps_up_handles_frames_as_they_come_and_at_once(play, scene, now, stop):
    summary, rows = play(paced(shots_of(scene, 8), stop), Screen(now), stop)
    assert summary.handled_fps == pytest.approx(30)
    assert summary.latency_ms() == pytest.approx((0, 0, 0), abs=1e-6)
    assert {row["handled_fps"] for row in rows} == {"30.00"}
    assert {row["latency_ms"] for row in rows} == {"0.0"}


def test_a_machine_that_does_not_keep_up_falls_behind_and_says_so(play, scene, now, stop):
    """50 ms for every frame: 20 a second, and every second half a second later."""
    screen = Screen(now, frame_s=0.05)
    summary, rows = play(paced(shots_of(scene, 8), stop), screen, stop)
    assert (summary.frames, summary.lost) == (240, 0)
    assert summary.handled_fps == pytest.approx(20)
    assert "240 frames (20.0 handled per second), 0 lost" in summary.describe()
    assert [(row["fps"], row["handled_fps"]) for row in rows[1:]] == [("30.00", "20.00")] * 6
    assert "20.0 fps" in footer(screen.updates[-1])
    late = [float(row["latency_ms"]) for row in rows]
    assert late == pytest.approx([500 * s + 50 for s in range(1, 8)], abs=1)
    assert summary.latency_ms()[2] == pytest.approx(late[-1], abs=0.1)


def test_latency_ends_when_the_update_is_on_the_screen_and_in_the_file(
    play, scene, now, stop, monkeypatch
):
    write = Recorder._row

    def slowly(recorder, values):
        write(recorder, values)
        now[0] += 0.005

    monkeypatch.setattr(Recorder, "_row", slowly)
    screen = Screen(now, update_s=0.02, frame_s=0.003)
    summary, rows = play(paced(shots_of(scene, 3), stop), screen, stop)
    assert summary.latency_ms() == pytest.approx((28, 28, 28))
    assert {row["latency_ms"] for row in rows} == {"23.0"}  # a row cannot know its own writing
    assert screen.updates[-1].latency_s == pytest.approx(0.028)  # that of the one before


def test_what_a_slow_stage_leaves_no_time_for_is_lost(play, scene):
    taken, came, stop = threading.Event(), threading.Event(), threading.Event()

    def source():
        first, *others = shots_of(scene, 4)
        yield first
        assert taken.wait(60)
        yield from others
        came.set()

    class Stuck(Screen):
        """Until every frame has come."""

        def frame(self, frame, box):
            taken.set()
            assert came.wait(60)
            return True

    summary, rows = play(beside(source(), stop), Stuck([0.0]), stop)
    assert summary.frames == QUEUED_FRAMES + 1
    assert summary.frames + summary.lost == 120
    assert rows[-1]["frames_lost"] == str(summary.lost)


def test_a_stream_that_goes_on_keeps_no_waveforms(play, scene, now, stop):
    class Passing(Screen):
        kept = 0

        def update(self, update):
            self.kept = max(self.kept, sum(wave() is not None for wave in self.updates))
            self.updates.append(weakref.ref(update.bvp))

    screen = Passing(now)
    summary, rows = play(paced(shots_of(scene, 9), stop), screen, stop)
    assert summary.updates == len(rows) == 8
    assert summary.trusted + summary.withheld >= 3  # so many had a waveform
    assert screen.kept == 0
