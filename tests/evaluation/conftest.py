"""The real rPPG-Toolbox, where the environment names a checkout of it."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest


def _root():
    named = os.environ.get("RPPG_TOOLBOX")
    if not named:
        pytest.skip("set RPPG_TOOLBOX to a checkout of the rPPG-Toolbox to compare with it")
    return Path(named)


@pytest.fixture(scope="module")
def toolbox_post_process():
    """Its `evaluation/post_process.py`, loaded from the file."""
    path = _root() / "evaluation" / "post_process.py"
    spec = importlib.util.spec_from_file_location("toolbox_post_process", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toolbox_metrics(monkeypatch):
    """Its `evaluation/metrics.py`; `sys.path` and `sys.modules` are restored afterwards."""
    root = _root()
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(root))
    ours = lambda: [n for n in sys.modules if n.partition(".")[0] == "evaluation"]  # noqa: E731
    aside = {name: sys.modules.pop(name) for name in ours()}
    yield importlib.import_module("evaluation.metrics")
    for name in ours():
        del sys.modules[name]
    sys.modules.update(aside)
