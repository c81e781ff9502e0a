"""Synthetic training clips over a broad range of people, motion, light and cameras."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from torch.utils.data import Dataset

from streamnet_plugin.data.clips import Normaliser, make_label
from streamnet_plugin.data.synthetic import SETUPS, SynthSettings, render_face_clip
from streamnet_plugin.data.synthetic.head import N_HEADS
from streamnet_plugin.errors import NoFaceError
from streamnet_plugin.types import FloatArray, FrameArray

HELD_OUT_HEADS = tuple(range(N_HEADS - 6, N_HEADS))
"""Heads never seen in training; the figures of the model card come from them."""


def random_settings(seed: int, heads: Sequence[int], duration_s: float) -> SynthSettings:
    """One draw from the training distribution."""
    rng = np.random.default_rng([seed, 77])
    return SynthSettings(
        seed=seed,
        duration_s=duration_s,
        hr_bpm=float(rng.uniform(40, 180)),
        head=int(rng.choice(heads)),
        skin_tone=int(rng.integers(1, 7)),
        motion=str(rng.choice(list(SETUPS.values()))),
        motion_scale=float(rng.uniform(0.2, 1.4)),
        pulse=float(rng.uniform(0.5, 1.3)),
        light=float(rng.uniform(0.45, 1.1)),
        illumination_drift=float(rng.uniform(0, 0.06)),
        flicker=float(rng.uniform(0, 0.003)),
        noise=float(rng.uniform(0.5, 4.0)),
        shine=float(rng.uniform(0.05, 0.35)),
    )


def render_many(
    settings: Sequence[SynthSettings], folder: Path, size: int, jobs: int = 2
) -> list[Path]:
    """Render clips into `folder`, one file each; those already there are kept.

    A clip in whose first frame the detector sees no face is left out, as a real video would be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = Parallel(n_jobs=jobs)(delayed(_render_one)(s, folder, size) for s in settings)
    return [path for path in done if path is not None]


def _render_one(settings: SynthSettings, folder: Path, size: int) -> Path | None:
    path = folder / f"clip-{settings.seed}-{size}.npz"
    if path.exists():
        return path
    cv2.setNumThreads(1)
    try:
        frames, bvp = render_face_clip(settings, size)
    except NoFaceError:
        return None
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, frames=frames, bvp=bvp)
    temporary.replace(path)
    return path


class ClipDataset(Dataset[tuple[NDArray[np.float32], NDArray[np.float32]]]):
    """Clips of `length` frames, cut from videos normalised as a whole: (T, 6, H, W) and (T,)."""

    def __init__(self, videos: Sequence[tuple[FrameArray, FloatArray]], length: int = 180) -> None:
        self._clips: list[tuple[int, int]] = []
        self._videos = []
        self._length = length
        for index, (frames, bvp) in enumerate(videos):
            label = make_label(bvp, "DiffNormalized").astype(np.float32)
            self._videos.append((frames, label, Normaliser.fit(frames)))
            self._clips += [(index, s) for s in range(0, len(frames) - length + 1, length)]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, item: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        index, start = self._clips[item]
        frames, label, normaliser = self._videos[index]
        stop = start + self._length
        x = np.ascontiguousarray(normaliser.network_input(frames, start, stop))
        return x, label[start:stop]


def load_video(path: Path) -> tuple[FrameArray, FloatArray]:
    """Frames and BVP of a file that `render_many` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return file["frames"], file["bvp"]
