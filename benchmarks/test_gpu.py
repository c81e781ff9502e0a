"""The network on a GPU: frames per second, and the share of what the GPU can multiply."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch
from beside import alternate, put, put_ratio, put_seconds, put_times, show
from inputs import CLIP, clip_batch, clip_labels
from jobs_ours import _network, counted

from streamnet_plugin.model.engines import make_engine
from streamnet_plugin.training.loop import Listener, fit
from streamnet_plugin.training.recipe import TrainSettings
from streamnet_plugin.uncertainty.mc_dropout import sample_clip

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
PEAK_SIZE = 8192
WARM = 3
"""Calls, or steps of training, in every round before those that are timed."""
REPEAT = 10
ROUNDS = 3
STEPS = 20
"""Of training in a round."""
SAMPLES = 30


def seconds_per_call(work, repeat=REPEAT):
    """On the GPU, after a warm-up."""
    for _ in range(WARM):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeat):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeat


def peak_flops(precision):
    """Name and floating point operations per second of a large matrix product.

    Convolutions in float32 are in TF32 where torch lets cuDNN take it, which is its default;
    matrix products are not by default, and so are told to: the peak is that of what the network
    computes in.
    """
    a = torch.randn(PEAK_SIZE, PEAK_SIZE, device="cuda", dtype=getattr(torch, precision))
    tf32 = precision == "float32" and torch.backends.cudnn.allow_tf32
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        seconds = seconds_per_call(lambda: a @ a)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return "TF32" if tf32 else precision, 2 * PEAK_SIZE**3 / seconds


def frames_on_gpu(clips, size):
    """Drawn there: to draw 64 clips on a CPU takes longer than to measure with them."""
    x = torch.randn(clips * CLIP, 6, size, size, device="cuda")
    return x.contiguous(memory_format=torch.channels_last)


def toolbox_network(name, size):
    """The toolbox's network on the GPU, as its trainers run it, or None without a checkout."""
    if "RPPG_TOOLBOX" not in os.environ:
        return None
    import jobs_toolbox

    return torch.nn.DataParallel(jobs_toolbox._network(name, size).cuda())


@pytest.mark.benchmark(group="network, GPU")
@pytest.mark.parametrize("clips", [1, 4, 16, 64])
@pytest.mark.parametrize("size", [36, 72])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gpu(benchmark, precision, size, clips):
    """float32 is torch's default: convolutions in TF32, the few matrix products not."""
    model = _network(size)
    macs = counted(model, clip_batch(1, size)[0])[1]
    compute = make_engine("torch", model.cuda(), precision)
    x = frames_on_gpu(clips, size)
    torch.cuda.reset_peak_memory_stats()
    taken = []
    with torch.no_grad():
        benchmark.pedantic(
            lambda: taken.append(seconds_per_call(lambda: compute(x))), rounds=ROUNDS
        )
    put_seconds(benchmark, taken)
    memory = torch.cuda.max_memory_allocated()
    rate = len(x) / float(np.median(taken))
    name, peak = peak_flops(precision)
    put(benchmark, **{"memory, MB": memory / 2**20})
    show(
        benchmark,
        **{
            "frames/s": rate,
            f"a {name} matrix product's peak, TFLOP/s": peak / 1e12,
            "share of it, %": 100 * 2 * macs * rate / peak,
        },
    )


@pytest.mark.benchmark(group="network, GPU")
@pytest.mark.parametrize("size", [36, 72])
@pytest.mark.parametrize("engine", ["torch", "compile"])
def test_beside_ts_can(benchmark, engine, size):
    """4 clips, ours in bfloat16, TS-CAN as the toolbox's trainer computes it."""
    compute = make_engine(engine, _network(size).cuda(), "bfloat16")
    x, others = frames_on_gpu(4, size), {}
    theirs = toolbox_network("TS-CAN", size)
    with torch.no_grad():
        if theirs is not None:
            theirs.eval()
            plain = x.contiguous()
            others["TS-CAN"] = lambda: seconds_per_call(lambda: theirs(plain))
        mine = lambda: seconds_per_call(lambda: compute(x))  # noqa: E731
        times = alternate(benchmark, mine, others, ROUNDS)
    put_times(benchmark, times, per=4 * CLIP, unit="frames/s")


class StepClock(Listener):
    """From the end of the last step of the warm-up to that of the last step: no epoch's end."""

    def __init__(self):
        self.steps = 0
        self.start = self.end = 0.0

    def after_step(self, report):
        self.steps += 1
        if self.steps in (WARM, WARM + STEPS):
            torch.cuda.synchronize()
            self.start, self.end = self.end, time.perf_counter()


@pytest.mark.benchmark(group="network, GPU")
@pytest.mark.parametrize("size", [36, 72])
def test_training(benchmark, size):
    """Steps of the training loop with 4 clips in bfloat16; TS-CAN's as its trainer takes them."""
    x = [clip.cuda() for clip in torch.from_numpy(clip_batch(4, size))]
    clips = list(zip(x, torch.from_numpy(clip_labels(4)).cuda(), strict=True))
    items = clips * (WARM + STEPS)  # one epoch
    model = _network(size).cuda().to(memory_format=torch.channels_last)
    settings = TrainSettings(epochs=1, batch_clips=4, precision="bfloat16")

    def ours():
        clock = StepClock()
        fit(model, items, settings, listener=clock)
        assert clock.steps == WARM + STEPS
        return (clock.end - clock.start) / STEPS

    others, theirs = {}, toolbox_network("TS-CAN", size)
    if theirs is not None:
        theirs.train()
        optimizer = torch.optim.AdamW(theirs.parameters(), lr=9e-3, weight_decay=0)
        data, label = torch.cat(x), torch.cat([y for _, y in clips]).view(-1, 1)

        def step():
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(theirs(data), label).backward()
            optimizer.step()

        others["TS-CAN"] = lambda: seconds_per_call(step, STEPS)
    put_times(benchmark, alternate(benchmark, ours, others, ROUNDS), per=1, unit="steps/s")


@pytest.mark.benchmark(group="network, GPU")
@pytest.mark.parametrize("size", [36, 72])
def test_monte_carlo(benchmark, size):
    """30 samples of a clip, relative to one pass; both in bfloat16."""
    model, x = _network(size).cuda(), frames_on_gpu(1, size)
    compute = make_engine("torch", model, "bfloat16")

    def sampled():
        return seconds_per_call(lambda: sample_clip(model, x, SAMPLES, precision="bfloat16"))

    with torch.no_grad():
        times = alternate(
            benchmark, sampled, {"one pass": lambda: seconds_per_call(lambda: compute(x))}, ROUNDS
        )
    show(benchmark, **{"30 samples, s": float(np.median(times["ours"]))})
    put_ratio(
        benchmark, "30 samples to one pass", times["ours"] / times["one pass"],
        ours=float(np.median(times["ours"])), theirs=float(np.median(times["one pass"])), unit="s",
    )  # fmt: skip
