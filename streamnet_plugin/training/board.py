"""TensorBoard's files, whose errors are heard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Board:
    """Writes TensorBoard's files.

    tensorboardX writes in a thread. Should that die, of a full disk, its queue fills up, and the
    training would wait for it for ever: so its errors are kept, and the queue has no limit.

    Args:
        folder: of the files.
        first: steps from here on are written anew.

    Raises:
        OSError: from every method: the files cannot be written.
    """

    def __init__(self, folder: Path, first: int) -> None:
        from tensorboardX import SummaryWriter

        self._error: OSError | None = None
        self._board = SummaryWriter(str(folder), purge_step=first, max_queue=0, flush_secs=10)
        events: Any = self._board.file_writer.event_writer
        self._queue = events._event_queue
        for name in ("write_event", "flush"):
            setattr(events._ev_writer, name, self._heard(getattr(events._ev_writer, name)))

    def _heard(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def heard(*arguments: Any) -> Any:
            try:
                return write(*arguments)
            except OSError as error:
                self._error = self._error or error
                raise

        return heard

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
        try:
            self._board.close()
        finally:
            self._check()

    def _check(self) -> None:
        if self._error is None:
            return
        # Nobody reads the queue any more: or the end of the process would wait for that.
        self._queue.cancel_join_thread()
        raise self._error
