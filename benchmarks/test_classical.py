"""Classical methods from colour traces (T, 3), and the evaluation of a video.

Of the toolbox's methods the step that averages every picture is taken out: both get the traces.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from beside import alternate, exponent, put_ratio, put_times, show

METHODS = ["GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT"]
LENGTHS = [300, 900, 1800, 9000]
QUICK_LENGTHS = [300, 1800]
LONG = 9000
"""The toolbox inverts (T, T) matrices: most of a minute a time, and timed once."""
CALLS = {300: 50, 900: 20, 1800: 10, LONG: 1}
"""Made one after another in a round, of either side: the first finds cold caches, and is slower."""
SLOW_BESIDE = ("evaluation", "POS", "ICA")
"""Of these one call of the toolbox's takes 0.03 to 1.3 s: a round is one call, of ours too."""
ROUNDS = 15
"""Of milliseconds, whose noise is large."""
LONG_BESIDE = ["POS"]
"""Methods whose toolbox's side is timed at that length too; its ICA would take minutes."""
OWN_LENGTHS = [1800, 9000, 36000]
PEERS_LENGTHS = [300, 900, 1800]
GROWTH_ROUNDS = 5
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
        others["the toolbox"] = theirs
        if frames < LONG:
            assert_same(method, mine.result(), theirs.result())
    run_beside(benchmark, mine, others, frames, method)


def run_beside(benchmark, mine, others, frames, what):
    """Time our job beside the others', with as many calls; the targets are about 1800 frames."""
    calls = 1 if what in SLOW_BESIDE else CALLS[frames]
    times = alternate(
        benchmark,
        partial(mine.seconds, calls),
        {name: partial(job.seconds, calls) for name, job in others.items()},
        ROUNDS,
        warm=1 if frames < LONG else 0,
        rounds_beside=None if frames < LONG else 1,
    )
    targets = {"the toolbox": what} if what in SLOW_BESIDE and frames == 1800 else None
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
        others["the toolbox"] = theirs
        if frames < LONG:
            np.testing.assert_allclose(mine.result()[:2], theirs.result()[:2], rtol=SAME_HR)
            np.testing.assert_allclose(mine.result()[2:], theirs.result()[2:], atol=SAME_DB)
    run_beside(benchmark, mine, others, frames, "evaluation")


@pytest.mark.benchmark(group="growth of time with length")
@pytest.mark.parametrize("what", ["evaluation", "POS", "ICA"])
def test_growth(benchmark, what, ours, maybe_toolbox):
    """Exponent of time over length, of ours up to 20 minutes of video."""
    exponents = {"ours": [], "the toolbox": []}

    def lengths(name, side, frames):
        """Time them all, one call each, and keep how it grows."""
        job, options = ("evaluate", {}) if what == "evaluation" else ("classical", {"method": what})
        jobs = [side.job(job, frames=n, **options) for n in frames]

        def run():
            seconds = [j.seconds() for j in jobs]
            exponents[name].append(exponent(frames, seconds))
            return sum(seconds)

        return run

    others = {}
    if maybe_toolbox is not None:
        others["the toolbox"] = lengths("the toolbox", maybe_toolbox, PEERS_LENGTHS)
    alternate(benchmark, lengths("ours", ours, OWN_LENGTHS), others, GROWTH_ROUNDS, warm=1)
    mine, theirs = (found[1:] for found in exponents.values())  # without the warm-up's
    if theirs:
        name = f"toolbox's exponent, {PEERS_LENGTHS[0]} to {PEERS_LENGTHS[-1]}"
        show(benchmark, **{name: np.median(theirs)})
    put_ratio(
        benchmark, f"exponent, {OWN_LENGTHS[0]} to {OWN_LENGTHS[-1]} frames", mine,
        ours=float(np.median(mine)), theirs=float(np.median(theirs)) if theirs else float("nan"),
        unit="exponent",
        target="evaluation-growth" if what == "evaluation" else None,
    )  # fmt: skip
