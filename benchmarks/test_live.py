"""Real time: a 640x480 video, played at its own pace, from file to screen and CSV.

It comes at 31 frames per second: a stream of 30 could show 30 only by luck, the last of its frames
being handled a little later than it is due.

`pytest benchmarks/test_live.py -s` prints latencies; they are also in the benchmark's `extra_info`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from beside import put, put_ratio

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
FPS = 31.0
HR_BPM = 75.0
TARGETS_OF = ("STREAMNet", 8)  # the most that the command does by itself
SUMMARY = re.compile(r"\((\S+) handled per second\), (\d+) lost.*Latency (\S+) ms "
                     r"\(95 %: (\S+), max: (\S+)\)", re.DOTALL)  # fmt: skip
MAIN = "from streamnet_plugin.cli import main; main()"


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Motion JPEG, as many a webcam sends it."""
    path = tmp_path_factory.mktemp("live") / "face.avi"
    return write_video(path, easy(1, duration_s=SECONDS, fs=FPS, hr_bpm=HR_BPM))


def quantiles(x):
    return {"median": np.median(x), "95 %": np.quantile(x, 0.95), "max": np.max(x)}


def say(what, info):
    print("\n" + what, {k: round(float(v), 2) for k, v in info.items()})  # noqa: T201


@pytest.mark.parametrize(("method", "samples"), [("STREAMNet", 0), ("STREAMNet", 8), ("POS", 0)])
def test_latency_at_real_pace(benchmark, video, tmp_path, method, samples):
    """From when a frame was due until its update is drawn and written; the whole command at work.

    Its terminal page is drawn as for a person, but into a pipe.
    """
    output = tmp_path / "live.csv"
    options = ["--video", str(video), "--method", method, "--output", str(output)]
    command = [sys.executable, "-c", MAIN, "live", *options, "--samples", str(samples)]
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "100", "LINES": "40"}

    def run():
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        with child.stdout:
            printed = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)  # of this process alone, and its children
        child.returncode = os.waitstatus_to_exitcode(status)
        return printed, child.returncode, usage

    printed, code, usage = benchmark.pedantic(run, rounds=1)
    assert code == 0, printed
    found = SUMMARY.search(printed)
    assert found, printed
    rate, lost, median, most, longest = (float(x) for x in found.groups())
    cpu_s = usage.ru_utime + usage.ru_stime
    updates = pd.read_csv(output)
    trusted = updates[updates["trusted"] == 1]
    info = {"latency median, ms": median, "latency 95 %, ms": most, "latency max, ms": longest}
    info["updates"] = len(updates)
    info["handled, frames/s"] = rate
    info["lowest rate shown, frames/s"] = updates["handled_fps"].min()
    info["frames lost, %"] = 100 * lost / (SECONDS * FPS)
    info["HR error, bpm"] = (trusted["hr_bpm"] - HR_BPM).abs().median()
    info["CPU time, s"] = cpu_s  # start-up included
    info["cores used"] = cpu_s / SECONDS
    put(benchmark, **info)
    if (method, samples) == TARGETS_OF:
        for what, value, unit, target in (
            ("latency, 95 %", most, "ms", "live-latency"),
            ("rate", rate, "frames/s", "live-rate"),
        ):
            put_ratio(
                benchmark, f"{what}, {unit}", [value], ours=value, theirs=float("nan"), unit=unit,
                target=target,
            )  # fmt: skip
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
