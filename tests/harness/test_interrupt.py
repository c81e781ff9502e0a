"""Ctrl-C in the middle, for real: the signal goes to the command and to its worker processes.

SIGTERM goes to the command alone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

MAIN = "from streamnet_plugin.cli import main; main()"


def wait_for(condition, process, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize(
    ("jobs", "stop", "number", "code"),
    [
        (1, os.killpg, signal.SIGINT, 130),
        (2, os.killpg, signal.SIGINT, 130),
        (2, os.kill, signal.SIGTERM, 143),
    ],
)
def test_a_signal_stops_everything_and_keeps_what_is_done(
    tmp_path, ubfc_subject, jobs, stop, number, code
):
    for n in range(12):
        shutil.copytree(ubfc_subject, tmp_path / "data" / f"subject{n}")
    faces, out = tmp_path / "cache" / "faces", tmp_path / "results"
    command = ["benchmark", "benchmark/demo", "--data-root", str(tmp_path / "data"),
               "-m", "POS", "-o", str(out), "--jobs", str(jobs)]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *command],
        env={**os.environ, "STREAMNET_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives it
        # What a shell starts in the background ignores Ctrl-C, and so do its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_for(lambda: list(faces.glob("UBFC*")) and list(faces.glob(".making-*")), process)
        stop(process.pid, number)
        printed, error = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == code, printed + error
    assert "interrupted; finished videos stay cached" in error
    assert "Traceback" not in error
    assert 0 < len(list(faces.glob("UBFC*"))) < 12
    assert list(faces.glob(".making-*")) == []
    assert list(tmp_path.glob("results*")) == []
    end = time.monotonic() + 60  # joblib's own helpers need a moment
    while still_running(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert still_running(process.pid) == []


def still_running(session):
    """Processes that the command left behind (Linux only; elsewhere nothing is looked at)."""
    left = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = stat.read_text().rpartition(")")[2].split()[:4]
        except (OSError, ValueError):
            continue
        if int(own) == session and state != "Z":
            left.append(stat.parent.name)
    return left
