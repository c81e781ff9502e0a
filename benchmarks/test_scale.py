"""`streamnet benchmark` on more and more recordings, and what one process does alone of it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

import pytest
from beside import Side, exponent, put, watched

from streamnet_plugin.data.synthetic.writers import write_demo

COMMAND = [sys.executable, "-m", "streamnet_plugin", "benchmark"]
PROTOCOL = "benchmark/demo"
TIMES = [1, 2, 4, 8]
SCORED = [50, 100, 200, 400]


@pytest.mark.slow
@pytest.mark.benchmark(group="scale")
def test_scale(benchmark, request, tmp_path):
    """Classical methods and STREAM-Net with 2 samples, no pictures, no report.

    Preprocessing and the start of the command are included. The recordings are the demo's (20 s,
    320 x 240, Motion JPEG), under other subjects' names: read from memory after the first time.
    """
    demo = write_demo(request.config.cache.mkdir("streamnet-recordings") / "demo", jobs=2)
    subjects = sorted(folder for folder in demo.iterdir() if folder.is_dir())
    rows = []

    def run(times):
        data = tmp_path / f"data-{times}"
        data.mkdir()
        for n in range(times):
            for i, folder in enumerate(subjects):
                (data / f"subject{n * len(subjects) + i + 1}").symlink_to(folder)
        folders = {"--data-root": data, "-o": tmp_path / f"out-{times}"}
        options = [str(part) for item in folders.items() for part in item]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        process = subprocess.Popen(
            [*COMMAND, PROTOCOL, "UNCERTAINTY.MC_SAMPLES=2", "--no-plots", "--no-report", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "STREAMNET_CACHE": str(tmp_path / f"cache-{times}")},
        )  # fmt: skip
        with watched(process.pid) as memory:
            code = process.wait()
        assert code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows.append((times * len(subjects), time.perf_counter() - start, cpu, memory.together))

    benchmark.pedantic(lambda: [run(times) for times in TIMES], rounds=1)
    for recordings, wall, cpu, memory in rows:
        name = f"{recordings} recordings"
        put(benchmark, **{f"{name}, s": wall, f"{name}, CPU s": cpu, f"{name}, MB": memory})
    n, walls, _, memories = zip(*rows, strict=True)
    put(
        benchmark,
        **{"exponent of time": exponent(n, walls), "exponent of memory": exponent(n, memories)},
    )


@pytest.mark.slow
@pytest.mark.benchmark(group="scale")
def test_scoring(benchmark):
    """Scoring, statistics and writing alone: 60 s each, seven methods and one with 30 samples."""
    rows = []

    def run(recordings):
        side = Side("jobs_ours")  # a process of its own: its memory is of this number alone
        try:
            job = side.job("score", recordings=recordings)
            rows.append((recordings, job.seconds(), job.last_memory_mb()))
            assert job.last_result() == 8 * recordings
        finally:
            side.close()

    benchmark.pedantic(lambda: [run(n) for n in SCORED], rounds=1)
    for recordings, seconds, memory in rows:
        name = f"{recordings} recordings"
        put(benchmark, **{f"{name}, s": seconds, f"{name}, MB beside the waveforms": memory})
    n, all_seconds, _ = zip(*rows, strict=True)
    put(benchmark, **{"exponent of time": exponent(n, all_seconds)})
