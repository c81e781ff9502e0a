"""Shared by all tests: our own cache folder, and small synthetic recordings made once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# Before NumPy and torch, and for child processes too: one thread each, so that sums come out the
# same to the last bit in every process, and tests beside each other do not take turns.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import cv2
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_pure, write_ubfc

SMALL = {"width": 320, "height": 240, "duration_s": 10.0, "hr_bpm": 72.0}
MAX_PROCESSES = 4
"""With more, the tests of `contract`, which share a trained network, are what one waits for; and
each process holds half a gigabyte of torch."""

# How long an example takes says something about the machine only, which may be busy.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    """The whole suite runs in a process per core, chosen files in this one; `-n` overrules."""
    option, xdist = config.option, config.pluginmanager.hasplugin("xdist")
    if not xdist or hasattr(config, "workerinput"):
        return
    whole = config.args_source is not pytest.Config.ArgsSource.ARGS
    if option.numprocesses is None and whole and not option.usepdb and cores() > 1:
        option.numprocesses = min(MAX_PROCESSES, cores())
    if option.numprocesses and option.dist == "no":
        option.dist = "worksteal"  # neighbours stay together, and with them what they share


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STREAMNET_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """(name, write): a folder of that name for all processes that run tests.

    `write(folder)` is called by one at a time, and keeps what is there already, as our writers do.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each process has a folder in it

    def made(name: str, write: Callable[[Path], object]) -> Path:
        folder = root / "shared" / name
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            write(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def ubfc_subject(shared):
    """A complete recording in the UBFC-rPPG format, 10 s, HR 72 bpm; copy it before damaging it."""

    def write(root):
        write_ubfc(root / "subject1", easy(0, **SMALL), codec="mjpg")

    return shared("ubfc", write) / "subject1"


@pytest.fixture(scope="session")
def ubfc_people(shared):
    """(people, seconds) -> a folder of that many easy subjects in the UBFC-rPPG format."""

    def made(people, seconds):
        def write(root):
            for n in range(1, people + 1):
                settings = easy(n, width=320, height=240, duration_s=seconds)
                write_ubfc(root / f"subject{n}", settings, codec="mjpg")

        return shared(f"ubfc-{people}-{seconds:g}", write)

    return made


@pytest.fixture(scope="session")
def pure_recording(shared):
    """A complete recording 01-01 in the PURE format, 10 s, HR 72 bpm."""
    return shared("pure", lambda root: write_pure(root, "01-01", easy(1, **SMALL))) / "01-01"
