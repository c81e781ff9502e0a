"""Tables before any markup: cells, what they say, and which is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

from streamnet_plugin.report.results import (
    BenchmarkResults,
    MethodSummary,
    WindowKey,
    WindowRow,
    higher_is_better,
)
from streamnet_plugin.statistics.results import Coverage, Interval, MethodAnalysis
from streamnet_plugin.statistics.windows import error_table
from streamnet_plugin.wording import count

DASH = "—"
INFINITE = "∞"
WITHIN_5 = "within 5 bpm"
ERRORS = "Value ± standard error over windows, as the rPPG-Toolbox computes it."
Mark = Literal["", "best", "second"]
ENOUGH = 0.5
"""Values are ranked only where this share of all windows, or videos, has one."""
NOT_RANKED = (
    "Best and second are not marked where the methods have results in different windows: only the "
    "column over the common ones compares."
)
NOTHING_COMMON = (
    "Best and second are not marked: no window has a result of every method, so the methods' "
    "figures do not compare."
)
FEW_COMMON = (
    "Best and second are not marked: less than half of the windows have a result of every method."
)
TOO_FEW_WINDOWS = (
    "Best and second are not marked: less than half of the windows have a result, so they say "
    "little of the others."
)
ERROR: Callable[[WindowRow], float | None] = attrgetter("abs_error")
PARTLY: Mapping[str, Callable[[WindowRow], float | None]] = {
    "SNR": attrgetter("snr_db"),
    "MACC": attrgetter("macc"),
    "MAE (refined)": attrgetter("hr_pred_refined"),
}
"""Metrics that a window with a result may lack -> what it lacks then."""


@dataclass(frozen=True)
class Cell:
    """One cell: what it says, the number it sorts by, and its place among its column."""

    text: str
    value: float | None = None
    mark: Mark = ""


@dataclass(frozen=True)
class Grid:
    """A table that any format can render.

    Attributes:
        name: a short name, e.g. "uncertainty".
        caption: what the numbers are.
        columns: names; the first `n_text` are words, the others numbers.
        rows: measured ones, each as long as `columns`.
        reported: rows from publications, below a rule, without marks.
        notes: what belongs below this table.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    n_text: int
    reported: tuple[tuple[Cell, ...], ...] = ()
    notes: tuple[str, ...] = ()


def number(value: float | None, digits: int = 2) -> str:
    """`value` rounded, a dash where there is none; never "-0.00"."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return INFINITE if value > 0 else f"-{INFINITE}"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def interval(found: Interval | None, scale: float = 1.0, digits: int = 2) -> str:
    """`2.05 [1.10, 3.40]`, all times `scale`; the value alone where it has no interval."""
    if found is None or found.value is None:
        return DASH
    value = number(scale * found.value, digits)
    if found.low is None or found.high is None:
        return value
    return f"{value} [{number(scale * found.low, digits)}, {number(scale * found.high, digits)}]"


BESIDE_0 = "an end < 0 or > 0 rounds to 0, but is not 0"


def difference(found: Interval) -> str:
    """`interval` of a difference: an end that rounds to 0 but is not 0 is `< 0` or `> 0`.

    As "0.00" it would say that 0 is in an interval that leaves it out, or only just.
    """
    if found.value is None or found.low is None or found.high is None:
        return interval(found)
    return f"{number(found.value)} [{beside_0(found.low)}, {beside_0(found.high)}]"


def beside_0(end: float) -> str:
    """One end of the interval of a difference, see `difference`."""
    text = number(end)
    if float(text) or not end:
        return text
    return "> 0" if end > 0 else "< 0"


def in_percent(share: Interval) -> Interval:
    """An interval of a share in 0..1, in %."""
    value, low, high = (
        None if v is None else 100 * v for v in (share.value, share.low, share.high)
    )
    return replace(share, value=value, low=low, high=high)


def p_value(p: float | None) -> str:
    """Three decimals, `< 0.001` below."""
    if p is None or math.isnan(p):
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_equals(p: float | None) -> str:
    """`p = 0.030`, or `p < 0.001`."""
    value = p_value(p)
    return f"p {value}" if value.startswith("<") else f"p = {value}"


def interval_cell(found: Interval | None, scale: float = 1.0, digits: int = 2) -> Cell:
    value = None if found is None or found.value is None else scale * found.value
    return Cell(interval(found, scale, digits), value)


def number_cell(value: float | None, digits: int = 2) -> Cell:
    return Cell(number(value, digits), value)


def intervals_are(results: BenchmarkResults) -> str:
    """What stands beside the values, in one sentence."""
    if results.analysis is None:
        return ERRORS
    level = number(100 * results.analysis.level, 0)
    return f"Value [{level} % confidence interval, cluster bootstrap over subjects]."


def kinds_told(results: BenchmarkResults) -> str:
    """Which figures are of which heart rate, in one sentence; empty where there is but one kind."""
    uncertain = any(a.uncertainty for a in _analysed(results))
    refined = any(r.hr_pred_refined is not None for r in results.rows)
    if not (uncertain and refined):
        return ""
    return (
        f"Errors, ranks and tests are of the HR by {results.hr_method}; spread, calibrated "
        "intervals, withholding, risk and coverage of the refined HR (interpolated spectral peak), "
        'as is "MAE refined".'
    )


def metrics_of(results: BenchmarkResults) -> list[str]:
    """Names of the metrics, in order of first appearance."""
    return list(dict.fromkeys(name for s in results.summaries for name in s.values))


def analysis_of(results: BenchmarkResults, method: str) -> MethodAnalysis | None:
    """What was concluded about a method, None if nothing was."""
    return next((m for m in _analysed(results) if m.method == method), None)


def estimate(results: BenchmarkResults, s: MethodSummary, metric: str) -> Interval:
    """A metric with its interval where the analysis has one, else the summary's value alone."""
    analysed = analysis_of(results, s.method)
    found = analysed.metrics.get(metric) if analysed else None
    if found is not None and found.value is not None:
        return found
    return Interval(s.values.get(metric, (None, None))[0])


