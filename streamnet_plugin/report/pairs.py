"""Tests of one method against another: their table, and what they say in sentences."""

from __future__ import annotations

from dataclasses import replace

from streamnet_plugin.report.cells import (
    BESIDE_0,
    DASH,
    Cell,
    Grid,
    by_error,
    difference,
    interval_cell,
    number,
    number_cell,
    p_equals,
    p_value,
)
from streamnet_plugin.report.results import BenchmarkResults
from streamnet_plugin.statistics.results import Interval, PairTest
from streamnet_plugin.wording import count

SIGNIFICANT = 0.05
NO_TEST = "no test was made of them"


def conclusions(results: BenchmarkResults) -> list[str]:
    """What the tests say, where there are any; Friedman's stands below the pairs if they do."""
    alone = friedman(results) if pairs_table(results) is None else ""
    return [sentence for sentence in (verdict(results), alone) if sentence]


def verdict(results: BenchmarkResults) -> str:
    """Whether the best method is significantly better than the next; empty without an analysis."""
    order = by_error(results)
    if results.analysis is None or len(order) < 2:
        return ""
    best = order[0]
    found = [(other, pair_of(results, best, other)) for other in order[1:]]
    other, pair = next(((o, p) for o, p in found if p is not None), (order[1], None))
    place = "the next" if other == order[1] else f"number {order.index(other) + 1}"
    if pair is None or pair.p is None:
        reason = NO_TEST if pair is None else pair.reason or NO_TEST
        return f"Whether {best} is better than {other}, {place}, cannot be told: {reason}."
    return (
        f"{best} against {other}, {place}: difference {difference(pair.difference)} bpm, "
        f"{p_text(pair)}, {count(pair.n_subjects, 'subject')}: {_conclusion(pair)}."
    )


def pair_of(results: BenchmarkResults, a: str, b: str) -> PairTest | None:
    """The test of `a` against `b`, whichever way round it was made."""
    for pair in results.analysis.pairs if results.analysis else ():
        if (pair.a, pair.b) == (a, b):
            return pair
        if (pair.a, pair.b) == (b, a):
            return replace(
                pair, a=a, b=b, difference=_negative(pair.difference),
                effect=_negative(pair.effect), mean=None if pair.mean is None else -pair.mean,
            )  # fmt: skip
    return None


def baseline_of(results: BenchmarkResults) -> str:
    """The one of several methods that all others were to be tested against, "" for every pair."""
    pairs = results.analysis.pairs if results.analysis else ()
    methods = {m.method for m in results.analysis.methods} if results.analysis else set()
    baselines = {pair.b for pair in pairs}
    if len(methods) < 3 or len(baselines) != 1 or {p.a for p in pairs} | baselines != methods:
        return ""
    return baselines.pop()


def _negative(x: Interval) -> Interval:
    value, low, high = (None if v is None else -v for v in (x.value, x.high, x.low))
    return replace(x, value=value, low=low, high=high)


def p_text(pair: PairTest) -> str:
    """`p = 0.030 (Holm)`, or the uncorrected one, named so."""
    corrected = pair.p_holm is not None
    p = p_equals(pair.p_holm if corrected else pair.p)
    return f"{p} ({'Holm' if corrected else 'uncorrected'})"


def _conclusion(pair: PairTest) -> str:
    p = pair.p if pair.p_holm is None else pair.p_holm
    if p is None or p >= SIGNIFICANT:
        return "not significant at 5 %"
    if pair.difference.value is not None and pair.difference.value > 0:
        return f"significant at 5 %, but over subjects it is {pair.b} that is better"
    return "significant at 5 %"


def friedman(results: BenchmarkResults) -> str:
    """The test of all methods at once, in one sentence; empty where none was asked for."""
    found = results.analysis.ranks if results.analysis else None
    if found is None:
        return ""
    if found.p is None:
        return f"Friedman's test of all methods: none, {found.reason or NO_TEST}."
    order = sorted(found.ranks, key=lambda method: found.ranks[method])
    parts = [
        f"Friedman's test over {count(found.n_subjects, 'subject')}: chi-square "
        f"{number(found.statistic)}, {p_equals(found.p)}",
        "mean ranks " + ", ".join(f"{method} {number(found.ranks[method])}" for method in order),
    ]
    if found.critical_difference is not None:
        difference = number(found.critical_difference)
        parts.append(f"critical difference (Nemenyi, 5 %) {difference}")
    alike = [clique for clique in found.cliques if len(clique) > 1]
    if alike:
        groups = " | ".join(", ".join(clique) for clique in alike)
        parts.append(f"not significantly different: {groups}")
    return "; ".join(parts) + "."


def pairs_table(results: BenchmarkResults) -> Grid | None:
    """Tests of one method against another; None where there is not one to show."""
    pairs = results.analysis.pairs if results.analysis else ()
    if all(pair.p is None for pair in pairs):
        return None
    reasons: dict[str, list[str]] = {}
    for pair in pairs:
        if pair.reason:
            reasons.setdefault(pair.reason, []).append(f"{pair.a} - {pair.b}")
    return Grid(
        name="pairs",
        caption=(
            "Differences of the mean absolute error over subjects (Hodges-Lehmann): below 0 the "
            "first method is better. The interval is Wilcoxon's test inverted: it leaves out 0 "
            "where p, of that pair alone, is below 5 % "
            f"({BESIDE_0}); what is significant among all pairs, p "
            "(Holm) says. Effect: matched-pairs rank-biserial correlation, -1 to 1, cluster "
            "bootstrap over subjects."
        ),
        columns=(
            "Methods", "Test", "Subjects", "Difference (bpm)", "p", "p (Holm)", "Effect",
        ),
        rows=tuple(_pair_row(pair) for pair in pairs),
        n_text=2,
        notes=(
            *(f"{', '.join(of)}: {reason}." for reason, of in reasons.items()),
            *([line] if (line := friedman(results)) else []),
        ),
    )  # fmt: skip


def _pair_row(pair: PairTest) -> tuple[Cell, ...]:
    return (
        Cell(f"{pair.a} - {pair.b}"),
        Cell(pair.test or DASH),
        number_cell(pair.n_subjects, 0),
        Cell(difference(pair.difference), pair.difference.value),
        Cell(p_value(pair.p), pair.p),
        Cell(p_value(pair.p_holm), pair.p_holm),
        interval_cell(pair.effect),
    )
