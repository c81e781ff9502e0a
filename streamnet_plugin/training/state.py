"""What a training run needs to go on, in files that are whole or not there.

A state file is one line, `streamnet-state <sha256 of the rest>`, and what `torch.save` wrote. The
two newest are kept: should the last be damaged, the one before it is taken. So are the two
newest of the lasting ones, those of an epoch's end: should the training diverge, one is sound.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from streamnet_plugin.atomic import remove_leftovers, whole_file
from streamnet_plugin.errors import CheckpointError, ConfigError, OutputError

log = logging.getLogger(__name__)
MAGIC = b"streamnet-state"
LASTING = ".epoch"
"""In the name of an epoch's end: step-000000012.epoch.state."""
LOCK, LOCK_S = "lock", 15.0
"""The processes that load clips hold it, too, and see only after 5 s that theirs was killed."""
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
KEPT = 2
OTHER = "restore them, give another folder (-o), or go on regardless with --force."
REMEDY = "free disk space and run the same command again: it goes on from the state before."
SHARE = 0.05
"""Of a run's time at most this is spent on saving states; a run with quick steps saves fewer."""


class StateFolder:
    """States of one run, and the settings that they belong to.

    Args:
        folder: where they are; made when the first is saved.
        identity: what the run is of, as nested dictionaries of plain values. A state of another
            identity is not gone on from, unless `force`.
        defaults: of keys that an older version did not have: a state without such a key is one of
            its default.
        force: go on from whatever is there.
        remedy: what to do about a state of other settings.
        clock: seconds.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any] | None = None,
        force: bool = False,
        remedy: str = OTHER,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._defaults, self._remedy = defaults or {}, remedy
        self.folder, self.identity, self._force, self._clock = folder, identity, force, clock
        self._began = clock()
        self._spent = 0.0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the folder; the system lets go of it where one is killed.

        Raises:
            ConfigError: another training is in it.
            OutputError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            held: AbstractContextManager[Any] = FileLock(self.folder / LOCK).acquire(timeout=LOCK_S)
        except Timeout as error:
            raise ConfigError(
                "another training is under way in this folder",
                path=self.folder.parent,
                remedy="wait for it, end it, or give another folder.",
            ) from error
        except (OSError, NotImplementedError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise OutputError(
                    f"the state of the training cannot be written: {error}",
                    path=self.folder,
                    remedy="choose a folder that can be written to.",
                ) from error
            log.warning(
                "%s: this file system has no locks; start no second training there", self.folder
            )
            held = nullcontext()
        with held:
            yield

    def due(self) -> bool:
        """Whether a state may be saved now without spending too much time on it."""
        return self._spent <= SHARE * (self._clock() - self._began)

    def save(self, step: int, state: Mapping[str, Any], *, lasting: bool = False) -> None:
        """Write the state after `step` steps; older ones go, but for those that are kept.

        Raises:
            OutputError: the disk is full or the folder cannot be written; older states are whole.
        """
        began = self._clock()
        buffer = io.BytesIO()
        torch.save({**state, "step": step, "identity": self.identity}, buffer)
        payload = buffer.getbuffer()
        path = self.folder / f"step-{step:09d}{LASTING if lasting else ''}.state"
        with (
            whole_file(path, "the state of the training", REMEDY) as whole,
            whole.open("wb") as file,
        ):
            file.write(MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        files = self._files()
        kept = {*files[:KEPT], *[f for f in files if _lasts(f)][:KEPT]}
        for old in files:
            if old not in kept:
                old.unlink(missing_ok=True)
        self._spent += self._clock() - began

    def load(self) -> dict[str, Any] | None:
        """The newest state that is whole; None if there is none yet.

        Raises:
            ConfigError: it belongs to other settings; says what changed.
            CheckpointError: there are states, and all of them are damaged.
        """
        remove_leftovers(self.folder)
        files = self._files()
        damaged: list[Path] = []
        for path in files:
            try:
                state = read_state(path)
            except CheckpointError as error:
                log.warning("%s", error)
                if not isinstance(error.__cause__, OSError | MemoryError):  # these may pass
                    damaged.append(path)
                continue
            self._check(state["identity"])
            for useless in damaged:  # or it would count among the newest
                useless.unlink(missing_ok=True)
            return state
        if files:
            raise CheckpointError(
                f"all states in it are damaged ({', '.join(f.name for f in files)})",
                path=self.folder,
                remedy="delete the folder to begin anew.",
            )
        return None

    def _check(self, before: Mapping[str, Any]) -> None:
        changed = differences(_filled(before, self.identity, self._defaults), self.identity)
        if not changed:
            return
        if self._force:
            log.warning("going on with other settings: %s", "; ".join(changed))
            return
        raise ConfigError(
            "this training began with other settings: " + "; ".join(changed),
            path=self.folder.parent,
            remedy=self._remedy,
        )

    def drop_after(self, step: int) -> None:
        """Remove the states after more than `step` steps."""
        for path in self._files():
            if _step(path) > step:
                path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """Newest first; an epoch's end comes after its last step."""
        found = self.folder.glob("step-*.state")
        return sorted(found, key=lambda path: (_step(path), _lasts(path)), reverse=True)


def _step(path: Path) -> int:
    number = path.name.removeprefix("step-").partition(".")[0]
    return int(number) if number.isdigit() else -1


def _lasts(path: Path) -> bool:
    return path.stem.endswith(LASTING)


def _filled(before: Any, now: Any, defaults: Any) -> Any:
    """`before` with the default of every key that `now` has beside it."""
    if not all(isinstance(tree, Mapping) for tree in (before, now, defaults)):
        return before
    new = {name: defaults[name] for name in now if name not in before and name in defaults}
    return new | {
        name: _filled(value, now.get(name), defaults.get(name)) for name, value in before.items()
    }


def read_state(path: Path) -> dict[str, Any]:
    """A state file; nothing but tensors and plain values is read from it.

    Raises:
        CheckpointError: damaged.
    """
    try:
        first, _, payload = path.read_bytes().partition(b"\n")
        magic, _, digest = first.partition(b" ")
        if magic != MAGIC or hashlib.sha256(payload).hexdigest().encode() != digest:
            raise ValueError("its checksum does not match")
        state: dict[str, Any] = torch.load(
            io.BytesIO(payload), map_location="cpu", weights_only=True
        )
    except Exception as error:  # torch's unpickler raises anything at all
        raise CheckpointError(
            f"this state of a training is damaged: {error}",
            path=path,
            remedy="the one before it is used, if there is one.",
        ) from error
    return state


def differences(before: Any, now: Any, key: str = "") -> list[str]:
    """What differs between two trees of plain values, as `KEY: old -> new`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        found = []
        for name in dict.fromkeys((*before, *now)):
            below = f"{key}.{name}" if key else str(name)
            found += differences(before.get(name), now.get(name), below)
        return found
    if isinstance(before, list | tuple) and isinstance(now, list | tuple):
        before, now = list(before), list(now)
    return [] if before == now else [f"{key}: {before} -> {now}"]
