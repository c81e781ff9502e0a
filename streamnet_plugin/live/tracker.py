"""Where the face is, looked for now and then.

The crop stays where it is as long as the face is well inside: a box that follows every pixel of the
detector's trembling would write that into the waveform. When the face has moved away, the box jumps
there and a new stretch begins; what was read before the jump is not mixed with what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import cv2

from streamnet_plugin.data.face import Box, alike, enlarged, find_faces
from streamnet_plugin.types import FrameArray

SEARCH_WIDTH = 640
"""A face is searched for at this width at most, the datasets' own ..."""
LOOK_WIDTH = 320
"""... and one that is known looked at again at this one: 20 ms instead of 70."""
LOOK_EVERY_S = 0.5
SOON_S = 0.2
"""The next look where the last one leaves a question."""
LOST_AFTER_S = 2.0
"""The detector misses faces that are turned or dark; one that is not seen for longer is gone."""
STAYED = 0.5
"""The face has moved where its enlarged box and the crop have less in common (intersection over
union): a third of the crop's width. PURE's translations, as the synthetic faces make them, come
down to 0.60, and are read well in a crop that stays."""
SAME = 0.3
"""Two looks that have so much in common have seen the same thing."""


class AtOnce(Executor):
    """Does the work when it is asked for, for what must not depend on the clock."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


class FaceTracker:
    """The box of one face over time.

    Args:
        executor: does the detector's work; its answers are used when they are there.
        coefficient: the detector's box is enlarged by this.

    Attributes:
        box: of the crop; None where no face is known.
        stretch: grows with every new box.
        seen: the last look saw the face.
        ever: a face was seen and confirmed at some time.
    """

    def __init__(self, executor: Executor, coefficient: float) -> None:
        self.executor, self.coefficient = executor, coefficient
        self.box: Box | None = None
        self.stretch, self.seen, self.ever = 0, False, False
        self._next = float("-inf")
        self._pending: Future[list[Box]] | None = None
        self._confirmed = False
        self._last_seen = 0.0
        self._elsewhere: Box | None = None

    def see(self, frame: FrameArray, time: float) -> Box | None:
        """The box to crop from this RGB frame (H, W, 3) at `time` (s)."""
        if self._pending is None and time >= self._next:
            width = SEARCH_WIDTH if self.box is None else LOOK_WIDTH
            self._pending = self.executor.submit(_faces, frame, width)
        if self._pending is not None and self._pending.done():
            self._learn(self._pending.result(), time)
            self._pending = None
        return self.box

    def forget(self) -> None:
        """Search anew, as for a picture of another size."""
        self.box, self.seen, self._pending = None, False, None
        self._next = float("-inf")

    def _learn(self, faces: list[Box], time: float) -> None:
        boxes = [enlarged(face, self.coefficient) for face in faces]
        self._next = time + SOON_S
        if self.box is None:
            if boxes:
                self._take(boxes[0], time)
        elif any(alike(box, self.box) > STAYED for box in boxes):
            self.seen = self.ever = self._confirmed = True
            self._last_seen, self._elsewhere = time, None
            self._next = time + LOOK_EVERY_S
        elif not self._confirmed:  # patterns are taken for faces, but seldom twice
            self.forget()
        elif boxes and self._elsewhere and alike(boxes[0], self._elsewhere) > SAME:
            self._take(boxes[0], time)
            self._confirmed = True
        else:
            self.seen, self._elsewhere = False, boxes[0] if boxes else None
            if time - self._last_seen > LOST_AFTER_S:
                self.forget()

    def _take(self, box: Box, time: float) -> None:
        self.box, self.seen, self._last_seen = box, True, time
        self._confirmed, self._elsewhere = False, None
        self.stretch += 1


def _faces(frame: FrameArray, width: int) -> list[Box]:
    """The faces in a frame, looked for at most `width` px wide, in the frame's own pixels."""
    scale = min(1.0, width / frame.shape[1])
    if scale < 1:
        frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(
            frame.dtype, copy=False
        )
    return [
        (round(x / scale), round(y / scale), round(w / scale), round(h / scale))
        for x, y, w, h in find_faces(frame)
    ]
