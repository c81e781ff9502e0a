"""All that can be concluded from the windows of several methods, in one object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.statistics.bland_altman import bland_altman
from streamnet_plugin.statistics.bootstrap import metric_intervals, min_subjects
from streamnet_plugin.statistics.groups import group_rows, mae_interval
from streamnet_plugin.statistics.paired import WITH_TIES, pair_tests, rank_test
from streamnet_plugin.statistics.results import (
    Analysis,
    Interval,
    LengthRow,
    MethodAnalysis,
    PairTest,
    RankTest,
    Repeatability,
    UncertaintyQuality,
)
from streamnet_plugin.statistics.windows import (
    ErrorTable,
    by_method,
    column,
    error_table,
    with_result,
)
from streamnet_plugin.wording import count, some

IS_EXACT, TESTABLE = "p is exact given these", "that can be tested"
"""How notes end that are no cautions."""
FEW_SUBJECTS = 20
"""Below so many subjects a bootstrap interval is too narrow by a margin worth a note.

Of nominal 95 % intervals of a MAE over 6 windows per subject, so many held the true one in 400
simulations each (normal errors; errors with outliers): 6 subjects 86 and 81 %, 12 subjects 89 and
88 %, 20 subjects 92 %, 42 subjects 95 and 94 %. The standard error over windows, doubled: 73-82 %.
"""


def analyse(
    rows: Sequence[WindowRow], *, level: float = 0.95, baseline: str | None = None, seed: int = 0
) -> Analysis:
    """Intervals, agreement, tests and groups of every method in `rows`.

    What needs more than window rows is left empty, for `joined` to put in: uncertainty,
    repeatability, waveform metrics and window lengths.

    Args:
        rows: of one convention and one window length, any number of methods.
        level: confidence level of every interval, 0..1.
        baseline: each method is compared against this one; None compares every pair.
        seed: of the bootstrap.

    Raises:
        ConfigError: `level` is not between 0 and 1, or `baseline` is none of the methods.
    """
    min_subjects(level)
    table = error_table(rows)
    methods = tuple(
        method_analysis(name, mine, level=level, seed=seed)
        for name, mine in by_method(rows).items()
    )
    pairs = pair_tests(table, baseline=baseline, level=level, seed=seed)
    ranks = _ranks(table)
    return Analysis(
        level=level,
        methods=methods,
        pairs=pairs,
        ranks=ranks,
        groups=group_rows(rows, level=level, seed=seed),
        notes=tuple(_notes(table, methods, pairs, level)),
    )


def method_analysis(
    method: str, rows: Sequence[WindowRow], *, level: float = 0.95, seed: int = 0
) -> MethodAnalysis:
    """One method from its own rows, without uncertainty and repeatability."""
    good = with_result(rows)
    withheld = Counter(row.withheld for row in rows if row.withheld)
    kept = [row for row in rows if not row.withheld]
    kept_mae = mae_interval(kept, level=level, seed=seed)
    if rows and not kept:
        kept_mae = Interval(None, reason=f"every one of {count(len(rows), 'window')} is withheld")
    subjects = [row.person for row in good]
    difference = column(good, "hr_pred") - column(good, "hr_label")
    return MethodAnalysis(
        method=method,
        n_subjects=len(set(subjects)),
        n_windows=len(good),
        metrics=metric_intervals(rows, level=level, seed=seed),
        bland_altman=bland_altman(difference, subjects, level=level, seed=seed),
        n_withheld=sum(withheld.values()),
        withheld_reasons=dict(withheld),
        kept_mae=kept_mae,
    )


def joined(
    analysis: Analysis,
    *,
    uncertainty: Mapping[str, UncertaintyQuality] | None = None,
    repeatability: Mapping[str, tuple[Repeatability, ...]] | None = None,
    waveform: Mapping[str, Mapping[str, Interval]] | None = None,
    lengths: tuple[LengthRow, ...] = (),
    notes: tuple[str, ...] = (),
) -> Analysis:
    """The analysis with what other functions found, each by method name; metrics are added."""
    methods = tuple(
        replace(
            m,
            uncertainty=(uncertainty or {}).get(m.method, m.uncertainty),
            repeatability=(repeatability or {}).get(m.method, m.repeatability),
            metrics={**m.metrics, **(waveform or {}).get(m.method, {})},
        )
        for m in analysis.methods
    )
    return replace(
        analysis,
        methods=methods,
        lengths=analysis.lengths + lengths,
        notes=analysis.notes + notes,
    )


def _ranks(table: ErrorTable) -> RankTest | None:
    """Of the methods that have any result; None if fewer than three do."""
    read = np.isfinite(table.errors)
    methods = [method for j, method in enumerate(table.methods) if read[:, j].any()]
    if len(methods) < 3:
        return None
    return rank_test(table.common(methods)[0], methods)


def _notes(
    table: ErrorTable,
    methods: Sequence[MethodAnalysis],
    pairs: Sequence[PairTest],
    level: float,
) -> list[str]:
    if not methods:
        return ["there are no windows"]
    return (
        _few_subjects(methods, level)
        + _missing(table)
        + _other_truth(table)
        + _ties(pairs)
        + _family(pairs)
    )


def _few_subjects(methods: Sequence[MethodAnalysis], level: float) -> list[str]:
    n, least = max(m.n_subjects for m in methods), min_subjects(level)
    if n < least:
        return [
            f"{count(n, 'subject')}: too few for intervals and tests, which need {least} or more"
        ]
    if n < FEW_SUBJECTS:
        return [
            f"{count(n, 'subject')}: with fewer than {FEW_SUBJECTS} the {100 * level:g} % "
            "bootstrap intervals are somewhat too narrow"
        ]
    return []


def _other_truth(table: ErrorTable) -> list[str]:
    """How many windows are not compared because what they were compared with is not the same."""
    several = np.isfinite(table.errors).sum(axis=1) > 1
    other = table.other_truth()
    if not other:
        return []
    return [
        f"the true HR or the time is not the same for all methods in {len(other)} of "
        f"{count(int(several.sum()), 'common window')}: these are not compared with each other; "
        "labels, alignment, frame rates or recordings differ"
    ]


def _missing(table: ErrorTable) -> list[str]:
    """How many windows all methods share, and what each of them lacks of the others'."""
    read = np.isfinite(table.errors)
    some = np.asarray(read.any(axis=1))
    if len(table.methods) < 2 or read[some].all():
        return []
    shared = int(read[:, read.any(axis=0)].all(axis=1).sum()) if some.any() else 0
    notes = [
        f"{count(int(some.sum()), 'window')} with a result, {shared} of them of every method"
        f"{'' if read.any(axis=0).all() else ' that has any'}; "
        "two methods are compared on the windows that both have"
    ]
    for j, method in enumerate(table.methods):
        notes += _lacking(method, table, read[:, j], some)
    return notes


