"""Two sides measured in turns, in one run on one machine, and the ratio of their times."""

from __future__ import annotations

import importlib.util
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from side import memory_kb

from streamnet_plugin.speed.targets import TARGETS

HERE = Path(__file__).parent
INTERVAL_S = 0.1


def _ci_measure() -> Any:
    """`.ci/measure.py`, which knows how to read /proc."""
    spec = importlib.util.spec_from_file_location("measure", HERE.parent / ".ci" / "measure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Side:
    """The process of one side: "jobs_ours" or "jobs_toolbox"; see `side.py`."""

    def __init__(self, jobs: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "side.py"), jobs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("STREAMNET_BENCH_VERBOSE") else subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])},
            start_new_session=True,
        )

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of `side.Tasks.name(*arguments)`; `RuntimeError` with what failed there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            pickle.dump((name, arguments), self.process.stdin)
            self.process.stdin.flush()
            good, answer = pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError(f"the process died with {self.process.wait()}") from error
        if not good:
            raise RuntimeError(f"{answer} (STREAMNET_BENCH_VERBOSE=1 shows more)")
        return answer

    def job(self, name: str, /, **options: Any) -> Job:
        """Prepare something to time."""
        key = f"{name} {options}"
        self.ask("prepare", key, name, options)
        return Job(self, key)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass(frozen=True)
class Job:
    """Something prepared in a side's process."""

    side: Side
    key: str

    def seconds(self, repeat: int = 1) -> float:
        """Per call."""
        return float(self.side.ask("run", self.key, repeat))

    def result(self) -> Any:
        """Of a call of its own."""
        return self.side.ask("result", self.key)

    def last_result(self) -> Any:
        """Of the side's last call, which must have been this job's."""
        return self.side.ask("last_result")

    def last_memory_mb(self) -> float:
        """How much more the side's last call, which must have been this job's, held than before."""
        return float(self.side.ask("last_memory")) / 1024

    def forget(self) -> None:
        """Free what was prepared."""
        self.side.ask("forget", self.key)


def memory_of_a_call(jobs: str, name: str, /, **options: Any) -> float:
    """How much more the first call holds at most than before it, MB, in a process of its own.

    A process that has done something keeps memory, in which the next call then finds room.
    """
    side = Side(jobs)
    try:
        job = side.job(name, **options)
        job.seconds()
        return job.last_memory_mb()
    finally:
        side.close()


@dataclass
class Memory:
    """The most memory, MB, that the processes of a session held.

    Attributes:
        largest: peak resident set (VmHWM) of the process that has most, all that it maps of
            libraries and files included.
        together: proportional set size of all of them, in which what several share counts once;
            less where strangers share it too.
    """

    largest: float = 0.0
    together: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, session: int) -> None:
        measure, ended = _ci_measure(), False
        while not ended:
            # Once more after the end: a peak stays as long as its process.
            ended = self.stop.wait(INTERVAL_S)
            mine = [p for p in Path("/proc").glob("[0-9]*") if measure.session(p) == session]
            peaks = [memory_kb("VmHWM:", p) / 1024 for p in mine]
            self.largest = max([self.largest, *peaks])
            self.together = max(self.together, sum(map(measure.kilobytes, mine)) / 1024)


@contextmanager
def watched(session: int) -> Any:
    """Memory of all processes of a session while the block runs."""
    memory = Memory()
    thread = threading.Thread(target=memory.watch, args=(session,))
    thread.start()
    try:
        yield memory
    finally:
        memory.stop.set()
        thread.join()


def alternate(
    benchmark: Any,
    ours: Callable[[], float],
    others: Mapping[str, Callable[[], float]],
    rounds: int,
    *,
    warm: int = 1,
    rounds_beside: int | None = None,
) -> dict[str, np.ndarray]:
    """Time all sides in turns: seconds (rounds,) by name, ours under "ours".

    Args:
        benchmark: pytest-benchmark's fixture; its own statistics are of our side.
        ours, others: do it once and return how long it took, s.
        rounds: how often each is timed.
        warm: rounds before, which do not count.
        rounds_beside: the others are timed in the first so many only, where they take minutes.
    """
    times: dict[str, list[float]] = {name: [] for name in ("ours", *others)}

    def theirs() -> None:
        for name, other in others.items():
            if rounds_beside is None or len(times[name]) < rounds_beside:
                times[name].append(other())

    def mine() -> None:
        times["ours"].append(ours())

    for _ in range(warm):
        theirs()
        mine()
    times = {name: [] for name in times}
    benchmark.pedantic(mine, setup=theirs, rounds=rounds)
    put_seconds(benchmark, times["ours"])
    return {name: np.array(values) for name, values in times.items()}


