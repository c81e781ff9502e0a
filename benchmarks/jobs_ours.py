"""What our side does, see `side.py`: each function prepares, and returns what is timed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from inputs import FS, clip_batch, clip_labels, traces, waveforms

Prepared = Any
"""What to time, or that and what to do before each time."""


def preprocess(dataset: str, data: str, cache: str, size: int = 72, at_a_time: int = 2) -> Prepared:
    """As `streamnet preprocess` does it, labels and frames by number as the toolbox takes them."""
    from joblib.externals.loky import get_reusable_executor

    from streamnet_plugin.data.datasets import find_recordings
    from streamnet_plugin.data.preprocess import PreprocessSettings, preprocess_all

    def before() -> None:
        get_reusable_executor().shutdown(wait=True)  # joblib would keep its workers for the next
        shutil.rmtree(cache, ignore_errors=True)

    settings = PreprocessSettings(width=size, height=size, align="index")

    def run() -> tuple[int, int]:
        report = preprocess_all(find_recordings(dataset, data), settings, Path(cache), at_a_time)
        assert not report.failures, report.failures
        files = (f for f in Path(cache).rglob("*") if f.is_file())
        return sum(len(v.frames) for v in report.videos), sum(f.stat().st_size for f in files)

    return run, before


def normalise(dataset: str, data: str, cache: str) -> Prepared:
    """All clips of preprocessed videos in batches of 4, normalised as the trainer does it, once.

    The videos' statistics are measured in that time too.
    """
    from streamnet_plugin.training.clips import VideoClips
    from streamnet_plugin.training.loop import load_with

    fresh: list[Any] = []

    def before() -> None:
        fresh[:] = _videos(dataset, data, cache)

    def run() -> int:
        items = VideoClips(fresh, 180)
        loader = load_with(0)(items, _batches(len(items)))
        return sum(len(items.prepare(batch, "cpu")[0]) for batch in loader)

    return run, before


def _videos(dataset: str, data: str, cache: str) -> Any:
    from streamnet_plugin.data.datasets import find_recordings
    from streamnet_plugin.data.preprocess import PreprocessSettings, preprocess_all

    settings = PreprocessSettings(align="index")
    return preprocess_all(find_recordings(dataset, data), settings, Path(cache), 2).videos


def _batches(n: int) -> list[list[int]]:
    return [list(range(start, min(start + 4, n))) for start in range(0, n, 4)]


def clips(dataset: str, data: str, cache: str) -> Prepared:
    """All clips in batches of 4, loaded and normalised as the trainer does it; one epoch."""
    from streamnet_plugin.memory import keep_freed_memory

    keep_freed_memory()  # as the training loop does
    items, loader = _epoch(dataset, data, cache)
    return lambda: sum(len(items.prepare(batch, "cpu")[0]) for batch in loader)


def clip_batches(dataset: str, data: str, cache: str) -> Prepared:
    """What `clips` loads: data and labels."""
    items, loader = _epoch(dataset, data, cache)
    return lambda: [tuple(x.numpy() for x in items.prepare(batch, "cpu")) for batch in loader]


def _epoch(dataset: str, data: str, cache: str) -> tuple[Any, Any]:
    from streamnet_plugin.training.clips import VideoClips
    from streamnet_plugin.training.loop import load_with

    items = VideoClips(_videos(dataset, data, cache), 180)
    return items, load_with(0)(items, _batches(len(items)))


def first_batch(dataset: str, data: str, cache: str) -> Prepared:
    """From asking for the first epoch's first batch to having it, normalised.

    The videos' statistics are measured in that time too, which later epochs need not do.
    """
    from streamnet_plugin.training.clips import VideoClips
    from streamnet_plugin.training.loop import load_with

    videos = _videos(dataset, data, cache)
    fresh: list[Any] = []

    def before() -> None:
        fresh[:] = [VideoClips(videos, 180)]

    def run() -> tuple[Any, Any]:
        loader = load_with(0)(fresh[0], _batches(len(fresh[0])))
        x, label = fresh[0].prepare(next(iter(loader)), "cpu")
        return x.numpy(), label.numpy()

    return run, before


def classical(method: str, frames: int) -> Prepared:
    """A method from colour traces (T, 3)."""
    from streamnet_plugin.classical import METHODS

    rgb, chosen = traces(frames), METHODS[method]

    def run() -> Any:
        prediction = chosen.from_rgb(rgb, FS)
        bvp = prediction.bvp[: prediction.covered]
        return -bvp if prediction.inverted else bvp

    return run


def evaluate(frames: int) -> Prepared:
    """HR of both waveforms, SNR and MACC of a video."""
    from streamnet_plugin.evaluation.conventions import get_convention
    from streamnet_plugin.evaluation.windows import evaluate_window

    pred, label = waveforms(frames)
    convention = get_convention("toolbox-2025")

    def run() -> tuple[float, ...]:
        r = evaluate_window(pred, label, FS, convention, differential=True)
        return r.hr_label, r.hr_pred, r.snr_db, r.macc

    return run


def score(recordings: int, frames: int = 1800, samples: int = 30) -> Prepared:
    """All that `streamnet benchmark` does with the waveforms, without pages and pictures."""
    import tempfile
    import zlib

    import numpy as np

    from streamnet_plugin.comparison import Scoring, report_pairs
    from streamnet_plugin.evaluation.conventions import get_convention
    from streamnet_plugin.scoring import WaveformPair

    methods = ("GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT", "STREAMNet")
    pairs = []
    for i in range(recordings):
        rng = np.random.default_rng(i)
        phase = 2 * np.pi * rng.uniform(50, 140) / 60 * np.arange(frames) / FS
        label = np.sin(phase + rng.uniform(0, 6))
        rgb = 100 + rng.normal(0, 1, (frames, 3))
        for method in methods:
            own = np.random.default_rng([i, zlib.crc32(method.encode())])
            bvp = label + own.normal(0, 1.5, frames)
            drawn = (bvp + own.normal(0, 0.3, (samples, frames))).astype(np.float32)
            pairs.append(
                WaveformPair(
                    method, "made-up", f"r{i}", f"s{i}", FS, bvp, label, False,
                    samples=drawn if method == "STREAMNet" else None, rgb=rgb, variant="toolbox",
                )
            )  # fmt: skip
    scoring = Scoring(get_convention("toolbox-2025"), window_s=None)

    def run() -> int:
        with tempfile.TemporaryDirectory() as folder:
            found = report_pairs(
                pairs, title="", scoring=scoring, failures=(), provenance={},
                output=f"{folder}/out", plots=False, report=False,
            )  # fmt: skip
        return len(found.results.rows)

    return run


def _network(size: int) -> Any:
    import torch

    from streamnet_plugin.model import STREAMNet, STREAMNetConfig

    torch.manual_seed(0)
    return STREAMNet(STREAMNetConfig(size, size)).eval().to(memory_format=torch.channels_last)


def network(
    size: int, clips: int, precision: str = "float32", engine: str = "torch", plain: bool = False
) -> Prepared:
    """Inference on clips of 180 frames; `plain` without the fused kernels.

    The engine "compile" that computes without its compiler is an error here: it would be timed
    under another's name.
    """
    import logging

    import torch

    from streamnet_plugin.model.checkpoint import load_checkpoint
    from streamnet_plugin.model.engines import make_engine

    class Refuse(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record.getMessage())

    if engine == "compile":
        logging.getLogger(make_engine.__module__).addHandler(Refuse(logging.WARNING))
    stated = {"height": size, "width": size}
    model, _ = load_checkpoint(stated=stated)  # what was learnt shows what bfloat16 loses
    model = model.eval().to(memory_format=torch.channels_last)
    compute = make_engine(engine, model, precision)  # type: ignore[arg-type]
    x = torch.from_numpy(clip_batch(clips, size)).flatten(0, 1)

    def run() -> Any:
        # The fused kernels have no gradient: with one, torch's own layers compute.
        with torch.set_grad_enabled(plain):
            return compute(x).detach().numpy()

    return run


def cost(size: int) -> Callable[[], tuple[int, int]]:
    """Parameters, and multiply-accumulates per frame."""
    return lambda: counted(_network(size), clip_batch(1, size)[0])


def counted(model: Any, x: Any) -> tuple[int, int]:
    """Of a network: parameters, and multiply-accumulates per frame of `x`, 180 frames of it."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:  # with gradients: fused kernels go uncounted
        model(torch.from_numpy(x))
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2 // 180


