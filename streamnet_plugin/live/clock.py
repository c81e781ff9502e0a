"""From a camera's own, irregular times to a constant rate, and what its rate is."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

EARLY = 0.1
"""A frame up to this share of a step before a moment of the grid counts as being there: waiting
for the next one, to see which is nearer, would cost a whole frame of latency."""
RATE_S = 5.0
"""The frame rate is the one of the last so many seconds."""


class Resampler(Generic[T]):
    """At every moment k / fs after the first item, the item nearest in time.

    Nearest rather than blended, as the whole-video preprocessing does it; but for `EARLY` it
    chooses the same.

    Args:
        fs: Hz.
    """

    def __init__(self, fs: float) -> None:
        self.fs = fs
        self._start, self._before, self._next = 0.0, 0.0, 0
        self._item: T | None = None

    def push(self, time: float, item: T) -> list[T]:
        """The items for the moments that this one at `time` (s, increasing) completes."""
        if self._item is None:
            self._start, self._before, self._item = time, time, item
        out: list[T] = []
        while (at := self._start + self._next / self.fs) <= time + EARLY / self.fs:
            out.append(self._item if at - self._before < time - at else item)
            self._next += 1
        self._before, self._item = time, item
        return out


class Rate:
    """Frames per second over the last `RATE_S` seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def push(self, time: float) -> None:
        self._times.append(time)
        while time - self._times[0] > RATE_S:
            self._times.popleft()

    @property
    def hz(self) -> float:
        """NaN before the second frame."""
        steps = len(self._times) - 1
        return per_second(steps, self._times[-1] - self._times[0]) if steps > 0 else float("nan")


def per_second(n: int, seconds: float) -> float:
    """NaN where no time has passed."""
    return n / seconds if seconds > 0 else float("nan")