@dataclass(frozen=True)
class Part:
    """What was timed in the same turns as a benchmark, and is kept like one."""

    extra_info: dict[str, Any]


def part(benchmark: Any, name: str, seconds: Iterable[float]) -> Part:
    """Keep times of a name of their own; ratios and figures can be put into the result."""
    kept = Part(benchmark.extra_info.setdefault("parts", {}).setdefault(name, {}))
    put_seconds(kept, seconds)
    return kept


def leave_out(benchmark: Any, name: str, why: str) -> None:
    """Such a part is not measured here; the page and the guard say why."""
    benchmark.extra_info.setdefault("left_out", {})[name] = why


def put_seconds(benchmark: Any, seconds: Iterable[float]) -> None:
    """Keep the rounds' times as they were taken beside the work.

    pytest-benchmark's own hold the way to the side's process and back, its collection of garbage
    and of its memory's size too: 20 ms, beside which work of a millisecond would not show.
    """
    benchmark.extra_info["seconds"] = [float(s) for s in seconds]


def put(benchmark: Any, **figures: float) -> None:
    """Keep our figures beside a benchmark's times, named with their units.

    Later runs are compared with them, if `streamnet_plugin.speed.guard` knows the unit.
    """
    _keep(benchmark, "figures", figures)


def show(benchmark: Any, **figures: float) -> None:
    """Keep figures that are not compared: the other side's, and what the times say already."""
    _keep(benchmark, "shown", figures)


def _keep(benchmark: Any, where: str, figures: Mapping[str, float]) -> None:
    kept = benchmark.extra_info.setdefault(where, {})
    kept.update({name: float(value) for name, value in figures.items()})


def put_ratio(
    benchmark: Any,
    what: str,
    values: Any,
    *,
    ours: float,
    theirs: float,
    unit: str,
    target: str | None = None,
) -> None:
    """Keep a ratio with its spread.

    Args:
        what: is compared, and with what, e.g. "beside TS-CAN".
        values: of every round; their median and quartiles are kept.
        ours, theirs, unit: what the ratio is of, e.g. median seconds.
        target: key in `streamnet_plugin.speed.targets`, of the target that this measures.
    """
    assert target is None or target in TARGETS
    low, middle, high = (float(v) for v in np.quantile(values, [0.25, 0.5, 0.75]))
    benchmark.extra_info.setdefault("ratios", []).append(
        {
            "what": what,
            "median": middle,
            "low": low,
            "high": high,
            "rounds": int(np.size(values)),
            "ours": float(ours),
            "theirs": float(theirs),
            "unit": unit,
            "target": target,
        }
    )


def put_times(
    benchmark: Any,
    times: Mapping[str, np.ndarray],
    *,
    per: float = 0.0,
    unit: str = "s",
    targets: Mapping[str, str] | None = None,
) -> None:
    """The ratio of every other side's time to ours.

    Args:
        times: of `alternate`.
        per: with so many frames (steps, ...) in a call, rates are shown instead of times.
        unit: of what is shown, e.g. "frames/s".
        targets: name of a side -> key of the target that its ratio measures.
    """
    shown = {n: per / np.median(t) if per else float(np.median(t)) for n, t in times.items()}
    show(benchmark, **{f"ours, {unit}": shown["ours"]})
    for name in times:
        if name != "ours":
            values = times[name] / times["ours"][: len(times[name])]
            put_ratio(
                benchmark, f"beside {name}", values, ours=shown["ours"],
                theirs=shown[name], unit=unit, target=(targets or {}).get(name),
            )  # fmt: skip


def exponent(lengths: Any, seconds: Any) -> float:
    """Of the growth of time with length, from a straight line through the logarithms."""
    return float(np.polyfit(np.log(lengths), np.log(seconds), 1)[0])
