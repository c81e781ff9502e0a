"""Clips on their way into training: 72 px, 180 frames, batches of 4."""

from __future__ import annotations

import numpy as np
import pytest
from beside import alternate, put_times

DATASET = "UBFC-rPPG"
VIDEOS = 2


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
    times = alternate(benchmark, mine.seconds, others, 5)
    put_times(benchmark, times, per=n, unit="clips/s")


@pytest.mark.benchmark(group="clips in training")
def test_first_batch(benchmark, quick, given, ours, maybe_toolbox):
    """As each trains: we in the training process, the toolbox with 16 new workers per epoch."""
    options, _ = given
    mine, others = ours.job("first_batch", **options["ours"]), {}
    if maybe_toolbox is not None:
        theirs = maybe_toolbox.job("first_batch", **options["theirs"])
        others["the toolbox"] = theirs.seconds
    times = alternate(benchmark, mine.seconds, others, 1 if quick else 2, warm=0)
    if maybe_toolbox is not None:
        for x, y in zip(mine.last_result(), theirs.last_result(), strict=True):
            np.testing.assert_allclose(x, y, rtol=0, atol=1e-5)
    put_times(benchmark, times, targets={"the toolbox": "first-batch"})
