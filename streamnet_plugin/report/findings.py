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
    difference,
    number,
    same_windows,
    weighed,
)
from streamnet_plugin.report.pairs import baseline_of, pair_of
from streamnet_plugin.report.results import BenchmarkResults, WindowRow
from streamnet_plugin.statistics.analysis import FEW_SUBJECTS, IS_EXACT, TESTABLE
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
FAR_OFF = 10.0
"""bpm; a HR that is further from the truth is worth a word, however small the mean error."""
NOTHING_SHARED = "No window has a result of every method"


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
        return f"{_signed(x.value)} {unit}"
    return f"{_signed(x.value)} {unit} ({_signed(x.low)} to {_signed(x.high)})"


def _difference_told(x: Interval) -> str:
    """As the tables print it, so that no end says 0.00 where it leaves out 0."""
    return f"{difference(x).replace('-', '−')} bpm"


def _signed(value: float) -> str:
    return number(value).replace("-", "−")


def withheld_of(results: BenchmarkResults, method: str) -> tuple[int, int]:
    """(withheld windows, windows with a result) of a method."""
    found = analysis_of(results, method)
    if found:
        return found.n_withheld, found.n_windows
    mine = [r for r in results.rows if r.method == method and r.abs_error is not None]
    return sum(bool(r.withheld) for r in mine), len(mine)


