"""STREAM-Net as the harness sees it: a face video in, a BVP waveform out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamnet_plugin.data.clips import Normaliser, resized
from streamnet_plugin.errors import ConfigError, NoResultError
from streamnet_plugin.model.checkpoint import load_checkpoint
from streamnet_plugin.types import FaceVideo, FloatArray, Prediction
from streamnet_plugin.uncertainty.mc_dropout import sample_clip

CLIP_FRAMES = 180
"""Frames computed at a time: bounds memory, and fixes which random masks a frame sees."""


class STREAMNetMethod:
    """The network with its weights.

    Args:
        checkpoint: weights; None for the shipped ones.
        mc_samples: Monte Carlo dropout samples per video, 0 for none.
        mc_rate: dropout rate while sampling; None for the trained rates.
        seed: of the samples.
        device: a torch device.
    """

    name = "STREAMNet"
    variant = "network"

    def __init__(
        self,
        checkpoint: str | Path | None = None,
        mc_samples: int = 0,
        mc_rate: float | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ConfigError(
                f"DEVICE is {device}, but this machine has no CUDA", remedy="set DEVICE: cpu."
            )
        model, self.metadata = load_checkpoint(checkpoint)
        self.device = torch.device(device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mc_samples, self.mc_rate, self.seed = mc_samples, mc_rate, seed

    @property
    def provenance(self) -> dict[str, Any]:
        """Which weights speak, for the results file."""
        return {"config": self.model.config.to_dict(), **self.metadata}

    @torch.no_grad()
    def predict(self, video: FaceVideo) -> Prediction:
        """Difference-normalised BVP (T,), and its samples (S, T) if asked for.

        The last frames that fill no segment are read in a segment that ends with the video.

        Raises:
            NoResultError: shorter than one segment, or a still image.
            ConfigError: the crops are smaller than the network's.
        """
        c = self.model.config
        if len(video.frames) < c.segment_length:
            raise NoResultError(
                f"{len(video.frames)} frames are fewer than one segment ({c.segment_length})",
                remedy="use a longer video.",
            )
        frames = resized(video.frames, c.width, c.height)
        normaliser = Normaliser.fit(frames)
        if normaliser.still:
            raise NoResultError("all frames are equal: there is no pulse in a still image")
        bvp = np.empty(len(frames))
        samples = np.empty((self.mc_samples, len(frames)))
        for index, (start, stop) in enumerate(_clips(len(frames), c.segment_length)):
            clip = normaliser.network_input(frames, start, stop)  # (n, 6, H, W)
            x = torch.from_numpy(clip).to(self.device, memory_format=torch.channels_last)
            bvp[start:stop] = self._numpy(self.model(x))
            if self.mc_samples:
                drawn = sample_clip(
                    self.model,
                    x,
                    self.mc_samples,
                    seed=self.seed,
                    clip_index=index,
                    rate=self.mc_rate,
                )
                samples[:, start:stop] = self._numpy(drawn, self.mc_samples)
        return Prediction(bvp, differential=True, samples=samples if self.mc_samples else None)

    @staticmethod
    def _numpy(x: torch.Tensor, *lead: int) -> FloatArray:
        return x.double().cpu().numpy().reshape(*lead, -1)


def _clips(n_frames: int, segment: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most CLIP_FRAMES frames, whole segments each; the last may overlap."""
    step = max(1, CLIP_FRAMES // segment) * segment
    whole = n_frames // segment * segment
    for start in range(0, whole, step):
        yield start, min(start + step, whole)
    if whole < n_frames:
        yield n_frames - segment, n_frames
