"""What a training run is told: loss, optimizer, learning rate, and how batches are cut.

The defaults are the authors' recipe (repository usmanraza121/STREAM-Net, e595651): AdamW without
weight decay, one-cycle learning rate up to 9e-3 over 30 epochs, 4 clips, mean squared error on the
difference-normalised BVP.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

Loss = Literal["mse", "pearson", "both"]
Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["onecycle", "cosine", "constant"]
SelectBy = Literal["loss", "hr_mae"]
Precision = Literal["float32", "bfloat16", "float64"]


@dataclass(frozen=True)
class TrainSettings:
    """Recipe; the defaults are the authors'.

    Attributes:
        epochs, learning_rate, weight_decay: as named.
        batch_clips: clips of one forward pass, over all processes together.
        accumulate: so many forward passes make one step of the optimizer.
        loss: "mse"; "pearson", 1 - r over time; "both", their sum: the first keeps the scale that
            Monte Carlo variances are quoted in, the second does not care for it and pulls from the
            start, when the output is still flat.
        optimizer, momentum: the latter of "sgd".
        schedule: "onecycle" (Smith & Topin 2018), "cosine" down to 0, or "constant".
        clip_norm: gradients are scaled down to this norm; None leaves them.
        precision: in which the forward pass is computed; with bfloat16 weights stay float32.
            float64 is for comparing runs, where rounding must not matter.
        seed: of weights, dropout, augmentation and the order of clips.
        select_by: what the best epoch has least of on the validation data.
        patience: stop after so many epochs without a better one; 0 never stops early.
        workers: processes that load clips; 0 loads them in the training process.
    """

    epochs: int = 30
    batch_clips: int = 4
    learning_rate: float = 9e-3
    weight_decay: float = 0.0
    loss: Loss = "mse"
    optimizer: Optimizer = "adamw"
    momentum: float = 0.9
    schedule: Schedule = "onecycle"
    accumulate: int = 1
    clip_norm: float | None = None
    precision: Precision = "float32"
    seed: int = 100
    select_by: SelectBy = "loss"
    patience: int = 0
    workers: int = 0


def squared_error(pred: Tensor, label: Tensor) -> Tensor:
    """Mean squared error of each clip: (B, T) and (B, T) -> (B,)."""
    return (pred - label).square().mean(dim=1)


def negative_pearson(pred: Tensor, label: Tensor) -> Tensor:
    """1 - r over time of each clip: (B, T) and (B, T) -> (B,)."""
    p = pred - pred.mean(dim=1, keepdim=True)
    g = label - label.mean(dim=1, keepdim=True)
    return 1 - (p * g).sum(dim=1) / (p.norm(dim=1) * g.norm(dim=1)).clamp_min(1e-8)


LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": squared_error,
    "pearson": negative_pearson,
    "both": lambda pred, label: squared_error(pred, label) + negative_pearson(pred, label),
}
"""(B, T) output and label -> (B,), whose mean over the clips of a step is made smaller."""


def make_optimizer(
    parameters: Iterable[nn.Parameter], settings: TrainSettings
) -> torch.optim.Optimizer:
    """The optimizer that the recipe names."""
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay, momentum=settings.momentum)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=decay)


def make_schedule(
    optimizer: torch.optim.Optimizer, settings: TrainSettings, steps: int, done: int = 0
) -> LRScheduler:
    """The learning rate over `steps` steps of the optimizer, `done` of which are behind it.

    A function of the number of the step alone, so that a run goes on with the rate it would have.
    """
    schedule: LRScheduler
    if settings.schedule == "onecycle":
        schedule = OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    else:
        schedule = LambdaLR(optimizer, partial(SHAPES[settings.schedule], steps))
    if done:
        schedule.last_epoch = min(done, steps) - 1
        with warnings.catch_warnings():  # torch wants the optimizer to step first: it did, before
            warnings.simplefilter("ignore")
            schedule.step()
    return schedule


def _cosine(steps: int, step: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def _constant(steps: int, step: int) -> float:
    return 1.0


SHAPES: dict[str, Callable[[int, int], float]] = {"cosine": _cosine, "constant": _constant}
"""(steps in all, number of the step) -> share of the highest learning rate."""
