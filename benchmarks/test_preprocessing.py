"""From raw 640 x 480 videos to cached 72 px crops, beside the toolbox's loaders (Haar detection).

The toolbox keeps its clips normalised in two ways; we keep the crops, and normalise clips when they
are loaded. What that takes for all of them, once, is added in "clips normalised too".

Both are timed from the call to the files' being there, their own worker processes' start included
(ours are ended after every round, the toolbox's end by themselves), that of the first process not.
Labels and frames are taken by number, as the toolbox takes them.
"""

from __future__ import annotations

import numpy as np
import pytest
from beside import Side, alternate, part, put, put_ratio, put_times, show, watched

from streamnet_plugin.data.clips import label_of, make_input, split_clips

VIDEOS = {"UBFC-rPPG": 4, "PURE": 2}
DATASETS = list(VIDEOS)
CLIP_FRAMES = 180
SAME = 1e-5


@pytest.fixture
def seconds(quick):
    """Of each video."""
    return 12.0 if quick else 30.0


@pytest.mark.benchmark(group="preprocessing")
@pytest.mark.parametrize("dataset", DATASETS)
def test_speed(benchmark, dataset, seconds, quick, recordings, ours, maybe_toolbox, tmp_path):
    """The target is about UBFC-rPPG."""
    main = dataset == DATASETS[0]
    if quick and not main:
        pytest.skip("left out by --quick")
    options = {"dataset": dataset, "data": str(recordings(dataset, VIDEOS[dataset], seconds))}
    mine = ours.job("preprocess", **options, cache=str(tmp_path / "ours"))
    others = {}
    if maybe_toolbox is not None:
        theirs = maybe_toolbox.job("preprocess", **options, cache=str(tmp_path / "theirs"))
        others["the toolbox"] = theirs.seconds
    later, seconds_later = ours.job("normalise", **options, cache=str(tmp_path / "ours")), []

    def run():
        taken = mine.seconds()
        made.append(mine.last_result())
        seconds_later.append(later.seconds())
        return taken

    made, rounds = [], 3
    times = alternate(benchmark, run, others, rounds, warm=0 if quick else 1)
    if others:
        their_frames, their_size = theirs.last_result()
        assert_same(dataset, options["data"], tmp_path)
    per = VIDEOS[dataset] * seconds * 30
    put_times(
        benchmark, times, per=per, unit="frames/s",
        targets={"the toolbox": "preprocessing"} if main else None,
    )  # fmt: skip
    both = times | {"ours": times["ours"] + seconds_later[-rounds:]}
    put_times(part(benchmark, "clips normalised too", both["ours"]), both, per=per, unit="frames/s")
    frames, size = made[-1]
    put(benchmark, **{"ours, cached bytes per frame": size / frames})
    if others:
        put_ratio(
            benchmark, "cached bytes per frame", [their_size / their_frames * frames / size],
            ours=size / frames, theirs=their_size / their_frames, unit="bytes/frame",
            target="cache" if main else None,
        )  # fmt: skip


def assert_same(dataset, data, folder):
    """The toolbox's float64 clips and labels are what our crops and labels are normalised to."""
    from jobs_ours import _videos

    unseen = {path.name for path in (folder / "theirs").glob("*_*.npy")}
    for video in _videos(dataset, data, str(folder / "ours")):
        name = video.recording.id
        name = name if dataset == "UBFC-rPPG" else str(int(name.replace("-", "")))
        made = make_input(video.frames, ("DiffNormalized", "Standardized"))
        labels = label_of(video, "DiffNormalized")
        for number, span in enumerate(split_clips(len(made), CLIP_FRAMES)):
            for what, values in (("input", made), ("label", labels)):
                file = f"{name}_{what}{number}.npy"
                theirs = np.load(folder / "theirs" / file)
                np.testing.assert_allclose(values[span], theirs, rtol=0, atol=SAME)
                unseen.remove(file)
    assert not unseen, unseen


@pytest.mark.benchmark(group="preprocessing, memory")
def test_memory(benchmark, seconds, recordings, maybe_toolbox, tmp_path):
    """Peak resident set of the largest process, and what all held together; see `beside.Memory`."""
    # One video, by one worker: what a process holds is that of the longest video.
    once, twice = (recordings("UBFC-rPPG", 1, n * seconds) for n in (1, 2))
    frames = {once: int(seconds * 30), twice: int(2 * seconds * 30)}
    held = {}

    def measure(name, jobs, data, **options):
        cache = str(tmp_path / name)
        side = Side(jobs)  # fresh: nothing is left of other work, and no idle worker shares pages
        job = side.job("preprocess", dataset="UBFC-rPPG", data=str(data), cache=cache, **options)
        with watched(side.process.pid) as memory:
            job.seconds()
        assert job.last_result()[0] == frames[data]
        side.close()
        held[name] = memory
        keep = put if jobs == "jobs_ours" else show
        keep(benchmark, **{f"{name}, peak RSS of the largest process, MB": memory.largest})
        show(benchmark, **{f"{name}, PSS of all processes, MB": memory.together})

    measure("ours twice as long", "jobs_ours", twice, at_a_time=1)
    benchmark.pedantic(measure, ("ours", "jobs_ours", once), {"at_a_time": 1}, rounds=1)
    mine = held["ours"].largest
    put_ratio(
        benchmark, "ours, a video twice as long", [held["ours twice as long"].largest / mine],
        ours=mine, theirs=held["ours twice as long"].largest, unit="MB",
        target="preprocessing-constant",
    )  # fmt: skip
    if maybe_toolbox is None:
        return
    for name, data in (("toolbox", once), ("toolbox twice as long", twice)):
        measure(name, "jobs_toolbox", data)
        put_ratio(
            benchmark, f"{name}, largest process", [held[name].largest / mine], ours=mine,
            theirs=held[name].largest, unit="MB",
            target="preprocessing-memory" if data is once else None,
        )  # fmt: skip
