"""Our cached loader in the place of the toolbox's UBFC-rPPG and PURE loaders.

It hands out the same tuples in the same order, from a cache of uint8 crops that serves every
DATA_TYPE, LABEL_TYPE and chunk length; videos that cannot be used are named.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from streamnet_plugin.comparison import preprocess_data, preprocess_settings
from streamnet_plugin.config import Data
from streamnet_plugin.data import cache
from streamnet_plugin.data.clips import Normaliser, label_of, split_clips
from streamnet_plugin.data.datasets import dataset_fingerprint
from streamnet_plugin.data.pure import NAME as PURE
from streamnet_plugin.data.ubfc import NAME as UBFC
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.types import FaceVideo, FloatArray, Recording
from toolbox_adapters.rppg_toolbox.settings import plain
from toolbox_adapters.rppg_toolbox.workers import LostVideo

LOADERS = {UBFC: ("UBFCrPPGLoader", "UBFCrPPGLoader"), PURE: ("PURELoader", "PURELoader")}
"""Dataset -> the toolbox's module and class for it."""
AXES = {"NDCHW": (0, 3, 1, 2), "NCDHW": (3, 0, 1, 2), "NDHWC": (0, 1, 2, 3)}


def replace_loaders(data_loader: Any, lost: list[LostVideo], run_config: Callable[[], Any]) -> None:
    """Put `CachedClips` where `main.py` looks for the toolbox's loaders.

    Args:
        data_loader: the toolbox's package `dataset.data_loader`.
        lost: is added to, with every video that cannot be used.
        run_config: gives the configuration of the run, once it is read.
    """
    for dataset, (module, name) in LOADERS.items():
        setattr(getattr(data_loader, module), name, partial(CachedClips, dataset, lost, run_config))


@dataclass(frozen=True)
class _Item:
    """One clip: which frames of which video, and what the toolbox would call its file."""

    video: int
    frames: slice
    name: str
    chunk: int

    @property
    def file(self) -> str:
        return f"{self.name}_input{self.chunk}.npy"


class CachedClips(Dataset[Any]):
    """Clips of a dataset as the toolbox's loaders give them.

    Items are (data float32 in DATA_FORMAT, label (T,) float32, video name, chunk number as text),
    in the order of the toolbox's sorted file names.

    Args:
        dataset: "UBFC-rPPG" or "PURE".
        lost: is added to, with every video that cannot be used.
        run_config: gives the run's configuration: LABEL_ALIGNMENT is in there.
        name, data_path, config_data, device: what the toolbox calls its loaders with.

    Raises:
        ConfigError: a key that asks for what only the toolbox's own loaders do.
        DataError: no video could be used.
    """

    def __init__(
        self,
        dataset: str,
        lost: list[LostVideo],
        run_config: Callable[[], Any],
        name: str,
        data_path: str,
        config_data: Any,
        device: Any = None,
    ) -> None:
        data = Data.model_validate(
            {**plain(config_data), "DATA_PATH": data_path, "CACHED_PATH": _cache(config_data)}
        )
        _check(data)
        self.dataset_name, self.data_format = name, data.DATA_FORMAT
        self.types, self.label_type = data.PREPROCESS.DATA_TYPE, data.PREPROCESS.LABEL_TYPE
        settings = preprocess_settings(data, run_config().EVALUATION.LABEL_ALIGNMENT)
        report = preprocess_data(data, settings, jobs=os.cpu_count() or 1)
        lost.extend(
            LostVideo(str(f.path), f.reason, f.recording.id, f.remedy) for f in report.failures
        )
        self._videos = report.videos
        self._normalisers: dict[int, Normaliser] = {}
        self._labels: dict[int, FloatArray] = {}
        self._items = sorted(self._cut(data, lost), key=lambda item: item.file)
        if not self._items:
            raise DataError(
                f"no clip of {dataset} is left: {len(lost)} videos could not be used",
                path=data_path,
                remedy="mend the videos named, or set a shorter CHUNK_LENGTH.",
            )
        self.preprocessed_data_len = len(self._items)
        print(f"{name}: {len(self._items)} clips of {len(self._videos)} videos, from our cache")  # noqa: T201

    def __getstate__(self) -> dict[str, Any]:
        """For a worker process: where the frames lie, and not the frames."""
        files = [(v.frames.filename, v.recording) for v in self._videos]  # type: ignore[attr-defined]
        return {**vars(self), "_videos": files, "_normalisers": {}, "_labels": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._videos = tuple(_reopened(*file) for file in state["_videos"])

    def _cut(self, data: Data, lost: list[LostVideo]) -> list[_Item]:
        chunks, length = data.PREPROCESS.DO_CHUNK, data.PREPROCESS.CHUNK_LENGTH
        items: list[_Item] = []
        for number, video in enumerate(self._videos):
            n = len(video.frames)
            parts = split_clips(n, length) if chunks else [slice(0, n)]
            if not parts:
                lost.append(
                    LostVideo(
                        str(video.recording.path),
                        f"its {n} frames fill no chunk of {length}",
                        video.recording.id,
                        "set a shorter CHUNK_LENGTH, or leave it out.",
                    )
                )
            name = toolbox_name(video)
            items += [_Item(number, part, name, chunk) for chunk, part in enumerate(parts)]
        return items

    def __len__(self) -> int:
        return len(self._items)

    @property
    def fingerprint(self) -> str:
        """Of the videos that the clips are cut from."""
        return dataset_fingerprint(self._videos)

    def __getitem__(self, index: int) -> tuple[Any, Any, str, str]:
        item = self._items[index]
        frames = self._videos[item.video].frames
        if item.video not in self._normalisers:
            self._normalisers[item.video] = Normaliser.fit(frames)
        data = self._normalisers[item.video].input(
            frames, item.frames.start, item.frames.stop, self.types
        )
        label = self._label(item.video)[item.frames]
        return (
            np.ascontiguousarray(data.transpose(AXES[self.data_format])),
            label.astype(np.float32),
            item.name,
            str(item.chunk),
        )

    def _label(self, number: int) -> FloatArray:
        if number not in self._labels:
            video = self._videos[number]
            if video.bvp is None:  # both datasets have labels; reading one without fails before
                raise DataError("no ground truth", path=video.recording.path)
            self._labels[number] = label_of(video, self.label_type)
        return self._labels[number]


def toolbox_name(video: FaceVideo) -> str:
    """What the toolbox calls a recording: "subject1" as it is, PURE's 01-02 as 102."""
    if video.recording.dataset == PURE:
        return str(int(video.recording.id.replace("-", "")))
    return video.recording.id


def _cache(config_data: Any) -> str:
    """CACHED_PATH before the toolbox appended a name to it that says types and chunk lengths."""
    path = Path(config_data.CACHED_PATH)
    return str(path.parent if path.name == config_data.EXP_DATA_NAME else path)


def _reopened(frames: str, recording: Recording) -> FaceVideo:
    video = cache.load(Path(frames).parent, recording)
    if video is None:
        raise DataError("the cached crops are gone", path=frames, remedy="run it again.")
    return video


def _check(data: Data) -> None:
    p = data.PREPROCESS
    if p.USE_PSUEDO_PPG_LABEL or "Motion" in p.DATA_AUG:
        raise ConfigError(
            "pseudo labels and motion-augmented data are read by the toolbox's own loaders alone",
            path=Path(data.DATA_PATH),
            remedy="leave out --fast-loader.",
        )
