"""Options, the two sides' processes, and a summary of all ratios at the end.

Makes the modules beside it importable.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from beside import Side

from streamnet_plugin.data.synthetic.writers import write_pure_set, write_ubfc_set
from streamnet_plugin.speed.machine import describe
from streamnet_plugin.speed.saved import FORMAT
from streamnet_plugin.speed.targets import TARGETS

SKIPPED: dict[str, str] = {}
"""Test -> why it was skipped."""
FAILED: dict[str, str] = {}
"""Test -> what it failed with."""
DESELECTED: list[str] = []
"""Names of benchmarks that -k leaves out: a comparison does not miss them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("streamnet")
    group.addoption("--quick", action="store_true", help="Fewer rounds and shorter videos.")
    group.addoption("--slow", action="store_true", help="Also what takes minutes: compile, scale.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; runs with --slow only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: give --slow"))


def pytest_deselected(items: list[pytest.Item]) -> None:
    DESELECTED.extend(item.name for item in items)


@pytest.fixture(scope="session")
def quick(request) -> bool:
    return bool(request.config.getoption("--quick"))


@pytest.fixture(scope="module")
def ours() -> Iterator[Side]:
    """A process that does our side's work."""
    side = Side("jobs_ours")
    yield side
    side.close()


@pytest.fixture(scope="module")
def toolbox() -> Iterator[Side]:
    """A process that does the toolbox's side's work."""
    if not os.environ.get("RPPG_TOOLBOX"):
        pytest.skip("set RPPG_TOOLBOX to a checkout of the rPPG-Toolbox to compare with it")
    side = Side("jobs_toolbox")
    yield side
    side.close()


@pytest.fixture(scope="module")
def maybe_toolbox(request) -> Side | None:
    """The same, or None where there is no toolbox."""
    return request.getfixturevalue("toolbox") if os.environ.get("RPPG_TOOLBOX") else None


@pytest.fixture(scope="session")
def recordings(request) -> Callable[..., Path]:
    """(dataset, videos, seconds) -> a folder of synthetic 640 x 480 recordings, kept for later."""
    root = request.config.cache.mkdir("streamnet-recordings")

    def made(dataset: str, videos: int, seconds: float) -> Path:
        folder = Path(root) / f"{dataset}-{videos}-{seconds:g}"
        if dataset == "UBFC-rPPG":
            write_ubfc_set(folder, videos, 300, duration_s=seconds, hr_bpm=72.0)
        else:
            write_pure_set(folder, videos, 300, (1,), duration_s=seconds, hr_bpm=72.0)
        return folder

    return made


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        SKIPPED[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        said = crash.message if crash else report.longreprtext
        FAILED.setdefault(report.nodeid, next(iter(said.strip().splitlines()), "no reason given"))


def pytest_benchmark_update_json(config: Any, benchmarks: Any, output_json: dict[str, Any]) -> None:
    """Everything a results page needs travels in pytest-benchmark's own file."""
    for bench in benchmarks:
        for part, why in bench.extra_info.get("left_out", {}).items():
            SKIPPED[f"{bench.name}, {part}"] = why
    output_json["streamnet"] = {
        "format": FORMAT,
        "machine": MACHINE,
        "skipped": SKIPPED,
        "failed": FAILED,
        "deselected": DESELECTED,
        "quick": bool(config.getoption("--quick")),
        "options": _options(config),
    }


def _options(config: pytest.Config) -> list[str]:
    """As `streamnet bench` has them."""
    given = [name for name in ("--quick", "--slow") if config.getoption(name)]
    keyword = config.getoption("keyword")
    return [*given, "-k", keyword] if keyword else given


MACHINE = describe()
"""At the start: the load is that of the machine before we add to it."""


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    said = []
    failed = {test.rsplit("::")[-1] for test in FAILED}
    for bench in getattr(session, "benchmarks", ()):
        if bench.name in failed:
            continue
        info = bench.extra_info
        said += [(bench.name, r) for r in info.get("ratios", ())]
        for part, more in info.get("parts", {}).items():
            said += [(f"{bench.name}, {part}", r) for r in more.get("ratios", ())]
    if said:
        terminalreporter.section("ratios: median [quartiles]")
    for name, r in said:
        line = f"{name}, {r['what']}: {r['median']:.3g}"
        if r["rounds"] > 1:
            line += f" [{r['low']:.3g}, {r['high']:.3g}]"
        if r["target"]:
            target = TARGETS[r["target"]]
            line += f" ({target.wanted}: {'met' if target.met(r['median']) else 'NOT met'})"
        terminalreporter.write_line(line)
