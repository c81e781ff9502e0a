"""TensorBoard's files, whose errors are heard."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Board:
    """Writes TensorBoard's files.

    tensorboardX writes in a thread. Should that die, of a full disk, its queue fills up, and the
    training would wait for it for ever: so it is looked after here, and the queue has no limit.

    Args:
        folder: of the files.
        first: steps from here on are written anew.

    Raises:
        OSError: from every method: the files cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboardX import SummaryWriter

        self._board = SummaryWriter(str(folder), purge_step=first, max_queue=0, flush_secs=10)
        self._events: Any = self._board.file_writer.event_writer
        self._thread = self._events._worker

    def scalar(self, name: str, value: float, step: int) -> None:
        """A value of a curve."""
        self._check()
        self._board.add_scalar(name, value, step)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """A picture."""
        self._check()
        self._board.add_figure(name, figure, step, close=False)

    def close(self) -> None:
        """Write what is not written yet."""
        self._check()
        self._board.close()

    def _check(self) -> None:
        if self._thread.is_alive():
            return
        # Nobody reads the queue any more: or the end of the process would wait for that.
        self._events._event_queue.cancel_join_thread()
        raise OSError("TensorBoard's files could not be written, the reason stands above")
