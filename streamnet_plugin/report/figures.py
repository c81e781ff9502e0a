"""Figures of a comparison, at publication size: every one from the results alone.

Each function gives a `Drawn` figure, or None where there is nothing to draw. Colours are those of
Okabe and Ito (2008), told apart by the colour-blind; markers and dashes say the same again, for
print in black and white.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from streamnet_plugin.report.cells import in_percent
from streamnet_plugin.report.results import BenchmarkResults
from streamnet_plugin.report.writer import file_name
from streamnet_plugin.statistics.groups import MIN_GROUP_SUBJECTS
from streamnet_plugin.statistics.results import BlandAltman, GroupRow, Interval, MethodAnalysis
from streamnet_plugin.wording import count

SINGLE, DOUBLE = 3.5, 7.2
"""Widths of one and two columns of a journal, inches (89 and 183 mm)."""
DPI = 300
FORMATS = ("png", "pdf", "svg")
NOMINAL = 0.90
"""Level of the intervals whose coverage per group is judged."""
INK, MUTED, GRID, SURFACE = "#1b1f24", "#6b7280", "#d5d9df", "#ffffff"
PALETTE = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f6000", "#4d4d4d",
)  # fmt: skip
"""Okabe and Ito's; dark grey for their black (ink), ochre for the yellow that white swallows."""
MARKERS, DASHES = "osD^vPX<", ("-", (0, (5, 2)), (0, (1.5, 1.5)))
LONG_NAME = 28
"""Letters of a method's name beside which an axis of one column still has room."""
MANY_POINTS = 3000
"""Above, points are drawn as pixels even in vector files."""
STYLE: Any = {
    "font.size": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "figure.facecolor": SURFACE,
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a method's name may have dollars in it
}


@dataclass(frozen=True)
class Drawn:
    """A figure, the name of its files, its title and what it shows in words and numbers."""

    name: str
    title: str
    alt: str
    figure: Figure


@dataclass(frozen=True)
class Picture:
    """A figure as the report shows it."""

    title: str
    alt: str
    svg: str


@dataclass(frozen=True)
class _Look:
    """What tells a method from the others in every figure."""

    color: str
    marker: str
    dash: Any


