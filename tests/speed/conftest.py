"""Made-up measurements."""

from __future__ import annotations

import json
from statistics import NormalDist

import pytest

from streamnet_plugin.speed.saved import FORMAT

MACHINE = {
    "cpu": "Made-up 9", "cores": 2, "instructions": ["avx2"], "memory_gb": 23.5,
    "gflops": 90.0,
    "system": "Linux x86_64", "python": "3.11.7", "packages": {"torch": "2.13.0"},
    "streamnet": "0.1.0", "commit": "abc", "toolbox_commit": "d807b0174d",
    "date": "2026-01-01T00:00+00:00", "load": [0.1, 0.2, 0.3],
}  # fmt: skip


@pytest.fixture
def measured():
    """(name=median s, ...) -> what pytest-benchmark would save of our suites.

    `noise` is the rounds' standard deviation over the median: they lie as a normal distribution's.
    """

    def made(noise=0.001, rounds=5, extra_info=None, group="suite", **medians):
        drawn = [NormalDist(1, noise).inv_cdf((i + 0.5) / rounds) for i in range(rounds)]
        drawn[rounds // 2] = 1.0 if rounds % 2 else drawn[rounds // 2]
        return {
            "benchmarks": [
                {"name": name, "group": group, "extra_info": extra_info or {},
                 "stats": {"data": [median * x for x in drawn]}}
                for name, median in medians.items()
            ],
            "streamnet": {"machine": MACHINE, "skipped": {}, "failed": {}, "quick": False,
                          "format": FORMAT, "deselected": [], "options": []},
        }  # fmt: skip

    return made


@pytest.fixture
def saved(measured, tmp_path):
    """The same, read."""
    from streamnet_plugin.speed.saved import read_saved

    def made(**arguments):
        path = tmp_path / "measured.json"
        path.write_text(json.dumps(measured(**arguments)))
        return read_saved(path)

    return made
