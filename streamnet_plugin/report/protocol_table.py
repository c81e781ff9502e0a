"""Several protocols in one table: a row for each method, a column for each protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.protocols import SUMMARY, SUMMARY_UNITS, summary_lines
from streamnet_plugin.report.cells import (
    DASH,
    Cell,
    Grid,
    comparable,
    estimate,
    interval_cell,
    number,
    places,
)
from streamnet_plugin.report.merge import shared_notes
from streamnet_plugin.report.render import markdown, text
from streamnet_plugin.report.results import BenchmarkResults, higher_is_better
from streamnet_plugin.report.writer import read_results


@dataclass(frozen=True)
class RunProtocol:
    """A protocol that was run.

    Attributes:
        name: of the protocol.
        networks: its summary, see `summarised`.
        results: the table of all methods and seeds, whose notes do not repeat the summary.
    """

    name: str
    networks: Mapping[str, Any]
    results: BenchmarkResults


def read_protocol(folder: Path) -> RunProtocol:
    """What `streamnet protocol run` wrote; `DataError` if it is not there or damaged."""
    path = folder / SUMMARY
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        found, networks = read_results(folder / told["results"]), dict(told["networks"])
        notes = tuple(note for note in found.notes if note not in summary_lines(networks))
        return RunProtocol(told["protocol"], networks, replace(found, notes=notes))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"this is no summary of a protocol: {error!r}",
            path=path,
            remedy="give a folder written by streamnet protocol run, and run it to its end.",
        ) from error


def protocol_grid(runs: Sequence[RunProtocol], metric: str = "MAE") -> Grid:
    """Networks by mean and standard deviation over seeds, other methods by value and interval.

    Raises:
        ConfigError: a metric that no protocol sums up, or one protocol twice.
    """
    if metric not in SUMMARY_UNITS:
        raise ConfigError(
            f"protocols are not summed up by {metric!r}",
            remedy=f"use one of {', '.join(SUMMARY_UNITS)}.",
        )
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ConfigError(
            f"two of the folders are of one protocol: {', '.join(names)}",
            remedy="give one folder for each.",
        )
    columns = [_column(run, metric) for run in runs]
    methods = list(dict.fromkeys(name for column in columns for name in column))
    return Grid(
        "protocols",
        f"{metric} in {SUMMARY_UNITS[metric]} by protocol",
        ("Method", *names),
        tuple((Cell(m), *(c.get(m, Cell(DASH)) for c in columns)) for m in methods),
        1,
        notes=(
            "Networks: mean ± standard deviation over seeds of the training. "
            "Others: value and its interval over subjects.",
            *shared_notes([(run.name, _computed(run.results)) for run in runs]),
        ),
    )


def _computed(results: BenchmarkResults) -> BenchmarkResults:
    """The results, whose first note says how their numbers were computed."""
    how = f"HR of {results.window} by {results.hr_method}, convention {results.convention}."
    return replace(results, notes=(how, *results.notes))


def _column(run: RunProtocol, metric: str) -> dict[str, Cell]:
    cells = dict(_cells(run, metric))
    if not comparable(run.results):
        return cells
    best = places({m: c.value for m, c in cells.items()}, higher_is_better(metric))
    return {m: replace(c, mark=best.get(m, "")) for m, c in cells.items()}


def _cells(run: RunProtocol, metric: str) -> Iterator[tuple[str, Cell]]:
    """Every method of a protocol; a network once, whatever the number of its seeds."""
    trained = set()
    for network, told in run.networks.items():
        seeds, found = told["seeds"], told[metric]
        trained |= {network, *(f"{network} ({seed})" for seed in seeds)}
        lost = sum(value is None for value in found["by_seed"]) + len(seeds) - len(found["by_seed"])
        sd = "" if found["sd"] is None else f" ± {number(found['sd'])}"
        gone = f" ({lost} of {len(seeds)} seeds without a result)" if lost else ""
        yield network, Cell(number(found["mean"]) + sd + gone, found["mean"])
    for s in run.results.summaries:
        if s.method not in trained:
            yield s.method, interval_cell(estimate(run.results, s, metric))


def to_markdown(grid: Grid) -> str:
    """The table with its notes as Markdown."""
    notes = "\n".join(f"- {note}" for note in grid.notes)
    return f"{grid.caption}\n\n{markdown(grid).rstrip()}\n\n{notes}\n"


def to_text(grid: Grid) -> str:
    """The same for a terminal."""
    return "\n".join([grid.caption, text(grid), *grid.notes]) + "\n"
