"""What a comparison says, in plain sentences: the best method, its lead, and when not to trust it.

Nothing is computed here but counts: every number stands in the results already.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from streamnet_plugin.report.cells import (
    analysis_of,
    by_error,
    common_mae,
    coverage_at,
    same_windows,
)
from streamnet_plugin.report.pairs import pair_of
from streamnet_plugin.report.results import BenchmarkResults, WindowRow
from streamnet_plugin.statistics.results import (
    Coverage,
    GroupRow,
    Interval,
    PairTest,
)
from streamnet_plugin.wording import count

SIGNIFICANT = 0.05
NOMINAL = 0.90
"""Level of the intervals that the summary speaks of."""


@dataclass(frozen=True)
class Answer:
    """One of the reader's three questions, the answer in a few words, and the numbers behind it."""

    question: str
    short: str
    detail: str


@dataclass(frozen=True)
class Findings:
    """Answers to the three questions, the summary's sentences, and every caution, gravest first."""

    answers: tuple[Answer, ...]
    sentences: tuple[str, ...]
    cautions: tuple[str, ...]


def find(results: BenchmarkResults) -> Findings:
    """What the results say."""
    order = best_first(results)
    cautions = tuple(dict.fromkeys(_cautions(results, order)))
    answers = (_who(results, order), _significant(results, order), _trust(results, order, cautions))
    sentences = tuple(s for s in _sentences(results, order) if s)
    return Findings(answers, sentences, cautions)


def best_first(results: BenchmarkResults) -> list[str]:
    """Methods from the smallest MAE on, of those that have one.

    Where methods have results in different windows, only windows common to all count, if any.
    """
    maes = {s.method: mae_of(results, s.method).value for s in results.summaries}
    known = {method: mae for method, mae in maes.items() if mae is not None}
    return by_error(results) or sorted(known, key=lambda method: known[method])


def common_windows(results: BenchmarkResults) -> tuple[int, dict[str, float]] | None:
    """How many windows have a result of every method, and every method's MAE in them, bpm.

    None where all methods have results in the same windows, or have no window in common.
    """
    if same_windows(results):
        return None
    n, maes = common_mae(results)
    return (n, maes) if n else None


def mae_of(results: BenchmarkResults, method: str) -> Interval:
    """With its interval if there was an analysis."""
    found = analysis_of(results, method)
    if found is not None and found.metrics.get("MAE", Interval(None)).value is not None:
        return found.metrics["MAE"]
    summary = next((s for s in results.summaries if s.method == method), None)
    return Interval(summary.values.get("MAE", (None, None))[0] if summary else None)


def corrected(pair: PairTest) -> float | None:
    """The p that decides: Holm's if there is one."""
    return pair.p if pair.p_holm is None else pair.p_holm


def p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def told(x: Interval, unit: str = "bpm") -> str:
    """`1.2 bpm (0.8 to 1.6)`; the reason in place of an interval that is not there."""
    if x.value is None:
        return f"not defined ({x.reason})" if x.reason else "not defined"
    if x.low is None or x.high is None:
        return f"{x.value:.2f} {unit}"
    return f"{x.value:.2f} {unit} ({x.low:.2f} to {x.high:.2f})"


def withheld_of(results: BenchmarkResults, method: str) -> tuple[int, int]:
    """(withheld windows, all windows) of a method."""
    mine = [r for r in results.rows if r.method == method]
    found = analysis_of(results, method)
    return (found.n_withheld if found else sum(bool(r.withheld) for r in mine)), len(mine)


