"""A plain training loop: AdamW, one-cycle schedule, one loss."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.model.streamnet import STREAMNet

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainSettings:
    """Recipe; the defaults are the authors' except the learning rate.

    Attributes:
        epochs, batch_clips, learning_rate, weight_decay: as named.
        bfloat16: compute the forward pass in bfloat16.
        seed: of weights, dropout and the order of clips.
    """

    epochs: int = 30
    batch_clips: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    bfloat16: bool = False
    seed: int = 100


def negative_pearson(pred: Tensor, label: Tensor) -> Tensor:
    """1 - r over time, averaged over clips; (B, T) and (B, T)."""
    p = pred - pred.mean(dim=1, keepdim=True)
    g = label - label.mean(dim=1, keepdim=True)
    r = (p * g).sum(dim=1) / (p.norm(dim=1) * g.norm(dim=1)).clamp_min(1e-8)
    return (1 - r).mean()


def train(
    model: STREAMNet,
    clips: Dataset[tuple[NDArray[np.float32], NDArray[np.float32]]],
    settings: TrainSettings,
    after_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> STREAMNet:
    """Fit the network to clips (T, 6, H, W) with difference-normalised labels (T,).

    The loss is the mean squared error plus 1 - Pearson's r over time: the first keeps the scale
    that Monte Carlo variances are quoted in, the second does not care for it and pulls from the
    start, when the output is still flat.

    Raises:
        ConfigError: no clips.
        StreamnetError: the loss is no longer finite; names the step.
    """
    loader = DataLoader(
        clips,
        batch_size=settings.batch_clips,
        shuffle=True,
        generator=torch.Generator().manual_seed(settings.seed),
    )
    if len(loader) == 0:
        raise ConfigError("there are no clips to train on")
    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.epochs * len(loader)
    )
    step = 0
    for epoch in range(settings.epochs):
        model.train()
        losses = []
        for x, label in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                pred = model(x)
            pred = pred.float()
            loss = torch.nn.functional.mse_loss(pred, label) + negative_pearson(pred, label)
            if not torch.isfinite(loss):
                raise StreamnetError(
                    f"the loss is {loss.item()} at step {step}",
                    remedy="lower the learning rate.",
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            step += 1
        mean = float(np.mean(losses))
        log.info("epoch %d of %d: loss %.4f", epoch + 1, settings.epochs, mean)
        after_epoch(epoch, mean)
    return model.eval()