def save_figures(
    results: BenchmarkResults,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    progress: Callable[[str], None] = lambda name: None,
) -> dict[str, Picture]:
    """Draw every figure that has data and save it in every format; name -> its picture.

    Args:
        results: what to draw.
        folder: where to; made if it is not there.
        formats: of "png" (300 dpi), "pdf" and "svg".
        progress: called with the name of each file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for drawn in draw_figures(results):
        svg = to_svg(drawn)
        for kind in formats:
            file = folder / f"{drawn.name}.{kind}"
            if kind == "svg":
                file.write_text(svg, encoding="utf-8")
            else:
                with rc_context(STYLE):
                    drawn.figure.savefig(file, dpi=DPI, metadata=_metadata(drawn, kind))
            progress(file.name)
        pictures[drawn.name] = Picture(drawn.title, drawn.alt, svg)
    return pictures


def as_pictures(results: BenchmarkResults) -> dict[str, Picture]:
    """Every figure that has data, for a report; nothing is saved."""
    return {d.name: Picture(d.title, d.alt, to_svg(d)) for d in draw_figures(results)}


def draw_figures(results: BenchmarkResults) -> Iterator[Drawn]:
    """Every figure that has data, the most important first, no two of one name."""
    taken: set[str] = set()
    for drawn in _all_figures(results):
        if drawn is not None:
            names = (f"{drawn.name}-{i}" if i > 1 else drawn.name for i in itertools.count(1))
            name = next(n for n in names if n.lower() not in taken)
            taken.add(name.lower())  # some file systems do not tell case apart
            yield replace(drawn, name=name)


def _all_figures(results: BenchmarkResults) -> Iterator[Drawn | None]:
    for draw in (forest, critical_difference, calibration, risk_coverage, lengths):
        yield draw(results)
    for group in dict.fromkeys(row.group for row in _groups(results)):
        yield group_errors(results, group)
        yield group_coverage(results, group)
    for method in _methods(results):
        yield bland_altman(results, method)


def figure_names(results: BenchmarkResults) -> list[str]:
    """Of what `draw_figures` draws."""
    return [drawn.name for drawn in draw_figures(results)]


def to_svg(drawn: Drawn) -> str:
    """The figure as SVG with its text as text, and ids that are the same every time."""
    text = io.StringIO()
    style: Any = {**STYLE, "svg.hashsalt": drawn.name}
    with rc_context(style):
        drawn.figure.savefig(text, format="svg", dpi=DPI, metadata=_metadata(drawn, "svg"))
    return text.getvalue()


def _metadata(drawn: Drawn, kind: str) -> dict[str, Any]:
    if kind == "pdf":
        return {"Title": drawn.title, "Subject": drawn.alt, "CreationDate": None}
    dates = {"Date": None} if kind == "svg" else {}
    return {"Title": drawn.title, "Description": drawn.alt, **dates}


@rc_context(STYLE)
def forest(results: BenchmarkResults) -> Drawn | None:
    """MAE of every method with its interval, the best on top.

    Without an analysis the bars are the table's standard errors, and the axis says so.
    """
    known = sorted(_maes(results).items(), key=lambda item: item[1].value or 0.0)
    if not known:
        return None
    looks = _looks(results)
    figure, axes = _axes(_width(_maes(results), LONG_NAME), 0.7 + 0.25 * len(known))
    for y, (method, mae) in enumerate(known):
        _point(axes, y, mae, looks[method], across=True)
        axes.annotate(
            f"  {_told(mae)}", (1.0, y), xycoords=("axes fraction", "data"), va="center",
            fontsize=7.5,
        )  # fmt: skip
    axes.set_yticks(range(len(known)), [method for method, _ in known])
    axes.set_ylim(len(known) - 0.4, -0.6)
    axes.set_xlim(left=0)
    level = _level(results)
    bars = f"{level} interval over subjects" if results.analysis else "± standard error"
    axes.set_xlabel(f"MAE of HR by {results.hr_method} (bpm), {bars}")
    axes.grid(axis="x")
    alt = "; ".join(f"{method} {_told(mae)}" for method, mae in known)
    return _done("forest", "Mean absolute error of HR", f"MAE in bpm, {bars}: {alt}.", figure)


@rc_context(STYLE)
def critical_difference(results: BenchmarkResults) -> Drawn | None:
    """Mean ranks on a line, methods that Nemenyi's test cannot tell apart joined by a bar.

    After Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006).
    """
    test = results.analysis.ranks if results.analysis else None
    if test is None or test.critical_difference is None or len(test.ranks) < 2:
        return None
    order = sorted(test.ranks.items(), key=lambda item: item[1])
    cliques = [
        sorted(test.ranks[m] for m in clique if m in test.ranks)
        for clique in test.cliques
        if len(clique) > 1
    ]
    levels = _levels(cliques)
    top = -0.5 - 0.45 * (max(levels, default=-1) + 1)
    half = (len(order) + 1) // 2
    figure, axes = _axes(_width(test.ranks, LONG_NAME // 2), 0.75 - 0.2 * top + 0.2 * half)
    _ruler(axes, len(order), test.critical_difference)
    for level, ranks in zip(levels, cliques, strict=True):
        y = -0.5 - 0.45 * level
        axes.plot([ranks[0] - 0.04, ranks[-1] + 0.04], [y, y], color=INK, linewidth=2.5,
                  solid_capstyle="butt")  # fmt: skip
    for i, (method, rank) in enumerate(order):
        left = i < half
        row = i if left else len(order) - 1 - i
        x, y = (0.8 if left else len(order) + 0.2), top - 0.3 - row
        axes.plot([rank, rank, x], [0, y, y], color=MUTED, linewidth=0.7)
        axes.text(x, y, f"{method} {rank:.2f} " if left else f" {rank:.2f} {method}",
                  ha="right" if left else "left", va="center")  # fmt: skip
    axes.set_ylim(top - 0.6 - (half - 1), 1.9)
    axes.set_axis_off()
    ranks_told = "; ".join(f"{method} {rank:.2f}" for method, rank in order)
    joined = "; ".join(" and ".join(clique) for clique in test.cliques if len(clique) > 1)
    alt = (
        f"Mean rank of the error over {count(test.n_subjects, 'subject')}, 1 the best: "
        f"{ranks_told}. Critical difference {test.critical_difference:.2f} at 5 %. "
        f"Not significantly different: {joined or 'none'}."
    )
    return _done("critical-difference", "Ranks and critical difference", alt, figure)


def _levels(spans: Sequence[Sequence[float]]) -> list[int]:
    """Heights at which overlapping spans lie one below the other."""
    ends: list[float] = []
    levels = []
    for span in spans:
        free = next((i for i, end in enumerate(ends) if end < span[0]), len(ends))
        ends[free : free + 1] = [span[-1]]
        levels.append(free)
    return levels


def _ruler(axes: Axes, n: int, difference: float) -> None:
    """Ranks 1..n, and above them how long the critical difference is."""
    axes.plot([1, n], [0, 0], color=INK, linewidth=0.8)
    for rank in range(1, n + 1):
        axes.plot([rank, rank], [0, 0.2], color=INK, linewidth=0.8)
        axes.text(rank, 0.3, str(rank), ha="center", va="bottom", fontsize=7.5)
    axes.errorbar(1 + difference / 2, 1.25, xerr=difference / 2, color=INK, capsize=2, linewidth=1)
    axes.text(1 + difference / 2, 1.4, f"CD = {difference:.2f}", ha="center", va="bottom")


@rc_context(STYLE)
def bland_altman(results: BenchmarkResults, method: str) -> Drawn | None:
    """Read - true HR against their mean, with bias, limits of agreement and their intervals."""
    good = [
        (r.hr_label, r.hr_pred)
        for r in results.rows
        if r.method == method and r.hr_label is not None and r.hr_pred is not None
    ]
    if not good:
        return None
    label, pred = np.array(good, dtype=float).T
    found = next((m.bland_altman for m in _analysed(results) if m.method == method), None)
    look = _looks(results)[method]
    figure, axes = _axes(SINGLE, 2.5)
    axes.axhline(0, color=GRID, linewidth=0.8)
    axes.plot((pred + label) / 2, pred - label, look.marker, color=look.color, alpha=0.55,
              markersize=3, markeredgewidth=0, rasterized=len(good) > MANY_POINTS)  # fmt: skip
    told = _draw_limits(axes, found) if found else "no limits of agreement were computed"
    axes.set_xlabel("mean of read and true HR (bpm)")
    axes.set_ylabel("read − true HR (bpm)")
    alt = f"Bland-Altman plot of {method}, {count(len(good), 'window')}: {told}."
    name = f"bland-altman-{file_name(method)}"
    return _done(name, f"Agreement of {method} with the truth", alt, figure)


def _draw_limits(axes: Axes, found: BlandAltman) -> str:
    """Lines of a Bland-Altman plot, their intervals shaded; says what was drawn."""
    lines = (("bias", found.bias, "-"), ("upper limit", found.upper, (0, (5, 2))),
             ("lower limit", found.lower, (0, (5, 2))))  # fmt: skip
    told = []
    for name, at, dash in lines:
        if at.value is None:
            told.append(f"no {name}: {at.reason}")
            continue
        axes.axhline(at.value, color=INK, linewidth=0.9, linestyle=dash)
        if at.low is not None and at.high is not None:
            axes.axhspan(at.low, at.high, color=MUTED, alpha=0.18, linewidth=0)
        text = f" {name}\n {at.value:+.1f}".replace("-", "−")
        axes.annotate(
            text, (1.0, at.value), xycoords=("axes fraction", "data"), va="center", fontsize=7
        )
        told.append(f"{name} {_told(at)} bpm")
    return ", ".join(told)


@rc_context(STYLE)
def calibration(results: BenchmarkResults) -> Drawn | None:
    """How often intervals of every nominal level cover the truth; none where all are infinite."""
    curves = {}
    for m in _analysed(results):
        levels = m.uncertainty.levels if m.uncertainty else ()
        known = [
            (100 * c.level, in_percent(c.promised))
            for c in levels
            if c.promised.value is not None and c.n_infinite < c.n_windows
        ]
        if known:
            curves[m.method] = known
    if not curves:
        return None
    figure, axes = _axes(SINGLE, 2.6 + _legend_height(curves))
    lowest = min(c[0] for known in curves.values() for c in known)
    axes.plot([lowest - 5, 100], [lowest - 5, 100], color=MUTED, linewidth=0.8)
    looks = _looks(results)
    for shift, (method, known) in zip(_dodge(len(curves), 4.0), curves.items(), strict=True):
        look = looks[method]
        axes.plot([x + shift for x, _ in known], [found.value or 0.0 for _, found in known],
                  color=look.color, linestyle=look.dash, alpha=0.8)  # fmt: skip
        for x, found in known:
            _point(axes, x + shift, found, look)
    axes.set_xlim(lowest - 5, 101)
    axes.set_ylim(top=101)
    axes.set_xlabel("nominal coverage (%)")
    axes.set_ylabel("empirical coverage by subject (%)")
    axes.grid()
    _legend(figure, list(curves), looks)
    told = "; ".join(
        f"{method} " + ", ".join(f"{x:.0f} %: {p.value:.0f} %" for x, p in known)
        for method, known in curves.items()
    )
    alt = f"Nominal coverage of the calibrated intervals and what they cover: {told}."
    return _done("calibration", "Calibration of the intervals", alt, figure)


@rc_context(STYLE)
def risk_coverage(results: BenchmarkResults) -> Drawn | None:
    """MAE of the surest windows against the share of windows kept."""
    curves = {
        m.method: m.uncertainty
        for m in _analysed(results)
        if m.uncertainty and m.uncertainty.risk_coverage
    }
    if not curves:
        return None
    figure, axes = _axes(SINGLE, 2.4 + _legend_height(curves))
    looks = _looks(results)
    told = []
    for method, quality in curves.items():
        kept, mae = np.array(quality.risk_coverage).T
        axes.plot(100 * kept, mae, color=looks[method].color, linestyle=looks[method].dash)
        half = mae[np.argmin(np.abs(kept - 0.5))]
        aurc = "" if quality.aurc is None else f", area {quality.aurc:.2f}"
        told.append(f"{method} {half:.2f} at 50 %, {mae[-1]:.2f} at {100 * kept[-1]:.0f} %{aurc}")
    axes.set_xlim(0, 100)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("windows kept, the surest first (%)")
    axes.set_ylabel("their MAE (bpm), refined HR")
    axes.grid()
    _legend(figure, list(curves), looks, lines=True)
    alt = f"MAE in bpm, refined HR, of the windows kept, the surest first: {'; '.join(told)}."
    return _done("risk-coverage", "Error of the windows kept", alt, figure)


@rc_context(STYLE)
def lengths(results: BenchmarkResults) -> Drawn | None:
    """MAE against the length of the windows."""
    rows = results.analysis.lengths if results.analysis else ()
    seconds = sorted({r.seconds for r in rows}, key=lambda s: float("inf") if s is None else s)
    places = ["whole video" if s is None else f"{s:g} s" for s in seconds]
    cells = {(places[seconds.index(r.seconds)], r.method): r.mae for r in rows}
    return _by_place(
        results, "lengths", "Error and window length", places, cells, "MAE of HR (bpm)",
        "length of the windows",
    )  # fmt: skip


@rc_context(STYLE)
def group_errors(results: BenchmarkResults, group: str) -> Drawn | None:
    """MAE of every method in every value of a group."""
    rows = _group_rows(results, group)
    cells = {(r.value, r.method): r.mae for r in rows}
    places = _sizes(rows)
    name = f"group-{file_name(group)}"
    return _by_place(
        results, name, f"Error by {group}", list(places), cells, "MAE of HR (bpm)", group,
        below=places,
    )  # fmt: skip


def _sizes(rows: Sequence[GroupRow]) -> dict[str, str]:
    """Value of a group -> how many subjects and windows stand behind its points."""
    return {
        value: "\n".join(
            _span([getattr(r, n) for r in rows if r.value == value], unit)
            for n, unit in (("n_subjects", "subj."), ("n_windows", "win."))
        )
        for value in dict.fromkeys(r.value for r in rows)
    }


def _span(numbers: Sequence[int], unit: str) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low} {unit}" if low == high else f"{low}-{high} {unit}"


@rc_context(STYLE)
def group_coverage(results: BenchmarkResults, group: str) -> Drawn | None:
    """Coverage of the 90 % intervals in every value of a group; hollow where it is too low.

    Values of fewer than `MIN_GROUP_SUBJECTS` are left to the table: 0 or 100 % of one person's
    windows would look like a finding.
    """
    known = [r for r in _group_rows(results, group) if r.coverage and r.coverage.value is not None]
    rows = [r for r in known if r.n_subjects >= MIN_GROUP_SUBJECTS]
    left_out = {r.value for r in known} - {r.value for r in rows}
    axis = f"{group}, values of {MIN_GROUP_SUBJECTS} or more subjects" if left_out else group
    cells = {(r.value, r.method): in_percent(r.coverage) for r in rows if r.coverage is not None}
    low = {(r.value, r.method) for r in rows if r.warning}
    places = _sizes(rows)
    name = f"coverage-{file_name(group)}"
    return _by_place(
        results, name, f"Coverage of the 90 % intervals by {group}", list(places), cells,
        "coverage, PICP (%)", axis, nominal=100 * NOMINAL, hollow=low, below=places,
    )  # fmt: skip


def _group_rows(results: BenchmarkResults, group: str) -> list[GroupRow]:
    return [r for r in _groups(results) if r.group == group]


def _groups(results: BenchmarkResults) -> tuple[GroupRow, ...]:
    return results.analysis.groups if results.analysis else ()


def _by_place(
    results: BenchmarkResults,
    name: str,
    title: str,
    places: Sequence[str],
    cells: Mapping[tuple[str, str], Interval],
    ylabel: str,
    xlabel: str,
    nominal: float | None = None,
    hollow: frozenset[tuple[str, str]] | set[tuple[str, str]] = frozenset(),
    below: Mapping[str, str] | None = None,
) -> Drawn | None:
    """Intervals of every method at every place, methods side by side; None without a value.

    `below` is what stands below the name of each place.
    """
    known = {key: value for key, value in cells.items() if value.value is not None}
    if not known:
        return None
    methods = [m for m in _methods(results) if any(method == m for _, method in known)]
    looks = _looks(results)
    sizes = below or {}
    longest = max(
        [*map(len, places), *(len(line) for n in sizes.values() for line in n.split("\n"))]
    )
    wide = len(places) * len(methods) > 24 or longest * len(places) > 50
    width = DOUBLE if wide else SINGLE
    lines = 0.14 * max((size.count("\n") + 1 for size in sizes.values()), default=0)
    figure, axes = _axes(width, 2.3 + lines + _legend_height(methods, width))
    for shift, method in zip(_dodge(len(methods), 0.7), methods, strict=True):
        for x, place in enumerate(places):
            if (value := known.get((place, method))) is not None:
                _point(axes, x + shift, value, looks[method], (place, method) in hollow)
    if nominal is not None:
        axes.axhline(nominal, color=INK, linewidth=0.8, linestyle=(0, (5, 2)))
        axes.annotate(f" nominal\n {nominal:.0f} %", (1.0, nominal), fontsize=7, va="center",
                      xycoords=("axes fraction", "data"))  # fmt: skip
    axes.set_xticks(range(len(places)), [f"{p}\n{sizes[p]}" if p in sizes else p for p in places])
    axes.set_xlim(-0.5, len(places) - 0.5)
    for edge in range(1, len(places)):
        axes.axvline(edge - 0.5, color=GRID, linewidth=0.5)
    if nominal is None:
        axes.set_ylim(bottom=0)
    else:
        axes.set_ylim(top=102)
    axes.set_xlabel(f"{xlabel} (hollow: too low)" if hollow else xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(axis="y")
    _legend(figure, methods, looks)
    told = "; ".join(
        f"{place}{f' ({_one_line(sizes[place])})' if place in sizes else ''}: " + ", ".join(
            f"{m} {_told(known[place, m])}" + (" (too low)" if (place, m) in hollow else "")
            for m in methods if (place, m) in known
        )
        for place in places
    )  # fmt: skip
    return _done(name, title, f"{ylabel} with {_level(results)} intervals. {told}.", figure)


def _one_line(size: str) -> str:
    return size.replace("\n", ", ").replace("subj.", "subjects").replace("win.", "windows")


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _width(names: Iterable[str], longest: int) -> float:
    """Two columns where a name is longer than so many letters."""
    return DOUBLE if max(map(len, names)) > longest else SINGLE


def _done(name: str, title: str, alt: str, figure: Figure) -> Drawn:
    """The layout is found once, not again for every format."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return Drawn(name, title, alt, figure)


