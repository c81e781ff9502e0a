"""Services that a training may tell of itself, beside its own tables: Lightning's loggers.

What goes wrong with them is an error of ours: a training that was to be followed and is not can go
on, with the same command, when they are there again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from streamnet_plugin.atomic import write_text
from streamnet_plugin.errors import ConfigError, OutputError

KINDS = ("wandb", "mlflow")
MLFLOW_RUN = "mlflow-run.json"
"""In the run's folder: where MLflow's run is, and which it is."""

SPECIAL = re.compile("[%?#]")
"""What in the path of a database is not taken as it is written."""


def check_loggers(kinds: Sequence[str]) -> None:
    """`ConfigError` for a kind that is none, or that is not installed."""
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(
                f"no logger is named {kind!r}", remedy=f"use one of {', '.join(KINDS)}."
            )
        missing = [package for package in ("lightning", kind) if find_spec(package) is None]
        if missing:
            raise ConfigError(
                f"TRAINING.LOGGERS names {kind}; not installed: {', '.join(missing)}",
                remedy=f"pip install lightning {kind}, or take it out.",
            )


class Logger:
    """A logger of Lightning's.

    A training that goes on in its folder goes on with its run there, too. MLflow writes where
    MLFLOW_TRACKING_URI says, or into the folder.

    Args:
        kind: of `KINDS`.
        folder: of the training.
        run: its name.

    Raises:
        ConfigError: see `check_loggers`.
        OutputError: from here and every method: the service fails.
    """

    def __init__(self, kind: str, folder: Path, run: str) -> None:
        check_loggers([kind])
        self.kind = kind
        with self._told():
            from lightning.pytorch import loggers

            if kind == "wandb":
                self._logger = _wandb(loggers.WandbLogger, folder, run)
            else:
                self._logger = _mlflow(loggers.MLFlowLogger, folder.resolve(), run)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Values after a step."""
        with self._told():
            self._logger.log_metrics(dict(metrics), step)

    def close(self, failed: bool) -> None:
        """Say that the training ended, and how."""
        with self._told():
            self._logger.finalize("failed" if failed else "success")

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of whatever they are made of
            raise OutputError(
                f"{self.kind} fails: {error}",
                remedy="mend that and run the same command again, or take it out of "
                "TRAINING.LOGGERS.",
            ) from error


def _wandb(kind: Any, folder: Path, run: str) -> Any:
    # The same folder is the same run, another one another, whatever both are called.
    own = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    return kind(name=run, save_dir=str(folder), id=f"{run}-{own}", resume="allow")


def _mlflow(kind: Any, folder: Path, run: str) -> Any:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    options: dict[str, Any] = {"run_name": run}
    if not uri:  # a database: folders of files are given up by MLflow
        uri = "sqlite:///" + SPECIAL.sub(lambda c: quote(c[0]), str(folder / "mlflow.db"))
        options["artifact_location"] = (folder / "mlflow").as_uri()
    options["tracking_uri"] = uri
    logger = None
    before = _known_run(folder / MLFLOW_RUN)
    if before.get("uri") == uri:
        try:
            logger = kind(run, run_id=before["run_id"], **options)
            logger.experiment.get_run(before["run_id"])
        except Exception:  # it is gone from there: another begins
            logger = None
    logger = logger or kind(run, **options)
    told = {"uri": uri, "run_id": logger.run_id}
    write_text(folder / MLFLOW_RUN, json.dumps(told) + "\n", "the name of MLflow's run")
    return logger


def _known_run(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
