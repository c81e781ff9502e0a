"""The engine: a true heart rate every second, none without a face, and doubts where they belong."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from streamnet_plugin.classical import POS
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.live.readers import WindowReader, reader_for
from streamnet_plugin.live.session import FACE_UNSEEN, FEW_FRAMES, MEASURING, NO_FACE, Session
from streamnet_plugin.model import STREAMNet, STREAMNetMethod, load_checkpoint, save_checkpoint
from streamnet_plugin.uncertainty.abstention import FLICKER
from streamnet_plugin.uncertainty.conformal import calibrate

FS, PX = 30.0, 12
CONVENTION = get_convention("toolbox-2025")


def session(reader=None, px=PX, **options):
    return Session(reader or partial(reader_for, POS, fs=FS, px=px), px, FS, CONVENTION, **options)


def times(seconds, start=0.0, fps=30.0):
    return start + np.arange(round(seconds * fps)) / fps


def run(engine, scene, at, lost=0):
    updates = [engine.push(scene.frame(t), t, lost) for t in at]
    return [u for u in updates if u is not None]


def test_the_heart_rate_comes_every_second_and_is_true(scene):
    updates = run(session(), scene, times(14))
    assert [u.time_s for u in updates] == pytest.approx(range(1, 14), abs=0.05)
    assert [u.reason for u in updates[:4]] == [MEASURING] * 4
    assert all(u.trusted for u in updates[5:])
    assert [u.hr_bpm for u in updates[9:]] == pytest.approx([72] * 4, abs=1)
    assert {u.window_s for u in updates[9:]} == {10.0}  # no longer than asked for
    assert updates[-1].fps == pytest.approx(30)
    assert len(updates[-1].bvp) == 300


@pytest.mark.parametrize("start", [-50.0, 1e6])
def test_any_clock_will_do(scene, start):
    updates = run(session(), scene, times(11, start))
    assert updates[-1].time_s == pytest.approx(10, abs=0.05)
    assert updates[-1].hr_bpm == pytest.approx(72, abs=1)


def test_without_a_face_there_is_no_heart_rate_and_with_one_again_there_is(scene):
    engine = session()
    run(engine, scene, times(8))
    scene.faces = []
    gone = run(engine, scene, times(6, 8))
    assert gone[1].reason == FACE_UNSEEN  # within the first second
    assert not any(u.trusted for u in gone[1:])
    assert [u.reason for u in gone[-3:]] == [NO_FACE] * 3
    assert gone[-1].hr_bpm is None
    scene.faces, scene.hr_bpm = [(14, 9, 20, 20)], 96.0
    back = run(engine, scene, times(10, 14))
    assert back[1].reason == MEASURING
    read = [u for u in back if u.hr_bpm is not None]
    assert 4 <= len(read) <= 5
    assert [u.hr_bpm for u in read] == pytest.approx([96] * len(read), abs=3)  # none of the old


def test_a_window_never_spans_a_gap(scene):
    engine = session()
    before = run(engine, scene, times(8))[-1]
    after = run(engine, scene, times(4, 9))
    assert before.hr_bpm is not None
    assert [u.reason for u in after] == [MEASURING] * len(after)
    assert len(after) >= 3
    assert [u.notes for u in after if u.notes] == [("started anew after 1.0 s without a frame",)]


def test_what_is_read_before_a_move_is_not_mixed_with_what_comes_after(scene):
    engine = session()
    run(engine, scene, times(8))
    scene.faces = [(35, 25, 20, 20)]
    after = run(engine, scene, times(5, 8))
    assert {u.reason for u in after[1:]} == {MEASURING}
    assert ("started anew, the face has moved",) in [u.notes for u in after]


def test_irregular_times_are_put_in_order_by_their_clock(scene):
    """A frame in eight is missing and all tremble: by their number HR would be 63 bpm."""
    rng = np.random.default_rng(1)
    at = times(12)
    at = (at + rng.uniform(-0.008, 0.008, len(at)))[np.arange(len(at)) % 8 != 3]
    last = run(session(), scene, at)[-1]
    assert last.hr_bpm == pytest.approx(72, abs=1)
    assert last.trusted
    assert last.fps == pytest.approx(30 * 7 / 8, abs=0.5)


def test_a_slow_camera_is_told_of_and_one_too_slow_withheld(scene):
    slow = run(session(), scene, times(12, fps=12))[-1]
    assert slow.hr_bpm == pytest.approx(72, abs=1)
    assert "low frame rate: 12.0 per second" in slow.notes
    scene.hr_bpm = 48.0
    too_slow = run(session(), scene, times(12, fps=6))[-1]
    assert (too_slow.hr_bpm, too_slow.reason) == (None, FEW_FRAMES)


def test_lost_frames_are_counted(scene):
    engine = session()
    engine.push(scene.frame(0.0), 0.0)
    engine.push(scene.frame(0.1), 0.1, lost=2)
    assert engine.push(scene.frame(0.1), 0.1) is None  # no later than the one before
    updates = run(engine, scene, times(1.2, 0.2))
    assert updates[0].lost == engine.lost == 3


def test_light_that_flickers_is_withheld(scene):
    scene.colours = np.ones(3)
    engine = session(partial(reader_for, GreenByName(), fs=FS, px=PX))
    last = run(engine, scene, times(12))[-1]
    assert (last.reason, last.trusted) == (FLICKER, False)
    assert last.hr_bpm == pytest.approx(72, abs=1)  # said, but not to be believed


class GreenByName:
    """A method of somebody else's: it knows nothing of streams."""

    name = "theirs"

    def __init__(self):
        self.asked = []

    def predict(self, video):
        from streamnet_plugin.classical import GREEN

        self.asked.append(video.frames.shape)
        return GREEN.from_rgb(video.rgb, video.fs)


