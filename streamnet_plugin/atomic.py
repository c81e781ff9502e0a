"""Folders that get their name only when they are complete; what was interrupted leaves nothing."""

from __future__ import annotations

import os
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamnet_plugin.errors import OutputError

MAKING = ".making-"
"""Unfinished folders are named `.making-<process>@<machine>-<random>`."""


@contextmanager
def making(final: Path, what: str, remedy: str) -> Iterator[Path]:
    """An unfinished folder beside `final` to fill, and then to rename; gone when the block ends.

    Args:
        final: what the folder is to become; the block itself gives it that name, see `appearing`.
        what: is being written, for the error, e.g. "the cache".
        remedy: what to do if it cannot.

    Raises:
        OutputError: the place cannot be written, or the disk is full.
    """
    temporary = final.parent / f"{MAKING}{_signature()}-{secrets.token_hex(4)}"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        yield temporary
    except OSError as error:
        raise OutputError(
            f"{what} cannot be written: {error}", path=final, remedy=remedy
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def appearing(final: Path, what: str, remedy: str) -> Iterator[Path]:
    """A folder to fill, which becomes `final` when the block ends well.

    If there is one by then, from another process that was faster, that one is kept. Arguments and
    errors as of `making`.
    """
    with making(final, what, remedy) as temporary:
        yield temporary
        try:
            os.rename(temporary, final)
        except OSError:
            if not final.is_dir():
                raise


@contextmanager
def whole_file(
    path: Path, what: str, remedy: str = "choose another place, or free disk space."
) -> Iterator[Path]:
    """Where to write a file that becomes `path`, over an older one, when the block ends well.

    Arguments and errors as of `making`.
    """
    with making(path, what, remedy) as temporary:
        yield temporary / path.name
        os.replace(temporary / path.name, path)


def write_text(path: Path, text: str, what: str) -> None:
    """Write a file, whole or not at all, over an older one; `OutputError` as of `making`."""
    with whole_file(path, what) as whole:
        whole.write_text(text, encoding="utf-8")


def write_new_text(path: Path, text: str, what: str) -> Path:
    """The same under the first free of the names `x.json`, `x-2.json`, ...; returns that name."""
    with making(path, what, "choose another place, or free disk space.") as temporary:
        whole = temporary / path.name
        whole.write_text(text, encoding="utf-8")
        number = 1
        while True:
            name = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
            try:
                name.touch(exist_ok=False)  # claims it, even against another process
            except FileExistsError:
                number += 1
                continue
            os.replace(whole, name)
            return name


def numbered(temporary: Path, wanted: Path) -> Path:
    """Give a finished folder the first free of the names `wanted`, `wanted-2`, `wanted-3`, ..."""
    number = 1
    while True:
        name = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            name.mkdir()  # claims it, even against another process
        except FileExistsError:
            number += 1
            continue
        os.replace(temporary, name)  # replaces the empty folder just made
        return name


def taken(wanted: Path) -> Iterator[Path]:
    """The folders that `numbered` has given names of this kind, the oldest first."""
    number, name = 1, wanted
    while name.is_dir():
        yield name
        number += 1
        name = wanted.with_name(f"{wanted.name}-{number}")


def discard(folder: Path) -> None:
    """Remove a folder so that nobody sees half of it."""
    gone = folder.parent / f"{MAKING}{_signature()}-{secrets.token_hex(4)}"
    try:
        os.rename(folder, gone)
    except FileNotFoundError:  # another process did
        return
    shutil.rmtree(gone, ignore_errors=True)


def remove_leftovers(parent: Path) -> None:
    """Delete what processes of this machine that were killed had begun to write below `parent`."""
    for folder in parent.glob(f"{MAKING}*"):
        process, _, machine = folder.name.removeprefix(MAKING).partition("-")[0].partition("@")
        if machine in ("", _machine()) and not (process.isdigit() and _alive(int(process))):
            shutil.rmtree(folder, ignore_errors=True)


def _signature() -> str:
    return f"{os.getpid()}@{_machine()}"


def _machine() -> str:
    return "".join(c if c.isalnum() else "_" for c in platform.node())


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # alive, and somebody else's
        return True
    return True
