"""What a training run needs to go on, in files that are whole or not there.

A state file is one line, `streamnet-state <sha256 of the rest>`, and what `torch.save` wrote. The
two newest are kept: should the last be damaged, the one before it is taken.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from streamnet_plugin.atomic import remove_leftovers, whole_file
from streamnet_plugin.errors import CheckpointError, ConfigError

log = logging.getLogger(__name__)
MAGIC = b"streamnet-state"
KEPT = 2
REMEDY = "free disk space and run the same command again: it goes on from the state before."
SHARE = 0.05
"""Of a run's time at most this is spent on saving states; a run with quick steps saves fewer."""


class StateFolder:
    """States of one run, and the settings that they belong to.

    Args:
        folder: where they are; made when the first is saved.
        identity: what the run is of, as nested dictionaries of plain values. A state of another
            identity is not gone on from, unless `force`.
        force: go on from whatever is there.
        clock: seconds.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        *,
        force: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.identity, self._force, self._clock = folder, identity, force, clock
        self._began = clock()
        self._spent = 0.0

    def due(self) -> bool:
        """Whether a state may be saved now without spending too much time on it."""
        return self._spent <= SHARE * (self._clock() - self._began)

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Write the state after `step` steps; the oldest but one goes.

        Raises:
            OutputError: the disk is full or the folder cannot be written; older states are whole.
        """
        began = self._clock()
        buffer = io.BytesIO()
        torch.save({**state, "step": step, "identity": self.identity}, buffer)
        payload = buffer.getbuffer()
        path = self.folder / f"step-{step:09d}.state"
        with (
            whole_file(path, "the state of the training", REMEDY) as whole,
            whole.open("wb") as file,
        ):
            file.write(MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n")
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        for old in self._files()[KEPT:]:
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
        for path in files:
            try:
                state = read_state(path)
            except CheckpointError as error:
                log.warning("%s", error)
                continue
            self._check(state["identity"])
            return state
        if files:
            raise CheckpointError(
                f"all states in it are damaged ({', '.join(f.name for f in files)})",
                path=self.folder,
                remedy="delete the folder to begin anew.",
            )
        return None

    def _check(self, before: Mapping[str, Any]) -> None:
        changed = list(differences(before, self.identity))
        if not changed:
            return
        if self._force:
            log.warning("going on with other settings: %s", "; ".join(changed))
            return
        raise ConfigError(
            "this training began with other settings: " + "; ".join(changed),
            path=self.folder.parent,
            remedy="restore them, give another folder (-o), or go on regardless with --force.",
        )

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("step-*.state"), reverse=True)


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
