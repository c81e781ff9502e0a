"""The results folder; an older one is never touched."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamnet_plugin.atomic import making, numbered
from streamnet_plugin.errors import DataError, OutputError
from streamnet_plugin.report import csvs, tables
from streamnet_plugin.report.html import write_report
from streamnet_plugin.report.reference import References, references_of
from streamnet_plugin.report.results import (
    BenchmarkResults,
    RecordingKey,
    Waveform,
    WindowRow,
    shown_names,
)

if TYPE_CHECKING:
    from streamnet_plugin.report.figures import Picture

RESULTS = "results.json"
ANALYSED = {
    "pairs.csv": csvs.pairs_csv,
    "groups.csv": csvs.groups_csv,
    "lengths.csv": csvs.lengths_csv,
    "uncertainty.csv": csvs.uncertainty_csv,
}
"""The files of an analysis, written only with one."""
REPORT = "report.html"
FIGURES = "figures"
"""What `progress` is told when the figures of a comparison are drawn."""


def write_results(
    results: BenchmarkResults,
    folder: str | Path,
    waveforms: Sequence[Waveform] = (),
    plots: bool = True,
    extra: Callable[[Path], None] = lambda folder: None,
    progress: Callable[[str], None] = lambda name: None,
    report: bool = False,
    references: References | None = None,
) -> Path:
    """Write everything under `folder`, or `folder-2`, `folder-3`, ... if that is taken.

    Args:
        results: what to write.
        waveforms: what to show per video.
        plots: whether to draw files of their own.
        extra: writes further files into the folder before it appears.
        progress: called with the name of each file, and once for all figures.
        report: whether to write the HTML report.
        references: published rows to show; None takes those that compare.

    Returns:
        The folder written.

    Raises:
        OutputError: the place cannot be written, or the disk is full.
    """

    def fill(temporary: Path) -> None:
        shown = references_of(results) if references is None else references
        for name, text in _texts(results, shown).items():
            (temporary / name).write_text(text, encoding="utf-8")
            progress(name)
        pictures = None
        if plots:
            pictures = _write_plots(results, waveforms, temporary / "plots", progress)
        if report:
            write_report(
                results, temporary / REPORT, waveforms, references=shown.rows, pictures=pictures
            )
            progress(REPORT)
        extra(temporary)

    return in_new_folder(folder, fill)


def _texts(results: BenchmarkResults, shown: References) -> dict[str, str]:
    """File name -> content; those of the statistics only where there are any."""
    texts = {
        RESULTS: to_json(results),
        "windows.csv": windows_csv(results.rows),
        "table.md": tables.to_markdown(results, shown),
        "table.csv": csvs.to_csv(results),
        "table.tex": tables.to_latex(results, shown),
        "table.html": tables.to_html(results, shown),
    }
    if results.analysis is not None:
        texts |= {name: text(results) for name, text in ANALYSED.items()}
    return texts


def in_new_folder(folder: str | Path, fill: Callable[[Path], None], *, place: bool = True) -> Path:
    """Let `fill` write into a new folder, which gets its name only when all is in it.

    The name is `folder`, or `folder-2`, `folder-3`, ... if that is taken. With `place` False it
    gets none, and is removed again.

    Raises:
        OutputError: the place cannot be written, is a file or a device, or the disk is full.
    """
    folder = Path(folder)
    remedy = "free disk space, or choose another folder with --output."
    if folder.exists() and not folder.is_dir():
        raise OutputError("the results need a folder, and this is none", path=folder, remedy=remedy)
    with making(folder, "the results", remedy) as temporary:
        fill(temporary)
        return numbered(temporary, folder) if place else folder


def check_writable(folder: str | Path) -> None:
    """`OutputError` if no folder can be made where `folder` is to be; leaves nothing behind."""
    in_new_folder(folder, lambda temporary: None, place=False)


def to_json(results: BenchmarkResults) -> str:
    """Strict JSON: NaN and infinities become null."""
    return json.dumps(_finite(results.to_dict()), indent=1, allow_nan=False, default=str) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def read_results(folder: str | Path) -> BenchmarkResults:
    """What `write_results` wrote; `DataError` if it is not there or damaged."""
    path = Path(folder) / RESULTS if Path(folder).is_dir() else Path(folder)
    try:
        return BenchmarkResults.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"these are no results of ours: {error}",
            path=path,
            remedy="give a folder written by streamnet benchmark.",
        ) from error


def windows_csv(rows: Sequence[WindowRow]) -> str:
    """One line per method, video and window; groups as `key=value` joined by semicolons."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([f.name for f in fields(WindowRow)])
    for row in rows:
        values = asdict(row)
        values["groups"] = ";".join(f"{k}={v}" for k, v in row.groups.items())
        writer.writerow(["" if v is None else v for v in values.values()])
    return out.getvalue()


def _write_plots(
    results: BenchmarkResults,
    waveforms: Sequence[Waveform],
    folder: Path,
    progress: Callable[[str], None],
) -> dict[str, Picture]:
    """Files of every figure and every video; what the figures are, for the report."""
    from streamnet_plugin.report import figures, plots  # matplotlib is slow to import

    pictures = figures.save_figures(results, folder)
    progress(FIGURES)
    by_video: dict[RecordingKey, list[Waveform]] = defaultdict(list)
    for waveform in waveforms:
        by_video[waveform.recording_key].append(waveform)
    for recording, shown in shown_names(by_video).items():
        name = f"waveforms-{file_name(shown)}.png"
        plots.waveforms(by_video[recording], shown, folder / name)
        progress(name)
    return pictures


def n_files(results: BenchmarkResults, plots: bool, report: bool = False) -> int:
    """How often `write_results` will call `progress`."""
    drawn = 1 + len({r.recording_key for r in results.rows})
    texts = 6 + (len(ANALYSED) if results.analysis is not None else 0)
    return texts + (drawn if plots else 0) + report


def file_name(name: str) -> str:
    """`name` with everything but letters, digits, `-` and `.` replaced."""
    return "".join(c if c.isalnum() or c in "-." else "_" for c in name)