def training_step(size: int, clips: int = 4, precision: str = "float32") -> Prepared:
    """One step of the training loop, its loss, gradients and optimizer included.

    Without the end of an epoch, at which the loop looks once more at the last clips.
    """
    import torch

    from streamnet_plugin.training.loop import Listener, StepReport, fit
    from streamnet_plugin.training.recipe import TrainSettings

    model = _network(size)
    x = [torch.from_numpy(clip) for clip in clip_batch(clips, size)]
    items = list(zip(x, torch.from_numpy(clip_labels(clips)), strict=True))
    settings = TrainSettings(epochs=1, batch_clips=clips, precision=precision)  # type: ignore[arg-type]
    losses: list[float] = []

    class Enough(Exception):
        pass

    class OneStep(Listener):
        def after_step(self, report: StepReport) -> None:
            losses.append(report.loss)
            raise Enough

    def run() -> float:
        with suppress(Enough):
            fit(model, items, settings, listener=OneStep())
        return losses[-1]

    return run


def sampled(size: int, samples: int = 30) -> Prepared:
    """Monte Carlo samples of a clip."""
    import torch

    from streamnet_plugin.uncertainty.mc_dropout import sample_clip

    model, x = _network(size), torch.from_numpy(clip_batch(1, size)[0])
    return lambda: sample_clip(model, x, samples).numpy()


def naively_sampled(size: int, samples: int = 30) -> Prepared:
    """The textbook's way: dropout layers in training mode, the whole network for every sample."""
    import torch

    from streamnet_plugin.uncertainty.mc_dropout import dropout_layers

    model, x = _network(size), torch.from_numpy(clip_batch(1, size)[0])
    for layer in dropout_layers(model):
        layer.train()

    @torch.no_grad()
    def run() -> Any:
        return torch.stack([model(x) for _ in range(samples)]).numpy()

    return run
