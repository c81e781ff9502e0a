"""What `benchmarks/` keeps and refuses; nothing is timed here."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from streamnet_plugin.model.engines import make_engine
from streamnet_plugin.speed.run import ROOT

BENCHMARKS = str(ROOT / "benchmarks")


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.fixture
def benchmark_that():
    """pytest-benchmark's fixture, as far as the suites use it."""

    def pedantic(run, setup, rounds):
        for _ in range(rounds):
            setup()
            run()

    return SimpleNamespace(extra_info={}, pedantic=pedantic)


def counting(start):
    """Seconds that grow by one with every call."""
    numbers = iter(range(start, start + 100))
    return lambda: float(next(numbers))


def test_the_times_beside_the_work_are_kept_without_those_before(benchmark_that):
    from beside import alternate

    times = alternate(benchmark_that, counting(10), {"it": counting(50)}, 3, warm=2)
    assert benchmark_that.extra_info["seconds"] == [12.0, 13.0, 14.0]
    assert list(times["it"]) == [52.0, 53.0, 54.0]


def test_what_takes_minutes_is_timed_in_the_first_rounds_only(benchmark_that):
    from beside import alternate, put_times

    times = alternate(benchmark_that, counting(1), {"it": counting(50)}, 3, warm=0, rounds_beside=1)
    put_times(benchmark_that, times)
    assert benchmark_that.extra_info["seconds"] == [1.0, 2.0, 3.0]
    (ratio,) = benchmark_that.extra_info["ratios"]
    assert (ratio["median"], ratio["rounds"]) == (50.0, 1)


def test_a_peak_is_seen_after_it_was_given_back():
    """60 MB that were held and freed between two looks."""
    from beside import watched

    code = "x = bytearray(60 << 20); del x; print('done', flush=True); input()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == "done\n"
        with watched(process.pid) as memory:
            pass
        process.stdin.write("\n")
    assert memory.largest > 60
    assert 0 < memory.together < 60


def test_a_compiler_that_fails_is_not_timed_as_if_it_worked(monkeypatch):
    from jobs_ours import network

    def broken(model, dynamic):
        def compute(frames):
            raise RuntimeError("no compiler")

        return compute

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(logging.getLogger(make_engine.__module__), "handlers", [])
    run = network(size=36, clips=1, engine="compile")
    with pytest.raises(RuntimeError, match="computing without it: no compiler"):
        run()


def test_workers_of_preprocessing_end_before_every_time(ubfc_people, tmp_path):
    """So that their start is timed, as that of the toolbox's is."""
    from joblib.externals.loky import reusable_executor
    from jobs_ours import preprocess

    run, before = preprocess("UBFC-rPPG", str(ubfc_people(2, 2.0)), str(tmp_path / "cache"))
    pools = []
    for _ in range(2):
        before()
        assert not Path(tmp_path / "cache").exists()
        run()
        pools.append(set(reusable_executor._executor._processes))
    assert pools[0]
    assert not pools[0] & pools[1]
    before()
