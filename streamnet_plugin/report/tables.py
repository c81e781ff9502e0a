"""The tables of a comparison: metrics, uncertainty and pairs, in every format.

With an analysis every metric carries its confidence interval; without one, the toolbox's standard
error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from streamnet_plugin.report.cells import (
    WITHIN_5,
    Cell,
    Grid,
    Mark,
    analysis_of,
    common_column,
    coverage_at,
    coverage_warnings,
    digits_of,
    estimate,
    interval,
    intervals_are,
    marks,
    metrics_of,
    number,
    number_cell,
    ranking_note,
    ranks,
    withheld_share,
)
from streamnet_plugin.report.csvs import to_csv
from streamnet_plugin.report.latex import document
from streamnet_plugin.report.pairs import conclusions, pairs_table, verdict
from streamnet_plugin.report.reference import NO_REFERENCES, ReferenceRow, References
from streamnet_plugin.report.render import html, markdown, one_line
from streamnet_plugin.report.results import BenchmarkResults
from streamnet_plugin.report.uncertainty import picp_cell, uncertainty_table, width_cell
from streamnet_plugin.wording import count

__all__ = [
    "caption", "footnotes", "grids", "header", "main_table", "metrics_of", "pairs_table", "ranks",
    "to_csv", "to_html", "to_latex", "to_markdown", "to_rich", "uncertainty_table",
]  # fmt: skip

NAMED_WINDOWS = 5
"""So many windows without a result are named below the table, the rest are counted."""
UNITS = {"MAE": "bpm", "RMSE": "bpm", "MAPE": "%", "SNR": "dB", "MAE (refined)": "bpm"}
NO_RESULT = "No result / windows"
MAE = "MAE (bpm)"
GLANCE = {"MAE in": "MAE in\ncommon", "Pearson": "r", "Within 5": "Within\n5 bpm (%)"}
"""Beginnings of the columns that the terminal shows too -> what it calls them."""
NAMES = frozenset({"Method", "Variant"})
NAME_WIDTH = 12
"""So many letters of a method's name the terminal shows in one line, whatever else must go."""


def caption(results: BenchmarkResults) -> str:
    """What the numbers are, in one sentence; no table without it."""
    windows = max((s.n_windows + s.n_no_result for s in results.summaries), default=0)
    subjects = len({r.person for r in results.rows})
    return (
        f"{results.title}: {count(subjects, 'subject')}, {count(windows, 'window')} "
        f"({results.window}); "
        f"HR by {results.hr_method}, convention {results.convention}."
    )


def footnotes(results: BenchmarkResults) -> list[str]:
    """What is not in the numbers."""
    notes = [*results.notes, *coverage_warnings(results)]
    for s in results.summaries:
        if s.n_no_result:
            verb = "is" if s.n_no_result == 1 else "are"
            windows = count(s.n_no_result, "window")
            notes.append(f"{s.method}: {windows} without a result {verb} left out.")
    notes += [
        f"No result for {f.recording}{f' by {f.method}' if f.method else ''}: {f.reason}"
        for f in results.failures
    ]
    notes += _windows_without_result(results)
    return notes + (list(results.analysis.notes) if results.analysis else [])


def _windows_without_result(results: BenchmarkResults) -> list[str]:
    """The first few windows that have none, with the reason; whole recordings are failures."""
    failed = {(f.method, f.recording) for f in results.failures}
    rows = [r for r in results.rows if r.reason and (r.method, r.recording) not in failed]
    notes = [
        f"No result for {r.recording}, {r.start_s:g}-{r.end_s:g} s, by {r.method}: {r.reason}"
        for r in rows[:NAMED_WINDOWS]
    ]
    more = len(rows) - NAMED_WINDOWS
    if more > 0:
        notes.append(f"No result in {count(more, 'more window')}: see windows.csv.")
    return notes


def header(results: BenchmarkResults) -> list[str]:
    """Columns of the main table."""
    return list(main_table(results).columns)


def _heading(metric: str) -> str:
    name = metric.replace("MAE (refined)", "MAE refined")
    return f"{name} ({UNITS[metric]})" if metric in UNITS else name


