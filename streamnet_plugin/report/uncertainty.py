"""The table of uncertainty: whether each method's intervals hold, and what its doubt is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from streamnet_plugin.report.cells import (
    INFINITE,
    Cell,
    Grid,
    analysis_of,
    coverage_at,
    interval_cell,
    kinds_told,
    marked,
    mean_spread,
    number_cell,
    withheld_share,
)
from streamnet_plugin.report.results import BenchmarkResults, MethodSummary, WindowRow
from streamnet_plugin.statistics.results import Coverage, Interval, UncertaintyQuality
from streamnet_plugin.uncertainty.subjects import FEW_SUBJECTS
from streamnet_plugin.wording import count

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Nominal coverages of which the table shows the PICP; widths and scores are those of 90 %."""
SCORES: Mapping[str, Callable[[WindowRow], float | None]] = {
    "Winkler 90 (bpm)": lambda row: row.half_widths.get("90"),
    "CRPS (bpm)": lambda row: row.hr_mc_crps,
    "AURC (bpm)": lambda row: row.spread,
    "Excess AURC (bpm)": lambda row: row.spread,
}
"""The columns in which the smallest is best, and what a window must have to count in them; a
coverage or a width alone is neither, and in a few windows a calibration error may be 0 by luck."""
COLUMNS = (
    "Method", "Mean spread (bpm)", "HR SD, MC (bpm)",
    *(f"PICP {100 * level:g} (%)" for level in LEVELS), "PICP 90, by subject (%)",
    "Mean width 90 (bpm)", "Winkler 90 (bpm)", "Calibration error (%)", "Spearman", "CRPS (bpm)",
    "AURC (bpm)", "Excess AURC (bpm)",
    "Withheld (%)", "MAE of the kept (bpm)",
)  # fmt: skip
CAPTION = (
    "Uncertainty. Spread: before calibration. PICP: share of true HRs within the calibrated "
    "interval of that nominal coverage; by subject: every subject weighs the same, as in what is "
    "promised of a new person; width and Winkler score: of the finite 90 % intervals. "
    "Spearman: of spread and absolute error. AURC: area under the risk-coverage curve."
)
UNKNOWN = UncertaintyQuality((), None, Interval(None), None, (), None, None)


def uncertainty_table(results: BenchmarkResults) -> Grid | None:
    """One row per method; None where no uncertainty was analysed."""
    if not any(a.uncertainty for a in (results.analysis.methods if results.analysis else ())):
        return None
    rows = [_row(results, s) for s in results.summaries]
    for name in SCORES:
        _mark(results, rows, name)
    return Grid(
        name="uncertainty",
        caption=" ".join(filter(None, [CAPTION, kinds_told(results), _intervals(results)])),
        columns=COLUMNS,
        rows=tuple(tuple(row) for row in rows),
        n_text=1,
        notes=(*_infinite(results), *_group_warnings(results)),
    )


def _intervals(results: BenchmarkResults) -> str:
    level = 100 * results.analysis.level if results.analysis else 0.0
    return (
        f"Value [{level:g} % confidence interval over subjects: of a PICP Clopper and Pearson's "
        f"with an effective number of windows; of Spearman's correlation below {FEW_SUBJECTS} "
        "subjects a jackknife, else a cluster bootstrap; of the MAE a cluster bootstrap]."
    )


def _row(results: BenchmarkResults, s: MethodSummary) -> list[Cell]:
    a = analysis_of(results, s.method)
    quality = (a.uncertainty if a else None) or UNKNOWN
    at_90, error = coverage_at(a, 0.9), quality.calibration_error
    return [
        Cell(s.method),
        number_cell(mean_spread(results, s.method)),
        number_cell(s.hr_mc_std),
        *(picp_cell(coverage_at(a, level)) for level in LEVELS),
        interval_cell(at_90.by_subject if at_90 else None, scale=100, digits=0),
        width_cell(at_90),
        number_cell(at_90.winkler if at_90 else None),
        number_cell(None if error is None else 100 * error),
        interval_cell(quality.spearman),
        number_cell(quality.crps),
        number_cell(quality.aurc),
        number_cell(quality.excess_aurc),
        number_cell(withheld_share(a), 0),
        interval_cell(a.kept_mae if a else None),
    ]


def _mark(results: BenchmarkResults, rows: list[list[Cell]], name: str) -> None:
    column = COLUMNS.index(name)
    values = {row[0].text: row[column].value for row in rows}
    found = marked(results, values, SCORES[name])
    for row in rows:
        row[column] = replace(row[column], mark=found.get(row[0].text, ""))


def picp_cell(found: Coverage | None) -> Cell:
    """Coverage in % with its interval."""
    return interval_cell(found.picp if found else None, scale=100, digits=0)


def width_cell(found: Coverage | None) -> Cell:
    """Mean width in bpm; infinite where no interval is finite."""
    if found is not None and found.mean_width is None and found.n_infinite:
        return Cell(INFINITE)
    return number_cell(found.mean_width if found else None)


def _infinite(results: BenchmarkResults) -> list[str]:
    """Which intervals are infinite; methods of which the same is true are named together."""
    methods: dict[tuple[float, int, int], list[str]] = {}
    for a in results.analysis.methods if results.analysis else ():
        for c in a.uncertainty.levels if a.uncertainty else ():
            if c.n_infinite:
                methods.setdefault((c.level, c.n_infinite, c.n_windows), []).append(a.method)
    return [
        f"{', '.join(names)}: {n} of {count(of, 'interval')} at {100 * level:g} % "
        f"{'is' if n == 1 else 'are'} infinite: too few subjects calibrate that level."
        for (level, n, of), names in methods.items()
    ]


def _group_warnings(results: BenchmarkResults) -> list[str]:
    return [
        f"{g.method}, {g.group} {g.value}: {g.warning}"
        for g in (results.analysis.groups if results.analysis else ())
        if g.warning
    ]
