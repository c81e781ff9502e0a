"""What changed between two results, and whether more than noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from streamnet_plugin.report.cells import analysis_of, coverage_at, number, withheld_share
from streamnet_plugin.report.merge import SOURCES, merged_sources, refuse_mixed
from streamnet_plugin.report.results import BenchmarkResults, MethodSummary, WindowKey, WindowRow
from streamnet_plugin.statistics.paired import ALPHA, holm_corrected, paired_test
from streamnet_plugin.statistics.results import Interval, PairTest
from streamnet_plugin.statistics.windows import same_truth, truth_of
from streamnet_plugin.wording import count

LEVEL = 0.95
N_LARGEST = 5
NOT_SET = "not set"
PASSING = frozenset({"created", "command", "path"})
"""Keys of the provenance that differ between any two runs."""
REPORTED: Mapping[str, tuple[str, ...]] = {
    "HR": ("hr_pred", "hr_pred_refined"),
    "errors": ("abs_error",),
    "SNR": ("snr_db",),
    "MACC": ("macc",),
    "Monte Carlo samples": (
        "hr_mc_mean", "hr_mc_std", "hr_mc_q05", "hr_mc_q95", "bvp_mc_var", "hr_mc_crps",
    ),
    "spread": ("spread",),
    "intervals": ("half_widths", "hr_range"),
    "withholding": ("withheld",),
}  # fmt: skip
"""What is reported of a window -> the fields that hold it; see `WindowRow`."""
TRUTH, STATUS = "true HR and time", "which windows have a result"
TABLES = "numbers of the tables"
Verdict = Literal[
    "identical", "the same errors", "more than noise", "within noise", "cannot be told"
]


@dataclass(frozen=True)
class Change:
    """One key of configuration or provenance, dotted, with its value in either run as text."""

    key: str
    a: str
    b: str


@dataclass(frozen=True)
class MetricChange:
    """One number of a method's row in either table; None where it is not known."""

    metric: str
    a: float | None
    b: float | None


@dataclass(frozen=True)
class WindowChange:
    """One window; true HR and absolute errors in bpm."""

    dataset: str
    recording: str
    start_s: float
    end_s: float
    hr_label: float | None
    error_a: float
    error_b: float


@dataclass(frozen=True)
class MethodDiff:
    """One method in both runs.

    Attributes:
        metrics: every number that either table has, over all of that run's windows.
        n_subjects, n_windows: in which both have a result: what follows rests on these.
        n_only_a, n_only_b: windows in which only one of them has a result.
        n_other_label: further ones that both have, but whose true HR or time is not the same:
            they are not compared.
        difference: Hodges-Lehmann estimate over subjects of the change of the absolute error,
            b - a, bpm, below 0 where b is better, with the interval of the test: see `PairTest`.
        p, p_holm, test: two-sided, that the change is none, alone and corrected for the number of
            methods tested.
        verdict: "more than noise" only where `p_holm` is below 5 %; the interval, which is of this
            method alone, then leaves out 0, but may also where it is not. "identical" only where
            nothing that is reported changed.
        same, changed: what is reported of the windows that both have: `TRUTH` and `STATUS` of all,
            the keys of `REPORTED`, as far as there is any, of those that are alike in these two,
            and `TABLES` where both runs have the same windows.
        reason: why it cannot be told.
        largest: the windows that changed most.
    """

    method: str
    metrics: tuple[MetricChange, ...]
    n_subjects: int
    n_windows: int
    n_only_a: int
    n_only_b: int
    n_other_label: int
    difference: Interval
    p: float | None
    p_holm: float | None
    test: str
    verdict: Verdict
    reason: str = ""
    same: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    largest: tuple[WindowChange, ...] = ()


@dataclass(frozen=True)
class ResultsDiff:
    """Two runs; `names` say which is a and which is b.

    Attributes:
        config: keys of the configuration that differ.
        origin: what else differs: versions, commit, data, seed, methods' own provenance.
        methods_only, recordings_only: those that only (a, b) has.
        methods: one per method that both have.
    """

    names: tuple[str, str]
    config: tuple[Change, ...]
    origin: tuple[Change, ...]
    methods_only: tuple[tuple[str, ...], tuple[str, ...]]
    recordings_only: tuple[tuple[str, ...], tuple[str, ...]]
    methods: tuple[MethodDiff, ...]


