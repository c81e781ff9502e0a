"""How a network does on recordings that it is not trained on, after every epoch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.signal.heart_rate import refined_hrs
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.training.loop import Clips, Load, Validation, clip_name, load_with, prepared
from streamnet_plugin.training.recipe import LOSSES, Loss
from streamnet_plugin.types import FloatArray

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SHOWN = 3
"""Waveforms of so many videos are kept for a look."""
SHORTEST_S = 2.0
"""No heart rate is read from less."""

Read = tuple[str, int, float, FloatArray, FloatArray]
"""Of one clip: video, number, loss, output (T,) and label (T,)."""


def make_validate(
    clips: Clips,
    loss: Loss,
    *,
    batch: int,
    fs: float,
    band: tuple[float, float],
    load: Load | None = None,
) -> Callable[[nn.Module, Fabric], Validation]:
    """What `fit` calls after every epoch: the loss over clips and the HR MAE over videos.

    Args:
        clips: whose items have the video's name and the clip's number in it; without them, every
            clip is a video.
        loss: as in training.
        batch: clips of one forward pass, over all processes.
        fs: Hz.
        band: of the heart rate, Hz.
        load: as of `fit`.

    Raises:
        ConfigError: no clips.
    """
    if len(clips) == 0:
        raise ConfigError(
            "there are no clips to validate on", remedy="use longer videos, or more subjects."
        )

    def validate(model: nn.Module, fabric: Fabric) -> Validation:
        mine = list(_read_part(model, fabric, clips, loss, batch, load or load_with()))
        return validation_of(_from_all(mine, fabric), fs, band)

    return validate


@torch.no_grad()
def _read_part(
    model: nn.Module, fabric: Fabric, clips: Clips, loss: Loss, batch: int, load: Load
) -> Iterator[Read]:
    """The clips that fall to this process."""
    world = fabric.world_size
    mine = list(range(fabric.global_rank, len(clips), world))
    size = max(1, batch // world)
    loader = load(clips, [mine[start : start + size] for start in range(0, len(mine), size)])
    at, dtype = iter(mine), next(model.parameters()).dtype
    for items in loader:
        x, label = prepared(clips, items, fabric.device)
        with fabric.autocast():
            pred = model(x.to(dtype)).float()
        losses = LOSSES[loss](pred, label)
        for i in range(len(x)):
            index = next(at)
            name, number = clip_name(items, i) or (f"clip {index}", 0)
            yield name, number, float(losses[i]), _numpy(pred[i]), _numpy(label[i])


def _numpy(x: torch.Tensor) -> FloatArray:
    return x.double().cpu().numpy()


def _from_all(mine: list[Read], fabric: Fabric) -> list[Read]:
    if fabric.world_size == 1:
        return mine
    parts: list[list[Read]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(parts, mine)
    return [read for part in parts for read in part]


def validation_of(reads: Sequence[Read], fs: float, band: tuple[float, float]) -> Validation:
    """Mean loss over clips; HR MAE over videos, whose clips are put together in order.

    The heart rate is the refined one, see `refined_hrs`: that of the FFT's grid would hide small
    steps forward. A video whose label has no heart rate is left out; one whose output has none
    counts with the width of the band, so that silence is never the best network.
    """
    videos: dict[str, list[Read]] = defaultdict(list)
    for read in reads:
        videos[read[0]].append(read)
    errors: list[float] = []
    waveforms: list[tuple[str, FloatArray, FloatArray]] = []
    for name in sorted(videos):
        parts = sorted(videos[name], key=lambda read: read[1])
        pred, label = (np.concatenate([part[k] for part in parts]) for k in (3, 4))
        if len(waveforms) < SHOWN:
            waveforms.append((name, pred, label))
        error = hr_error(pred, label, fs, band)
        if error is not None:
            errors.append(error)
    return Validation(
        loss=float(np.mean([read[2] for read in reads])),
        hr_mae=float(np.mean(errors)) if errors else None,
        waveforms=tuple(waveforms),
    )


def hr_error(
    pred: FloatArray, label: FloatArray, fs: float, band: tuple[float, float]
) -> float | None:
    """Absolute HR error in bpm of a difference-normalised waveform (T,); None if unknown."""
    if len(pred) < SHORTEST_S * fs:
        return None
    clean = clean_bvp(np.stack([pred, label]), fs, *band, differential=True)
    read, true = refined_hrs(clean, fs, band)
    if not np.isfinite(true):
        return None
    return float(abs(read - true)) if np.isfinite(read) else 60.0 * (band[1] - band[0])
