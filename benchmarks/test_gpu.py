"""The network on a GPU: frames per second, and the share of what the GPU can multiply."""

from __future__ import annotations

import time

import pytest
import torch
from beside import put
from inputs import clip_batch
from jobs_ours import _network, counted

from streamnet_plugin.model.engines import make_engine

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
PEAK_SIZE = 8192
REPEAT = 20


def seconds_per_call(work):
    """On the GPU, after a warm-up."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(REPEAT):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / REPEAT


def peak_flops(dtype):
    """Floating point operations per second of a large matrix product."""
    a = torch.randn(PEAK_SIZE, PEAK_SIZE, device="cuda", dtype=dtype)
    return 2 * PEAK_SIZE**3 / seconds_per_call(lambda: a @ a)


@pytest.mark.benchmark(group="network, GPU")
@pytest.mark.parametrize("clips", [1, 4, 16, 64])
@pytest.mark.parametrize("size", [36, 72])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gpu(benchmark, precision, size, clips):
    model = _network(size)
    macs = counted(model, clip_batch(1, size)[0])[1]
    compute = make_engine("torch", model.cuda(), precision)
    x = torch.from_numpy(clip_batch(clips, size)).flatten(0, 1).cuda()
    x = x.contiguous(memory_format=torch.channels_last)
    taken = []
    with torch.no_grad():
        benchmark.pedantic(lambda: taken.append(seconds_per_call(lambda: compute(x))), rounds=3)
    rate = len(x) / sorted(taken)[1]
    peak = peak_flops(getattr(torch, precision))
    put(
        benchmark,
        **{
            "frames/s": rate,
            "share of a matrix product's peak, %": 100 * 2 * macs * rate / peak,
            "memory, MB": torch.cuda.max_memory_allocated() / 2**20,
        },
    )
