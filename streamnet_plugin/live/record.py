"""Every update as a row of a CSV file, complete whatever comes next."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TextIO

from streamnet_plugin.errors import OutputError
from streamnet_plugin.live.session import Update

COLUMNS: dict[str, Callable[[Update], object]] = {
    "time_s": lambda u: f"{u.time_s:.3f}",
    "clock": lambda u: datetime.now().astimezone().isoformat(timespec="milliseconds"),
    "hr_bpm": lambda u: _number(u.hr_bpm, 2),
    "spread_bpm": lambda u: _number(u.spread_bpm, 2),
    "low_bpm": lambda u: _number(u.interval[0] if u.interval else None, 2),
    "high_bpm": lambda u: _number(u.interval[1] if u.interval else None, 2),
    "trusted": lambda u: int(u.trusted),
    "reason": lambda u: u.reason,
    "window_s": lambda u: f"{u.window_s:.2f}",
    "fps": lambda u: _number(u.fps, 2),
    "handled_fps": lambda u: _number(u.handled_fps, 2),
    "latency_ms": lambda u: _number(1000 * u.latency_s, 1),
    "frames_lost": lambda u: u.lost,
    "notes": lambda u: "; ".join(u.notes),
}
"""Column -> its text. Empty where there is no value."""


class Recorder:
    """A CSV file that is opened at once and flushed after every row.

    Args:
        path: the file; if there is one already, `-2`, `-3`, ... is appended to its name. The null
            device is written as it is.

    Attributes:
        path: the file that is written.

    Raises:
        OutputError: it is a folder or a device, or cannot be written, now or later.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._open_new(self.path)
        except OSError as error:
            raise self._failed(error) from error
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._row(COLUMNS)

    def _open_new(self, wanted: Path) -> TextIO:
        if str(wanted) == os.devnull:
            return wanted.open("w", newline="", encoding="utf-8")
        if wanted.exists() and not wanted.is_file():
            raise OutputError(
                "the readings need a file, and this is a folder, a device or a pipe",
                path=wanted,
                remedy=f"choose a file with --output, or {os.devnull} for none.",
            )
        number = 1
        while True:
            try:
                return self.path.open("x", newline="", encoding="utf-8")
            except FileExistsError:
                number += 1
                self.path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")

    def update(self, update: Update) -> None:
        self._row([text(update) for text in COLUMNS.values()])

    def _row(self, values: object) -> None:
        try:
            self._writer.writerow(values)  # type: ignore[arg-type]
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"the readings cannot be written: {error}",
            path=self.path,
            remedy="free disk space, or choose another file with --output.",
        )

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError:  # of the row that was told already
            if error is None:
                raise


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"