def grids(results: BenchmarkResults, references: References = NO_REFERENCES) -> list[Grid]:
    """The tables that there is something to fill with, the main one first."""
    found = [
        main_table(results, references), uncertainty_table(results), pairs_table(results)
    ]  # fmt: skip
    return [grid for grid in found if grid is not None]


def main_table(results: BenchmarkResults, references: References = NO_REFERENCES) -> Grid:
    """Every method and metric, and published rows below."""
    columns = [(_heading(m), _metric_cells(results, m)) for m in metrics_of(results)]
    if (common := common_column(results)) is not None:
        columns.append(common)
    columns += _other_columns(results)
    names = [(Cell(s.method), Cell(s.variant)) for s in results.summaries]
    rows = [(*names[i], *(cells[i] for _, cells in columns)) for i in range(len(results.summaries))]
    sources = dict.fromkeys(f"Reported by: {row.source}." for row in references.rows)
    return Grid(
        name="main",
        caption=f"{caption(results)} {intervals_are(results)}",
        columns=("Method", "Variant", *(name for name, _ in columns)),
        rows=tuple(rows),
        n_text=2,
        reported=tuple(_reported(row, [name for name, _ in columns]) for row in references.rows),
        notes=(
            *filter(None, [*conclusions(results), ranking_note(results)]),
            *sources,
            *filter(None, [references.why_not]),
            *footnotes(results),
        ),
    )


def _metric_cells(results: BenchmarkResults, metric: str) -> list[Cell]:
    """One column: values with their interval or standard error, and who is best."""
    marked = marks(results, metric)
    cells = []
    for s in results.summaries:
        found = estimate(results, s, metric)
        text = interval(found, digits=digits_of(metric))
        error = s.values.get(metric, (None, None))[1]
        if results.analysis is None and found.value is not None and error is not None:
            text = f"{text} ± {number(error)}"
        cells.append(Cell(text, found.value, marked.get(s.method, "")))
    return cells


def _other_columns(results: BenchmarkResults) -> list[tuple[str, list[Cell]]]:
    """The columns that are no metrics of the toolbox."""
    lost = [
        Cell(f"{s.n_no_result} / {s.n_windows + s.n_no_result}", s.n_no_result)
        for s in results.summaries
    ]
    last = (NO_RESULT, lost)
    if results.analysis is None:
        spread = [number_cell(s.hr_mc_std) for s in results.summaries]
        return [("HR SD, MC (bpm)", spread), last]
    within = _metric_cells(results, WITHIN_5)
    analysed = [analysis_of(results, s.method) for s in results.summaries]
    withheld = [number_cell(withheld_share(a), 0) for a in analysed]
    return [("Within 5 bpm (%)", within), ("Withheld (%)", withheld), last]


def _reported(row: ReferenceRow, columns: Sequence[str]) -> tuple[Cell, ...]:
    """A published row in these columns; it is never ranked."""
    values = {_heading(metric): value for metric, value in row.values.items()}
    name = f"{row.method}, trained on {row.train}" if row.train else row.method
    return (
        Cell(name),
        Cell("reported, not measured"),
        *(number_cell(values.get(column)) for column in columns),
    )


def to_markdown(results: BenchmarkResults, references: References = NO_REFERENCES) -> str:
    """Best in bold, second in italics."""
    parts = []
    for grid in grids(results, references):
        notes = "".join(f"\n- {one_line(note)}" for note in grid.notes)
        parts.append(f"{grid.caption}\n\n{markdown(grid)}\n{notes}\n")
    return "\n".join(parts)


def to_html(results: BenchmarkResults, references: References = NO_REFERENCES) -> str:
    """The tables as a fragment of a page, best in <strong>, second in <u>."""
    return "\n".join(html(grid) for grid in grids(results, references))


def to_latex(results: BenchmarkResults, references: References = NO_REFERENCES) -> str:
    """booktabs tables as wide as the text at most, best in bold, second underlined."""
    return document(grids(results, references))


def to_rich(results: BenchmarkResults) -> TerminalTable:
    """For the terminal: what one needs to choose a method; the rest is in the files."""
    columns = _plain_columns(results) if results.analysis is None else _glance(results)
    return TerminalTable(caption(results), columns, tuple(_terminal_notes(results)))


