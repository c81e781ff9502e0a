"""STREAM-Net beside the toolbox's networks, as its trainers run them, on the same numbers."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from beside import alternate, memory_of_a_call, put, put_ratio, put_times

from streamnet_plugin.uncertainty.mc_dropout import fast_precision

PEERS = ["TS-CAN", "DeepPhys", "EfficientPhys", "PhysNet"]
FRAMES = 180
NO_BFLOAT16 = "this processor has no bfloat16 instructions: --precision auto takes float32"
PASSES_TO_STEADY = 2
"""Of both sides. Ours took 21,787 new pages in the first clip, 7,427 in the second, then 1."""
SAME = 1e-4
"""Of fast and plain ways, relative to the output's range."""


def fast_bfloat16():
    if fast_precision(torch.device("cpu")) != "bfloat16":
        pytest.skip(NO_BFLOAT16)


def rounds_for(quick, size, clips=1):
    if quick or clips > 1:
        return 2
    return 3 if size == 72 else 5


def only_in_full(quick, size):
    if quick and size == 72:
        pytest.skip("left out by --quick")


@pytest.mark.benchmark(group="network, inference")
@pytest.mark.parametrize("clips", [1, 4])
@pytest.mark.parametrize("size", [36, 72])
def test_float32(benchmark, quick, size, clips, ours, maybe_toolbox):
    """With one clip beside all of the toolbox's networks, with four beside TS-CAN."""
    if clips > 1:
        only_in_full(quick, size)
    mine, others = ours.job("network", size=size, clips=clips), {}
    assert_close(mine.result(), ours.job("network", size=size, clips=clips, plain=True).result())
    if maybe_toolbox is not None:
        names = PEERS if clips == 1 else PEERS[:1]
        jobs = {n: maybe_toolbox.job("network", name=n, size=size, clips=clips) for n in names}
        others = {n: job.seconds for n, job in jobs.items()}
    times = alternate(
        benchmark, mine.seconds, others, rounds_for(quick, size, clips), warm=PASSES_TO_STEADY
    )
    target = {"TS-CAN": "network-float32"} if (size, clips) == (72, 1) else None
    put_times(benchmark, times, per=FRAMES * clips, unit="frames/s", targets=target)
    for name in others:
        jobs[name].forget()
    if clips == 1:
        held = {"ours": memory_of_a_call("jobs_ours", "network", size=size, clips=clips)}
        for name in others:
            held[name] = memory_of_a_call(
                "jobs_toolbox", "network", name=name, size=size, clips=clips
            )
        put(benchmark, **{f"{name}, memory, MB": mb for name, mb in held.items()})


def assert_close(fast, plain):
    np.testing.assert_allclose(fast, plain, rtol=0, atol=SAME * np.ptp(plain))


@pytest.mark.benchmark(group="network, inference")
@pytest.mark.parametrize("size", [36, 72])
def test_bfloat16(benchmark, quick, size, ours, maybe_toolbox):
    fast_bfloat16()
    beside_ts_can(
        benchmark, quick, ours.job("network", size=size, clips=1, precision="bfloat16"), size,
        maybe_toolbox, "network-bfloat16" if size == 72 else None,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.benchmark(group="network, inference")
@pytest.mark.parametrize("size", [36, 72])
def test_compiled(benchmark, quick, size, ours, maybe_toolbox):
    """The engine `compile`, in the precision that is fast here."""
    if not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("no C++ compiler")
    precision = fast_precision(torch.device("cpu"))
    job = ours.job("network", size=size, clips=1, engine="compile", precision=precision)
    if precision == "float32":
        assert_close(job.result(), ours.job("network", size=size, clips=1, plain=True).result())
    beside_ts_can(benchmark, quick, job, size, maybe_toolbox, None)


def beside_ts_can(benchmark, quick, mine, size, maybe_toolbox, target):
    others = {}
    if maybe_toolbox is not None:
        others["TS-CAN"] = maybe_toolbox.job("network", name="TS-CAN", size=size, clips=1).seconds
    times = alternate(benchmark, mine.seconds, others, 2 if quick else 7, warm=PASSES_TO_STEADY)
    put_times(
        benchmark, times, per=FRAMES, unit="frames/s", targets={"TS-CAN": target} if target else {}
    )


@pytest.mark.benchmark(group="network, cost")
@pytest.mark.parametrize("size", [36, 72])
def test_cost(benchmark, size, ours, maybe_toolbox):
    """Parameters and multiply-accumulates; the time is that of counting."""
    found = {}
    benchmark.pedantic(lambda: found.update(ours=ours.job("cost", size=size).result()), rounds=1)
    if maybe_toolbox is not None:
        for name in PEERS:
            found[name] = maybe_toolbox.job("cost", name=name, size=size).result()
    for name, (parameters, macs) in found.items():
        put(benchmark, **{f"{name}, parameters": parameters, f"{name}, MMAC/frame": macs / 1e6})


@pytest.mark.benchmark(group="network, training")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [36, 72])
def test_training_step(benchmark, quick, size, precision, ours, maybe_toolbox):
    """4 clips of 180 frames: input in memory, to weights changed."""
    only_in_full(quick, size)
    if precision == "bfloat16":
        fast_bfloat16()
    mine, others = ours.job("training_step", size=size, precision=precision), {}
    if maybe_toolbox is not None:
        others["TS-CAN"] = maybe_toolbox.job("training_step", size=size).seconds
    times = alternate(benchmark, mine.seconds, others, 2)
    best = precision == fast_precision(torch.device("cpu"))
    target = {"TS-CAN": "training"} if size == 72 and best else None
    put_times(benchmark, times, per=1, unit="steps/s", targets=target)
    held = {"ours": memory_of_a_call("jobs_ours", "training_step", size=size, precision=precision)}
    if others:
        held["TS-CAN"] = memory_of_a_call("jobs_toolbox", "training_step", size=size)
    put(benchmark, **{f"{name}, memory, MB": mb for name, mb in held.items()})


@pytest.mark.benchmark(group="Monte Carlo dropout")
@pytest.mark.parametrize("size", [36, pytest.param(72, marks=pytest.mark.slow)])
def test_mc_dropout(benchmark, quick, size, ours):
    """30 samples of one clip beside one pass, and beside 30 passes of the whole network."""
    mine = ours.job("sampled", size=size)
    others = {
        "one pass": ours.job("network", size=size, clips=1).seconds,
        "30 naive passes": ours.job("naively_sampled", size=size).seconds,
    }
    times = alternate(
        benchmark,
        mine.seconds,
        others,
        2 if quick else 3,
        warm=PASSES_TO_STEADY if size == 36 else 0,
    )
    seconds = {name: float(np.median(t)) for name, t in times.items()}
    put_ratio(
        benchmark, "30 samples over one pass", times["ours"] / times["one pass"],
        ours=seconds["ours"], theirs=seconds["one pass"], unit="s",
        target="mc-dropout" if size == 36 else None,
    )  # fmt: skip
    put_ratio(
        benchmark, "beside 30 naive passes", times["30 naive passes"] / times["ours"],
        ours=seconds["ours"], theirs=seconds["30 naive passes"], unit="s",
    )  # fmt: skip
