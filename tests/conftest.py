"""Shared by all tests: our own cache folder, and small synthetic recordings made once."""

from __future__ import annotations

import os

# Before NumPy and torch, and for child processes too: one thread each, so that sums come out the
# same to the last bit in every process, and tests beside each other do not take turns.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import cv2
import pytest

from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_pure, write_ubfc

SMALL = {"width": 320, "height": 240, "duration_s": 10.0, "hr_bpm": 72.0}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("STREAMNET_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def ubfc_subject(tmp_path_factory):
    """A complete recording in the UBFC-rPPG format, 10 s, HR 72 bpm; copy it before damaging it."""
    folder = tmp_path_factory.mktemp("ubfc") / "subject1"
    return write_ubfc(folder, easy(0, **SMALL), codec="mjpg")


@pytest.fixture(scope="session")
def pure_recording(tmp_path_factory):
    """A complete recording 01-01 in the PURE format, 10 s, HR 72 bpm."""
    return write_pure(tmp_path_factory.mktemp("pure"), "01-01", easy(1, **SMALL))
