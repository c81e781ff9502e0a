"""TensorBoard's files, written while one waits: what was told is there, and errors are heard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Board:
    """Writes TensorBoard's files.

    Not by tensorboardX's `SummaryWriter`: its thread writes later than a training's state is saved,
    so that a process which is killed leaves out steps that nobody does again; and should the
    thread die, of a full disk, the training waits for it for ever.

    Args:
        folder: of the files.
        first: steps from here on are written anew.

    Raises:
        OSError: from every method: the files cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self._events = EventsWriter(str(folder / "events"))
        self._add(first, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """A value of a curve."""
        from tensorboardX.summary import scalar

        self._add(step, summary=scalar(name, value))

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """A picture."""
        from tensorboardX.summary import image
        from tensorboardX.utils import figure_to_image

        self._add(step, summary=image(name, figure_to_image(figure, close=False)))

    def flush(self) -> None:
        """All that was told is on the disk after this."""
        self._events.flush()

    def close(self) -> None:
        """The same, and no more comes."""
        self._events.close()

    def _add(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._events.write_event(Event(wall_time=time.time(), step=step, **content))
