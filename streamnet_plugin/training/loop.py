"""The one training loop: AdamW, one-cycle schedule, one loss, validation after every epoch.

The builtin backend and the toolbox's trainer adapter both train with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.model.streamnet import STREAMNet

log = logging.getLogger(__name__)
Loss = Literal["mse", "pearson", "both"]


@dataclass(frozen=True)
class TrainSettings:
    """Recipe; the defaults are the authors' except the learning rate and the loss.

    Attributes:
        epochs, batch_clips, learning_rate, weight_decay: as named.
        loss: "mse", the authors'; "pearson", 1 - r over time; "both", their sum: the first keeps
            the scale that Monte Carlo variances are quoted in, the second does not care for it
            and pulls from the start, when the output is still flat.
        bfloat16: compute the forward pass in bfloat16.
        seed: of dropout and the order of clips.
    """

    epochs: int = 30
    batch_clips: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    loss: Loss = "both"
    bfloat16: bool = False
    seed: int = 100


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to.

    Attributes:
        epoch: from 0.
        train_loss, valid_loss: means over batches; None without validation data.
        learning_rates: one per step.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    learning_rates: tuple[float, ...]


class Batches(Protocol):
    """A sized source of batches, e.g. a DataLoader: items start with clips and their labels."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Any: ...


def negative_pearson(pred: Tensor, label: Tensor) -> Tensor:
    """1 - r over time, averaged over clips; (B, T) and (B, T)."""
    p = pred - pred.mean(dim=1, keepdim=True)
    g = label - label.mean(dim=1, keepdim=True)
    r = (p * g).sum(dim=1) / (p.norm(dim=1) * g.norm(dim=1)).clamp_min(1e-8)
    return (1 - r).mean()


LOSSES: dict[Loss, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": nn.functional.mse_loss,
    "pearson": negative_pearson,
    "both": lambda pred, label: nn.functional.mse_loss(pred, label) + negative_pearson(pred, label),
}


def fit(
    model: nn.Module,
    batches: Batches,
    settings: TrainSettings,
    *,
    valid: Batches | None = None,
    after_step: Callable[[float], None] = lambda loss: None,
    after_epoch: Callable[[EpochReport], None] = lambda report: None,
) -> None:
    """Fit a network that maps clips (B, T, 6, H, W) to (B, T); it is left in evaluation mode.

    Args:
        model: a STREAM-Net, or a wrapper of one such as DataParallel.
        batches: items start with clips (B, T, 6, H, W) and labels (B, T).
        settings: the recipe; `batch_clips` is the business of whoever made `batches`.
        valid: batches to measure the same loss on after every epoch.
        after_step: hears the loss of every step.
        after_epoch: hears of every epoch; the place to save weights.

    Raises:
        ConfigError: no clips.
        StreamnetError: the loss is no longer finite; names the step.
    """
    if len(batches) == 0:
        raise ConfigError("there are no clips to train on")
    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * len(batches)
    )

    for epoch in range(settings.epochs):
        model.train()
        losses: list[float] = []
        rates: list[float] = []
        for batch in batches:
            loss = _loss(model, batch, settings.loss, settings.bfloat16)
            if not torch.isfinite(loss):
                raise StreamnetError(
                    f"the loss is {loss.item()} at step {epoch * len(batches) + len(losses)}",
                    remedy="lower the learning rate.",
                )
            optimizer.zero_grad()
            loss.backward()
            rates.append(float(schedule.get_last_lr()[0]))
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            after_step(losses[-1])
        model.eval()
        held_out = (
            None
            if valid is None
            else mean_loss(model, valid, settings.loss, bfloat16=settings.bfloat16)
        )
        report = EpochReport(epoch, float(np.mean(losses)), held_out, tuple(rates))
        log.info("epoch %d of %d: loss %.4f", epoch + 1, settings.epochs, report.train_loss)
        after_epoch(report)


@torch.no_grad()
def mean_loss(
    model: nn.Module, batches: Iterable[Any], loss: Loss, *, bfloat16: bool = False
) -> float:
    """Mean over batches of the loss of a network in evaluation mode; `ConfigError` without any."""
    losses = [_loss(model, batch, loss, bfloat16).item() for batch in batches]
    if not losses:
        raise ConfigError("there are no clips to validate on")
    return float(np.mean(losses))


def _loss(model: nn.Module, batch: Any, loss: Loss, bfloat16: bool) -> Tensor:
    device = next(model.parameters()).device
    x, label = batch[0].to(device), batch[1].to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        pred = model(x)
    return LOSSES[loss](pred.float(), label.float())


def train(
    model: STREAMNet,
    clips: Dataset[tuple[NDArray[np.float32], NDArray[np.float32]]],
    settings: TrainSettings,
    after_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> STREAMNet:
    """`fit` to a dataset of clips (T, 6, H, W) with difference-normalised labels (T,)."""
    order = torch.Generator().manual_seed(settings.seed)
    loader = DataLoader(clips, settings.batch_clips, shuffle=len(clips) > 0, generator=order)  # type: ignore[arg-type]
    fit(model, loader, settings, after_epoch=lambda r: after_epoch(r.epoch, r.train_loss))
    return model
