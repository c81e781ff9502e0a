"""A batch means the same however it is divided among processes and forward passes.

Three things tie the clips of a batch together: their order, the random masks of dropout, and the
statistics of batch norm. Here the order is a function of seed and epoch; every clip has masks of
its own, a function of seed, step and the clip's place in the batch; and batch norm takes its
statistics over all processes. So two processes with half the batch each take the step that one
process takes, and a run that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from streamnet_plugin.uncertainty.mc_dropout import (
    MaskGenerator,
    Masks,
    dropout_layers,
    replaced_forward,
)

Step = list[list[int]]
"""Forward passes of one step of the optimizer; each is the clips that it takes."""


def epoch_steps(n_clips: int, batch: int, accumulate: int, *, seed: int, epoch: int) -> list[Step]:
    """All clips once, in an order of the epoch's own, cut into steps; the last may be smaller."""
    order = np.random.default_rng([seed, epoch]).permutation(n_clips).tolist()
    passes = [order[start : start + batch] for start in range(0, n_clips, batch)]
    return [passes[start : start + accumulate] for start in range(0, len(passes), accumulate)]


def share(clips: Sequence[int], process: int, processes: int) -> list[int]:
    """What falls to one process of the clips of a forward pass; maybe nothing."""
    return list(clips[process::processes])


class ClipDropout:
    """Dropout whose masks belong to clips, inside `clip_dropout`."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed, self._device = seed, device
        self.masks = Masks(rate=None)

    def begin(self, step: int, places: Sequence[int]) -> None:
        """The next forward pass is of the clips at these places in the batch of a step."""
        self.masks.generators = [
            MaskGenerator(self._device, self._seed, step, place) for place in places
        ]


@contextmanager
def clip_dropout(model: nn.Module, seed: int, device: torch.device) -> Iterator[ClipDropout]:
    """Dropout layers of `model` draw by clip while it is training; `begin` before every pass."""
    dropout = ClipDropout(seed, device)

    def drop(layer: nn.Module, x: Tensor) -> Tensor:
        return dropout.masks.drop(layer, x) if layer.training and len(x) else x

    with ExitStack() as stack:
        for layer in dropout_layers(model):
            stack.enter_context(replaced_forward(layer, partial(drop, layer)))
        yield dropout


@contextmanager
def shared_batch_norm(model: nn.Module) -> Iterator[None]:
    """Batch norm layers of `model` take their statistics over the clips of all processes.

    As torch's SyncBatchNorm, which knows GPUs only.
    """
    with ExitStack() as stack:
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                whole = partial(_whole_batch_norm, layer, layer.forward)
                stack.enter_context(replaced_forward(layer, whole))
        yield


def _whole_batch_norm(
    layer: nn.BatchNorm2d, forward: Callable[[Tensor], Tensor], x: Tensor
) -> Tensor:
    """(N, C, H, W) of this process -> normalised by mean and variance over all processes."""
    if not layer.training:
        return forward(x)
    wide = x if x.dtype == torch.float64 else x.float()
    count = _sum(wide.new_tensor([x.numel() // x.shape[1]]))
    mean = _sum(wide.sum(dim=(0, 2, 3))) / count
    centred = wide - mean[:, None, None]
    variance = _sum(centred.square().sum(dim=(0, 2, 3))) / count
    _update(layer, mean.detach(), variance.detach() * count / (count - 1))
    out = centred * (variance + layer.eps).rsqrt()[:, None, None]
    if layer.affine:
        out = out * layer.weight[:, None, None] + layer.bias[:, None, None]
    return out.to(x.dtype)


def _sum(x: Tensor) -> Tensor:
    """Over all processes; gradients flow back to each of them."""
    if not dist.is_initialized():
        return x
    from torch.distributed.nn.functional import all_reduce

    with warnings.catch_warnings():  # its successor is not in all versions that we run on
        warnings.simplefilter("ignore", FutureWarning)
        return all_reduce(x)


@torch.no_grad()
def _update(layer: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Running statistics, as torch keeps them: the variance is the unbiased one."""
    if layer.running_mean is None or layer.running_var is None:
        return
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(1)
    momentum = layer.momentum
    if momentum is None:  # a cumulative mean
        momentum = 1.0 / float(layer.num_batches_tracked or 1)
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), momentum)
    layer.running_var.lerp_(variance.to(layer.running_var.dtype), momentum)