def joined(names: Sequence[str]) -> str:
    """`A, B and C`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _subjects(results: BenchmarkResults) -> int:
    return len({r.person for r in results.rows if r.abs_error is not None})


def _who(results: BenchmarkResults, order: Sequence[str]) -> Answer:
    question = "Which method is best?"
    if not order:
        return Answer(question, "None", "No method has a result in any window.")
    mae = mae_of(results, order[0])
    names = joined(_leaders(results, order))
    subjects = count(_subjects(results), "subject")
    if len(order) == 1:
        return Answer(
            question, names, f"MAE {told(mae)}, {subjects}; there is no other to compare."
        )
    common = common_windows(results)
    where = f" in the {count(common[0], 'window')} in which all have a result" if common else ""
    what = f"MAE {told(mae)}, {subjects}; the smallest of {len(order)} methods{where}."
    return Answer(question, names, what)


def _leaders(results: BenchmarkResults, order: Sequence[str]) -> list[str]:
    """The best method, and those with the same MAE as printed."""
    mae = mae_of(results, order[0])
    return [order[0], *(m for m in order[1:] if _same(mae_of(results, m), mae))]


def _same(a: Interval, b: Interval) -> bool:
    return None not in (a.value, b.value) and f"{a.value:.2f}" == f"{b.value:.2f}"


@dataclass(frozen=True)
class _Lead:
    """The best method against each other one: beaten, level, better than it, or untested."""

    beaten: list[PairTest]
    level: list[PairTest]
    behind: list[PairTest]
    untested: list[tuple[str, str]]


def _lead(results: BenchmarkResults, order: Sequence[str]) -> _Lead:
    lead = _Lead([], [], [], [])
    for other in order[1:]:
        pair = pair_of(results, order[0], other)
        p = corrected(pair) if pair else None
        if pair is None or p is None:
            reason = pair.reason if pair and pair.reason else "no test was made"
            lead.untested.append((other, reason))
        elif p >= SIGNIFICANT:
            lead.level.append(pair)
        else:
            ahead = (pair.difference.value or 0.0) <= 0
            (lead.beaten if ahead else lead.behind).append(pair)
    return lead


def _significant(results: BenchmarkResults, order: Sequence[str]) -> Answer:
    question = "Is that significant?"
    if len(order) < 2:
        return Answer(question, "Cannot be told", "There are no two methods with a result.")
    if results.analysis is None:
        return Answer(question, "Not tested", "These results hold no statistics.")
    lead, others = _lead(results, order), len(order) - 1
    beaten = len(lead.beaten)
    if len(lead.untested) == others:
        short = f"Cannot be told with {count(_subjects(results), 'subject')}"
        return Answer(question, short, f"{_sentence(lead.untested[0][1])}")
    every = "the other" if others == 1 else f"all {others} others"
    if beaten == others:
        return Answer(question, f"Yes, against {every}", " ".join(_lead_told(lead)))
    short = f"Only against {beaten} of {others}" if beaten else "No"
    return Answer(question, short, " ".join(_lead_told(lead)))


def _lead_told(lead: _Lead) -> Iterator[str]:
    """Sentences about who is beaten and who is not."""
    if lead.beaten:
        worst = max(corrected(p) or 0.0 for p in lead.beaten)
        p = p_text(worst) if len(lead.beaten) == 1 or worst < 0.001 else f"p ≤ {worst:.2g}"
        names = joined([x.b for x in lead.beaten])
        yield f"It is significantly better than {names} ({p}, {_how(lead.beaten[0])})."
    if lead.level:
        ps = joined([f"{x.b} ({p_text(corrected(x) or 0.0)})" for x in lead.level])
        how = "" if lead.beaten else f" ({_how(lead.level[0])})"
        yield f"It is not significantly different from {ps}{how}."
    if lead.behind:
        names = joined([x.b for x in lead.behind])
        yield f"Over subjects {names} is significantly better, though its MAE over windows is not."
    if lead.untested:
        names = joined([name for name, _ in lead.untested])
        yield f"It was not tested against {names}: {lead.untested[0][1]}."


def _how(pair: PairTest) -> str:
    holm = "Holm-corrected" if pair.p_holm is not None else "uncorrected"
    return f"{holm}, {pair.test or 'paired test'}, {count(pair.n_subjects, 'subject')}"


def _trust(results: BenchmarkResults, order: Sequence[str], cautions: Sequence[str]) -> Answer:
    question = "When not to trust it?"
    if not order:
        return Answer(question, "Not at all", cautions[0] if cautions else "There is no result.")
    if not cautions:
        return Answer(question, "No warning", "Nothing stands against these figures.")
    withheld, n = withheld_of(results, order[0])
    if withheld == n:
        return Answer(question, "Nowhere: every window is withheld", " ".join(cautions[:2]))
    serious = [*_groups(results, order[0]), *_too_low(results, order[0])]
    short = count(len(cautions), "caution")
    if serious:
        places = [f"{r.group} is {r.value}" for r in _warned(results, order[0])]
        more = [f"{len(places) - 2} more"] if len(places) > 2 else []
        short = (
            f"Where {joined([*places[:2], *more])}" if places else "Its intervals are too narrow"
        )
    return Answer(question, short, " ".join(cautions[:2]))


def _sentences(results: BenchmarkResults, order: Sequence[str]) -> Iterator[str]:
    if not order:
        yield "No method has a result in any window, so nothing can be compared."
        return
    best = order[0]
    leaders = _leaders(results, order)
    verb = "has" if len(leaders) == 1 else "share"
    yield f"{joined(leaders)} {verb} the smallest error: MAE {told(mae_of(results, best))}."
    if len(order) > 1 and results.analysis is not None:
        pair = pair_of(results, order[1], best)
        if pair is not None and pair.difference.value is not None:
            yield (
                f"The next, {order[1]}, has {told(mae_of(results, order[1]))}; over subjects the "
                f"mean difference is {told(pair.difference)}."
            )
        lead = _lead(results, order)
        if lead.untested and len(lead.untested) == len(order) - 1:
            subjects = count(_subjects(results), "subject")
            yield f"Whether that is significant cannot be told with {subjects}: " \
                  f"{lead.untested[0][1]}."  # fmt: skip
        else:
            yield " ".join(_lead_told(lead))
    elif len(order) > 1:
        yield "These results hold no statistics, so the order of the methods is not tested."
    yield _intervals_told(results, best)
    yield _withheld_told(results, best)


def _intervals_told(results: BenchmarkResults, method: str) -> str:
    c = coverage_at(analysis_of(results, method), NOMINAL)
    if c is None or c.picp.value is None:
        return ""
    nominal, picp = f"{100 * c.level:.0f} %", told(_percent(c.picp), "%").replace(".00", "")
    width = "" if c.mean_width is None else f" are {c.mean_width:.1f} bpm wide on average and"
    return f"Its {nominal} intervals{width} cover the true HR in {picp} of windows, {_promise(c)}."


def _percent(x: Interval) -> Interval:
    value, low, high = (None if v is None else round(100 * v) for v in (x.value, x.low, x.high))
    return replace(x, value=value, low=low, high=high)


def _promise(c: Coverage) -> str:
    """Whether the coverage is what was promised, within its own interval."""
    if c.picp.low is None or c.picp.high is None:
        reason = f": {c.picp.reason}" if c.picp.reason else ""
        return f"which cannot be judged without an interval{reason}"
    if _too_narrow(c):
        return "less than they promise"
    return "more than they promise" if c.picp.low > c.level else "as they promise"


def _too_narrow(c: Coverage) -> bool:
    """The coverage is below nominal by more than its interval."""
    return c.picp.high is not None and c.picp.high < c.level


def _withheld_told(results: BenchmarkResults, method: str) -> str:
    withheld, n = withheld_of(results, method)
    if not withheld:
        return f"None of its {count(n, 'window')} is withheld." if results.analysis else ""
    share = f"{withheld} of its {count(n, 'window')} ({100 * withheld / n:.0f} %)"
    verb = "is" if withheld == 1 else "are"
    found = analysis_of(results, method)
    kept = found.kept_mae if found else None
    if withheld == n or kept is None or kept.value is None:
        rest = "none stays" if withheld == n else "the MAE of the rest is not defined"
        return f"{share} {verb} better withheld; {rest}."
    return f"{share} {verb} better withheld; the MAE of the rest is {told(kept)}."


def _cautions(results: BenchmarkResults, order: Sequence[str]) -> Iterator[str]:
    """What holds for all first, then the best method's, then recordings and other methods."""
    recordings = tuple({f"{r.recording}:" for r in results.rows})
    single = [note for note in results.notes if note.startswith(recordings)]
    yield from (_sentence(note) for note in results.notes if note not in single)
    of_best, of_others = _of_methods(results, order[0] if order else "")
    yield from of_best
    yield from _failures(results)
    yield from map(_sentence, results.analysis.notes if results.analysis else ())
    yield from of_others
    yield from map(_sentence, single)


