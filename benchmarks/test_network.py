"""STREAM-Net beside the toolbox's networks, as its trainers run them, on the same numbers."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, closing, contextmanager

import numpy as np
import pytest
import torch
from beside import (
    Side,
    alternate,
    leave_out,
    memory_of_a_call,
    part,
    put,
    put_ratio,
    put_times,
    show,
)

from streamnet_plugin.uncertainty.mc_dropout import fast_precision

PEERS = ["TS-CAN", "DeepPhys", "EfficientPhys", "PhysNet"]
FRAMES = 180
NO_BFLOAT16 = "this processor has no bfloat16 instructions: --precision auto takes float32"
PASSES_TO_STEADY = 2
"""Of both sides, behind one that proves ours right. Ours took 21,787 new pages in the first clip,
7,427 in the second, then 1."""
ROUNDS = 7
SAME = 1e-4
"""Of fast and plain ways, relative to the output's range."""
SAME_BFLOAT16 = 0.01
"""Of bfloat16 and float32."""


def has_bfloat16():
    return fast_precision(torch.device("cpu")) == "bfloat16"


def only_in_full(quick, size):
    if quick and size == 72:
        pytest.skip("left out by --quick")


def assert_close(fast, plain, precision="float32"):
    tolerance = SAME if precision == "float32" else SAME_BFLOAT16
    np.testing.assert_allclose(fast, plain, rtol=0, atol=tolerance * np.ptp(plain))


def network(side, precision="float32", **options):
    """Our job, proven to give what torch's own layers give in float32."""
    job = side.job("network", precision=precision, **options)
    plain = side.job("network", size=options["size"], clips=options["clips"], plain=True)
    assert_close(job.result(), plain.result(), precision)
    plain.forget()
    return job


@contextmanager
def own_sides():
    """(jobs) -> a process of its own: what another network freed in one changes its speed."""
    with ExitStack() as stack:
        yield lambda jobs: stack.enter_context(closing(Side(jobs)))


def peer(side, name, **options):
    """To time one of the toolbox's networks, after as many passes as ours has had for its proof."""
    job = side("jobs_toolbox").job("network", name=name, **options)
    job.seconds()
    return job.seconds


@pytest.mark.benchmark(group="network, inference")
@pytest.mark.parametrize("clips", [1, 4])
@pytest.mark.parametrize("size", [36, 72])
def test_inference(benchmark, quick, size, clips, maybe_toolbox):
    """Ours in float32 and in bfloat16, where that is fast, and TS-CAN, in the same turns."""
    if clips > 1:
        only_in_full(quick, size)
    options, others = {"size": size, "clips": clips}, {}
    with own_sides() as side:
        mine = network(side("jobs_ours"), **options)
        if has_bfloat16():
            others["bfloat16"] = network(side("jobs_ours"), "bfloat16", **options).seconds
        if maybe_toolbox is not None:
            others["TS-CAN"] = peer(side, "TS-CAN", **options)
        rounds = 3 if clips > 1 else ROUNDS
        times = alternate(benchmark, mine.seconds, others, rounds, warm=PASSES_TO_STEADY)
    target = (size, clips) == (72, 1)
    targets = {p: f"network-{p}" for p in ("float32", "bfloat16") if target}
    for precision, place in put_precisions(benchmark, times, FRAMES * clips, "frames/s", targets):
        if clips == 1:
            put_memory(place, "network", precision=precision, **options)
    if clips == 1 and maybe_toolbox is not None:
        show_memory(benchmark, "TS-CAN", "network", name="TS-CAN", **options)


def put_precisions(benchmark, times, per, unit, targets):
    """(precision, where its times are kept): the benchmark itself, or a part. Each beside TS-CAN.

    `targets` names that of a precision.
    """
    beside = {name: times[name] for name in ("TS-CAN",) if name in times}
    places = {"float32": (benchmark, times["ours"])}
    if "bfloat16" in times:
        half = part(benchmark, "bfloat16", times["bfloat16"])
        places["bfloat16"] = (half, times["bfloat16"])
    else:
        leave_out(benchmark, "bfloat16", NO_BFLOAT16)
    for precision, (place, seconds) in places.items():
        target = {"TS-CAN": targets[precision]} if precision in targets else None
        put_times(place, {"ours": seconds, **beside}, per=per, unit=unit, targets=target)
    return [(precision, place) for precision, (place, _) in places.items()]


def put_memory(benchmark, job, /, **options):
    """Of a first call."""
    put(benchmark, **{"ours, memory, MB": memory_of_a_call("jobs_ours", job, **options)})