def _point(
    axes: Axes, at: float, value: Interval, look: _Look, hollow: bool = False, across: bool = False
) -> None:
    """One value with its interval, if it has one; `across`: lying."""
    v = value.value
    if v is None:
        return
    if value.low is not None and value.high is not None:
        ends = [value.low, value.high]
        x_line, y_line = (ends, [at, at]) if across else ([at, at], ends)
        axes.plot(x_line, y_line, color=look.color, linewidth=1.0)
    face = SURFACE if hollow else look.color
    x, y = (v, at) if across else (at, v)
    axes.plot([x], [y], look.marker, color=look.color, markerfacecolor=face, markeredgewidth=0.8)


def _legend(
    figure: Figure, methods: Sequence[str], looks: Mapping[str, _Look], lines: bool = False
) -> None:
    handles = [
        Line2D([], [], color=looks[m].color, label=m, linestyle=looks[m].dash if lines else "",
               marker="" if lines else looks[m].marker)
        for m in methods
    ]  # fmt: skip
    columns = _columns(float(figure.get_figwidth()), methods)
    length = 2.2 if lines else 1.0
    figure.legend(handles=handles, loc="outside lower center", ncols=columns,
                  columnspacing=1.2, handletextpad=0.4, handlelength=length)  # fmt: skip


