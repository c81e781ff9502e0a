"""Freed memory stays with the process, where the C library can be told to."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from streamnet_plugin.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(10_000_000)  # 80 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
each_time = faults()
assert keep_freed_memory()
faults()
print(each_time, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_the_second_large_array_costs_no_new_pages():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    each_time, kept = map(int, done.stdout.split())
    assert kept < 0.01 * each_time


def test_elsewhere_nothing_is_done(monkeypatch):
    from streamnet_plugin import memory

    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    assert not memory.keep_freed_memory()
