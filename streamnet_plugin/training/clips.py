"""Training clips straight from the uint8 crops, normalised where the network is.

What travels from disk to device is a byte per colour of a pixel, a twenty-fourth of the float32
data that the network reads. Equal to the rPPG-Toolbox's arrays: clips side by side, the tail
dropped; data and labels normalised by the statistics of the whole video.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from streamnet_plugin.data import cache
from streamnet_plugin.data.clips import (
    LEVELS,
    Moments,
    Normaliser,
    label_of,
    make_label,
    relative_differences,
    split_clips,
)
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.training.augment import Augment, augmented
from streamnet_plugin.types import FaceVideo, FloatArray
from streamnet_plugin.wording import count

log = logging.getLogger(__name__)
DATA_TYPES = ("DiffNormalized", "Standardized")
KNOWN_TYPES = (*DATA_TYPES, "Raw")


class Clip(NamedTuple):
    """One clip, or with a first axis B more a batch of them as DataLoader collates it.

    Attributes:
        frames: (T + 1, H, W, 3) uint8 RGB: the clip and the frame after it, for the difference.
            Behind a video's last frame it is repeated: the toolbox's zero difference.
        label: (T,) float32.
        divisor: () float32, of relative differences.
        levels: (256,) float32, Standardized value of a pixel.
        video: id of the recording.
        chunk: number of the clip in it.
    """

    frames: Tensor
    label: Tensor
    divisor: Tensor
    levels: Tensor
    video: str
    chunk: int


class VideoClips(Dataset[Clip]):
    """Clips of face videos with their labels.

    Frames stay on disk. The statistics of a video are measured when its first clip is asked for,
    once for all worker processes. An augmented clip is a video of its own: its data and its label
    are normalised by its own statistics, since gain, noise and resampling change them.

    Args:
        videos: with labels, crops of one size and one frame rate.
        clip_length: T, frames.
        label_type: see `data.clips.make_label`.
        data_types: channels of `prepare`, three each.
        augment: changes to make; None for none.
        seed: of the changes, with the epoch and the clip's number: nothing else decides them, so
            neither a resumed run nor another number of processes sees other clips.

    Raises:
        ConfigError: no clip at all; a video without labels, or with labels that are NaN, constant
            or not one per frame; sizes or frame rates that differ; an unknown type. A video or a
            clip that cannot be used while others can is left out with a warning that names it.
    """

    def __init__(
        self,
        videos: Sequence[FaceVideo],
        clip_length: int,
        *,
        label_type: str = "DiffNormalized",
        data_types: Sequence[str] = DATA_TYPES,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        _check(videos, clip_length, data_types)
        self._videos = list(videos)
        self._length, self._label_type, self._data_types = clip_length, label_type, data_types
        self._augment = None if augment is None or augment.changes_nothing else augment
        self._seed = seed
        self._labels = [label_of(v, label_type).astype(np.float32) for v in videos]
        self._clips = [(i, n, s) for i, v in enumerate(videos) for n, s in self._usable(i, v)]
        if not self._clips:
            raise ConfigError(
                f"{count(len(videos), 'video')} give no clip of {clip_length} frames: "
                + ", ".join(f"{_name(v)} has {len(v.frames)}" for v in videos[:5]),
                remedy="make CHUNK_LENGTH shorter, or use longer videos.",
            )
        # In shared memory, so that worker processes see the epoch, and one measures for all.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        self._moments = torch.full((len(videos), 3), torch.nan, dtype=torch.float64)
        self._moments.share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Decides what is drawn from here on, also in workers that are running already."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, item: int) -> Clip:
        index, number, part = self._clips[item]
        video = self._videos[index]
        if self._augment is None:
            frames = np.array(video.frames[part.start : part.stop + 1])
            moments, label = self._video_moments(index), self._labels[index][part]
        else:
            rng = np.random.default_rng([self._seed, int(self._epoch), item])
            frames, bvp = augmented(
                video.frames, _bvp(video), part.start, self._length, video.fs, self._augment, rng
            )
            moments = Normaliser.fit(frames).moments
            label = make_label(bvp, self._label_type)[: self._length].astype(np.float32)
        if len(frames) == self._length:  # the video ends here
            frames = np.concatenate([frames, frames[-1:]])
        return Clip(
            torch.from_numpy(frames),
            torch.from_numpy(label),
            torch.tensor(moments.divisor, dtype=torch.float32),
            torch.from_numpy(moments.levels()),
            video.recording.id,
            number,
        )

    def prepare(self, batch: Clip, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Data (B, T, 3 * types, H, W) and labels (B, T), both float32 on `device`.

        Table look-ups, as `data.clips.Normaliser` makes them, and equal to its data bit for bit.

        Args:
            batch: of clips, collated.
            device: where to normalise.
        """
        frames, divisors, levels, label = (
            x.to(device, non_blocking=True)
            for x in (batch.frames, batch.divisor, batch.levels, batch.label)
        )
        (b, t), (h, w) = label.shape, frames.shape[2:4]
        data = torch.empty((b, t, 3 * len(self._data_types), h, w), device=device)
        relative = torch.from_numpy(relative_differences()).to(device)
        # Clip by clip: for a batch at once, large temporaries cost twice the time on a CPU.
        for out, clip, divisor, table in zip(data, frames, divisors, levels, strict=True):
            whole = clip.permute(0, 3, 1, 2).contiguous().to(torch.int32)  # (T + 1, 3, H, W)
            for number, kind in enumerate(self._data_types):
                part = out[:, 3 * number : 3 * number + 3]
                if kind == "DiffNormalized":
                    pairs = torch.add(whole[1:], whole[:-1], alpha=LEVELS)
                    torch.div(_looked_up(relative, pairs), divisor, out=part)
                elif kind == "Standardized":
                    part.copy_(_looked_up(table, whole[:-1]))
                else:
                    part.copy_(whole[:-1])
        return data, label

    def _usable(self, index: int, video: FaceVideo) -> list[tuple[int, slice]]:
        """Numbers and places of a video's clips; warns of what is left out."""
        clips = split_clips(len(video.frames), self._length)
        if not clips:
            log.warning(
                "%s: its %d frames are fewer than a clip's %d; it is not used",
                _name(video), len(video.frames), self._length,
            )  # fmt: skip
        label = self._labels[index]
        flat = [part for part in clips if np.ptp(label[part]) == 0]
        for part in flat:
            log.warning(
                "%s: the label of frames %d to %d does not change; they are not used",
                _name(video), part.start, part.stop - 1,
            )  # fmt: skip
        return [(number, part) for number, part in enumerate(clips) if part not in flat]

    def _video_moments(self, index: int) -> Moments:
        known = self._moments[index]
        if known.isnan().any():
            m = Normaliser.fit(self._videos[index].frames).moments
            known.copy_(torch.tensor([m.mean, m.std, m.difference_std], dtype=torch.float64))
        return Moments(*known.tolist())

    def __getstate__(self) -> dict[str, Any]:
        """For workers that are not forks: memory maps travel as the name of their file."""
        return {**self.__dict__, "_videos": [cache.by_reference(v) for v in self._videos]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._videos = [cache.opened(v) for v in self._videos]


def _looked_up(table: Tensor, places: Tensor) -> Tensor:
    """Values of a table (n,) at places (...) int32."""
    return table.index_select(0, places.flatten()).view(places.shape)


def _check(videos: Sequence[FaceVideo], clip_length: int, data_types: Sequence[str]) -> None:
    if not videos:
        raise ConfigError("there are no videos to cut clips from")
    if clip_length < 2:
        raise ConfigError(f"a clip has {count(clip_length, 'frame')}, at least 2 are needed")
    unknown = [kind for kind in data_types if kind not in KNOWN_TYPES]
    if unknown or not data_types:
        raise ConfigError(
            f"unknown DATA_TYPE {unknown[0]!r}" if unknown else "no DATA_TYPE",
            remedy=f"use {', '.join(KNOWN_TYPES[:-1])} or {KNOWN_TYPES[-1]}.",
        )
    first = videos[0]
    for video in videos:
        _check_label(video)
        if video.frames.shape[1:] != first.frames.shape[1:]:
            (h, w), (h0, w0) = video.frames.shape[1:3], first.frames.shape[1:3]
            raise ConfigError(
                f"the crops of {_name(video)} are {w} x {h} px, those of {_name(first)} "
                f"{w0} x {h0} px",
                remedy="preprocess all with one RESIZE.",
            )
        if video.fs != first.fs:
            raise ConfigError(
                f"{_name(video)} has {video.fs:g} frames a second, {_name(first)} {first.fs:g}",
                remedy="preprocess all with one FS.",
            )


def _check_label(video: FaceVideo) -> None:
    bvp, path = video.bvp, video.recording.label_path
    if bvp is None:
        raise ConfigError(f"{_name(video)} has no labels", path=video.recording.path)
    if len(bvp) != len(video.frames):
        raise ConfigError(
            f"{_name(video)} has {count(len(bvp), 'label')} for "
            f"{count(len(video.frames), 'frame')}",
            path=path,
        )
    wrong = np.flatnonzero(~np.isfinite(bvp))
    if wrong.size:
        raise ConfigError(
            f"the label of {_name(video)} is {bvp[wrong[0]]} at frame {wrong[0]}",
            path=path,
            remedy="mend the label, or leave the video out.",
        )
    if np.ptp(bvp) == 0:
        raise ConfigError(
            f"the label of {_name(video)} is {bvp[0]:g} throughout: there is no pulse in it",
            path=path,
            remedy="leave the video out.",
        )


def _bvp(video: FaceVideo) -> FloatArray:
    return cast(FloatArray, video.bvp)


def _name(video: FaceVideo) -> str:
    return f"{video.recording.dataset} {video.recording.id}"
