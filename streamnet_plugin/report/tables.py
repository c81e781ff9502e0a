"""The table: Markdown, CSV, LaTeX and for the terminal."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from streamnet_plugin.report.results import HIGHER_IS_BETTER, BenchmarkResults, MethodSummary
from streamnet_plugin.wording import count

DASH = "—"
NAMED_WINDOWS = 5
"""So many windows without a result are named below the table, the rest are counted."""
ERRORS = "Value ± standard error over windows, as the rPPG-Toolbox computes it."
UNITS = {"MAE": "bpm", "RMSE": "bpm", "MAPE": "%", "SNR": "dB", "MAE (refined)": "bpm"}


def metrics_of(results: BenchmarkResults) -> list[str]:
    """Names of the metrics, in the order of the first summary."""
    return list(results.summaries[0].values) if results.summaries else []


def caption(results: BenchmarkResults) -> str:
    """What the numbers are, in one sentence; no table without it."""
    windows = max((s.n_windows + s.n_no_result for s in results.summaries), default=0)
    subjects = len({r.subject for r in results.rows})
    return (
        f"{results.title}: {count(subjects, 'subject')}, {count(windows, 'window')} "
        f"({results.window}); "
        f"HR by {results.hr_method}, convention {results.convention}."
    )


def footnotes(results: BenchmarkResults) -> list[str]:
    """What is not in the numbers."""
    notes = list(results.notes)
    for s in results.summaries:
        if s.n_no_result:
            verb = "is" if s.n_no_result == 1 else "are"
            windows = count(s.n_no_result, "window")
            notes.append(f"{s.method}: {windows} without a result {verb} left out.")
    notes += [
        f"No result for {f.recording}{f' by {f.method}' if f.method else ''}: {f.reason}"
        for f in results.failures
    ]
    return notes + _windows_without_result(results)


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
    columns = [f"{m} ({UNITS[m]})" if m in UNITS else m for m in metrics_of(results)]
    columns = [c.replace("MAE (refined) (bpm)", "MAE refined (bpm)") for c in columns]
    return ["Method", "Variant", *columns, "HR SD, MC (bpm)", "No result / windows"]


def _cells(s: MethodSummary, metrics: Sequence[str]) -> list[str]:
    cells = [s.method, s.variant]
    for metric in metrics:
        value, error = s.values[metric]
        if value is None:
            cells.append(DASH)
        else:
            cells.append(f"{value:.2f}" + (f" ± {error:.2f}" if error is not None else ""))
    cells.append(DASH if s.hr_mc_std is None else f"{s.hr_mc_std:.2f}")
    cells.append(f"{s.n_no_result} / {s.n_windows + s.n_no_result}")
    return cells


def ranks(results: BenchmarkResults, metric: str) -> tuple[set[str], set[str]]:
    """Methods with the best and the second best value of a metric; ties share a place."""
    values = {s.method: s.values[metric][0] for s in results.summaries}
    known = {m: round(v, 2) for m, v in values.items() if v is not None}
    order = sorted(set(known.values()), reverse=metric in HIGHER_IS_BETTER)
    best, second = (
        {m for m, v in known.items() if len(order) > place and v == order[place]}
        for place in (0, 1)
    )
    return best, second


def _rows(
    results: BenchmarkResults,
    escape: Callable[[str], str],
    mark_best: Callable[[str], str],
    mark_second: Callable[[str], str],
) -> list[list[str]]:
    metrics = metrics_of(results)
    places = [ranks(results, metric) for metric in metrics]
    table = []
    for s in results.summaries:
        cells = [escape(cell) for cell in _cells(s, metrics)]
        for i, (best, second) in enumerate(places, start=2):
            if s.method in best:
                cells[i] = mark_best(cells[i])
            elif s.method in second:
                cells[i] = mark_second(cells[i])
        table.append(cells)
    return table


def to_markdown(results: BenchmarkResults) -> str:
    """Best in bold, second in italics."""

    def escape(text: str) -> str:
        return text.replace("|", "\\|")

    lines = [header(results), ["---"] * len(header(results))]
    lines += _rows(results, escape, lambda c: f"**{c}**", lambda c: f"*{c}*")
    table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    notes = "".join(f"\n- {note}" for note in footnotes(results))
    return f"{caption(results)} {ERRORS}\n\n{table}\n{notes}\n"


def to_csv(results: BenchmarkResults) -> str:
    """One row per method, a column per metric and one for its standard error, full precision."""
    metrics = metrics_of(results)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    errors = [column for m in metrics for column in (m, f"{m} SE")]
    writer.writerow(
        ["method", "variant", "convention", *errors, "hr_mc_std", "n_windows", "n_no_result",
         "n_videos", "n_subjects", "seconds"]
    )  # fmt: skip
    for s in results.summaries:
        values = ["" if v is None else v for m in metrics for v in s.values[m]]
        tail = [s.hr_mc_std, s.n_windows, s.n_no_result, s.n_videos, s.n_subjects, s.seconds]
        writer.writerow(
            [s.method, s.variant, results.convention, *values]
            + ["" if v is None else v for v in tail]
        )
    return out.getvalue()


_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", DASH: "---"}
)


def to_latex(results: BenchmarkResults) -> str:
    """A booktabs table, best in bold, second underlined."""

    def escape(text: str) -> str:
        return text.translate(_LATEX)

    head = [escape(c) for c in header(results)]
    rows = _rows(results, escape, lambda c: f"\\textbf{{{c}}}", lambda c: f"\\underline{{{c}}}")
    body = "\n".join(" & ".join(row) + r" \\" for row in rows)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape(caption(results) + ' ' + ERRORS)}}}",
            rf"\begin{{tabular}}{{ll{'r' * (len(head) - 2)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def to_rich(results: BenchmarkResults) -> Table:
    """For the terminal: values alone, so that a row fits a line; errors are in the files."""
    notes = ["MAE*: refined HR, free of the FFT's grid. HR SD: over Monte Carlo samples."]
    table = Table(
        title=caption(results),
        caption="\n".join(notes + footnotes(results)),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 0),
    )
    for i, name in enumerate(header(results)):
        short = name.replace("No result / windows", "None / n").replace(", MC", "")
        short = short.replace("MAE refined", "MAE*").replace("Pearson", "r").replace(" (", "\n(")
        table.add_column(
            short, justify="left" if i < 2 else "right", no_wrap=i > 1, overflow="fold"
        )
    for row in _rows(
        results,
        lambda c: c.replace("[", "\\["),
        lambda c: f"[bold green]{c}[/]",
        lambda c: f"[underline]{c}[/]",
    ):
        table.add_row(*(re.sub(r" ± [\d.]+", "", cell) for cell in row))
    return table
