"""What was measured on, and with which versions."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import numpy as np

from streamnet_plugin import __version__
from streamnet_plugin.checks import TOOLBOX_CHECKOUT
from streamnet_plugin.report.provenance import git_commit

PACKAGES = ("torch", "numpy", "scipy", "opencv-python")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve")
"""Sets that decide how fast a network is."""
PRODUCT, PRODUCTS = 1024, 15
"""Size of the matrices whose product says how fast the machine is now, and how often it is made."""


class Machine(TypedDict):
    """A machine, its versions, date and load at a moment; JSON can hold it."""

    cpu: str
    cores: int | None
    instructions: list[str]
    memory_gb: float | None
    gflops: float
    system: str
    python: str
    packages: dict[str, str]
    streamnet: str
    commit: str | None
    toolbox_commit: str | None
    date: str
    load: list[float]


def describe() -> Machine:
    """This machine, now."""
    return {
        "cpu": _cpu_line("model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "instructions": _instructions(),
        "memory_gb": _memory_gb(),
        "gflops": measured_speed(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "streamnet": __version__,
        "commit": git_commit(),
        "toolbox_commit": _toolbox_commit(),
        "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else [],
    }


def measured_speed() -> float:
    """GFLOP/s of a float32 matrix product, as NumPy makes it: of equally named processors, and of
    one at two hours, some are half as fast as others."""
    a = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), dtype=np.float32)
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return round(2 * PRODUCT**3 / float(np.median(seconds)) / 1e9, 1)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _cpu_line(key: str) -> str:
    """The first line of that name in /proc/cpuinfo; "" where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(key))
    return next(found, "")


def _instructions() -> list[str]:
    flags = set((_cpu_line("flags") or _cpu_line("Features")).split())
    return [name for name in INSTRUCTIONS if name in flags]


def _memory_gb() -> float | None:
    try:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    return round(pages / 2**30, 1)


def _toolbox_commit() -> str | None:
    """Of the checkout that the environment names, "+" if a module of it was changed or is missing.

    None if it names none. Weights and pictures that are missing change nothing here.
    """
    named = os.environ.get(TOOLBOX_CHECKOUT)
    if not named:
        return None
    try:
        commit = _git(named, "describe", "--always", "--abbrev=10")
        changed = _git(named, "status", "--porcelain", "--untracked-files=no", "--", "*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + "+" * bool(changed)


def _git(folder: str, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