def diff(
    a: BenchmarkResults, b: BenchmarkResults, names: tuple[str, str] = ("A", "B")
) -> ResultsDiff:
    """What changed from `a` to `b`.

    Raises:
        ConfigError: they are of different conventions, HR methods or windows.
    """
    refuse_mixed(list(zip(names, (a, b), strict=True)))
    methods = [[s.method for s in results.summaries] for results in (a, b)]
    both = set(methods[0]) & set(methods[1])
    told = set(_told(a.provenance)) & set(_told(b.provenance))
    changes = list(_changes(_of_methods(a.provenance, told), _of_methods(b.provenance, told)))
    recordings = [_recordings(results) for results in (a, b)]
    common = [_common(a, b, m) for m in methods[0] if m in both]
    tests = holm_corrected([_tested(c) for c in common])
    return ResultsDiff(
        names=names,
        config=tuple(c for c in changes if "config" in c.key.split(".")),
        origin=tuple(c for c in changes if "config" not in c.key.split(".")),
        methods_only=_only(*methods),
        recordings_only=_only(*recordings),
        methods=tuple(_method_diff(a, b, c, t) for c, t in zip(common, tests, strict=True)),
    )


def _only(a: Sequence[str], b: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(x for x in a if x not in set(b)), tuple(x for x in b if x not in set(a))


def _recordings(results: BenchmarkResults) -> list[str]:
    """`dataset recording`."""
    return list(dict.fromkeys(" ".join(r.key[:2]).strip() for r in results.rows))


def _told(provenance: Mapping[str, Any]) -> Iterator[str]:
    """The methods of which it says what made them, also in the parts of merged results."""
    if isinstance(methods := provenance.get("methods"), Mapping):
        yield from methods
    for entry in merged_sources(provenance):
        yield from _told(entry["provenance"])


def _of_methods(provenance: Mapping[str, Any], wanted: set[str]) -> dict[str, Any]:
    """Without what is told of other methods: that only one run has them is said once."""
    found = dict(provenance)
    if isinstance(methods := found.get("methods"), Mapping):
        found["methods"] = {m: v for m, v in methods.items() if m in wanted}
    if sources := merged_sources(found):
        found[SOURCES] = [
            {**entry, "provenance": _of_methods(entry["provenance"], wanted)} for entry in sources
        ]
    return found


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Change]:
    left, right = dict(_flat(a)), dict(_flat(b))
    for key in dict.fromkeys([*left, *right]):
        if left.get(key, NOT_SET) != right.get(key, NOT_SET):
            yield Change(key, left.get(key, NOT_SET), right.get(key, NOT_SET))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key -> value as text; lists of mappings are numbered, empty mappings left out."""
    for name, value in tree.items():
        if name in PASSING:
            continue
        key = f"{prefix}{name}"
        if isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
            value = {str(i): v for i, v in enumerate(value)}
        if isinstance(value, Mapping):
            yield from _flat(value, f"{key}.")
        else:
            yield key, str(list(value) if isinstance(value, tuple) else value)


@dataclass(frozen=True)
class _Common:
    """One method's windows in both runs, (row of a, row of b).

    Attributes:
        everywhere: all that both have, with a result or without.
        pairs: those with a result in both, of the same truth and time.
        without: those with a result in neither.
        n_unshared: windows that only one of the runs has.
        n_only_a, n_only_b, n_other_label: see `MethodDiff`.
    """

    method: str
    everywhere: list[tuple[WindowRow, WindowRow]]
    pairs: list[tuple[WindowRow, WindowRow]]
    without: list[tuple[WindowRow, WindowRow]]
    n_unshared: int
    n_only_a: int
    n_only_b: int
    n_other_label: int


def _common(a: BenchmarkResults, b: BenchmarkResults, method: str) -> _Common:
    rows_a, rows_b = _windows(a, method), _windows(b, method)
    scored_a, scored_b = (
        {k for k, r in rows.items() if r.abs_error is not None} for rows in (rows_a, rows_b)
    )
    both = [(rows_a[k], rows_b[k]) for k in rows_a if k in scored_a & scored_b]
    pairs = [pair for pair, same in zip(both, _alike(both), strict=True) if same]
    everywhere = [(rows_a[k], rows_b[k]) for k in rows_a if k in rows_b]
    return _Common(
        method=method,
        everywhere=everywhere,
        pairs=pairs,
        without=[(x, y) for x, y in everywhere if x.abs_error is None and y.abs_error is None],
        n_unshared=len(rows_a.keys() ^ rows_b.keys()),
        n_only_a=len(scored_a - scored_b),
        n_only_b=len(scored_b - scored_a),
        n_other_label=len(both) - len(pairs),
    )


def _method_diff(
    a: BenchmarkResults, b: BenchmarkResults, common: _Common, tested: PairTest
) -> MethodDiff:
    metrics = tuple(_metric_changes(a, b, common.method))
    same, changed = _reported(common, metrics)
    verdict, reason = _verdict(common.pairs, tested)
    if common.everywhere and not changed:
        verdict, reason = "identical", ""
    return MethodDiff(
        method=common.method,
        metrics=metrics,
        n_subjects=tested.n_subjects,
        n_windows=len(common.pairs),
        n_only_a=common.n_only_a,
        n_only_b=common.n_only_b,
        n_other_label=common.n_other_label,
        difference=tested.difference,
        p=tested.p,
        p_holm=tested.p_holm,
        test=tested.test,
        verdict=verdict,
        reason=reason,
        same=same,
        changed=changed,
        largest=_largest(common.pairs),
    )


def _windows(results: BenchmarkResults, method: str) -> dict[WindowKey, WindowRow]:
    return {r.key: r for r in results.rows if r.method == method}


def _change(pair: tuple[WindowRow, WindowRow]) -> float:
    """Of the absolute error, b - a, bpm."""
    a, b = pair
    return (b.abs_error or 0.0) - (a.abs_error or 0.0)


def _alike(pairs: Sequence[tuple[WindowRow, WindowRow]]) -> list[bool]:
    """Which windows both runs compared with the same truth, at the same time."""
    if not pairs:
        return []
    return same_truth(np.stack([truth_of(rows) for rows in zip(*pairs, strict=True)], 1)).tolist()


def _tested(common: _Common) -> PairTest:
    """b against a, each subject by its mean absolute errors over these windows, bpm."""
    if not common.pairs:
        n_other = common.n_other_label
        other = f" with the same true HR ({count(n_other, 'window')} without)" if n_other else ""
        nothing = Interval(None, reason=f"no window has a result in both{other}")
        return PairTest("b", "a", 0, nothing, None, None, nothing, reason=nothing.reason)
    found: dict[str, list[tuple[float, float]]] = {}
    for a, b in common.pairs:
        found.setdefault(a.person, []).append((b.abs_error or 0.0, a.abs_error or 0.0))
    means = np.array([np.mean(errors, axis=0) for errors in found.values()])
    return paired_test("b", "a", means[:, 0], means[:, 1], level=LEVEL)


def _reported(
    common: _Common, metrics: Sequence[MetricChange]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(what is the same, what changed): see `MethodDiff`."""
    alike = {
        TRUTH: all(_truth(x) == _truth(y) for x, y in common.everywhere),
        STATUS: all(_status(x) == _status(y) for x, y in common.everywhere),
    }
    runs = list(zip(*common.pairs, *common.without, strict=True)) or [(), ()]
    for what, fields in REPORTED.items():
        a, b = ([getattr(row, field) for row in rows for field in fields] for rows in runs)
        if any(value not in (None, "", {}) for value in a + b):
            alike[what] = a == b
    if not (common.n_unshared or common.n_other_label):
        alike[TABLES] = all(number(m.a) == number(m.b) for m in metrics)
    same, changed = (tuple(w for w in alike if alike[w] is is_so) for is_so in (True, False))
    return same, changed


