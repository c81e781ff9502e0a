"""A face is found, kept, missed for a moment, followed and lost."""

from __future__ import annotations

from concurrent.futures import Executor, Future

import numpy as np
import pytest

from streamnet_plugin.data.face import enlarged
from streamnet_plugin.live.tracker import LOOK_EVERY_S, LOST_AFTER_S, AtOnce, FaceTracker

FACE = (15, 10, 20, 20)
BOX = enlarged(FACE, 1.5)
FRAME = np.zeros((48, 60, 3), np.uint8)


class Film:
    """Runs a tracker at 30 frames per second."""

    def __init__(self, executor=None):
        self.tracker, self.t = FaceTracker(executor or AtOnce(), 1.5), 0.0

    def run(self, seconds):
        boxes = []
        for _ in range(round(30 * seconds)):
            boxes.append(self.tracker.see(FRAME, self.t))
            self.t += 1 / 30
        return boxes


def test_the_first_face_is_cropped_at_once_and_the_box_does_not_tremble(scene):
    film = Film()
    assert film.run(1 / 30) == [BOX]
    for dx in (2, -1, 3, -2):
        scene.faces = [(15 + dx, 10, 19, 19)]
        assert set(film.run(1)) == {BOX}
    assert film.tracker.stretch == 1
    assert film.tracker.ever


def test_the_detector_looks_now_and_then(scene):
    Film().run(10)
    assert scene.looks <= 10 / LOOK_EVERY_S + 3


def test_a_face_that_turns_away_for_a_moment_keeps_its_box(scene):
    film = Film()
    film.run(2)
    scene.faces = []
    assert set(film.run(1)) == {BOX}
    assert not film.tracker.seen
    scene.faces = [FACE]
    assert set(film.run(1)) == {BOX}
    assert film.tracker.seen
    assert film.tracker.stretch == 1


def test_a_face_that_stays_away_is_lost_and_found_anew(scene):
    film = Film()
    film.run(2)
    scene.faces = []
    gone = film.run(LOST_AFTER_S + 2 * LOOK_EVERY_S)
    assert gone[0] == BOX
    assert gone[-1] is None  # never the whole frame
    scene.faces = [FACE]
    assert film.run(1)[-1] == BOX
    assert film.tracker.stretch == 2


def test_a_face_that_moves_is_followed_in_a_new_stretch(scene):
    film = Film()
    film.run(2)
    scene.faces = [(35, 25, 20, 20)]
    assert film.run(2 * LOOK_EVERY_S)[-1] == enlarged((35, 25, 20, 20), 1.5)
    assert film.tracker.stretch == 2


def test_a_face_that_sways_as_in_pure_keeps_its_box(scene):
    film = Film()
    film.run(2)
    scene.faces = [(15 + 7, 10, 20, 20)]  # a quarter of the crop
    assert set(film.run(3)) == {BOX}
    assert film.tracker.stretch == 1


def test_another_larger_face_does_not_take_over(scene):
    film = Film()
    film.run(2)
    scene.faces = [(30, 15, 30, 30), FACE]
    assert set(film.run(2)) == {BOX}


def test_a_pattern_that_is_seen_once_is_no_face(scene):
    film = Film()
    assert film.run(1 / 30) == [BOX]
    scene.faces = []
    assert film.run(1)[-1] is None
    assert not film.tracker.ever


def test_a_pattern_beside_a_face_that_is_missed_draws_nothing(scene):
    film = Film()
    film.run(2)
    for faces in ([(45, 5, 10, 10)], [(2, 35, 10, 10)], [(45, 35, 10, 10)]):
        scene.faces = faces
        assert set(film.run(0.2)) == {BOX}


def test_faces_of_large_frames_come_in_the_frames_own_pixels(scene):
    tracker = FaceTracker(AtOnce(), 1.0)
    scene.faces = [(100, 50, 200, 200)]  # as seen at half the width
    assert tracker.see(np.zeros((720, 1280, 3), np.uint8), 0.0) == (200, 100, 400, 400)


class Later(Executor):
    """Answers when it is told to."""

    def __init__(self):
        self.work = []

    def submit(self, fn, /, *args, **kwargs):
        self.work.append((Future(), fn, args))
        return self.work[-1][0]

    def answer(self):
        future, fn, args = self.work.pop()
        future.set_result(fn(*args))


def test_a_slow_detector_holds_nothing_up(scene):
    later = Later()
    film = Film(later)
    assert set(film.run(1)) == {None}
    assert len(later.work) == 1  # one question at a time
    later.answer()
    assert film.run(1 / 30) == [BOX]


def test_a_detector_that_breaks_says_so(scene):
    scene.find = None

    class Broken(AtOnce):
        def submit(self, fn, /, *args, **kwargs):
            failed = Future()
            failed.set_exception(RuntimeError("no cascade"))
            return failed

    with pytest.raises(RuntimeError, match="no cascade"):
        Film(Broken()).run(1)
