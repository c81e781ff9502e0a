"""STREAM-Net as the harness sees it: a face video in, a BVP waveform out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import torch

from streamnet_plugin.data.clips import Normaliser, resized
from streamnet_plugin.errors import ConfigError, NoResultError
from streamnet_plugin.model.checkpoint import checkpoint_path, file_hash, load_checkpoint
from streamnet_plugin.model.engines import Engine, make_engine
from streamnet_plugin.model.streamnet import STREAMNet
from streamnet_plugin.types import FaceVideo, FloatArray, Prediction
from streamnet_plugin.uncertainty.mc_dropout import Precision, fast_precision, sample_clip
from streamnet_plugin.wording import count

if TYPE_CHECKING:
    from streamnet_plugin.model.stream import SegmentStream

CLIP_FRAMES = 180


class STREAMNetMethod:
    """The network with its weights.

    Args:
        checkpoint: weights; None for the shipped ones of the size in `stated`, 36 px without it.
        mc_samples: Monte Carlo dropout samples per video, 0 for none.
        mc_rate: dropout rate while sampling; None for the trained rates.
        mc_precision: of the samples: "float32", "bfloat16", or "auto", which takes bfloat16 where
            the processor multiplies it natively.
        seed: of the samples.
        device: a torch device.
        stated: what the network must be, see `load_checkpoint`.
        clip_frames: frames computed at a time: bounds memory, and fixes which random masks a
            frame sees.
        engine: what computes the waveform, see `make_engine`; samples are always torch's.
        precision: of the waveform, as `mc_precision`.
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
        stated: Mapping[str, Any] | None = None,
        clip_frames: int = CLIP_FRAMES,
        mc_precision: str = "auto",
        engine: str = "torch",
        precision: str = "float32",
    ) -> None:
        self.device = usable_device(device)
        self.mc_precision = usable_precision(mc_precision, self.device)
        self.precision = usable_precision(precision, self.device)
        self.engine_name = engine
        self.clip_frames = clip_frames
        model, self.metadata = load_checkpoint(checkpoint, stated=stated, shrinks=True)
        self.weights_hash = file_hash(checkpoint_path(checkpoint, stated))
        self.model = model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.engine = make_engine(engine, self.model, self.precision)
        self.mc_samples, self.mc_rate, self.seed = mc_samples, mc_rate, seed

    @property
    def provenance(self) -> dict[str, Any]:
        """Which weights speak, for the results file."""
        return {
            "config": self.model.config.to_dict(),
            "weights_sha256": self.weights_hash,
            "engine": self.engine_name,
            "precision": self.precision,
            "mc_precision": self.mc_precision,
            **self.metadata,
        }

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
                f"{count(len(video.frames), 'frame')}: fewer than one segment ({c.segment_length})",
                remedy="use a longer video.",
            )
        frames = resized(video.frames, c.width, c.height)
        normaliser = Normaliser.fit(frames)
        if normaliser.still:
            raise NoResultError("all frames are equal: there is no pulse in a still image")
        bvp, samples = read_waveform(
            self.model,
            len(frames),
            lambda start, stop: torch.from_numpy(normaliser.network_input(frames, start, stop)),
            mc_samples=self.mc_samples,
            mc_rate=self.mc_rate,
            seed=self.seed,
            clip_frames=self.clip_frames,
            mc_precision=self.mc_precision,
            engine=self.engine,
        )
        return Prediction(bvp, differential=True, samples=samples)

    def stream(self, frames: int) -> SegmentStream:
        """Reads crops as they come, for windows of at most so many frames; see `SegmentStream`."""
        from streamnet_plugin.model.stream import SegmentStream

        return SegmentStream(self, frames)


def usable_device(name: str) -> torch.device:
    """The torch device of that name; `ConfigError` if this machine has no CUDA to give."""
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"DEVICE is {name}, but this machine has no CUDA", remedy="set DEVICE: cpu."
        )
    return torch.device(name)


def usable_precision(name: str, device: torch.device) -> Precision:
    """The precision of that name; `ConfigError` for another than float32, bfloat16, auto."""
    if name == "auto":
        return fast_precision(device)
    if name not in get_args(Precision):
        raise ConfigError(
            f"no precision is named {name!r}", remedy="use float32, bfloat16 or auto."
        )
    return cast(Precision, name)


@torch.no_grad()
def read_waveform(
    model: STREAMNet,
    n_frames: int,
    frames: Callable[[int, int], torch.Tensor],
    *,
    mc_samples: int = 0,
    mc_rate: float | None = None,
    seed: int = 0,
    first_clip: int = 0,
    clip_frames: int = CLIP_FRAMES,
    mc_precision: Precision = "float32",
    engine: Engine | None = None,
) -> tuple[FloatArray, FloatArray | None]:
    """The network's output for a row of frames, in clips of at most `clip_frames`.

    Args:
        model: in evaluation mode.
        n_frames: T, at least one segment.
        frames: (start, stop) -> (n, 6, H, W) float32.
        mc_samples, mc_rate, seed, mc_precision: see `sample_clip`.
        first_clip: number of the first of these clips in its video, for the samples' seeds.
        clip_frames: frames computed at a time.
        engine: what computes the waveform; None for the model itself.

    Returns:
        (T,) difference-normalised BVP, and its samples (S, T), None for S = 0.
    """
    device = next(model.parameters()).device
    bvp, samples = np.empty(n_frames), np.empty((mc_samples, n_frames))
    for index, (start, stop) in enumerate(
        _clips(n_frames, model.config.segment_length, clip_frames)
    ):
        x = frames(start, stop).to(device)
        bvp[start:stop] = _numpy((engine or model)(x))
        if mc_samples:
            drawn = sample_clip(
                model,
                x,
                mc_samples,
                seed=seed,
                clip_index=first_clip + index,
                rate=mc_rate,
                precision=mc_precision,
            )
            samples[:, start:stop] = _numpy(drawn, mc_samples)
    return bvp, samples if mc_samples else None


def n_clips(n_frames: int, segment: int, clip_frames: int = CLIP_FRAMES) -> int:
    """How many clips `read_waveform` cuts that many frames into."""
    return len(list(_clips(n_frames, segment, clip_frames)))


def _numpy(x: torch.Tensor, *lead: int) -> FloatArray:
    return x.double().cpu().numpy().reshape(*lead, -1)


def _clips(n_frames: int, segment: int, clip_frames: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `clip_frames` frames, whole segments each; the last may overlap."""
    step = max(1, clip_frames // segment) * segment
    whole = n_frames // segment * segment
    for start in range(0, whole, step):
        yield start, min(start + step, whole)
    if whole < n_frames:
        yield n_frames - segment, n_frames
