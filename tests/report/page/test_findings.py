"""The summary says what the results say, and says when they do not tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamnet_plugin.report.findings import best_first, common_windows, find, told
from streamnet_plugin.report.pairs import pair_of
from streamnet_plugin.statistics.results import Analysis, Interval, PairTest

NOTHING = Interval(None, reason="one subject")


@pytest.fixture
def complete(analysed):
    """Every method has a result in every window."""
    rows = tuple(r for r in analysed.rows if r.recording != "subject2")
    return replace(analysed, rows=rows)


def without(results, **changes):
    return replace(results, analysis=replace(results.analysis, **changes))


def pairs(results, **by_other):
    """Tests of STREAMNet against others: name -> (difference, corrected p)."""
    found = tuple(
        PairTest("STREAMNet", other, 6, Interval(d, d - 1, d + 1), 0.001, p, Interval(0.5), "W")
        for other, (d, p) in by_other.items()
    )
    return without(results, pairs=found)


def answers(results):
    return find(results).answers


def changed(results, method, **changes):
    methods = (replace(m, **changes) if m.method == method else m for m in results.analysis.methods)
    return without(results, methods=tuple(methods))


def test_the_smallest_error_is_the_best(complete):
    order = best_first(complete)
    assert order == ["STREAMNet", "POS", "GREEN"]
    mae = complete.analysis.methods[0].metrics["MAE"]
    assert answers(complete)[0].short == "STREAMNet"
    assert told(mae) in answers(complete)[0].detail
    assert "5 subjects" in answers(complete)[0].detail


def test_methods_with_other_windows_compare_on_the_common_ones(analysed):
    easy = [r for r in analysed.rows if r.method == "GREEN" and r.abs_error is not None]
    best = min(easy, key=lambda r: r.abs_error)
    others = [r for r in analysed.rows if r.method != "GREEN"]
    rows = (*others, replace(best, abs_error=0.01))
    n, maes = common_windows(replace(analysed, rows=rows))
    assert n == 1
    assert maes["GREEN"] == 0.01
    results = replace(analysed, rows=rows)
    assert best_first(results)[0] == "GREEN"
    assert "in the 1 window in which all have a result" in answers(results)[0].detail


def test_equal_errors_share_the_place(complete):
    mae = Interval(1.004, 0.5, 1.5)
    tied = changed(complete, "STREAMNet", metrics={"MAE": mae})
    tied = changed(tied, "POS", metrics={"MAE": replace(mae, value=0.996)})
    assert answers(tied)[0].short == "POS and STREAMNet"
    assert "share the smallest error" in find(tied).sentences[0]


@pytest.mark.parametrize(
    ("others", "short"),
    [
        ({"POS": (-1.0, 0.01), "GREEN": (-2.0, 0.0001)}, "Yes, against all 2 others"),
        ({"POS": (-1.0, 0.2), "GREEN": (-2.0, 0.01)}, "Only against 1 of 2"),
        ({"POS": (-1.0, 0.2), "GREEN": (-2.0, 0.05)}, "No"),
        ({"POS": (1.0, 0.01), "GREEN": (2.0, 0.01)}, "No"),
        ({"GREEN": (-2.0, 0.01)}, "Only against 1 of 2; against 1 it cannot be told"),
        ({"GREEN": (-2.0, 0.2)}, "No against 1 of 2; against 1 it cannot be told"),
    ],
)
def test_significance_in_a_few_words(complete, others, short):
    assert answers(pairs(complete, **others))[1].short == short


def against(results, baseline, p, reason=""):
    """Tests of every other method against a baseline, as `--baseline` makes them."""
    found = tuple(
        PairTest(m.method, baseline, 6, Interval(-1.0, -2.0, 0.5), p, p, NOTHING, "W", reason)
        for m in results.analysis.methods
        if m.method != baseline
    )
    return without(results, pairs=found, ranks=None)


@pytest.mark.parametrize(
    ("p", "short", "detail"),
    [
        (0.01, "Yes, tested against POS alone", "STREAMNet is significantly better than POS"),
        (0.2, "No, tested against POS alone", "STREAMNet is not significantly different from POS"),
        (None, "Cannot be told", "Against POS it cannot be told: 1 subject is too few."),
    ],
)
def test_a_baseline_is_all_that_is_said_to_be_tested(complete, p, short, detail):
    """GREEN was not to be tested against the best: that is no gap in what is known."""
    found = find(against(complete, "POS", p, "" if p else "1 subject is too few"))
    assert found.answers[1].short == short
    assert found.answers[1].detail.startswith(detail)
    told = "No other method was to be tested against" if p is None else "Tested against POS alone"
    assert found.answers[1].detail.endswith(f"{told} (--baseline).")
    assert "GREEN" not in found.answers[1].detail
    assert "no test was made" not in " ".join(found.sentences)


def test_a_baseline_that_is_the_best_is_tested_against_all(complete):
    tested = answers(against(complete, "STREAMNet", 0.2))[1]
    assert tested.short == "No"
    assert "alone" not in tested.detail


def test_a_baseline_without_a_result_says_why_nothing_is_told(complete):
    nameless = tuple(s for s in complete.summaries if s.method != "GREEN")
    results = replace(complete, summaries=nameless)
    found = answers(against(results, "GREEN", None, "0 subjects in common"))[1]
    assert found.short == "Cannot be told"
    assert found.detail.startswith("Against GREEN it cannot be told: 0 subjects in common.")


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.7, -0.002, "0.30 [> 0, 0.70] bpm."),
        (-0.7, 0.002, "0.30 [< 0, 0.70] bpm."),
        (-0.7, 0.2, "0.30 [−0.20, 0.70] bpm."),
    ],
)
def test_the_difference_is_told_as_the_table_prints_it(complete, low, high, says):
    """An end of 0.00 would hide whether 0 is in the interval."""
    test = PairTest("STREAMNet", "POS", 6, Interval(-0.3, low, high), 0.04, 0.04, NOTHING, "W")
    sentence = find(without(complete, pairs=(test,))).sentences[1]
    assert sentence.startswith("The next, POS, ")
    assert sentence.endswith(f"typical difference (Hodges-Lehmann) is {says}")


def test_the_largest_p_and_the_subjects_are_named(complete):
    detail = answers(pairs(complete, POS=(-1.0, 0.012), GREEN=(-2.0, 0.004)))[1].detail
    assert "POS and GREEN" in detail
    assert "p ≤ 0.012" in detail
    assert "Holm-corrected, W, 6 subjects" in detail


def test_the_other_way_round_is_named(complete):
    detail = answers(pairs(complete, POS=(1.0, 0.01), GREEN=(-2.0, 0.01)))[1].detail
    assert "Over subjects POS is significantly better" in detail


def test_a_pair_is_found_from_either_side(complete):
    results = pairs(complete, POS=(-1.0, 0.01))
    turned = pair_of(results, "POS", "STREAMNet")
    assert (turned.difference.value, turned.difference.low, turned.difference.high) == (1, 0, 2)
    assert turned.effect.value == -0.5
    assert pair_of(results, "POS", "GREEN") is None


def test_too_few_subjects_are_said_and_no_p_is_made_up(complete):
    untested = tuple(
        PairTest("STREAMNet", m, 1, NOTHING, None, None, NOTHING, reason="1 subject is too few")
        for m in ("POS", "GREEN")
    )
    found = find(without(complete, pairs=untested, ranks=None))
    assert found.answers[1].short == "Cannot be told"
    assert found.answers[1].detail.startswith(
        "Against POS and GREEN it cannot be told: 1 subject is too few."
    )
    assert not any("p =" in s for s in found.sentences)


def test_every_reason_why_there_is_no_test_is_told_of_its_own_methods(complete):
    untested = tuple(
        PairTest("STREAMNet", m, 9, NOTHING, None, None, NOTHING, reason=reason)
        for m, reason in (("POS", "4 of them with a difference"), ("GREEN", "5 of them"))
    )
    detail = answers(without(complete, pairs=untested))[1].detail
    assert "Against POS it cannot be told: 4 of them with a difference." in detail
    assert "Against GREEN it cannot be told: 5 of them." in detail


@pytest.mark.parametrize(
    ("p", "nemenyi", "says"),
    [
        (0.006, (), "differ (Friedman's test, p = 0.006, 6 subjects), though no test says which"),
        (
            0.0004,
            (("GREEN", "STREAMNet", 0.01), ("POS", "STREAMNet", 0.2)),
            "differ (Friedman's test, p < 0.001, 6 subjects); Nemenyi's test tells STREAMNet from "
            "GREEN.",
        ),
        (0.2, (), ""),
    ],
)
def test_friedmans_test_stands_in_the_summary_where_it_finds_something(complete, p, nemenyi, says):
    ranks = replace(complete.analysis.ranks, p=p, nemenyi=nemenyi)
    found = find(without(pairs(complete, POS=(-1.0, 0.2), GREEN=(-2.0, 0.3)), ranks=ranks))
    assert says in found.answers[1].detail
    assert ("Friedman" in " ".join(found.sentences)) == bool(says)


def test_old_results_are_not_tested(complete):
    found = find(replace(complete, analysis=None))
    assert found.answers[0].short == "STREAMNet"
    assert found.answers[1].short == "Not tested"
    assert any("no statistics" in s for s in found.sentences)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.80, 0.95, "as they promise"),
        (0.70, 0.89, "less than they promise"),
        (0.91, 0.99, "more than they promise"),
        (None, None, "cannot be judged"),
    ],
)
def test_coverage_against_its_promise(complete, low, high, words):
    quality = complete.analysis.methods[0].uncertainty
    levels = tuple(
        replace(c, picp=Interval(0.9, low, high)) if c.level == 0.9 else c for c in quality.levels
    )
    results = changed(complete, "STREAMNet", uncertainty=replace(quality, levels=levels))
    sentence = next(s for s in find(results).sentences if "90 % intervals" in s)
    assert words in sentence
    low_caution = any("cover only 90 %" in c for c in find(results).cautions)
    assert low_caution == (words == "less than they promise")


def test_the_promise_is_kept_or_broken_by_subject(complete):
    """Where hard subjects have more windows, the share of windows says something else."""
    quality = complete.analysis.methods[0].uncertainty
    pooled, each = Interval(0.75, 0.70, 0.80), Interval(0.92, 0.86, 0.96)
    for picp, by_subject, words in (
        (pooled, each, "as they promise"),
        (each, pooled, "less than they promise"),
    ):
        levels = tuple(replace(c, picp=picp, by_subject=by_subject) for c in quality.levels)
        results = changed(complete, "STREAMNet", uncertainty=replace(quality, levels=levels))
        sentence = next(s for s in find(results).sentences if "90 % intervals" in s)
        share = round(100 * by_subject.value)
        assert f"in {share} % " in sentence
        assert f"of windows, every subject weighing the same, {words}" in sentence
        assert any(f"cover only {share} %" in c for c in find(results).cautions) == (
            words == "less than they promise"
        )


def test_withheld_windows_are_counted(complete):
    results = changed(
        complete, "STREAMNet", n_withheld=5, n_windows=12, kept_mae=Interval(0.5, 0.4, 0.6)
    )
    sentence = find(results).sentences[-1]
    assert "5 of its 12 windows (42 %) are better withheld" in sentence
    assert "0.50 bpm (0.40 to 0.60)" in sentence


def test_all_withheld_is_trusted_nowhere(complete):
    results = changed(complete, "STREAMNet", n_withheld=15, n_windows=15, kept_mae=NOTHING)
    assert answers(results)[2].short == "In every window: all 15 are withheld"
    assert answers(results)[2].detail == "None of STREAMNet's heart rates is to be relied on."
    assert "none stays" in find(results).sentences[-1]


@pytest.fixture
def harmless(complete, make_results):
    """24 subjects, small errors, nothing withheld, nothing noted."""
    made = make_results(n_subjects=24, n_windows=1)
    rows = tuple(replace(r, abs_error=min(r.abs_error, 9.0)) for r in made.rows if r.abs_error)
    analysis = replace(made.analysis, groups=(), notes=())
    return replace(made, rows=rows, notes=(), failures=(), analysis=analysis)


def test_no_warning_where_there_is_none(harmless):
    assert find(harmless).cautions == ()
    assert answers(harmless)[2].short == "No warning"


def test_what_a_small_mean_error_hides_is_a_warning(harmless):
    """Gross errors, withheld windows and few people, each of the best method, each counted."""
    far = {("STREAMNet", "subject1"), ("STREAMNet", "subject7"), ("POS", "subject3")}
    rows = tuple(
        replace(r, abs_error=10.5) if (r.method, r.recording) in far else r for r in harmless.rows
    )
    gross = replace(harmless, rows=rows)
    assert find(gross).cautions == (
        "STREAMNet: 2 of 24 windows are off by more than 10 bpm, in 2 recordings.",
    )
    assert answers(gross)[2].short == "1 caution"
    withheld = changed(harmless, "STREAMNet", n_withheld=7, n_windows=24)
    assert find(withheld).cautions == ("STREAMNet: 7 of 24 windows are better withheld.",)
    assert answers(withheld)[2].short == "Where it is withheld: in 29 % of its windows"
    few = replace(harmless, rows=tuple(r for r in harmless.rows if r.subject < "s19"))
    assert find(few).cautions == ("10 subjects: fewer than 20 say little of people at large.",)
    noted = without(few, notes=("10 subjects: too few for this",))
    assert find(noted).cautions == ("10 subjects: too few for this.",)


@pytest.mark.parametrize(
    "note",
    [
        "3 of 3 pairs with ties between subjects: p is exact given these",
        "Holm's correction is over the 10 of 28 pairs that can be tested",
    ],
)
def test_how_a_test_was_made_is_no_caution(harmless, note):
    assert find(without(harmless, notes=(note,))).cautions == ()


def test_methods_that_share_no_window_have_no_best(complete):
    """Two datasets: the order of their errors says nothing."""
    rows = tuple(
        replace(r, dataset="PURE") if r.method == "POS" else r
        for r in complete.rows
        if r.method != "GREEN"
    )
    results = replace(complete, rows=rows, summaries=complete.summaries[:2])
    found = find(results)
    assert [a.short for a in found.answers] == [
        "Cannot be told", "Cannot be told", "Not as a comparison"
    ]  # fmt: skip
    assert "smallest" not in " ".join(found.sentences)


def test_a_method_alone_is_not_called_the_best(complete):
    alone = replace(
        complete, summaries=complete.summaries[:1],
        rows=tuple(r for r in complete.rows if r.method == "STREAMNet"),
    )  # fmt: skip
    first = find(alone).sentences[0]
    assert first.startswith("STREAMNet has an MAE of")
    assert first.endswith("there is no other method to compare.")
    assert "smallest" not in answers(alone)[0].detail


def test_where_all_are_alike_nobody_is_the_best_or_the_next(complete):
    tied = complete
    for method in ("STREAMNet", "POS", "GREEN"):
        tied = changed(tied, method, metrics={"MAE": Interval(1.0, 0.5, 1.5)})
    found = find(tied)
    assert found.answers[0].short == "None"
    assert "all 3 methods have the same" in found.answers[0].detail
    assert "next" not in " ".join(found.sentences)
    two = changed(tied, "GREEN", metrics={"MAE": Interval(2.0, 1.0, 3.0)})
    assert "The next, GREEN, has 2.00 bpm" in find(two).sentences[1]


def test_the_error_of_a_place_is_that_of_the_windows_it_was_given_for(analysed):
    n, maes = common_windows(analysed)
    detail = answers(analysed)[0].detail
    assert f"MAE {maes['STREAMNet']:.2f} bpm, 6 subjects" in detail
    assert f"in the {n} windows in which all have a result" in detail


def test_numbers_have_a_true_minus_and_zero_has_none():
    assert told(Interval(-0.001, -3.5, 0.2)) == "0.00 bpm (−3.50 to 0.20)"


def test_subjects_are_those_of_the_method(complete):
    rows = tuple(r for r in complete.rows if r.method != "STREAMNet" or r.subject != "s1")
    assert ", 4 subjects" in answers(replace(complete, rows=rows))[0].detail


def test_cautions_begin_with_what_holds_for_all_and_then_the_best(analysed):
    found = find(replace(analysed, notes=("subject1: dark.", *analysed.notes)))
    assert found.answers[2].short == "Where setup is talking"
    assert found.cautions[0].startswith("Synthetic faces")
    assert found.cautions[1].startswith("STREAMNet, POS and GREEN where setup is talking")
    assert "1 recording could not be used and is in no figure." in found.cautions
    assert "GREEN: 3 of 18 windows have no result and are not in the MAE." in found.cautions
    assert found.cautions[-1] == "subject1: dark."


def test_infinite_intervals_are_a_caution(complete):
    quality = complete.analysis.methods[0].uncertainty
    levels = tuple(replace(c, n_infinite=4, n_windows=15) for c in quality.levels)
    results = changed(complete, "STREAMNet", uncertainty=replace(quality, levels=levels))
    assert any("in 4 of 15 windows the 90 % interval is infinite" in c
               for c in find(results).cautions)  # fmt: skip


def test_the_same_caution_of_several_methods_is_one_line(complete):
    """The best method's own stand first, also where others share them."""
    results = replace(complete, notes=(), failures=(), analysis=replace(
        complete.analysis, groups=(), notes=()))  # fmt: skip
    for name, infinite in {"STREAMNet": 4, "POS": 4, "GREEN": 9}.items():
        quality = results.analysis.methods[0].uncertainty
        picp = Interval(0.8, 0.7, 0.85) if name == "GREEN" else Interval(0.9, 0.8, 0.95)
        levels = tuple(
            replace(c, n_infinite=infinite, n_windows=15, picp=picp) for c in quality.levels
        )
        quality = replace(quality, levels=levels)
        results = changed(results, name, uncertainty=quality)
    results = changed(results, "POS", n_withheld=15, n_windows=15)
    infinite = "windows the 90 % interval is infinite: too few subjects to calibrate it."
    assert find(results).cautions == (
        f"STREAMNet and POS: in 4 of 15 {infinite}",
        "5 subjects: fewer than 20 say little of people at large.",
        "POS: every window is withheld.",
        "GREEN: the 90 % intervals cover only 80 % of windows.",
        f"GREEN: in 9 of 15 {infinite}",
    )


def test_nothing_to_say_is_said(analysed):
    empty = replace(
        analysed, rows=(), summaries=(), failures=(), notes=(), analysis=Analysis(0.95, ())
    )
    found = find(empty)
    assert [a.short for a in found.answers] == ["None", "Cannot be told", "Not at all"]
    assert found.cautions == ()
    assert len(found.sentences) == 1
