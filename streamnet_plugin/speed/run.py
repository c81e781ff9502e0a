"""Runs the suites of a source checkout by pytest, in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from streamnet_plugin.atomic import write_text
from streamnet_plugin.checks import TOOLBOX_CHECKOUT
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.speed.guard import Guard, check_comparable, compare
from streamnet_plugin.speed.machine import describe
from streamnet_plugin.speed.results_page import results_page
from streamnet_plugin.speed.saved import Saved, read_saved

ROOT = Path(__file__).parents[2]
PASSED, FAILED, NOTHING = 0, 1, 5
"""Exit codes of pytest."""
RESULTS = "RESULTS.md"
NOTES = "NOTES.md"
"""Beside the suites: what a person concluded from the figures of one run, which its first line
names; that run's page ends with it."""
STAMP = re.compile(r"\AOf the run of (?P<date>\S+), commit (?P<commit>\w{7,})\.\s*\n")


@dataclass(frozen=True)
class BenchRun:
    """What a run came to.

    Attributes:
        saved: what was measured; None if nothing was, as when names are only collected.
        passed: no benchmark failed.
        written: files, in order.
        guard: the comparison with an earlier run, None if none was asked for.
    """

    saved: Saved | None
    passed: bool
    written: tuple[Path, ...] = ()
    guard: Guard | None = None


def bench(
    *,
    quick: bool = False,
    slow: bool = False,
    keyword: str | None = None,
    toolbox: str | Path | None = None,
    output: str | Path | None = None,
    save: str | Path | None = None,
    against: str | Path | None = None,
    force: bool = False,
    collect_only: bool = False,
    root: Path = ROOT,
) -> BenchRun:
    """Run the suites; they print as pytest does.

    Args:
        quick: fewer rounds and shorter videos.
        slow: also what takes minutes.
        keyword: only benchmarks that match this, as pytest's -k.
        toolbox: checkout to measure beside; None for $RPPG_TOOLBOX, or none.
        output: the Markdown page; None for benchmarks/RESULTS.md, and for no page with `keyword`.
        save: JSON file for later comparisons.
        against: such a file of an earlier run, to compare with.
        force: compare even if the machines differ.
        collect_only: only name what would run.
        root: the source checkout.

    Raises:
        ConfigError: no suites there, pytest is missing, nothing matches, no checkout at `toolbox`,
            or an earlier run that cannot be read or compared with.
        StreamnetError: pytest itself broke.
        OutputError: a file cannot be written.
    """
    suites = _suites(root)
    before = None if against is None else read_saved(against)
    if before is not None and not force:
        check_comparable(describe(), quick, before)
    options = ["--quick"] * quick + ["--slow"] * slow + ["-k", keyword or ""] * bool(keyword)
    with tempfile.TemporaryDirectory() as scratch:
        measured = Path(scratch) / "measured.json"
        code = _pytest(
            suites,
            [*options, "--collect-only"]
            if collect_only
            else [*options, f"--benchmark-json={measured}"],
            _environment(root, toolbox),
        )
        if code == NOTHING:
            raise ConfigError(
                f"no benchmark matches {keyword!r}" if keyword else "there are no benchmarks",
                path=suites,
                remedy="see `streamnet bench --collect-only`.",
            )
        if code not in (PASSED, FAILED):
            raise StreamnetError(f"pytest ended with {code}", path=suites, remedy="see above.")
        if not measured.is_file() or measured.stat().st_size == 0:  # all skipped, or none asked
            empty = Saved({}, {}, {}, quick)
            compared = None if before is None or collect_only else compare(empty, before)
            return BenchRun(None, code == PASSED, guard=compared)
        saved, text = read_saved(measured), measured.read_text(encoding="utf-8")
    written = []
    if save is not None:
        write_text(Path(save), text, "the measurements")
        written.append(Path(save))
    page = Path(output) if output is not None else None if keyword else suites / RESULTS
    if page is not None:
        _write_page(page, saved, suites / NOTES)
        written.append(page)
    guard = None if before is None else compare(saved, before)
    return BenchRun(saved, code == PASSED, tuple(written), guard)


def page_from(path: str | Path, output: str | Path | None = None, root: Path = ROOT) -> Path:
    """Write the page of a run that was saved, with the notes if they are on that run.

    Args:
        path: what `bench(save=...)` wrote.
        output: the page; None for benchmarks/RESULTS.md.
        root: the source checkout.

    Raises:
        ConfigError: it cannot be read.
        OutputError: the page cannot be written.
    """
    suites = root / "benchmarks"
    page = suites / RESULTS if output is None else Path(output)
    _write_page(page, read_saved(path), suites / NOTES)
    return page


def _write_page(page: Path, saved: Saved, notes: Path) -> None:
    said = notes.read_text(encoding="utf-8") if notes.is_file() else ""
    if said and not _are_on(said, saved):
        said = f"Notes on another run are in `benchmarks/{NOTES}`.\n"
    write_text(page, results_page(saved, said), "the results")


def _are_on(notes: str, saved: Saved) -> bool:
    """Whether they name this run in their first line, by its date and the start of its commit."""
    stamp = STAMP.match(notes)
    return (
        stamp is not None
        and stamp["date"] == saved.date
        and saved.commit.startswith(stamp["commit"])
    )


def _suites(root: Path) -> Path:
    suites = root / "benchmarks"
    if not (suites / "conftest.py").is_file():
        raise ConfigError(
            "the suites are not here: an installed package does not hold them",
            path=suites,
            remedy="run it from a source checkout, installed with `pip install -e .[test]`.",
        )
    for module, package in (("pytest", "pytest"), ("pytest_benchmark", "pytest-benchmark")):
        if find_spec(module) is None:
            raise ConfigError(
                f"{package} is not installed", remedy='pip install "streamnet-rppg[test]".'
            )
    return suites


def _environment(root: Path, toolbox: str | Path | None) -> dict[str, str]:
    path = [str(root), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    named = toolbox or os.environ.get(TOOLBOX_CHECKOUT)
    if named:
        if not (Path(named) / "main.py").is_file():
            raise ConfigError(
                "this is no rPPG-Toolbox checkout: it has no main.py",
                path=named,
                remedy="correct --toolbox, or $RPPG_TOOLBOX.",
            )
        environment[TOOLBOX_CHECKOUT] = str(Path(named).resolve())
    return environment


def _pytest(suites: Path, options: list[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "pytest", str(suites), "-q", "-p", "no:xdist", *options]
    return subprocess.run(command, cwd=suites.parent, env=environment).returncode
