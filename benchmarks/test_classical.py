"""Classical methods from colour traces (T, 3), and the evaluation of a video.

Of the toolbox's methods the step that averages every picture is taken out: both get the traces.
"""

from __future__ import annotations

import numpy as np
import pytest
from beside import alternate, exponent, put_ratio, put_seconds, put_times, show

METHODS = ["GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT"]
LENGTHS = [300, 900, 1800, 9000]
QUICK_LENGTHS = [300, 1800]
LONG = 9000
"""The toolbox inverts (T, T) matrices: most of a minute a time, and timed once."""
CALLS = {300: 50, 900: 20, 1800: 10, LONG: 2}
"""Our calls timed together, so that a round lasts some milliseconds."""
ROUNDS = {300: 7, 900: 5, 1800: 5, LONG: 5}
LONG_BESIDE = ["POS"]
"""Methods whose toolbox's side is timed at that length too; its ICA would take minutes."""
OWN_LENGTHS = [1800, 9000, 36000]
PEERS_LENGTHS = [300, 900, 1800]
SAME_HR, SAME_DB = 1e-9, 1e-6


@pytest.fixture(autouse=True)
def chosen_length(request, quick):
    """--quick leaves two of the lengths."""
    frames = getattr(request.node, "callspec", None) and request.node.callspec.params.get("frames")
    if quick and frames and frames not in QUICK_LENGTHS:
        pytest.skip("left out by --quick")


@pytest.mark.benchmark(group="classical methods from colour traces")
@pytest.mark.parametrize("frames", LENGTHS)
@pytest.mark.parametrize("method", METHODS)
def test_method(benchmark, method, frames, ours, maybe_toolbox):
    mine = ours.job("classical", method=method, frames=frames)
    others = {}
    if maybe_toolbox is not None and (frames < LONG or method in LONG_BESIDE):
        theirs = maybe_toolbox.job("classical", method=method, frames=frames)
        others["the toolbox"] = theirs.seconds
        if frames < LONG:
            assert_same(method, mine.result(), theirs.result())
    run_beside(benchmark, mine, others, frames, method if method in ("POS", "ICA") else None)


def run_beside(benchmark, mine, others, frames, target):
    """Time our job beside the others; the targets are about 1800 frames."""
    times = alternate(
        benchmark,
        lambda: mine.seconds(CALLS[frames]),
        others,
        ROUNDS[frames],
        warm=1 if frames < LONG else 0,
        rounds_beside=None if frames < LONG else 1,
    )
    targets = {"the toolbox": target} if target and frames == 1800 else None
    put_times(benchmark, {n: 1000 * t for n, t in times.items()}, unit="ms", targets=targets)


def assert_same(method, mine, theirs):
    """ICA leaves the sign open; PBV inverts a nearly singular matrix in float32."""
    assert mine.shape == theirs.shape
    if method == "PBV":
        return
    sign = np.sign(mine @ theirs) if method == "ICA" else 1
    np.testing.assert_allclose(sign * mine, theirs, rtol=0, atol=1e-6 * np.std(theirs))


@pytest.mark.benchmark(group="evaluation of a video")
@pytest.mark.parametrize("frames", LENGTHS)
def test_evaluation(benchmark, frames, ours, maybe_toolbox):
    mine, others = ours.job("evaluate", frames=frames), {}
    if maybe_toolbox is not None:
        theirs = maybe_toolbox.job("evaluate", frames=frames)
        others["the toolbox"] = theirs.seconds
        if frames < LONG:
            np.testing.assert_allclose(mine.result()[:2], theirs.result()[:2], rtol=SAME_HR)
            np.testing.assert_allclose(mine.result()[2:], theirs.result()[2:], atol=SAME_DB)
    run_beside(benchmark, mine, others, frames, "evaluation")


@pytest.mark.benchmark(group="growth of time with length")
@pytest.mark.parametrize("what", ["evaluation", "POS", "ICA"])
def test_growth(benchmark, what, ours, maybe_toolbox):
    """Exponent of time over length, of ours up to 20 minutes of video."""

    def job(side, frames):
        if what == "evaluation":
            return side.job("evaluate", frames=frames)
        return side.job("classical", method=what, frames=frames)

    seconds = []
    mine = [job(ours, frames) for frames in OWN_LENGTHS]
    benchmark.pedantic(
        lambda: seconds.append([j.seconds() for j in mine]), rounds=5, warmup_rounds=1
    )
    put_seconds(benchmark, [sum(times) for times in seconds[1:]])
    exponents = [exponent(OWN_LENGTHS, times) for times in seconds[1:]]
    theirs = float("nan")
    if maybe_toolbox is not None:
        times = [job(maybe_toolbox, n).seconds() for n in PEERS_LENGTHS]
        theirs = exponent(PEERS_LENGTHS, times)
        show(
            benchmark, **{f"toolbox's exponent, {PEERS_LENGTHS[0]} to {PEERS_LENGTHS[-1]}": theirs}
        )
    put_ratio(
        benchmark, f"exponent, {OWN_LENGTHS[0]} to {OWN_LENGTHS[-1]} frames", exponents,
        ours=float(np.median(exponents)), theirs=theirs, unit="exponent",
        target="evaluation-growth" if what == "evaluation" else None,
    )  # fmt: skip