def show_memory(benchmark, name, job, /, **options):
    """The same of one of the toolbox's networks."""
    mb = memory_of_a_call("jobs_toolbox", job, **options)
    show(benchmark, **{f"{name}, memory, MB": mb})


@pytest.mark.benchmark(group="network, inference")
@pytest.mark.parametrize("size", [36, 72])
def test_beside_others(benchmark, quick, size, toolbox):
    """One clip in float32, beside the toolbox's other networks, each in a process of its own."""
    only_in_full(quick, size)
    options = {"size": size, "clips": 1}
    with own_sides() as side:
        mine = network(side("jobs_ours"), **options)
        others = {name: peer(side, name, **options) for name in PEERS[1:]}
        rounds = 3 if size == 72 else 5
        times = alternate(benchmark, mine.seconds, others, rounds, warm=PASSES_TO_STEADY)
    put_times(benchmark, times, per=FRAMES, unit="frames/s")
    for name in others:
        show_memory(benchmark, name, "network", name=name, **options)


@pytest.mark.benchmark(group="network, engines")
@pytest.mark.parametrize("size", [36, 72])
@pytest.mark.parametrize(
    "engine", [pytest.param("compile", marks=pytest.mark.slow), "onnxruntime", "openvino"]
)
def test_engine(benchmark, quick, engine, size, maybe_toolbox):
    """The other engines beside torch and TS-CAN, in the precision that is fast here, ONNX Runtime
    in float32, which is all it has; fails where `compile` does not compile."""
    if engine == "compile" and not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("no C++ compiler")
    for package in {"compile": (), "onnxruntime": ("onnx", engine), "openvino": (engine,)}[engine]:
        pytest.importorskip(package)
    options, others = {"size": size, "clips": 1}, {}
    precision = fast_precision(torch.device("cpu")) if engine != "onnxruntime" else "float32"
    with own_sides() as side:
        mine = network(side("jobs_ours"), precision, engine=engine, **options)
        others["torch"] = network(side("jobs_ours"), precision, **options).seconds
        if maybe_toolbox is not None:
            others["TS-CAN"] = peer(side, "TS-CAN", **options)
        rounds = 3 if quick else ROUNDS
        times = alternate(benchmark, mine.seconds, others, rounds, warm=PASSES_TO_STEADY)
    wanted = (engine, precision, size) == ("openvino", "bfloat16", 72)
    targets = {"TS-CAN": "network-openvino"} if wanted else None
    put_times(benchmark, times, per=FRAMES, unit="frames/s", targets=targets)


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
        keep = put if name == "ours" else show
        keep(benchmark, **{f"{name}, parameters": parameters, f"{name}, MMAC/frame": macs / 1e6})


@pytest.mark.benchmark(group="network, training")
@pytest.mark.parametrize("size", [36, 72])
def test_training_step(benchmark, quick, size, maybe_toolbox):
    """4 clips of 180 frames: input in memory, to weights changed; in turns as `test_inference`."""
    only_in_full(quick, size)
    others = {}
    with own_sides() as side:
        both = side("jobs_ours")  # two would hold 15 GB at 72 px
        mine = both.job("training_step", size=size)
        if has_bfloat16():
            others["bfloat16"] = both.job("training_step", size=size, precision="bfloat16").seconds
        if maybe_toolbox is not None:
            others["TS-CAN"] = side("jobs_toolbox").job("training_step", size=size).seconds
        times = alternate(benchmark, mine.seconds, others, 3)
    targets = {fast_precision(torch.device("cpu")): "training"} if size == 72 else {}
    for precision, place in put_precisions(benchmark, times, 1, "steps/s", targets):
        put_memory(place, "training_step", size=size, precision=precision)
    if maybe_toolbox is not None:
        show_memory(benchmark, "TS-CAN", "training_step", size=size)


@pytest.mark.benchmark(group="Monte Carlo dropout")
@pytest.mark.parametrize("size", [36, pytest.param(72, marks=pytest.mark.slow)])
def test_mc_dropout(benchmark, quick, size, ours):
    """30 samples of one clip beside one pass, and beside 30 passes of the whole network."""
    mine = ours.job("sampled", size=size)
    others = {
        "one pass": ours.job("network", size=size, clips=1).seconds,
        "30 naive passes": ours.job("naively_sampled", size=size).seconds,
    }
    rounds = 5 if size == 36 else 3
    times = alternate(benchmark, mine.seconds, others, rounds, warm=PASSES_TO_STEADY)
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
