"""The difference of two results in words and tables, for a terminal or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from streamnet_plugin.report.cells import (
    BESIDE_0,
    DASH,
    Cell,
    Grid,
    difference,
    number,
    number_cell,
    p_equals,
    p_value,
)
from streamnet_plugin.report.diff import LEVEL, MethodDiff, MetricChange, ResultsDiff
from streamnet_plugin.report.render import markdown, one_line, text
from streamnet_plugin.statistics.paired import ALPHA, TIE_DECIMALS
from streamnet_plugin.wording import count


def to_markdown(found: ResultsDiff) -> str:
    """Everything that differs; each section only where there is something to say."""
    parts = [f"{found.names[0]} → {found.names[1]}", "\n".join(f"- {s}" for s in _said(found))]
    parts += [f"### {grid.caption}\n\n{markdown(grid)}" for grid in _grids(found)]
    return "\n\n".join(parts) + "\n"


def to_text(found: ResultsDiff) -> str:
    """The same for a terminal."""
    parts = [f"{found.names[0]} → {found.names[1]}", "\n".join(_said(found))]
    parts += [f"{grid.caption}\n{text(grid)}" for grid in _grids(found)]
    return "\n\n".join(parts) + "\n"


def _said(found: ResultsDiff) -> list[str]:
    lines = [sentence(m) for m in found.methods] or ["No method is in both."]
    for what, both in (("Methods", found.methods_only), ("Recordings", found.recordings_only)):
        for name, only in zip(found.names, both, strict=True):
            if only:
                lines.append(f"{what} only in {name}: {', '.join(only)}.")
    if not found.config and not found.origin:
        lines.append("Configuration, versions, commit and data are the same.")
    return [one_line(line) for line in lines]


def sentence(m: MethodDiff) -> str:
    """What became of one method, in a sentence."""
    where = f"{count(m.n_windows, 'common window')} of {count(m.n_subjects, 'subject')}"
    if m.verdict == "identical":
        words = f"identical in {where}"
    elif m.verdict == "the same errors":
        words = f"the same errors in {where}"
        also = [what for what in m.same if what != "errors"]
        words += f"; the same, too: {', '.join(also)}" if also else ""
        words += f"; not the same: {', '.join(m.changed)}"
    elif m.verdict == "cannot be told":
        words = f"whether the change is more than noise cannot be told: {m.reason}"
    else:
        words = f"errors {_direction(m)}, {m.verdict}, in {where} ({_p_told(m)})"
    gone = [
        f"{count(n, 'window')} with a result only in {name}"
        for n, name in ((m.n_only_a, "the first"), (m.n_only_b, "the second"))
        if n
    ]
    if m.n_other_label:
        gone.append(
            "the true HR or the time is not the same in "
            f"{count(m.n_other_label, 'further window')}: not compared"
        )
    return "; ".join([f"{m.method}: {words}", *gone]) + "."


def _direction(m: MethodDiff) -> str:
    change = round(m.difference.value or 0.0, TIE_DECIMALS)
    if change == 0:
        return "neither larger nor smaller"
    return "larger" if change > 0 else "smaller"


def _p_told(m: MethodDiff) -> str:
    """Holm's p, with that of the method alone where they disagree: its interval leaves out 0."""
    alone = m.p is not None and m.p < ALPHA and m.verdict == "within noise"
    return f"{p_equals(m.p_holm)}, Holm{f'; {p_equals(m.p)} alone' if alone else ''}"


def _grids(found: ResultsDiff) -> Iterator[Grid]:
    a, b = found.names
    if found.methods:
        yield Grid(
            "methods",
            "Change of the absolute error on the common windows over subjects (bpm), b - a: "
            f"Hodges-Lehmann estimate [{100 * LEVEL:g} % interval, Wilcoxon's test inverted: it "
            f"leaves out 0 where p, of that method alone, is below 5 %; {BESIDE_0}]; more than "
            "noise where p (Holm), corrected for the number of methods tested, is below 5 %",
            ("Method", "Verdict", "Subjects", "Windows", "Change", "p", "p (Holm)"),
            tuple(
                (Cell(m.method), Cell(m.verdict), number_cell(m.n_subjects, 0),
                 number_cell(m.n_windows, 0), Cell(difference(m.difference), m.difference.value),
                 Cell(p_value(m.p)), Cell(p_value(m.p_holm)))
                for m in found.methods
            ),
            2,
        )  # fmt: skip
    metrics = [
        (Cell(m.method), Cell(c.metric), number_cell(c.a), number_cell(c.b), _delta(c))
        for m in found.methods
        for c in m.metrics
        if number(c.a) != number(c.b)
    ]
    if metrics:
        caption = "Numbers of the tables that changed, each over all windows of its run"
        yield Grid("metrics", caption, ("Method", "Metric", a, b, "Change"), tuple(metrics), 2)
    windows = [
        (Cell(m.method), Cell(f"{w.dataset} {w.recording}, {w.start_s:g}-{w.end_s:g} s"),
         number_cell(w.hr_label), number_cell(w.error_a), number_cell(w.error_b))
        for m in found.methods
        for w in m.largest
    ]  # fmt: skip
    if windows:
        columns = ("Method", "Window", "True HR", f"Error, {a}", f"Error, {b}")
        caption = "Windows whose absolute error changed most (bpm)"
        yield Grid("windows", caption, columns, tuple(windows), 2)
    for name, caption, changes in (
        ("config", "Configuration", found.config),
        ("origin", "Versions, commit, data and methods", found.origin),
    ):
        if changes:
            rows = tuple((Cell(c.key), Cell(c.a), Cell(c.b)) for c in changes)
            yield Grid(name, caption, ("Key", a, b), rows, 3)


def _delta(c: MetricChange) -> Cell:
    return Cell(DASH) if c.a is None or c.b is None else number_cell(c.b - c.a)