def _columns(width: float, methods: Sequence[str]) -> int:
    """So many names of this length go beside each other."""
    return max(1, min(len(methods), int(width / (0.35 + 0.07 * max(map(len, methods))))))


def _legend_height(methods: Iterable[str], width: float = SINGLE) -> float:
    """Inches that the legend takes below the axes."""
    names = list(methods)
    return 0.15 * (1 + -(-len(names) // _columns(width, names)))


def _dodge(n: int, width: float) -> list[float]:
    """Offsets that put n things beside each other within `width`."""
    step = width / n
    return [step * (i - (n - 1) / 2) for i in range(n)]


def _looks(results: BenchmarkResults) -> dict[str, _Look]:
    """The same look for a method in every figure: by its place in the table."""
    return {
        method: _Look(
            PALETTE[i % len(PALETTE)], MARKERS[i % len(MARKERS)],
            DASHES[i // len(PALETTE) % len(DASHES)],
        )
        for i, method in enumerate(_methods(results))
    }  # fmt: skip


def _methods(results: BenchmarkResults) -> list[str]:
    """In the order of the table."""
    names = [s.method for s in results.summaries] + [m.method for m in _analysed(results)]
    return list(dict.fromkeys([*names, *(r.method for r in results.rows)]))


def _analysed(results: BenchmarkResults) -> tuple[MethodAnalysis, ...]:
    return results.analysis.methods if results.analysis else ()


def _maes(results: BenchmarkResults) -> dict[str, Interval]:
    """MAE by method, of those that have one; ± standard error without an analysis."""
    if results.analysis:
        found = {m.method: m.metrics.get("MAE", Interval(None)) for m in results.analysis.methods}
        return {method: mae for method, mae in found.items() if mae.value is not None}
    maes = {}
    for s in results.summaries:
        value, error = s.values.get("MAE", (None, None))
        if value is not None:
            known = error is not None
            maes[s.method] = Interval(
                value, value - (error or 0.0) if known else None,
                value + (error or 0.0) if known else None,
            )  # fmt: skip
    return maes


def _told(x: Interval) -> str:
    if x.low is None or x.high is None:
        return f"{x.value:.2f}"
    return f"{x.value:.2f} ({x.low:.2f} to {x.high:.2f})"


def _level(results: BenchmarkResults) -> str:
    return f"{100 * (results.analysis.level if results.analysis else 0.95):.0f} %"
