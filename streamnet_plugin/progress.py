"""Progress of long work, told to whoever listens."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINES = 100
"""Without a terminal a stage of more steps than this does not print every one."""


class Reporter(Protocol):
    """Hears which stage begins and each step of it."""

    def start(self, stage: str, total: int) -> None:
        """A stage of `total` steps begins; the one before it is over."""

    def step(self, detail: str = "") -> None:
        """One step is done."""


class Silent:
    """Tells nobody."""

    def start(self, stage: str, total: int) -> None:
        pass

    def step(self, detail: str = "") -> None:
        pass


class Bars:
    """One line per stage on a terminal; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", style="dim"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage, self._total, self._done = "", 0, 0

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, stage: str, total: int) -> None:
        self._stage, self._total, self._done = stage, total, 0
        self._task = self._progress.add_task(stage, total=total, detail="")

    def step(self, detail: str = "") -> None:
        self._done += 1
        if self._console.is_terminal:
            if self._task is not None:
                self._progress.update(self._task, advance=1, detail=detail)
        elif self._done % max(1, self._total // LINES) == 0 or self._done == self._total:
            self._console.print(f"{self._stage}: {self._done}/{self._total} {detail}".rstrip())
