"""A face that is a colour: frames that pulse, and a detector that is told what to see."""

from __future__ import annotations

import time

import numpy as np
import pytest

from streamnet_plugin.live import tracker
from streamnet_plugin.live.view import Lines

SKIN = np.array([180.0, 120.0, 90.0])
BLOOD = np.array([0.43, 1.0, 0.69])
FACE = (15, 10, 20, 20)
SHAPE = (48, 60, 3)


class Scene:
    """`faces` is what the detector will find; frames pulse at `hr_bpm`."""

    def __init__(self, hr_bpm=72.0):
        self.hr_bpm, self.faces, self.looks = hr_bpm, [FACE], 0
        self.noise = np.random.default_rng(0).normal(0, 2, (17, *SHAPE))
        self.colours = BLOOD

    def frame(self, t):
        wave = 0.02 * np.sin(2 * np.pi * self.hr_bpm / 60 * t)
        picture = SKIN * (1 + wave * self.colours) + self.noise[round(30 * t) % 17]
        return picture.clip(0, 255).astype(np.uint8)

    def find(self, frame):
        self.looks += 1
        return list(self.faces)


@pytest.fixture
def scene(monkeypatch):
    made = Scene()
    monkeypatch.setattr(tracker, "find_faces", made.find)
    return made


class Seen(Lines):
    """A view that keeps the updates."""

    def __init__(self):
        self.updates = []

    def update(self, update):
        self.updates.append(update)


@pytest.fixture
def seen():
    return Seen()


class Stop:
    """An event that nobody sets: waiting lets the time `now` of the tests pass."""

    def __init__(self, now):
        self.now = now

    def wait(self, seconds):
        self.now[0] += seconds
        return False

    def set(self):
        pass


@pytest.fixture
def now(monkeypatch):
    """What `time.perf_counter` says, as the only item of a list; time passes by adding to it."""
    clock = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    return clock


@pytest.fixture
def stop(now):
    return Stop(now)
