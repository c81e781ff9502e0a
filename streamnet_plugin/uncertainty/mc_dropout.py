"""Monte Carlo dropout: the network's answers when dropout stays on at test time.

Gal, Ghahramani: Dropout as a Bayesian approximation, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from streamnet_plugin.model.streamnet import STREAMNet

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


@torch.no_grad()
def sample_clip(
    model: nn.Module,
    clip: Tensor,
    n_samples: int = 30,
    *,
    seed: int = 0,
    clip_index: int = 0,
    rate: float | None = None,
) -> Tensor:
    """Monte Carlo samples of a network's output for one clip.

    Only dropout is random: batch norm and everything else stay as in evaluation. Every pair
    (sample, clip) has a seed of its own, so a sample does not depend on how many are drawn, nor
    on which clips are computed before it. For a STREAM-Net, what lies before the first dropout is
    computed once.

    Args:
        model: in evaluation mode; it is left so.
        clip: what the model takes, e.g. (N, 6, H, W) for STREAM-Net.
        n_samples: S.
        seed: of the whole run.
        clip_index: which clip of the video this is.
        rate: one rate for all dropout layers; None keeps the trained ones.

    Returns:
        (S, ...) stacked outputs of the model.
    """
    with _only_dropout_random(model, rate), torch.random.fork_rng(devices=_cuda(clip)):
        if isinstance(model, STREAMNet) and clip.dim() == 4:
            maps = model.stem(clip)
            draw = lambda: model.head(*maps)  # noqa: E731
        else:
            draw = lambda: model(clip)  # noqa: E731
        samples = []
        for s in range(n_samples):
            torch.manual_seed(_seed(seed, s, clip_index))
            samples.append(draw().float())
    return torch.stack(samples)


@contextmanager
def _only_dropout_random(model: nn.Module, rate: float | None) -> Iterator[None]:
    layers = [m for m in model.modules() if isinstance(m, DROPOUTS)]
    before = [(layer.training, layer.p) for layer in layers]
    was_training = model.training
    model.eval()
    try:
        for layer in layers:
            layer.train()
            layer.p = layer.p if rate is None else rate
        yield
    finally:
        model.train(was_training)
        for layer, (training, p) in zip(layers, before, strict=True):
            layer.train(training)
            layer.p = p


def _seed(seed: int, sample: int, clip: int) -> int:
    """A seed for torch from three counters, well mixed."""
    return int(np.random.SeedSequence([seed, sample, clip]).generate_state(1, np.uint64)[0] >> 1)


def _cuda(x: Tensor) -> list[int]:
    return [x.device.index or 0] if x.is_cuda else []
