"""The report: one HTML file that needs nothing else, neither a network nor another file."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from streamnet_plugin.evaluation.conventions import CONVENTIONS
from streamnet_plugin.report import viewer
from streamnet_plugin.report.cells import (
    BESIDE_0,
    Mark,
    analysis_of,
    beside_0,
    common_column,
    coverage_at,
    digits_of,
    in_percent,
    kinds_told,
    marks,
    ranking_note,
)
from streamnet_plugin.report.cells import Cell as GridCell
from streamnet_plugin.report.findings import (
    NOMINAL,
    SIGNIFICANT,
    best_first,
    corrected,
    find,
    joined,
    withheld_of,
)
from streamnet_plugin.report.results import (
    BenchmarkResults,
    MethodSummary,
    Waveform,
)
from streamnet_plugin.report.tables import UNITS, caption
from streamnet_plugin.report.uncertainty import uncertainty_table
from streamnet_plugin.statistics.results import Interval
from streamnet_plugin.wording import count

if TYPE_CHECKING:
    from streamnet_plugin.report.figures import Picture

TEMPLATES = Path(__file__).parent / "template"
SHOWN_METHODS = 3
"""So many methods the viewer shows at first, the best ones."""
SHOWN_CAUTIONS = 8
"""So many cautions stand in the summary, the rest can be opened."""
TOO_FAR = 10.0
"""An interval whose ends differ by more than this factor says nothing."""
SECTIONS = (
    ("main", "", ("forest", "critical-difference")),
    ("uncertainty", "Can the uncertainty be relied on?",
     ("calibration", "risk-coverage", "coverage-")),
    ("conditions", "Error under different conditions", ("lengths", "group-")),
    ("agreement", "Agreement with the truth", ("bland-altman-",)),
)  # fmt: skip
"""Key, heading and beginnings of the names of the figures below it."""


class Reference(Protocol):
    """A published row: method, what it was trained on, values by metric, where they stand."""

    @property
    def method(self) -> str: ...
    @property
    def train(self) -> str: ...
    @property
    def values(self) -> Mapping[str, float]: ...
    @property
    def source(self) -> str: ...


@dataclass(frozen=True)
class Cell:
    """Of the table that sorts: text, what it sorts by, interval, mark and a note on hovering."""

    text: str
    value: float | str | None = None
    interval: str = ""
    mark: str = ""
    note: str = ""


def write_report(
    results: BenchmarkResults,
    path: str | Path,
    waveforms: Sequence[Waveform] = (),
    *,
    band: tuple[float, float] | None = None,
    references: Sequence[Reference] = (),
    pictures: Mapping[str, Picture] | None = None,
) -> Path:
    """Write the report of some results into one HTML file.

    Args:
        results: what it is about, with or without an analysis.
        path: of the file.
        waveforms: for the viewer; without them it shows the HR tracks alone.
        band: Hz, of the spectra; None takes that of the results' convention.
        references: published rows, shown as "reported, not measured".
        pictures: what `save_figures` or `as_pictures` gave; None draws them.

    Returns:
        The path.
    """
    path = Path(path)
    path.write_bytes(
        render(
            results, waveforms, band=band, references=references, pictures=pictures
        ).encode("utf-8")
    )  # fmt: skip
    return path


def render(
    results: BenchmarkResults,
    waveforms: Sequence[Waveform] = (),
    *,
    band: tuple[float, float] | None = None,
    references: Sequence[Reference] = (),
    pictures: Mapping[str, Picture] | None = None,
) -> str:
    """The text that `write_report` writes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from streamnet_plugin.report.figures import as_pictures  # matplotlib is slow to import

    if pictures is None:
        pictures = as_pictures(results)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    band = band or _band(results)
    methods = list(dict.fromkeys([*(s.method for s in results.summaries), *_seen(results)]))
    shown = (best_first(results) or methods)[:SHOWN_METHODS]
    uncertainty = _uncertainty_table(results)
    index = viewer.index(results, waveforms, methods, shown, band)
    return environment.get_template("report.html.j2").render(
        results=results,
        caption=caption(results),
        findings=find(results),
        shown_cautions=SHOWN_CAUTIONS,
        table=_table(results, references),
        kinds=kinds_told(results),
        sources=_sources(references),
        figures=_figures(pictures),
        sections=_sections(pictures, uncertainty),
        uncertainty=uncertainty,
        pairs=_pairs(results),
        beside_0=BESIDE_0,
        best=(best_first(results) or [""])[0],
        ranks=results.analysis.ranks if results.analysis else None,
        groups=_groups(results),
        repeatability=_repeatability(results),
        level=f"{100 * (results.analysis.level if results.analysis else 0.95):.0f} %",
        provenance=_provenance(results.provenance),
        index=Markup(viewer.script_json(index)),
        recordings=[Markup(r) for r in viewer.recordings(results, waveforms, methods)],
        methods=methods,
        has_waveforms=bool(waveforms),
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _band(results: BenchmarkResults) -> tuple[float, float]:
    """Of the convention that the results name; the widest of all where it is none of ours."""
    known = CONVENTIONS.get(results.convention.split(" ")[0])
    if known is not None:
        return known.band
    return min(c.low_hz for c in CONVENTIONS.values()), max(c.high_hz for c in CONVENTIONS.values())


def _seen(results: BenchmarkResults) -> Iterable[str]:
    return (r.method for r in results.rows)


def _figures(pictures: Mapping[str, Picture]) -> dict[str, list[dict[str, Any]]]:
    """Figures by section, each with whether it takes the whole width."""
    from streamnet_plugin.report.svg import WIDE_PT, inline, width_pt

    placed: dict[str, list[dict[str, Any]]] = {key: [] for key, _, _ in SECTIONS}
    for name, picture in pictures.items():
        section = next((key for key, _, begins in SECTIONS if name.startswith(begins)), "main")
        placed[section].append(
            {
                "name": name,
                "title": picture.title,
                "svg": inline(picture, name),
                "wide": width_pt(picture.svg) > WIDE_PT,
            }
        )
    return placed


def _sections(
    pictures: Mapping[str, Picture], uncertainty: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """Key and heading of the sections below the tests that have something to show."""
    return [
        (key, heading)
        for key, heading, begins in SECTIONS
        if heading
        and (any(n.startswith(begins) for n in pictures) or (key == "uncertainty" and uncertainty))
    ]


def _uncertainty_table(results: BenchmarkResults) -> dict[str, Any] | None:
    """The same cells as in the other formats, the first column being words; None without one."""
    grid = uncertainty_table(results)
    if grid is None:
        return None
    return {
        "caption": grid.caption,
        "columns": grid.columns[1:],
        "rows": [(name.text, [_placed(c) for c in cells]) for name, *cells in grid.rows],
        "notes": grid.notes,
    }


def _placed(cell: GridCell) -> Cell:
    """A cell of the other formats with its interval apart, as in the page's own tables."""
    value, _, ends = cell.text.replace("-", "−").partition(" [")
    interval = ends.removesuffix("]").replace(", ", " to ")
    known = cell.value is not None and math.isfinite(cell.value)
    return Cell(value, cell.value if known else None, interval, cell.mark)


def _table(results: BenchmarkResults, references: Sequence[Reference]) -> dict[str, Any]:
    """Column names, and rows of cells; the first two columns are words."""
    metrics = _metrics(results)
    columns = [_column(m) for m in metrics]
    uncertain = any(coverage_at(analysis_of(results, s.method), NOMINAL) for s in results.summaries)
    if uncertain:
        columns += ["PICP of the 90 % interval (%)", "Width of the 90 % interval (bpm)"]
    if (common := common_column(results)) is not None:
        columns.append(common[0])
    columns.append("Withheld (%)")
    kept = any(m.kept_mae for m in (results.analysis.methods if results.analysis else ()))
    if kept:
        columns.append("MAE of the rest (bpm)")
    columns.append("No result / windows")
    rows: list[dict[str, Any]] = []
    marked = {m: marks(results, m) for m in metrics}
    for number, s in enumerate(results.summaries):
        cells = [
            replace(_estimate(results, s, m), mark=marked[m].get(s.method, "")) for m in metrics
        ]
        if uncertain:
            cells += _uncertainty(results, s.method)
        if common is not None:
            shared = common[1][number]
            cells.append(Cell(shared.text, shared.value, mark=shared.mark))
        withheld, n = withheld_of(results, s.method)
        share = 100 * withheld / n if n else None
        cells.append(Cell("—" if share is None else f"{share:.0f}", share))
        if kept:
            analysed = analysis_of(results, s.method)
            rest = analysed.kept_mae if analysed else None
            cells.append(Cell("—") if rest is None else _interval_cell(rest))
        lost = f"{s.n_no_result} / {s.n_windows + s.n_no_result}"
        cells.append(Cell(lost, s.n_no_result))
        rows.append({"name": s.method, "variant": s.variant, "cells": cells, "reference": ""})
    order = {method: place for place, method in enumerate(best_first(results))}
    rows.sort(key=lambda row: order.get(row["name"], len(order)))
    for number, reference in enumerate(references, start=1):
        rows.append(_reported(reference, metrics, len(columns), number))
    return {"columns": columns, "rows": rows, "marks": _marks_told(results, marked)}


def _marks_told(results: BenchmarkResults, marked: Mapping[str, Mapping[str, Mark]]) -> str:
    """What the marks are, and why there are none."""
    note = ranking_note(results)
    if note:
        return note
    if not any(marked.values()):
        return ""
    found = [a.metrics for a in (results.analysis.methods if results.analysis else ())]
    unmarked = [
        m for m in marked if not marked[m] and any(x[m].missing for x in found if m in x)
    ]  # fmt: skip
    told = "Best in bold, second underlined."
    if unmarked:
        names = joined(unmarked)
        told += f" Not in {names}: the methods lack different videos there, or more than half."
    return told


def _metrics(results: BenchmarkResults) -> list[str]:
    names = [m for s in results.summaries for m in s.values]
    analysed = results.analysis.methods if results.analysis else ()
    return list(dict.fromkeys([*names, *(m for a in analysed for m in a.metrics)]))


def _column(metric: str) -> str:
    if metric in UNITS:
        return f"{metric} ({UNITS[metric]})".replace("MAE (refined) (bpm)", "MAE refined (bpm)")
    return f"{metric} (%)" if metric.startswith("within ") else metric


def _estimate(results: BenchmarkResults, s: MethodSummary, metric: str) -> Cell:
    """With the analysis' interval; the bare value where there is none."""
    analysed = analysis_of(results, s.method)
    found = analysed.metrics.get(metric) if analysed else None
    if found is None or (found.value is None and not found.reason):
        value, error = s.values.get(metric, (None, None))
        bare = Interval(value)
        if results.analysis is None and value is not None and error is not None:
            return Cell(_number(value), value, f"± {error:.2f}")
        return _interval_cell(bare)
    return _interval_cell(found, digits_of(metric))


def _interval_cell(x: Interval, digits: int = 2) -> Cell:
    if x.value is None:
        return Cell("—", None, note=x.reason)
    interval = ""
    if x.low is not None and x.high is not None:
        interval = f"{_number(x.low, digits)} to {_number(x.high, digits)}"
    return Cell(_number(x.value, digits), x.value, interval, note=x.reason)


def _difference_cell(x: Interval) -> Cell:
    """The ends as in the other formats, see `difference`."""
    cell = _interval_cell(x)
    if not cell.interval or x.low is None or x.high is None:
        return cell
    ends = f"{beside_0(x.low)} to {beside_0(x.high)}"
    return replace(cell, interval=ends.replace("-", "−"))


def _number(value: float, digits: int = 2) -> str:
    """With a true minus sign, and no minus before zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def _uncertainty(results: BenchmarkResults, method: str) -> list[Cell]:
    c = coverage_at(analysis_of(results, method), NOMINAL)
    if c is None:
        return [Cell("—"), Cell("—")]
    width = Cell("—") if c.mean_width is None else Cell(f"{c.mean_width:.1f}", c.mean_width)
    return [_interval_cell(in_percent(c.picp), 0), width]


def _reported(
    reference: Reference, metrics: Sequence[str], n_columns: int, number: int
) -> dict[str, Any]:
    values = [reference.values.get(m) for m in metrics]
    cells = [Cell("—") if v is None else Cell(_number(v), v) for v in values]
    cells += [Cell("—")] * (n_columns - len(cells))
    trained = f"trained on {reference.train}" if reference.train else ""
    return {
        "name": reference.method,
        "variant": trained,
        "cells": cells,
        "reference": f"reported, not measured [{number}]",
    }


def _sources(references: Sequence[Reference]) -> list[str]:
    return [f"[{i}] {r.method}: {r.source}" for i, r in enumerate(references, start=1)]


def _pairs(results: BenchmarkResults) -> list[dict[str, Any]]:
    rows = []
    for pair in results.analysis.pairs if results.analysis else ():
        p = corrected(pair)
        rows.append(
            {
                "pair": pair,
                "difference": _difference_cell(pair.difference),
                "effect": _interval_cell(pair.effect),
                "p": "—" if pair.p is None else _p(pair.p),
                "p_holm": "—" if pair.p_holm is None else _p(pair.p_holm),
                "significant": "" if p is None else ("yes" if p < SIGNIFICANT else "no"),
            }
        )
    return rows


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _groups(results: BenchmarkResults) -> list[dict[str, Any]]:
    return [
        {
            "row": row,
            "mae": _interval_cell(row.mae),
            "coverage": None
            if row.coverage is None
            else _interval_cell(in_percent(row.coverage), 0),
            "why": row.warning or (row.coverage.reason if row.coverage else ""),
        }
        for row in (results.analysis.groups if results.analysis else ())
    ]


def _repeatability(results: BenchmarkResults) -> list[dict[str, Any]]:
    low, high = _band(results)
    band = 60 * (high - low)  # bpm; no HR of the convention is further from another
    return [
        {
            "method": m.method,
            "row": r,
            "cells": [
                _known_range(x, widest, r.n_subjects)
                for x, widest in ((r.within_sd, band), (r.coefficient, band), (r.icc, 1.0))
            ],
        }
        for m in (results.analysis.methods if results.analysis else ())
        for r in m.repeatability
    ]


def _known_range(x: Interval, widest: float, n_subjects: int) -> Cell:
    """A value with its interval, unless that spans `widest`, or a factor above `TOO_FAR`."""
    cell = _interval_cell(x)
    if x.low is None or x.high is None:
        return cell
    if x.high - x.low <= widest and (x.low < 0 or x.high <= TOO_FAR * x.low):
        return cell
    return replace(cell, interval=f"interval not known ({count(n_subjects, 'subject')})")


def _provenance(tree: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Short things as they are, trees as indented JSON."""
    return [
        (key.replace("_", " "), value if isinstance(value, str) else _indented(value))
        for key, value in tree.items()
    ]


def _indented(value: Any) -> str:
    return json.dumps(value, indent=1, default=str, ensure_ascii=False)
