"""Results as CSV in full precision, for whoever computes further."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence

from streamnet_plugin.report.cells import (
    analysis_of,
    common_mae,
    coverage_at,
    mean_spread,
    metrics_of,
    same_windows,
    withheld_share,
)
from streamnet_plugin.report.results import BenchmarkResults, MethodSummary
from streamnet_plugin.statistics.results import Interval

Value = str | float | None


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """What is not defined is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if _undefined(v) else v for v in row])
    return out.getvalue()


def _undefined(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _ends(name: str) -> list[str]:
    return [name, f"{name} low", f"{name} high"]


def _three(found: Interval | None) -> list[Value]:
    return [found.value, found.low, found.high] if found else [None] * 3


def to_csv(results: BenchmarkResults) -> str:
    """One row per method, a column per metric and one for its standard error.

    With an analysis: behind them the ends of each metric's interval, the analysis's own metrics,
    the 90 % intervals and what is withheld.
    """
    metrics = metrics_of(results)
    errors = [column for m in metrics for column in (m, f"{m} SE")]
    columns = ["method", "variant", "convention", *errors, "hr_mc_std", "n_windows", "n_no_result",
               "n_videos", "n_subjects", "seconds"]  # fmt: skip
    rows: list[list[Value]] = [
        [
            s.method, s.variant, results.convention,
            *(v for m in metrics for v in s.values.get(m, (None, None))),
            s.hr_mc_std, s.n_windows, s.n_no_result, s.n_videos, s.n_subjects, s.seconds,
        ]
        for s in results.summaries
    ]  # fmt: skip
    if results.analysis is not None:
        columns += _analysed_columns(results)
        rows = [row + _analysed(results, s) for row, s in zip(rows, results.summaries, strict=True)]
    if not same_windows(results):
        columns += ["n_common_windows", "MAE common"]
        n, mae = common_mae(results)
        rows = [
            [*row, n, mae.get(s.method)] for row, s in zip(rows, results.summaries, strict=True)
        ]
    return _csv(columns, rows)


def _own_metrics(results: BenchmarkResults) -> list[str]:
    """Metrics that only the analysis has."""
    known = results.analysis.methods if results.analysis else ()
    names = dict.fromkeys(name for m in known for name in m.metrics)
    return [name for name in names if name not in metrics_of(results)]


def _analysed_columns(results: BenchmarkResults) -> list[str]:
    ends = [column for m in metrics_of(results) for column in _ends(m)[1:]]
    own = [column for m in _own_metrics(results) for column in _ends(m)]
    return [*ends, *own, *_ends("PICP 90"), "mean width 90", "n_withheld", "withheld %",
            *_ends("MAE of the kept")]  # fmt: skip


def _analysed(results: BenchmarkResults, s: MethodSummary) -> list[Value]:
    a = analysis_of(results, s.method)
    found = a.metrics if a else {}
    at_90 = coverage_at(a, 0.9)
    return [
        *(v for m in metrics_of(results) for v in _three(found.get(m))[1:]),
        *(v for m in _own_metrics(results) for v in _three(found.get(m))),
        *_three(at_90.picp if at_90 else None),
        at_90.mean_width if at_90 else None,
        a.n_withheld if a else None,
        withheld_share(a),
        *_three(a.kept_mae if a else None),
    ]


def pairs_csv(results: BenchmarkResults) -> str:
    """One row per pair of methods."""
    return _csv(
        ["a", "b", "n_subjects", *_ends("difference"), "interval", "p", "p_holm", *_ends("effect"),
         "test", "reason", "mean_difference", "n_other_truth"],
        (
            [p.a, p.b, p.n_subjects, *_three(p.difference), p.difference.method, p.p, p.p_holm,
             *_three(p.effect), p.test, p.reason, p.mean, p.n_other_truth]
            for p in (results.analysis.pairs if results.analysis else ())
        ),
    )  # fmt: skip


def groups_csv(results: BenchmarkResults) -> str:
    """One row per group of windows and method."""
    return _csv(
        ["group", "value", "method", "n_subjects", "n_windows", *_ends("MAE"), *_ends("coverage"),
         "warning"],
        (
            [g.group, g.value, g.method, g.n_subjects, g.n_windows, *_three(g.mae),
             *_three(g.coverage), g.warning]
            for g in (results.analysis.groups if results.analysis else ())
        ),
    )  # fmt: skip


def lengths_csv(results: BenchmarkResults) -> str:
    """One row per window length and method; a whole video's length is empty."""
    return _csv(
        ["seconds", "method", "n_subjects", "n_windows", "n_no_result", *_ends("MAE"), "reason"],
        (
            [g.seconds, g.method, g.n_subjects, g.n_windows, g.n_no_result, *_three(g.mae),
             g.mae.reason]
            for g in (results.analysis.lengths if results.analysis else ())
        ),
    )  # fmt: skip


def uncertainty_csv(results: BenchmarkResults) -> str:
    """One row per method; PICP and calibration error are shares, 0..1."""
    known = [a.uncertainty for a in (results.analysis.methods if results.analysis else ())]
    levels = sorted({c.level for u in known if u for c in u.levels})
    columns = ["method", "mean_spread", "hr_mc_std"]
    for level in levels:
        name = f"{100 * level:g}"
        columns += [*_ends(f"PICP {name}"), *_ends(f"PICP by subject {name}"),
                    f"mean width {name}", f"Winkler {name}", f"n_windows {name}",
                    f"n_infinite {name}"]  # fmt: skip
    columns += ["calibration_error", *_ends("Spearman"), "CRPS", "AURC", "excess AURC",
                "n_withheld", *_ends("MAE of the kept")]  # fmt: skip
    return _csv(columns, (_uncertainty(results, s, levels) for s in results.summaries))


def _uncertainty(
    results: BenchmarkResults, s: MethodSummary, levels: Sequence[float]
) -> list[Value]:
    a = analysis_of(results, s.method)
    row: list[Value] = [s.method, mean_spread(results, s.method), s.hr_mc_std]
    for level in levels:
        c = coverage_at(a, level)
        if c is None:
            row += [None] * 10
        else:
            row += [*_three(c.picp), *_three(c.by_subject)]
            row += [c.mean_width, c.winkler, c.n_windows, c.n_infinite]
    u = a.uncertainty if a else None
    row += (
        [u.calibration_error, *_three(u.spearman), u.crps, u.aurc, u.excess_aurc]
        if u
        else [None] * 7
    )
    return [*row, a.n_withheld if a else None, *_three(a.kept_mae if a else None)]