def test_any_method_is_asked_for_the_window(scene):
    method = GreenByName()
    last = run(session(partial(reader_for, method, fs=FS, px=PX)), scene, times(12))[-1]
    assert isinstance(reader_for(method, 300, FS, PX), WindowReader)
    assert method.asked[-1] == (300, PX, PX, 3)
    assert last.hr_bpm == pytest.approx(72, abs=1)


@pytest.mark.parametrize("segment", [10, 60])
def test_a_network_of_any_segment_is_read(scene, tmp_path, segment):
    """What is ready lags behind the frames by up to a segment, which may last seconds."""
    shipped, _ = load_checkpoint()
    network = STREAMNet(replace(shipped.config, segment_length=segment))
    network.load_state_dict(shipped.state_dict())
    method = STREAMNetMethod(save_checkpoint(network, tmp_path / "other.safetensors", {}))
    updates = run(session(partial(reader_for, method, fs=FS, px=36), px=36), scene, times(15))
    assert updates[-1].window_s == 10
    assert updates[-1].hr_bpm == pytest.approx(72, abs=2)


def test_the_interval_comes_from_the_calibrator_when_the_window_is_full(scene):
    calibrator = calibrate(np.full(12, 3.0), np.full(12, 2.0), [f"s{i}" for i in range(12)])
    updates = run(session(calibrator=calibrator), scene, times(12))
    assert {u.half_width_bpm for u in updates if u.window_s < 10} == {None}
    last = updates[-1]
    assert last.half_width_bpm == pytest.approx(last.spread_bpm + 1)  # the score is 1
    assert last.interval == pytest.approx((last.hr_bpm - last.half_width_bpm,
                                           last.hr_bpm + last.half_width_bpm))  # fmt: skip
    assert run(session(), scene, times(12))[-1].interval is None


def test_the_interval_ends_with_the_band_of_heart_rates(scene):
    wide = calibrate(np.full(12, 3000.0), np.full(12, 2.0), [f"s{i}" for i in range(12)])
    last = run(session(calibrator=wide), scene, times(12))[-1]
    assert last.half_width_bpm > 198
    assert last.interval == pytest.approx((36.0, 198.0))


def test_a_frozen_picture_has_no_heart_rate(scene):
    frame = scene.frame(0.0)
    engine = session()
    updates = [u for t in times(8) if (u := engine.push(frame, t)) is not None]
    assert updates[-1].hr_bpm is None
    assert "every frame has the same mean colour" in updates[-1].reason


def test_another_picture_size_is_searched_anew(scene):
    engine = session()
    run(engine, scene, times(8))
    small = [engine.push(scene.frame(t)[:46, :58], t) for t in times(4, 8)]
    assert {u.reason for u in small if u} == {MEASURING}


@pytest.mark.parametrize("window_s", [4.9, 61, float("nan")])
def test_windows_that_make_no_sense_are_refused(window_s):
    with pytest.raises(ConfigError, match=r"a window of .*use 5 to 60 s"):
        session(window_s=window_s)
