"""Errors that say what was found, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class StreamnetError(Exception):
    """Base of every error a user can cause and mend.

    Args:
        what: what was found and what was expected, one sentence.
        path: the file or folder concerned.
        remedy: what the user can do about it, one sentence.
    """

    def __init__(self, what: str, *, path: str | Path | None = None, remedy: str = "") -> None:
        self.what = what
        self.path = Path(path) if path is not None else None
        self.remedy = remedy
        super().__init__(what)

    def __reduce__(self) -> tuple[Any, ...]:  # errors cross from worker processes
        return _rebuilt, (type(self), self.what, self.path, self.remedy)

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path is not None else ""
        todo = f" Remedy: {self.remedy}" if self.remedy else ""
        return f"{where}{self.what}{todo}"


def _rebuilt(
    kind: type[StreamnetError], what: str, path: Path | None, remedy: str
) -> StreamnetError:
    return kind(what, path=path, remedy=remedy)


class DataError(StreamnetError):
    """A video or its labels cannot be used."""


class NoFaceError(DataError):
    """No face was found where one is needed."""


class FaceAwayError(DataError):
    """The face is out of the crop for most of the video."""


class NoResultError(StreamnetError):
    """A waveform from which no heart rate can be computed (empty, constant, NaN, too short)."""


class ConfigError(StreamnetError):
    """A configuration file has an unknown key, a wrong type or contradicting values."""


class DivergedError(StreamnetError):
    """A training whose loss or gradients went beyond all bounds."""


class CheckpointError(StreamnetError):
    """Network weights do not fit, or the file is not what it should be."""


class UnknownMethodError(StreamnetError):
    """No method of that name is registered."""


class OutputError(StreamnetError):
    """Results or cache files cannot be written."""