def _of_methods(results: BenchmarkResults, best: str) -> tuple[list[str], list[str]]:
    """Cautions about the best method, and about others alone; what holds for several is one."""
    shared: dict[str, list[str]] = {}
    for method in sorted((s.method for s in results.summaries), key=lambda m: m != best):
        for caution in _of_method(results, method):
            shared.setdefault(caution, []).append(method)
    told = [(methods, _sentence(joined(methods) + caution)) for caution, methods in shared.items()]
    return (
        [sentence for methods, sentence in told if best in methods],
        [sentence for methods, sentence in told if best not in methods],
    )


def _of_method(results: BenchmarkResults, method: str) -> Iterator[str]:
    """Cautions without the name that they begin with."""
    yield from _groups(results, method)
    yield from _too_low(results, method)
    c = coverage_at(analysis_of(results, method), NOMINAL)
    if c is not None and c.n_infinite:
        windows = f"{c.n_infinite} of {count(c.n_windows, 'window')}"
        yield (
            f": in {windows} the {100 * c.level:.0f} % interval is infinite: too few subjects to "
            "calibrate it"
        )
    withheld, n = withheld_of(results, method)
    if n and withheld == n:
        yield ": every window is withheld"
    mine: list[WindowRow] = [r for r in results.rows if r.method == method]
    lost = sum(r.abs_error is None for r in mine)
    if lost:
        verb, out = ("has", "is") if lost == 1 else ("have", "are")
        yield f": {lost} of {count(n, 'window')} {verb} no result and {out} not in the MAE"


def _warned(results: BenchmarkResults, method: str) -> list[GroupRow]:
    rows = results.analysis.groups if results.analysis else ()
    return [r for r in rows if r.method == method and r.warning]


def _groups(results: BenchmarkResults, method: str) -> list[str]:
    return [f" where {r.group} is {r.value}: {r.warning}" for r in _warned(results, method)]


def _too_low(results: BenchmarkResults, method: str) -> list[str]:
    c = coverage_at(analysis_of(results, method), NOMINAL)
    if c is None or c.picp.value is None or not _too_narrow(c):
        return []
    return [
        f": the {100 * c.level:.0f} % intervals cover only {100 * c.picp.value:.0f} % of windows"
    ]


def _failures(results: BenchmarkResults) -> Iterator[str]:
    """How many recordings are missing, not why: that stands in a table of its own."""
    lost = {f.recording for f in results.failures if not f.method}
    if lost:
        verb = "is" if len(lost) == 1 else "are"
        yield f"{count(len(lost), 'recording')} could not be used and {verb} in no figure."
    partly = {(f.method, f.recording) for f in results.failures if f.method}
    if partly:
        methods = sorted({m for m, _ in partly})
        yield f"{joined(methods)} gave nothing in {count(len(partly), 'recording')}."


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."
