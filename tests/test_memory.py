"""Freed memory stays with the process, where the C library can be told to."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import sys
import numpy as np
from streamnet_plugin import memory

arrays = int(sys.argv[2])

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [np.ones(int(sys.argv[3])) for _ in range(arrays)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
each_time = faults()
for name in sys.argv[1].split(","):
    assert getattr(memory, name)()
faults()
print(each_time, faults())
"""
LARGE, BLOCK = (1, 10_000_000), (3, 2_000_000)
"""Arrays and their values: 80 MB, and three blocks of 16 MB."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize(
    ("called", "arrays"),
    [
        ("keep_freed_memory", LARGE),
        ("reuse_freed_blocks", BLOCK),
        ("keep_freed_memory,reuse_freed_blocks", LARGE),
    ],
)
def test_what_was_freed_costs_no_new_pages(called, arrays):
    command = [sys.executable, "-c", SCRIPT, called, *map(str, arrays)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    each_time, kept = map(int, done.stdout.split())
    assert kept < 0.01 * each_time


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_inference_lets_large_blocks_go():
    """What is kept for good is bounded: a large array's memory goes back to the system."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "reuse_freed_blocks", *map(str, LARGE)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    each_time, later = map(int, done.stdout.split())
    assert later > 0.5 * each_time


def test_elsewhere_nothing_is_done(monkeypatch):
    from streamnet_plugin import memory

    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory, "_keeps_all", False)
    assert not memory.keep_freed_memory()
    assert not memory.reuse_freed_blocks()
