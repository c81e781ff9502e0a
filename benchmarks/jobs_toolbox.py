"""What the toolbox's side does, by the code of an unmodified checkout; see `side.py`.

The checkout is imported as `streamnet toolbox` imports it, on a current Python; nothing else of
ours is in its way: its processes, their number and its loaders are as it ships them.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from inputs import FS, clip_batch, clip_labels, traces, waveforms
from jobs_ours import counted

from toolbox_adapters.rppg_toolbox.capture import FUNCTIONS
from toolbox_adapters.rppg_toolbox.compat import toolbox_environment

ROOT = Path(os.environ["RPPG_TOOLBOX"]).resolve()
LOADERS = {"UBFC-rPPG": "UBFCrPPGLoader", "PURE": "PURELoader"}
WORKERS = 16
"""Of its DataLoaders, as its main.py has it."""
ENVIRONMENT = toolbox_environment(ROOT)
ENVIRONMENT.__enter__()  # as long as this process lives
atexit.register(ENVIRONMENT.__exit__, None, None, None)

Prepared = Any


def _loader(dataset: str, data: str, cache: str, size: int, make: bool) -> Any:
    settings = import_module("config")._C.TRAIN.DATA.clone()
    settings.merge_from_list(
        [
            "FS", int(FS), "DATASET", dataset, "DATA_PATH", data, "CACHED_PATH", cache,
            "FILE_LIST_PATH", f"{cache}/list.csv", "DO_PREPROCESS", make,
            "PREPROCESS.DATA_TYPE", ["DiffNormalized", "Standardized"],
            "PREPROCESS.LABEL_TYPE", "DiffNormalized", "PREPROCESS.CHUNK_LENGTH", 180,
            "PREPROCESS.RESIZE.W", size, "PREPROCESS.RESIZE.H", size,
        ]
    )  # fmt: skip
    name = LOADERS[dataset]
    return getattr(import_module(f"dataset.data_loader.{name}"), name)("train", data, settings)


def preprocess(dataset: str, data: str, cache: str, size: int = 72) -> Prepared:
    """Its loader with DO_PREPROCESS and Haar detection."""

    def run() -> tuple[int, int]:
        made = _loader(dataset, data, cache, size, make=True)
        videos = {Path(file).name.rpartition("_input")[0] for file in made.inputs}
        assert len(videos) == len(made.raw_data_dirs), videos  # it does not look for the others
        return 180 * len(made), sum(f.stat().st_size for f in Path(cache).rglob("*.npy"))

    return run, lambda: shutil.rmtree(cache, ignore_errors=True)


def _clips(dataset: str, data: str, cache: str) -> Any:
    return _loader(dataset, data, cache, 72, make=not Path(cache, "list.csv").exists())


def clips(dataset: str, data: str, cache: str) -> Prepared:
    """All clips in batches of 4, loaded in one process: the work itself, without the workers."""
    loader = _epoch(dataset, data, cache)
    return lambda: sum(len(batch[0]) for batch in loader)


def clip_batches(dataset: str, data: str, cache: str) -> Prepared:
    """What `clips` loads: data and labels."""
    loader = _epoch(dataset, data, cache)
    return lambda: [(batch[0].numpy(), batch[1].numpy()) for batch in loader]


def _epoch(dataset: str, data: str, cache: str) -> Any:
    from torch.utils.data import DataLoader

    return DataLoader(_clips(dataset, data, cache), batch_size=4)


def first_batch(dataset: str, data: str, cache: str) -> Prepared:
    """From asking for the first batch of an epoch to having it, by its 16 workers."""
    from torch.utils.data import DataLoader

    items = _clips(dataset, data, cache)
    running: list[Any] = []

    def run() -> tuple[Any, Any]:
        running[:] = [iter(DataLoader(items, num_workers=WORKERS, batch_size=4))]
        batch = next(running[0])
        return batch[0].numpy(), batch[1].numpy()

    return run, running.clear


def classical(method: str, frames: int) -> Prepared:
    """A method from colour traces (T, 3): the step that averages pictures is taken out."""
    rgb = traces(frames)
    predictor = import_module("unsupervised_methods.unsupervised_predictor")
    function = getattr(predictor, FUNCTIONS[method])
    space = function.__globals__
    columns = rgb.transpose(1, 0).reshape(1, 3, -1)

    def before() -> None:  # each time: another job may have put its traces there
        space["utils"].process_video = lambda given: columns
        for name in ("process_video", "_process_video"):
            if name in space:
                space[name] = lambda given: rgb

    with_fs = method in ("POS", "CHROM", "ICA")
    return lambda: np.asarray(function(rgb, FS) if with_fs else function(rgb)), before


def evaluate(frames: int) -> Prepared:
    """HR of both waveforms, SNR and MACC of a video."""
    pred, label = waveforms(frames)
    score = import_module("evaluation.post_process").calculate_metric_per_video
    return lambda: tuple(float(x) for x in score(pred, label, fs=FS, diff_flag=True))


def _network(name: str, size: int) -> Any:
    import torch

    torch.manual_seed(0)
    if name == "PhysNet":
        module = import_module("neural_methods.model.PhysNet")
        return module.PhysNet_padding_Encoder_Decoder_MAX(frames=180)
    module = import_module(f"neural_methods.model.{name.replace('TS-CAN', 'TS_CAN')}")
    if name == "DeepPhys":
        return module.DeepPhys(img_size=size)
    return getattr(module, name.replace("-", ""))(frame_depth=10, img_size=size)


def _input(name: str, clips: int, size: int) -> Any:
    """The clips as its trainers hand them to this network."""
    import torch

    x = torch.from_numpy(clip_batch(clips, size))
    if name == "PhysNet":
        return x[:, :, :3].transpose(1, 2).contiguous()  # (B, 3, T, H, W)
    x = x.flatten(0, 1)
    if name == "EfficientPhys":  # takes differences itself, of one frame more
        x = x[:, :3]
        return torch.cat([x, x[-1:]])
    return x


def network(name: str, size: int, clips: int) -> Prepared:
    """Inference on clips of 180 frames, as its trainers' `test` does it."""
    import torch

    model, x = _network(name, size).eval(), _input(name, clips, size)

    @torch.no_grad()
    def run() -> Any:
        out = model(x)
        return (out[0] if isinstance(out, tuple) else out).numpy()

    return run


def cost(name: str, size: int) -> Callable[[], tuple[int, int]]:
    """Parameters, and multiply-accumulates per frame."""
    return lambda: counted(_network(name, size), _input(name, 1, size).numpy())


def training_step(size: int, clips: int = 4) -> Prepared:
    """One step of TS-CAN, as its trainer takes it."""
    import torch

    model = torch.nn.DataParallel(_network("TS-CAN", size)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=9e-3, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 9e-3, total_steps=1000)
    data = torch.from_numpy(clip_batch(clips, size)).flatten(0, 1)
    label = torch.from_numpy(clip_labels(clips)).view(-1, 1)

    def run() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(data), label)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.item()

    return run