def coverage_at(analysed: MethodAnalysis | None, level: float) -> Coverage | None:
    """The calibrated intervals of one nominal level (0..1), None if there are none."""
    levels = analysed.uncertainty.levels if analysed and analysed.uncertainty else ()
    return next((c for c in levels if math.isclose(c.level, level)), None)


def coverage_warnings(results: BenchmarkResults, level: float = 0.9) -> list[str]:
    """The methods whose intervals hold less than they promise, by more than chance, over all."""
    found = [(a.method, coverage_at(a, level)) for a in _analysed(results)]
    return [
        f"{method}: its {100 * level:g} % intervals hold the true HR in only "
        f"{interval(c.promised, scale=100, digits=0)} % of all windows{weighed(c)}; do not rely on "
        "them."
        for method, c in found
        if c is not None and c.too_narrow
    ]


def weighed(c: Coverage) -> str:
    """What follows "of windows" where the coverage that was promised is told."""
    return ", every subject weighing the same" if c.by_subject else ""


def _analysed(results: BenchmarkResults) -> tuple[MethodAnalysis, ...]:
    return results.analysis.methods if results.analysis else ()


def withheld_share(analysed: MethodAnalysis | None) -> float | None:
    """Withheld windows in % of all, None where that is not known."""
    if analysed is None or not analysed.n_windows:
        return None
    return 100 * analysed.n_withheld / analysed.n_windows


def mean_spread(results: BenchmarkResults, method: str) -> float | None:
    """Mean over windows of a method's uncalibrated uncertainty, bpm."""
    known = [r.spread for r in results.rows if r.method == method and r.spread is not None]
    finite = [spread for spread in known if math.isfinite(spread)]
    return sum(finite) / len(finite) if finite else None


def measured_windows(
    results: BenchmarkResults, value: Callable[[WindowRow], float | None] = ERROR
) -> dict[str, dict[WindowKey, float]]:
    """A value of the rows by window, for every method of the table that has one at all."""
    shown = {s.method for s in results.summaries}
    found: dict[str, dict[WindowKey, float]] = {}
    for r in results.rows:
        if r.abs_error is not None and r.method in shown and (x := value(r)) is not None:
            found.setdefault(r.method, {})[r.key] = x
    return found


def same_windows(
    results: BenchmarkResults, value: Callable[[WindowRow], float | None] = ERROR
) -> bool:
    """Whether all methods with any value have theirs in the same windows, of the same truth."""
    keys = [set(values) for values in measured_windows(results, value).values()]
    alike = all(other == keys[0] for other in keys[1:])
    return alike and not error_table(results.rows).other_truth()


def enough(results: BenchmarkResults, n: int) -> bool:
    """Whether so many windows say something of all."""
    return n >= ENOUGH * len({r.key for r in results.rows})


def comparable(
    results: BenchmarkResults, value: Callable[[WindowRow], float | None] = ERROR
) -> bool:
    """Whether the methods' values rank: of the same windows, and of enough of all windows."""
    if not same_windows(results, value):
        return False
    return enough(results, len(next(iter(measured_windows(results, value).values()), {})))


