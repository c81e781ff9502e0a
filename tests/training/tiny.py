"""A training small enough to be run many times; as a script, the one that tests kill."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.training.loop import EpochReport, Listener, StepReport, Validation, fit
from streamnet_plugin.training.recipe import TrainSettings
from streamnet_plugin.training.state import StateFolder
from streamnet_plugin.training.tracking import RunLog

SETTINGS = TrainSettings(
    epochs=3, batch_clips=4, learning_rate=2e-3, loss="both", accumulate=2, clip_norm=5.0
)
LENGTH, SIZE = 10, 16
SMALL = [
    f"{section}.DATA.PREPROCESS.{key}={value}"
    for section in ("TRAIN", "VALID", "TEST")
    for key, value in (("RESIZE.W", SIZE), ("RESIZE.H", SIZE), ("CHUNK_LENGTH", 60))
]
QUICK = [
    *SMALL,
    "TRAIN.EPOCHS=2",
    "TRAIN.BATCH_SIZE=2",
    "TRAIN.LR=1e-3",
    "UNCERTAINTY.MC_SAMPLES=2",
]
"""Overrides with which a protocol's YAML trains in seconds."""


class TinyClips:
    """Random frames whose brightness follows the label a little."""

    def __init__(self, n: int = 14) -> None:
        rng = np.random.default_rng(3)
        t = np.arange(LENGTH) / 30
        self.label = np.cos(2 * np.pi * rng.uniform(1, 3, (n, 1)) * t)
        self.x = rng.normal(0, 0.5, (n, LENGTH, 6, SIZE, SIZE))
        self.x[:, :, :3] += self.label[:, :, None, None, None]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray, str, int]:
        return np.float32(self.x[i]), np.float32(self.label[i]), f"video{i // 2}", i % 2


def network(seed: int = 1, **changes: bool) -> STREAMNet:
    torch.manual_seed(seed)
    return STREAMNet(STREAMNetConfig(SIZE, SIZE, **changes))


class Stop(Exception):
    """Stands for an interruption."""


class StopAt(Listener):
    """Interrupts after a step or an epoch; knows the steps that it heard of."""

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.step, self.epoch, self.steps = step, epoch, list[int]()

    def after_step(self, report: StepReport) -> None:
        self.steps.append(report.step)
        if report.step == self.step:
            raise Stop

    def after_epoch(self, report: EpochReport, validation: Validation | None) -> None:
        if report.epoch == self.epoch:
            raise Stop


class Told(RunLog):
    """Says every step, slowly enough to be killed in between."""

    def after_step(self, report: StepReport) -> None:
        super().after_step(report)
        print(f"step {report.step}", flush=True)  # noqa: T201
        time.sleep(0.05)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    model = network()
    told = Told(folder, 30.0)
    fit(model, TinyClips(), SETTINGS, states=StateFolder(folder / "state", {}), listener=told)
    told.close()
    torch.save(model.state_dict(), folder / "final.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