def _truth(r: WindowRow) -> tuple[float | None, ...]:
    return r.hr_label, r.hr_label_refined, r.start_s, r.end_s


def _status(r: WindowRow) -> tuple[bool, str, str]:
    return r.abs_error is None, r.status, r.reason


def _verdict(pairs: Sequence[tuple[WindowRow, WindowRow]], tested: PairTest) -> tuple[Verdict, str]:
    """What can be said of windows with a result in both, and why where nothing can."""
    if not pairs:
        return "cannot be told", tested.reason
    if not any(x.abs_error != y.abs_error for x, y in pairs):
        return "the same errors", ""
    if tested.p_holm is None:
        return "cannot be told", tested.reason
    return ("more than noise" if tested.p_holm < ALPHA else "within noise"), ""


def _metric_changes(
    a: BenchmarkResults, b: BenchmarkResults, method: str
) -> Iterator[MetricChange]:
    left, right = (
        numbers(results, next(s for s in results.summaries if s.method == method))
        for results in (a, b)
    )
    for metric in dict.fromkeys([*left, *right]):
        yield MetricChange(metric, left.get(metric), right.get(metric))


def numbers(results: BenchmarkResults, s: MethodSummary) -> dict[str, float | None]:
    """Every number of a method's row by name."""
    found: dict[str, float | None] = {metric: value for metric, (value, _) in s.values.items()}
    found |= {"HR SD, MC": s.hr_mc_std, "windows without a result": s.n_no_result}
    analysed = analysis_of(results, s.method)
    if analysed is None:
        return found
    own = {name: i.value for name, i in analysed.metrics.items() if name not in s.values}
    at_90 = coverage_at(analysed, 0.9)
    return found | own | {
        "PICP 90": at_90.picp.value if at_90 else None,
        "mean width 90": at_90.mean_width if at_90 else None,
        "withheld (%)": withheld_share(analysed),
    }  # fmt: skip


def _largest(pairs: Sequence[tuple[WindowRow, WindowRow]]) -> tuple[WindowChange, ...]:
    order = sorted((p for p in pairs if _change(p)), key=lambda p: -abs(_change(p)))
    return tuple(
        WindowChange(a.dataset, a.recording, a.start_s, a.end_s, a.hr_label,
                     a.abs_error or 0.0, b.abs_error or 0.0)
        for a, b in order[:N_LARGEST]
    )  # fmt: skip
