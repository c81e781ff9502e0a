"""Run a command and say how long it took and how much memory all its processes held at once.

    python .ci/measure.py --seconds 180 --megabytes 2000 -- streamnet benchmark

Exits with the command's code, or with 1 if it took more than it may. Linux only: it walks /proc.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

INTERVAL_S = 0.5


def kilobytes(process: Path) -> int:
    """Proportional set size: pages that processes share are divided between them."""
    try:
        for line in (process / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:  # gone, or about to start
        pass
    return 0


def session(process: Path) -> int | None:
    try:
        # After the name, which may hold anything: state, parent, group, session.
        return int((process / "stat").read_text().rpartition(")")[2].split()[3])
    except (OSError, ValueError, IndexError):
        return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--megabytes", type=float, required=True)
    parser.add_argument("command", nargs="+")
    limits = parser.parse_args()
    start, most = time.monotonic(), 0
    # A session of its own, by which also grandchildren are known.
    running = subprocess.Popen(limits.command, start_new_session=True)
    try:
        while running.poll() is None:
            mine = [p for p in Path("/proc").glob("[0-9]*") if session(p) == running.pid]
            most = max(most, sum(map(kilobytes, mine)))
            time.sleep(INTERVAL_S)
    except KeyboardInterrupt:
        os.killpg(running.pid, signal.SIGINT)
        return running.wait()
    seconds, megabytes = time.monotonic() - start, most / 1024
    print(
        f"{' '.join(limits.command)}: exit {running.returncode}, {seconds:.0f} s, "
        f"all processes together {megabytes:.0f} MB"
    )
    return running.returncode or int(seconds > limits.seconds or megabytes > limits.megabytes)


if __name__ == "__main__":
    sys.exit(main())
