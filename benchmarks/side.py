"""A process that does the work of one side, ours or the toolbox's, when it is told to.

Each side has a process of its own, so that neither sees the other's memory, settings of the C
library or patched modules, and the most memory each held can be told. Started by `beside.Side`;
talks in pickles over its standard input and output.
"""

from __future__ import annotations

import gc
import os
import pickle
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def memory_kb(key: str, process: Path = Path("/proc/self")) -> int:
    """VmRSS or VmHWM of a process, 0 of one that is gone."""
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), 0)


class Tasks:
    """What has been prepared, by its key."""

    def __init__(self, jobs: Any) -> None:
        self.jobs = jobs
        self.prepared: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {}
        self.last: Any = None
        self.most_kb = 0

    def prepare(self, key: str, job: str, options: dict[str, Any]) -> None:
        """A job is a function that returns what to time, or that and what to do before."""
        made = getattr(self.jobs, job)(**options)
        run, before = made if isinstance(made, tuple) else (made, lambda: None)
        self.prepared[key] = run, before

    def run(self, key: str, repeat: int) -> float:
        """Seconds per call."""
        run, before = self.prepared[key]
        before()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # begins VmHWM anew
        held = memory_kb("VmRSS:")
        start = time.perf_counter()
        for _ in range(repeat):
            self.last = run()
        taken = (time.perf_counter() - start) / repeat
        self.most_kb = memory_kb("VmHWM:") - held
        return taken

    def result(self, key: str) -> Any:
        """What a call returns."""
        self.run(key, 1)
        return self.last

    def last_result(self) -> Any:
        """What the last call returned that was timed."""
        return self.last

    def last_memory(self) -> int:
        """By how many kilobytes the last timed call went beyond what was held before it."""
        return self.most_kb

    def forget(self, key: str) -> None:
        del self.prepared[key]
        gc.collect()


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what jobs print is no answer
    tasks = Tasks(import_module(sys.argv[1]))
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, getattr(tasks, name)(*arguments))
        except Exception as error:  # the other process is to raise it
            import traceback

            traceback.print_exc()
            answer = (False, f"{type(error).__name__}: {error}")
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__" and sys.argv[1] == "jobs_toolbox":
    # A process that the toolbox spawns takes this file for its main module: all that it needs of
    # ours, and all it gets, is to find the checkout's modules on a current Python.
    from toolbox_adapters.rppg_toolbox.compat import install

    install(os.environ["RPPG_TOOLBOX"])
