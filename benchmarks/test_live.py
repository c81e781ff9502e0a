"""Real time: a 640x480 video at 30 frames per second, played at its own pace, from file to screen.

`pytest benchmarks/test_live.py -s` prints latencies; they are also in the benchmark's `extra_info`.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from beside import put

from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_video
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.live.readers import reader_for
from streamnet_plugin.live.session import Session
from streamnet_plugin.live.source import open_file
from streamnet_plugin.prediction import CROP_PX, FS
from streamnet_plugin.registry import get_method

pytestmark = pytest.mark.benchmark(group="live")
SECONDS = 25.0
HR_BPM = 75.0
MAIN = "from streamnet_plugin.cli import main; main()"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Motion JPEG, as many a webcam sends it."""
    path = tmp_path_factory.mktemp("live") / "face.avi"
    return write_video(path, easy(1, duration_s=SECONDS, hr_bpm=HR_BPM))


def quantiles(x):
    return {"median": np.median(x), "95 %": np.quantile(x, 0.95), "max": np.max(x)}


def say(what, info):
    print("\n" + what, {k: round(float(v), 2) for k, v in info.items()})  # noqa: T201


@pytest.mark.parametrize(("method", "samples"), [("STREAMNet", 0), ("STREAMNet", 8), ("POS", 0)])
def test_latency_at_real_pace(benchmark, video, tmp_path, method, samples):
    """From a frame's arrival to the update that it brings; the whole command at work."""
    output = tmp_path / "live.csv"
    options = ["--video", str(video), "--method", method, "--output", str(output)]
    command = [sys.executable, "-c", MAIN, "live", *options, "--samples", str(samples)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    updates = pd.read_csv(output)
    trusted = updates[updates["trusted"] == 1]
    info = {f"latency {k}, ms": v for k, v in quantiles(updates["latency_ms"]).items()}
    info["updates"] = len(updates)
    info["frames/s"] = updates["fps"].iloc[-1]
    info["frames lost"] = updates["frames_lost"].iloc[-1]
    info["HR error, bpm"] = (trusted["hr_bpm"] - HR_BPM).abs().median()
    info["cores used"] = (after.ru_utime - before.ru_utime) / SECONDS  # start-up included
    put(benchmark, **info)
    say(f"{method}, {samples} samples", info)


@pytest.mark.parametrize(("method", "samples"), [("STREAMNet", 0), ("STREAMNet", 8), ("POS", 0)])
def test_time_of_every_frame(benchmark, video, method, samples):
    """How long the engine takes for each frame, detector included, without waiting for any."""
    shots = [(s.frame, s.time) for s in open_file(video)]
    options = {"mc_samples": samples} if method == "STREAMNet" else {}
    reader = get_method(method, **options)
    took = []

    def run():
        session = Session(
            lambda frames: reader_for(reader, frames, FS, CROP_PX), CROP_PX, FS,
            get_convention("toolbox-2025"),
        )  # fmt: skip
        for frame, at in shots:
            start = time.perf_counter()
            session.push(frame, at)
            took.append(time.perf_counter() - start)

    benchmark.pedantic(run, rounds=1)
    info = {f"frame {k}, ms": v for k, v in quantiles(1000 * np.array(took)).items()}
    info["mean, ms"] = 1000 * np.mean(took)
    info["frames/s"] = 1 / np.mean(took)
    put(benchmark, **info)
    say(f"{method}, {samples} samples", info)
