"""What the checks of a change measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = Path(__file__).resolve().parents[2] / ".ci" / "measure.py"
HOLD = "x = bytearray(b'x') * 60_000_000; print(flush=True); input()"
TWO = f"""
import subprocess, sys, time
command, pipe = [sys.executable, "-c", {HOLD!r}], subprocess.PIPE
two = [subprocess.Popen(command, stdin=pipe, stdout=pipe) for _ in range(2)]
for process in two:
    process.stdout.readline()
time.sleep(1.5)  # three looks at both of them
for process in two:
    process.communicate(b"\\n")
"""


def measured(*command, seconds=60, megabytes=2000):
    limits = ["--seconds", str(seconds), "--megabytes", str(megabytes), "--", *command]
    done = subprocess.run([sys.executable, MEASURE, *limits], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")
def test_all_processes_are_measured_together():
    code, text = measured(sys.executable, "-c", TWO, megabytes=100)
    assert code == 1
    assert float(text.split()[-2]) > 110
    assert measured(sys.executable, "-c", "raise SystemExit(7)")[0] == 7
    assert measured(sys.executable, "-c", "import time; time.sleep(1)", seconds=0.5)[0] == 1