def joined(names: Sequence[str]) -> str:
    """`A, B and C`."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def error_of(results: BenchmarkResults, method: str) -> Interval:
    """The MAE by which a method has its place: over the common windows where there are such."""
    common = common_windows(results)
    return mae_of(results, method) if common is None else Interval(common[1].get(method))


def _share_nothing(results: BenchmarkResults, order: Sequence[str]) -> bool:
    """Whether no window has a result of every method, so that none of them can be the best."""
    return len(order) > 1 and not by_error(results)


def _subjects(results: BenchmarkResults, method: str) -> int:
    found = {r.person for r in results.rows if r.method == method and r.abs_error is not None}
    return len(found)


def _who(results: BenchmarkResults, order: Sequence[str]) -> Answer:
    question = "Which method is best?"
    if not order:
        return Answer(question, "None", "No method has a result in any window.")
    if _share_nothing(results, order):
        return Answer(question, "Cannot be told", f"{NOTHING_SHARED}, so they do not compare.")
    leaders = _leaders(results, order)
    subjects = count(_subjects(results, order[0]), "subject")
    mae = f"MAE {told(error_of(results, order[0]))}, {subjects}"
    if len(order) == 1:
        return Answer(question, order[0], f"{mae}; there is no other to compare.")
    common = common_windows(results)
    where = f" in the {count(common[0], 'window')} in which all have a result" if common else ""
    if len(leaders) == len(order):
        return Answer(question, "None", f"{mae}; all {len(order)} methods have the same{where}.")
    return Answer(question, joined(leaders), f"{mae}; the smallest of {len(order)} methods{where}.")


def _leaders(results: BenchmarkResults, order: Sequence[str]) -> list[str]:
    """The best method, and those with the same MAE as printed."""
    mae = error_of(results, order[0])
    return [order[0], *(m for m in order[1:] if _same(error_of(results, m), mae))]


def _same(a: Interval, b: Interval) -> bool:
    return None not in (a.value, b.value) and f"{a.value:.2f}" == f"{b.value:.2f}"


@dataclass(frozen=True)
class _Lead:
    """The best method against each other one: beaten, level, better than it, or untested.

    `against` is the baseline where the best method was to be tested against that alone, else "".
    """

    beaten: list[PairTest]
    level: list[PairTest]
    behind: list[PairTest]
    untested: list[tuple[str, str]]
    against: str = ""


def _lead(results: BenchmarkResults, order: Sequence[str]) -> _Lead:
    baseline = baseline_of(results)
    against = "" if baseline == order[0] else baseline
    lead = _Lead([], [], [], [], against)
    for other in [against] if against else order[1:]:
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
    if _share_nothing(results, order):
        return Answer(question, "Cannot be told", f"{NOTHING_SHARED}.")
    if results.analysis is None:
        return Answer(question, "Not tested", "These results hold no statistics.")
    lead = _lead(results, order)
    return Answer(question, _in_short(lead), " ".join(_tests_told(results, order[0], lead)))


def _in_short(lead: _Lead) -> str:
    beaten, untested = len(lead.beaten), len(lead.untested)
    not_so = len(lead.level) + len(lead.behind)
    others = beaten + not_so + untested
    if lead.against and not untested:
        return f"{'Yes' if beaten else 'No'}, tested against {lead.against} alone"
    if beaten == others:
        return f"Yes, against {'the other' if others == 1 else f'all {others} others'}"
    if untested == others:
        return "Cannot be told"
    if beaten:
        rest = f"; against {untested} it cannot be told" if untested else ""
        return f"Only against {beaten} of {others}{rest}"
    if untested:
        return f"No against {not_so} of {others}; against {untested} it cannot be told"
    return "No"


def _tests_told(results: BenchmarkResults, best: str, lead: _Lead) -> Iterator[str]:
    """Sentences about who is beaten, who is not, and all methods together."""
    if lead.beaten:
        worst = max(corrected(p) or 0.0 for p in lead.beaten)
        p = p_text(worst) if len(lead.beaten) == 1 or worst < 0.001 else f"p ≤ {worst:.2g}"
        names = joined([x.b for x in lead.beaten])
        yield f"{best} is significantly better than {names} ({p}, {_how(lead.beaten)})."
    if lead.level:
        ps = joined([f"{x.b} ({p_text(corrected(x) or 0.0)})" for x in lead.level])
        how = f" ({_how(lead.level)})"
        yield f"{best} is not significantly different from {ps}{how}."
    if lead.behind:
        names = joined([x.b for x in lead.behind])
        verb = "is" if len(lead.behind) == 1 else "are"
        yield (
            f"Over subjects {names} {verb} significantly better than {best} "
            f"({_how(lead.behind)}), though not by MAE over windows."
        )
    reasons: dict[str, list[str]] = {}
    for name, reason in lead.untested:
        reasons.setdefault(reason, []).append(name)
    for reason, names_of in reasons.items():
        yield _sentence(f"Against {joined(names_of)} it cannot be told: {reason}")
    if lead.against and not lead.untested:
        yield f"Tested against {lead.against} alone (--baseline)."
    elif lead.against:
        yield "No other method was to be tested against (--baseline)."
    if together := _together(results, best, lead):
        yield together


def _how(pairs: Sequence[PairTest]) -> str:
    """Correction, tests and subjects of some pairs; each is named once."""
    holm = "Holm-corrected" if pairs[0].p_holm is not None else "uncorrected"
    tests = joined(list(dict.fromkeys(pair.test or "paired test" for pair in pairs)))
    few, many = (f(pair.n_subjects for pair in pairs) for f in (min, max))
    subjects = count(few, "subject") if few == many else f"{few} to {many} subjects"
    return f"{holm}, {tests}, {subjects}"


def _together(results: BenchmarkResults, best: str, lead: _Lead) -> str:
    """Friedman's test where it finds a difference, and whether Nemenyi's tells of which."""
    found = results.analysis.ranks if results.analysis else None
    if found is None or found.p is None or found.p >= SIGNIFICANT:
        return ""
    told_apart = [{a, b} for a, b, p in found.nemenyi if p < SIGNIFICANT]
    others = [m for m in found.ranks if {m, best} in told_apart and m != best]
    end = ""
    if others:
        end = f"; Nemenyi's test tells {best} from {joined(others)}"
    elif not (told_apart or lead.beaten or lead.behind):
        end = ", though no test says which of them"
    subjects = count(found.n_subjects, "subject")
    return (
        f"Taken together the {len(found.ranks)} methods do differ (Friedman's test, "
        f"{p_text(found.p)}, {subjects}){end}."
    )


def _trust(results: BenchmarkResults, order: Sequence[str], cautions: Sequence[str]) -> Answer:
    question = "When not to trust it?"
    if not order:
        return Answer(question, "Not at all", cautions[0] if cautions else "There is no result.")
    withheld, n = withheld_of(results, order[0])
    if n and withheld == n:
        short = f"In every window: all {n} are withheld" if n > 1 else "In its only window"
        return Answer(question, short, f"None of {order[0]}'s heart rates is to be relied on.")
    if _share_nothing(results, order):
        detail = f"{NOTHING_SHARED}: each stands for its own windows alone."
        return Answer(question, "Not as a comparison", detail)
    if not cautions:
        return Answer(question, "No warning", "Nothing stands against these figures.")
    serious = [*_groups(results, order[0]), *_too_low(results, order[0])]
    first = [] if serious else list(_weak(results, order[0]))
    if serious:
        places = [f"{r.group} is {r.value}" for r in _warned(results, order[0])]
        more = [f"{len(places) - 2} more"] if len(places) > 2 else []
        short = (
            f"Where {joined([*places[:2], *more])}" if places else "Its intervals are too narrow"
        )
    elif withheld:
        short = f"Where it is withheld: in {100 * withheld / n:.0f} % of its windows"
    else:
        short = count(len(cautions), "caution")
    told = [*first, *(c for c in cautions if c not in first)]
    return Answer(question, short, " ".join(told[:2]))


def _sentences(results: BenchmarkResults, order: Sequence[str]) -> Iterator[str]:
    if not order:
        yield "No method has a result in any window, so nothing can be compared."
        return
    if _share_nothing(results, order):
        each = joined([f"{m} {told(mae_of(results, m))}" for m in order])
        yield f"{NOTHING_SHARED}, so none is called best. MAE in the windows of each: {each}."
        return
    best, leaders = order[0], _leaders(results, order)
    mae = told(error_of(results, best))
    if len(order) == 1:
        yield f"{best} has an MAE of {mae}; there is no other method to compare."
    elif len(leaders) == len(order):
        yield f"{joined(leaders)} have the same error: MAE {mae}."
    else:
        verb = "has" if len(leaders) == 1 else "share"
        yield f"{joined(leaders)} {verb} the smallest error: MAE {mae}."
        yield _next_told(results, best, order[len(leaders)])
    if len(order) > 1 and results.analysis is not None:
        yield " ".join(_tests_told(results, best, _lead(results, order)))
    elif len(order) > 1:
        yield "These results hold no statistics, so the order of the methods is not tested."
    yield _intervals_told(results, best)
    yield _withheld_told(results, best)


def _next_told(results: BenchmarkResults, best: str, following: str) -> str:
    pair = pair_of(results, following, best)
    if pair is None or pair.difference.value is None:
        return ""
    return (
        f"The next, {following}, has {told(error_of(results, following))}; over subjects the "
        f"typical difference (Hodges-Lehmann) is {_difference_told(pair.difference)}."
    )


def _intervals_told(results: BenchmarkResults, method: str) -> str:
    c = coverage_at(analysis_of(results, method), NOMINAL)
    if c is None or c.promised.value is None:
        return ""
    nominal, covered = f"{100 * c.level:.0f} %", told(_percent(c.promised), "%")
    width = "" if c.mean_width is None else f" are {c.mean_width:.1f} bpm wide on average and"
    return (
        f"Its {nominal} intervals{width} cover the true HR in {covered.replace('.00', '')} of "
        f"windows{weighed(c)}, {_promise(c)}."
    )


def _percent(x: Interval) -> Interval:
    value, low, high = (None if v is None else round(100 * v) for v in (x.value, x.low, x.high))
    return replace(x, value=value, low=low, high=high)


def _promise(c: Coverage) -> str:
    """Whether the coverage is what was promised, within its own interval."""
    found = c.promised
    if found.low is None or found.high is None:
        reason = f": {found.reason}" if found.reason else ""
        return f"which cannot be judged without an interval{reason}"
    if c.too_narrow:
        return "less than they promise"
    return "more than they promise" if found.low > c.level else "as they promise"


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
    if order and not _share_nothing(results, order):
        yield from _weak(results, order[0])
    yield from _failures(results)
    notes = results.analysis.notes if results.analysis else ()
    yield from (_sentence(note) for note in notes if not note.endswith((IS_EXACT, TESTABLE)))
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
        yield f": {lost} of {count(len(mine), 'window')} {verb} no result and {out} not in the MAE"


def _weak(results: BenchmarkResults, best: str) -> Iterator[str]:
    """What the best method's MAE does not show: withheld windows, gross errors, few people."""
    withheld, n = withheld_of(results, best)
    if 0 < withheld < n:
        verb = "is" if withheld == 1 else "are"
        yield f"{best}: {withheld} of {count(n, 'window')} {verb} better withheld."
    mine = [r for r in results.rows if r.method == best and r.abs_error is not None]
    far = [r for r in mine if r.abs_error is not None and r.abs_error > FAR_OFF]
    if far:
        verb = "is" if len(far) == 1 else "are"
        videos = count(len({(r.dataset, r.recording) for r in far}), "recording")
        yield (
            f"{best}: {len(far)} of {count(len(mine), 'window')} {verb} off by more than "
            f"{FAR_OFF:g} bpm, in {videos}."
        )
    subjects = count(_subjects(results, best), "subject")
    notes = results.analysis.notes if results.analysis else ()
    few = _subjects(results, best) < FEW_SUBJECTS
    if few and not any(note.startswith(f"{subjects}:") for note in notes):
        yield f"{subjects}: fewer than {FEW_SUBJECTS} say little of people at large."


def _warned(results: BenchmarkResults, method: str) -> list[GroupRow]:
    rows = results.analysis.groups if results.analysis else ()
    return [r for r in rows if r.method == method and r.warning]


def _groups(results: BenchmarkResults, method: str) -> list[str]:
    return [f" where {r.group} is {r.value}: {r.warning}" for r in _warned(results, method)]


def _too_low(results: BenchmarkResults, method: str) -> list[str]:
    c = coverage_at(analysis_of(results, method), NOMINAL)
    if c is None or (covered := c.promised.value) is None or not c.too_narrow:
        return []
    return [
        f": the {100 * c.level:.0f} % intervals cover only {100 * covered:.0f} % of windows"
        f"{weighed(c)}"
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