def _lacking(
    method: str, table: ErrorTable, mine: NDArray[np.bool_], some: NDArray[np.bool_]
) -> list[str]:
    several = len({dataset for dataset, _, _ in table.keys}) > 1
    names = [f"{d} {r}" if several else r for d, r, _ in table.keys]
    has = {names[i] for i in np.flatnonzero(mine)}
    lost = Counter(names[i] for i in np.flatnonzero(some & ~mine))
    if not has:
        return [f"{method} has no result at all: it is in no comparison"]
    whole = [recording for recording in lost if recording not in has]
    part = [recording for recording in lost if recording in has]
    notes = []
    if whole:
        notes.append(f"{method} has no result of {_named(whole)}")
    if part:
        windows = count(sum(lost[r] for r in part), "window")
        notes.append(f"{method} has no result in {windows} of {_named(part)}")
    return notes


def _named(recordings: Sequence[str]) -> str:
    return f"{count(len(recordings), 'recording')} ({some(recordings)})"


def _family(pairs: Sequence[PairTest]) -> list[str]:
    tested = sum(pair.p is not None for pair in pairs)
    if tested in (0, len(pairs)):
        return []
    return [f"Holm's correction is over the {tested} of {count(len(pairs), 'pair')} {TESTABLE}"]


def _ties(pairs: Sequence[PairTest]) -> list[str]:
    tied = sum(pair.test == WITH_TIES for pair in pairs)
    if not tied:
        return []
    return [f"{tied} of {count(len(pairs), 'pair')} with ties between subjects: {IS_EXACT}"]