def common_mae(results: BenchmarkResults) -> tuple[int, dict[str, float]]:
    """(number of windows in which all have a result, MAE in them by method, bpm).

    Windows in which the methods were not compared with the same true HR are left out.
    """
    measured = measured_windows(results)
    common = set.intersection(*(set(e) for e in measured.values())) if measured else set()
    common -= error_table(results.rows).other_truth()
    if not common:
        return 0, {}
    return len(common), {
        method: sum(errors[key] for key in common) / len(common)
        for method, errors in measured.items()
    }


def digits_of(metric: str) -> int:
    """Decimals of a metric in every table: shares of windows are whole percents."""
    return 0 if metric.startswith("within ") else 2


def places(
    values: Mapping[str, float | None], higher: bool = False, digits: int = 2
) -> dict[str, Mark]:
    """Best and second best by the value as it is printed; ties share a place.

    Nothing where fewer than two have a value, or all the same: a mark says that something was
    compared, and that it differs.
    """
    known = {
        name: round(value, digits)
        for name, value in values.items()
        if value is not None and math.isfinite(value)
    }
    order = sorted(set(known.values()), reverse=higher)
    if len(order) < 2:
        return {}
    marks: tuple[Mark, Mark] = ("best", "second")
    named = dict(zip(order, marks, strict=False))
    return {name: named[value] for name, value in known.items() if value in named}


def marked(
    results: BenchmarkResults,
    values: Mapping[str, float | None],
    value: Callable[[WindowRow], float | None] = ERROR,
    *,
    higher: bool = False,
    digits: int = 2,
) -> dict[str, Mark]:
    """Method -> "best" or "second", by the one rule of all columns.

    Marked only among methods with results in the same windows, and in at least half of them.

    Args:
        results: of all methods.
        values: what the column says of each.
        value: of a window, without which it does not count in the column.
        higher: whether the highest is best.
        digits: decimals of the values as they are printed.
    """
    if not (comparable(results) and comparable(results, value)):
        return {}
    return places(values, higher, digits)


def marks(results: BenchmarkResults, metric: str) -> dict[str, Mark]:
    """`marked` by a metric, the same in every format.

    For beats and heart-rate variability, which are of whole videos, these stand for windows.
    """
    found = {s.method: estimate(results, s, metric) for s in results.summaries}
    missing = {x.missing for x in found.values() if x.value is not None}
    videos = {(r.dataset, r.recording) for r in results.rows}
    if len(missing) > 1 or any(len(m) > (1 - ENOUGH) * len(videos) for m in missing):
        return {}
    values = {method: x.value for method, x in found.items()}
    return marked(
        results, values, PARTLY.get(metric, ERROR),
        higher=higher_is_better(metric), digits=digits_of(metric),
    )  # fmt: skip


def ranks(results: BenchmarkResults, metric: str) -> tuple[set[str], set[str]]:
    """Methods with the best and the second best value of a metric; see `marks`."""
    found = marks(results, metric)
    best, second = ({m for m, mark in found.items() if mark == at} for at in ("best", "second"))
    return best, second


def common_column(results: BenchmarkResults) -> tuple[str, list[Cell]] | None:
    """The MAE over the windows that all methods have: name and a cell for every summary.

    None where all have the same windows anyway, or none in common. Marks as in `marked`: these
    windows are the same.
    """
    if same_windows(results):
        return None
    n, mae = common_mae(results)
    if not n:
        return None
    best = places(mae) if enough(results, n) else {}
    cells = [
        Cell(number(mae.get(s.method)), mae.get(s.method), best.get(s.method, ""))
        for s in results.summaries
    ]
    return f"MAE in {count(n, 'common window')} (bpm)", cells


def ranking_note(results: BenchmarkResults) -> str:
    """Says so where no best method is marked, though there are several."""
    if len(measured_windows(results)) < 2 or comparable(results):
        return ""
    if same_windows(results):
        return TOO_FEW_WINDOWS
    n = common_mae(results)[0]
    if not n:
        return NOTHING_COMMON
    return NOT_RANKED if enough(results, n) else FEW_COMMON


def by_error(results: BenchmarkResults) -> list[str]:
    """Methods from the smallest MAE on, over the common windows where theirs differ."""
    values: Mapping[str, float | None]
    if same_windows(results):
        values = {s.method: estimate(results, s, "MAE").value for s in results.summaries}
    else:
        values = common_mae(results)[1]
    known = {method: value for method, value in values.items() if value is not None}
    return sorted(known, key=lambda method: known[method])
