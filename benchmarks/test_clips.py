"""Clips on their way into training: 72 px, 180 frames, batches of 4."""

from __future__ import annotations

import numpy as np
import pytest
from beside import alternate, put_times

DATASET = "UBFC-rPPG"
VIDEOS = 2
SAME = 1e-5


@pytest.fixture(scope="module")
def given(quick, recordings, tmp_path_factory):
    """side -> options of its jobs, with a cache of its own; and the number of clips."""
    folder = tmp_path_factory.mktemp("clips")
    seconds = 12.0 if quick else 30.0
    data = str(recordings(DATASET, VIDEOS, seconds))
    options = {
        side: {"dataset": DATASET, "data": data, "cache": str(folder / side)}
        for side in ("ours", "theirs")
    }
    return options, VIDEOS * int(seconds * 30 // 180)


@pytest.mark.benchmark(group="clips in training")
def test_clips_per_second(benchmark, given, ours, maybe_toolbox):
    """Loading and normalising in one process; the toolbox has it done by 16, see below."""
    options, n = given
    mine, others = ours.job("clips", **options["ours"]), {}
    if maybe_toolbox is not None:
        others["the toolbox"] = maybe_toolbox.job("clips", **options["theirs"]).seconds
        assert_same_batches(
            ours.job("clip_batches", **options["ours"]).result(),
            maybe_toolbox.job("clip_batches", **options["theirs"]).result(),
        )
    times = alternate(benchmark, mine.seconds, others, 5)
    assert mine.last_result() == n
    put_times(benchmark, times, per=n, unit="clips/s")


def assert_same_batches(mine, theirs):
    """As many, in the same order, of the same data and labels."""
    for batch, other in zip(mine, theirs, strict=True):
        for x, y in zip(batch, other, strict=True):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, rtol=0, atol=SAME)


@pytest.mark.benchmark(group="clips in training")
def test_first_batch(benchmark, quick, given, ours, maybe_toolbox):
    """As each trains: we in the training process, the toolbox with 16 new workers per epoch."""
    options, _ = given
    mine, others = ours.job("first_batch", **options["ours"]), {}
    if maybe_toolbox is not None:
        theirs = maybe_toolbox.job("first_batch", **options["theirs"])
        others["the toolbox"] = theirs.seconds
    times = alternate(
        benchmark, mine.seconds, others, 3, warm=0, rounds_beside=1 if quick else None
    )
    if maybe_toolbox is not None:
        assert_same_batches([mine.last_result()], [theirs.last_result()])
    put_times(benchmark, times, targets={"the toolbox": "first-batch"})