@dataclass(frozen=True)
class TerminalTable:
    """A table of which every terminal shows all columns: what does not fit beside the others
    stands below them, behind the methods' names again.

    Attributes:
        title: above it.
        columns: heading -> cells; `NAMES` are words, which may be folded, the others numbers.
        notes: below it.
    """

    title: str
    columns: Mapping[str, Sequence[Cell]]
    notes: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, "table.title")
        for part in self._parts(options.max_width):
            yield self._table(part)
        yield Text("\n".join(self.notes), "table.caption")

    def _parts(self, width: int) -> list[list[str]]:
        """The columns that fit beside each other in so many characters."""
        parts = [[name for name in self.columns if name in NAMES]]
        for name in self.columns:
            if name in NAMES:
                continue
            used = [self._width(other) for other in (*parts[-1], name)]
            if sum(used) + len(used) + 1 > width and set(parts[-1]) - NAMES:  # a blank around each
                parts.append(["Method"])
            parts[-1].append(name)
        return parts

    def _width(self, name: str) -> int:
        """The least that a column needs."""
        cells = max((cell_len(cell.text) for cell in self.columns[name]), default=0)
        if name in NAMES:
            cells = min(cells, NAME_WIDTH)
        return max(cells, *(cell_len(line) for line in name.splitlines()))

    def _table(self, names: Sequence[str]) -> Table:
        table = Table(box=box.SIMPLE_HEAD, padding=0)
        for name in names:
            words = name in NAMES
            table.add_column(
                Text(name),
                justify="left" if words else "right",
                no_wrap=not words,
                overflow="fold",
                min_width=self._width(name) if words else None,
            )
        styles: dict[Mark, str] = {"": "", "best": "bold green", "second": "underline"}
        for cells in zip(*(self.columns[name] for name in names), strict=True):
            table.add_row(*(Text(c.text, styles[c.mark]) for c in cells))
        return table


def _terminal_notes(results: BenchmarkResults) -> list[str]:
    if results.analysis is None:
        explained = ["MAE*: refined HR, free of the FFT's grid. HR SD: over Monte Carlo samples."]
    else:
        explained = [
            f"MAE [{number(100 * results.analysis.level, 0)} % confidence interval over subjects]. "
            "PICP and width: of the calibrated 90 % intervals. More in table.md."
        ]
    said = [note for note in (verdict(results), ranking_note(results)) if note]
    return explained + said + footnotes(results)


def _plain_columns(results: BenchmarkResults) -> dict[str, list[Cell]]:
    """The main table with values alone."""
    columns = {}
    for name, cells in _by_column(main_table(results)).items():
        short = GLANCE["MAE in"] if name.startswith("MAE in") else name
        short = short.replace("No result / windows", "None / n").replace(", MC", "")
        short = short.replace("MAE refined", "MAE*").replace("Pearson", "r").replace(" (", "\n(")
        columns[short] = [_value_alone(c) for c in cells]
    return columns


def _glance(results: BenchmarkResults) -> dict[str, list[Cell]]:
    """Which method is best, how sure that is, and when not to trust it."""
    main = _by_column(main_table(results))
    analysed = [analysis_of(results, s.method) for s in results.summaries]
    at_90 = [coverage_at(a, 0.9) for a in analysed]
    columns = {"Method": main["Method"]}
    if MAE in main:
        columns["MAE (bpm)\n[interval]"] = main[MAE]
    for name, short in GLANCE.items():
        found = next((cells for column, cells in main.items() if column.startswith(name)), None)
        if found is not None:
            columns[short] = [_value_alone(c) for c in found]
    return columns | {
        "PICP\n90 (%)": [_value_alone(picp_cell(c)) for c in at_90],
        "Width\n(bpm)": [width_cell(c) for c in at_90],
        "With-\nheld (%)": [number_cell(withheld_share(a), 0) for a in analysed],
        "None / n": main[NO_RESULT],
    }


def _by_column(grid: Grid) -> dict[str, list[Cell]]:
    return {name: [row[i] for row in grid.rows] for i, name in enumerate(grid.columns)}


def _value_alone(cell: Cell) -> Cell:
    return replace(cell, text=cell.text.partition(" ± ")[0].partition(" [")[0])
