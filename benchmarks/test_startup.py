"""How long the command line takes to answer at all."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from beside import put_ratio, show

MAIN = "from streamnet_plugin.cli import main; main()"
COMMANDS = {
    "streamnet --help": ["-c", MAIN, "--help"],
    "import streamnet_plugin": ["-c", "import streamnet_plugin"],
    "python alone": ["-c", "pass"],
}


@pytest.mark.benchmark(group="start-up")
@pytest.mark.parametrize("what", COMMANDS)
def test_startup(benchmark, what, quick):
    times = []

    def run():
        start = time.perf_counter()
        subprocess.run([sys.executable, *COMMANDS[what]], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)

    benchmark.pedantic(run, rounds=7 if quick else 15, warmup_rounds=2)
    times = times[2:]
    show(benchmark, **{"best, s": min(times)})
    if what == "streamnet --help":
        put_ratio(
            benchmark, "seconds", times, ours=sorted(times)[len(times) // 2], theirs=float("nan"),
            unit="s", target="help",
        )  # fmt: skip
