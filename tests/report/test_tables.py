"""What the tables say of made-up results, in every format."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from streamnet_plugin.report import csvs, tables
from streamnet_plugin.report.cells import (
    Cell,
    Grid,
    common_mae,
    interval,
    marks,
    number,
    p_value,
    places,
    same_windows,
)
from streamnet_plugin.report.latex import LETTERS, escape_latex, latex
from streamnet_plugin.report.pairs import friedman, pair_of, verdict
from streamnet_plugin.report.reference import References, references_for
from streamnet_plugin.report.render import html, markdown
from streamnet_plugin.report.results import FailureRow
from streamnet_plugin.report.writer import n_files, read_results, write_results
from streamnet_plugin.statistics.results import Interval, PairTest, RankTest

PURE_REFERENCES = references_for("PURE", "neurips-2023")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (float("nan"), "—"), (-0.001, "0.00"), (-0.006, "-0.01"), (2.345, "2.35"),
     (float("inf"), "∞"), (float("-inf"), "-∞")],
)  # fmt: skip
def test_numbers(value, text):
    assert number(value) == text


def test_intervals_are_scaled_and_left_out_where_half_is_missing():
    assert interval(Interval(0.9, 0.8, 1.0), scale=100, digits=0) == "90 [80, 100]"
    assert interval(Interval(2.0, 1.0, None)) == "2.00"
    assert interval(Interval(None, 1.0, 2.0)) == "—"


@pytest.mark.parametrize(
    ("low", "high", "text", "turned"),
    [
        # 0 is rejected, though not the shifts beside it:
        (-17.584, -1e-9, "-5.27 [-17.58, < 0]", "5.27 [> 0, 17.58]"),
        (-17.584, 0.0, "-5.27 [-17.58, 0.00]", "5.27 [0.00, 17.58]"),
        (-17.584, 0.004, "-5.27 [-17.58, > 0]", "5.27 [< 0, 17.58]"),
        (-17.584, -0.006, "-5.27 [-17.58, -0.01]", "5.27 [0.01, 17.58]"),
        (None, None, "-5.27", "5.27"),
    ],
)
def test_an_interval_that_leaves_out_0_does_not_end_with_it(analysed, low, high, text, turned):
    pair = replace(analysed.analysis.pairs[0], difference=Interval(-5.27, low, high))
    results = replace(analysed, analysis=replace(analysed.analysis, pairs=(pair,)))
    assert tables.pairs_table(results).rows[0][3] == Cell(text, -5.27)
    assert text.replace("<", "&lt;") in tables.to_markdown(results)
    assert f"B, the next: difference {turned} bpm" in verdict(results)


def test_small_p_values_are_bounds():
    assert [p_value(p) for p in (None, 0.0004, 0.0314, 1.0)] == ["—", "< 0.001", "0.031", "1.000"]


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1), st.none() | st.floats(0, 3, allow_nan=False), max_size=6
    ),
    st.booleans(),
)
def test_places_agree_with_a_count_of_better_values(values, higher):
    marks = places(values, higher)
    printed = {name: float(f"{v:.2f}") for name, v in values.items() if v is not None}
    if len(set(printed.values())) < 2:  # nothing was compared, or nothing differs
        printed = {}
    for name, value in printed.items():
        better = {v for v in printed.values() if (v > value if higher else v < value)}
        assert marks.get(name, "") == {0: "best", 1: "second"}.get(len(better), "")
    assert set(marks) <= set(printed)


def test_every_value_has_its_interval_where_there_is_one(analysed):
    lines = tables.to_markdown(analysed).splitlines()
    row = next(line for line in lines if line.startswith("| A_net"))
    assert "**1.00 [0.50, 1.75]**" in row
    assert "**2.00**" in row
    assert "85 [70, 95]" in row
    assert "±" not in "\n".join(lines)
    assert "95 % confidence interval" in lines[0]
    assert "- what could not be done" in lines


def test_uncertainty_has_its_own_table_with_scores_ranked_and_coverage_not(analysed):
    grid = tables.uncertainty_table(analysed)
    a = dict(zip(grid.columns, grid.rows[0], strict=True))
    assert a["PICP 90 (%)"] == Cell("88 [80, 95]", 88.0)
    assert a["PICP 80 (%)"].text == "—"
    assert a["Mean width 90 (bpm)"] == Cell("12.34", 12.34)
    assert a["Winkler 90 (bpm)"] == Cell("16.00", 16.0, "best")
    assert a["Mean spread (bpm)"].text == "2.00"
    assert a["Calibration error (%)"].text == "3.10"
    assert a["Spearman"].text == "0.61 [0.40, 0.75]"
    assert a["AURC (bpm)"] == Cell("0.50", 0.5, "best")
    assert a["Withheld (%)"].text == "25"
    assert a["MAE of the kept (bpm)"].text == "0.50 [0.25, 1.00]"
    assert [r[grid.columns.index("AURC (bpm)")].mark for r in grid.rows] == ["best", "second"]
    errors = [0.0, 0.05]  # 0 by luck in a few windows is no merit
    methods = tuple(
        replace(m, uncertainty=replace(m.uncertainty, calibration_error=e))
        for m, e in zip(analysed.analysis.methods, errors, strict=True)
    )
    lucky = replace(analysed, analysis=replace(analysed.analysis, methods=methods))
    column = grid.columns.index("Calibration error (%)")
    assert [r[column] for r in tables.uncertainty_table(lucky).rows] == [
        Cell("0.00", 0.0), Cell("5.00", 5.0)
    ]  # fmt: skip
    assert "A_net, B: 20 of 20 intervals at 95 % are infinite" in grid.notes[0]
    assert "B, setup talking: 90 % intervals cover only 70 %" in grid.notes


def test_a_method_alone_is_not_the_best(build):
    results = build({"net": {"s1": (1.0, 2.0)}})
    assert "**" not in tables.to_markdown(results)
    assert "textbf" not in tables.to_latex(results)
    assert tables.ranks(results, "MAE") == (set(), set())
    with_nothing = build({"net": {"s1": (1.0, 2.0)}, "dead": {"s1": (None, None)}})
    assert "**" not in tables.to_markdown(with_nothing)


@pytest.mark.parametrize(("high", "warned"), [(0.89, True), (0.9, False), (None, False)])
def test_intervals_that_hold_too_little_over_all_windows_are_said_below_the_table(
    analysed, high, warned
):
    methods = analysed.analysis.methods
    levels = tuple(
        replace(c, picp=Interval(0.7, 0.5, high)) if c.level == 0.9 else c
        for c in methods[0].uncertainty.levels
    )
    low = replace(methods[0], uncertainty=replace(methods[0].uncertainty, levels=levels))
    changed = replace(analysed, analysis=replace(analysed.analysis, methods=(low, methods[1])))
    said = [note for note in tables.footnotes(changed) if "90 % intervals hold" in note]
    note = "A_net: its 90 % intervals hold the true HR in only 70 [50, 89] % of all windows; "
    assert said == [f"{note}do not rely on them."] * warned


def test_an_infinite_width_is_shown_as_such(analysed):
    methods = analysed.analysis.methods
    levels = tuple(
        replace(c, mean_width=None, n_infinite=c.n_windows) for c in methods[0].uncertainty.levels
    )
    lost = replace(methods[0], uncertainty=replace(methods[0].uncertainty, levels=levels))
    changed = replace(analysed, analysis=replace(analysed.analysis, methods=(lost, methods[1])))
    grid = tables.uncertainty_table(changed)
    column = grid.columns.index("Mean width 90 (bpm)")
    assert [row[column].text for row in grid.rows] == ["∞", "12.34"]


def test_methods_in_different_windows_are_ranked_on_the_common_ones_only(build):
    subjects = {f"s{i}": (1.0, 9.0) for i in range(3)}
    easy = {f"s{i}": (2.0, None) for i in range(3)}
    results = build({"whole": subjects, "easy windows only": easy})
    assert tables.ranks(results, "MAE") == (set(), set())
    grid = tables.main_table(results)
    common = [row[grid.columns.index("MAE in 3 common windows (bpm)")] for row in grid.rows]
    assert common == [Cell("1.00", 1.0, "best"), Cell("2.00", 2.0, "second")]
    assert not any(c.mark for row in grid.rows for c in row if c not in common)
    assert any("not marked" in note for note in grid.notes)
    rows = list(csv.DictReader(tables.to_csv(results).splitlines()))
    assert [(r["n_common_windows"], r["MAE common"]) for r in rows] == [("3", "1.0"), ("3", "2.0")]


def with_metric(results, name, values):
    methods = tuple(
        replace(m, metrics={**m.metrics, name: value})
        for m, value in zip(results.analysis.methods, values, strict=True)
    )
    return replace(results, analysis=replace(results.analysis, methods=methods))


@pytest.mark.parametrize(
    ("metric", "best"),
    [("beat F1 (%)", "B"), ("within 3 bpm", "B"), ("MACC", "B"), ("SDNN error (ms)", "A_net")],
)
def test_which_way_round_is_better_is_one_rule(analysed, metric, best):
    results = with_metric(analysed, metric, (Interval(61.0), Interval(97.0)))
    assert marks(results, metric) == {best: "best", ({"A_net", "B"} - {best}).pop(): "second"}


@pytest.mark.parametrize(
    ("missing", "marked"),
    [
        (((), ()), True),
        ((("PURE/00-01",), ("PURE/00-01",)), True),
        (((), ("PURE/00-01",)), False),
        ((("PURE/00-01",), ("PURE/01-01",)), False),
        ((tuple(f"PURE/{i:02d}-01" for i in range(6)),) * 2, False),  # of 10 videos
    ],
)
def test_beats_are_ranked_only_in_the_same_and_enough_videos(analysed, missing, marked):
    values = [Interval(10.0 + i, missing=m) for i, m in enumerate(missing)]
    results = with_metric(analysed, "IBI error (ms)", values)
    assert bool(marks(results, "IBI error (ms)")) is marked
    assert bool(marks(results, "MAE"))


def test_methods_of_different_datasets_have_no_best(build):
    a = build({"m1": {"s1": (1.0, 2.0)}}, dataset="UBFC-rPPG")
    b = build({"m2": {"s1": (9.0, 8.0)}}, dataset="PURE")
    results = replace(a, summaries=a.summaries + b.summaries, rows=a.rows + b.rows)
    text = tables.to_markdown(results)
    assert "**" not in text
    assert "no window has a result of every method" in text
    assert "common window" not in text


def test_a_few_windows_with_a_result_mark_nobody(build):
    few = (1.0, None, None, None)
    results = build({"a": {"s": few}, "b": {"s": (3.0, None, None, None)}})
    assert "**" not in tables.to_markdown(results)
    assert "less than half of the windows have a result" in tables.to_markdown(results)


def test_the_snr_of_other_windows_ranks_nobody(build):
    results = build({"a": {"s": (1.0, 2.0)}, "b": {"s": (3.0, 4.0)}})
    summaries = tuple(
        replace(s, values={**s.values, "SNR": (float(i), 0.1)})
        for i, s in enumerate(results.summaries)
    )
    results = replace(results, summaries=summaries)
    assert marks(results, "SNR") == {"b": "best", "a": "second"}
    rows = tuple(
        replace(r, snr_db=None) if (r.method, r.window) == ("a", 0) else r for r in results.rows
    )
    assert marks(replace(results, rows=rows), "SNR") == {}
    assert marks(replace(results, rows=rows), "MAE") == {"a": "best", "b": "second"}


def test_few_common_windows_mark_nobody(build):
    subjects = {f"s{i}": (1.0, 9.0) for i in range(3)}
    few = {"s0": (2.0, 3.0), "s1": (None, None), "s2": (None, None)}
    results = build({"all": subjects, "some": few})
    grid = tables.main_table(results)
    assert "MAE in 2 common windows (bpm)" in grid.columns
    assert not any(cell.mark for row in grid.rows for cell in row)
    assert any("less than half of the windows have a result of every" in n for n in grid.notes)


@pytest.mark.parametrize(
    ("lacking", "columns"),
    [
        ("half_widths", {"Winkler 90 (bpm)"}),
        ("spread", {"AURC (bpm)", "Excess AURC (bpm)"}),
    ],
)
def test_scores_of_other_windows_rank_nobody(analysed, lacking, columns):
    """The scores of uncertainty follow the rule of the main table, each in its own windows."""

    def marked_columns(results):
        grid = tables.uncertainty_table(results)
        return {grid.columns[i] for row in grid.rows for i, cell in enumerate(row) if cell.mark}

    before = marked_columns(analysed)
    assert columns < before
    first, *others = analysed.rows
    without = replace(first, **{lacking: {} if lacking == "half_widths" else None})
    assert marked_columns(replace(analysed, rows=(without, *others))) == before - columns


def test_the_methods_without_samples_do_not_hinder_those_with_some(analysed, conclude):
    quality = analysed.analysis.methods[0].uncertainty
    made = (
        conclude("A_net", 1.0, 0.5, 1.75, uncertainty=replace(quality, crps=1.0)),
        conclude("B", 3.0, 2.0, 4.5),
        conclude("C", 2.0, 1.0, 4.5, uncertainty=replace(quality, crps=2.0)),
    )
    more = [replace(r, method="C") for r in analysed.rows if r.method == "B"]
    rows = [r if r.method == "B" else replace(r, hr_mc_crps=1.0) for r in (*analysed.rows, *more)]
    results = replace(
        analysed,
        summaries=(*analysed.summaries, replace(analysed.summaries[1], method="C")),
        rows=tuple(rows),
        analysis=replace(analysed.analysis, methods=made),
    )
    grid = tables.uncertainty_table(results)
    column = grid.columns.index("CRPS (bpm)")
    assert [row[column].mark for row in grid.rows] == ["best", "", "second"]


def test_a_method_without_any_result_does_not_empty_the_common_windows(build):
    results = build({"a": {"s": (1.0, 2.0)}, "b": {"s": (3.0, 2.0)}, "c": {"s": (None, None)}})
    assert tables.ranks(results, "MAE") == ({"a"}, {"b"})


def test_the_verdict_reads_the_pair_either_way_round(analysed):
    expected = (
        "A_net against B, the next: difference -2.00 [-3.25, -0.50] bpm, p = 0.030 (Holm), "
        "10 subjects: significant at 5 %."
    )
    assert verdict(analysed) == expected
    pair = pair_of(analysed, "A_net", "B")
    other = replace(analysed, analysis=replace(analysed.analysis, pairs=(pair,)))
    assert (pair.effect.low, pair.effect.high) == (-1.0, -0.2)
    assert verdict(other) == expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"p_holm": 0.05}, "p = 0.050 (Holm), 10 subjects: not significant at 5 %."),
        ({"p_holm": None}, "p = 0.010 (uncorrected)"),
        ({"p_holm": 0.0001}, "p < 0.001 (Holm)"),
        (
            {"difference": Interval(-1.0, -2.0, -0.5)},
            "significant at 5 %, but over subjects it is B that is better.",
        ),
        (
            {"p": None, "p_holm": None, "reason": "3 subjects are too few"},
            "Whether A_net is better than B, the next, cannot be told: 3 subjects are too few.",
        ),
    ],
)
def test_the_verdict_claims_no_more_than_the_test(analysed, changes, says):
    pair = replace(analysed.analysis.pairs[0], **changes)
    results = replace(analysed, analysis=replace(analysed.analysis, pairs=(pair,)))
    assert says in verdict(results)


def test_without_a_test_of_the_next_the_verdict_names_whom_it_compares(build, analysis, conclude):
    results = build({m: {"s": (e,)} for m, e in (("a", 1.0), ("b", 2.0), ("c", 3.0))})
    methods = tuple(conclude(m, e, 0.0, 9.0) for m, e in (("a", 1.0), ("b", 2.0), ("c", 3.0)))
    pair = PairTest("a", "c", 9, Interval(-2.0, -3.0, -1.0), 0.01, 0.01, Interval(1.0))
    some = replace(results, analysis=analysis(methods=methods, pairs=(pair,)))
    assert verdict(some).startswith("a against c, number 3: difference -2.00")
    none = replace(results, analysis=analysis(methods=methods, pairs=()))
    assert verdict(none) == (
        "Whether a is better than b, the next, cannot be told: no test was made of them."
    )
    assert tables.pairs_table(none) is None


def test_pairs_and_friedman(analysed):
    grid = tables.pairs_table(analysed)
    assert [cell.text for cell in grid.rows[0]] == [
        "B - A_net", "Wilcoxon, exact", "10", "2.00 [0.50, 3.25]", "0.010", "0.030",
        "0.80 [0.20, 1.00]",
    ]  # fmt: skip
    assert grid.notes[-1] == (
        "Friedman's test over 10 subjects: chi-square 6.40, p = 0.011; mean ranks A_net 1.10, "
        "B 1.90; critical difference (Nemenyi, 5 %) 0.62."
    )
    alike = replace(analysed.analysis.ranks, cliques=(("A_net", "B"), ("B",)))
    both = replace(analysed, analysis=replace(analysed.analysis, ranks=alike))
    assert friedman(both).endswith("not significantly different: A_net, B.")


def test_too_few_subjects_give_a_reason_and_no_table(analysed, analysis):
    few = PairTest("A_net", "B", 2, Interval(-2.0), None, None, Interval(None), "", "2 are too few")
    ranks = RankTest(2, None, None, {}, None, reason="two methods only")
    results = replace(analysed, analysis=analysis(pairs=(few,), ranks=ranks))
    text = tables.to_markdown(results)
    assert "cannot be told: 2 are too few." in text
    assert "Friedman's test of all methods: none, two methods only." in text
    assert "| A_net - B" not in text
    assert "*" not in verdict(results)


def test_csv_keeps_its_columns_and_appends_the_intervals(analysed):
    plain = next(csv.reader(tables.to_csv(replace(analysed, analysis=None)).splitlines()))
    rows = list(csv.DictReader(tables.to_csv(analysed).splitlines()))
    assert list(rows[0])[: len(plain)] == plain
    expected = {
        "MAE": 1.0, "MAE SE": 0.1, "MAE low": 0.5, "MAE high": 1.75, "within 5 bpm": 85.0,
        "within 5 bpm low": 70.0, "PICP 90": 0.88, "mean width 90": 12.34, "n_withheld": 5,
        "withheld %": 25, "MAE of the kept": 0.5,
    }  # fmt: skip
    assert {name: float(rows[0][name]) for name in expected} == expected
    assert rows[0]["RMSE low"] == ""


def test_the_other_csvs(analysed):
    def read(text):
        return list(csv.DictReader(io.StringIO(text)))

    pair = read(csvs.pairs_csv(analysed))[0]
    assert (pair["a"], pair["difference"], pair["difference high"]) == ("B", "2.0", "3.25")
    assert (pair["p_holm"], pair["effect low"], pair["interval"]) == ("0.03", "0.2", "BCa")
    group = read(csvs.groups_csv(analysed))[0]
    assert (group["value"], group["MAE high"], group["coverage"]) == ("talking", "5.0", "0.7")
    lengths = read(csvs.lengths_csv(analysed))
    assert [(r["seconds"], r["MAE"], r["reason"]) for r in lengths] == [
        ("", "2.5", ""), ("5.0", "5.0", "few")
    ]  # fmt: skip
    uncertain = read(csvs.uncertainty_csv(analysed))
    assert [r["method"] for r in uncertain] == ["A_net", "B"]
    first = uncertain[0]
    assert (first["PICP 50"], first["Winkler 90"], first["n_infinite 95"]) == ("0.52", "16.0", "20")
    assert (first["CRPS"], first["AURC"], first["Spearman high"]) == ("", "0.5", "0.75")


def test_a_method_the_analysis_does_not_know_has_dashes(analysed):
    known = analysed.analysis.methods[:1]
    results = replace(analysed, analysis=replace(analysed.analysis, methods=known))
    grid = tables.uncertainty_table(results)
    assert {cell.text for cell in grid.rows[1][2:]} == {"—"}
    main = tables.main_table(results)
    assert main.rows[1][main.columns.index("MAE (bpm)")].text == "3.00"
    rows = list(csv.DictReader(tables.to_csv(results).splitlines()))
    assert rows[1]["PICP 90"] == ""


def test_the_terminal_shows_what_one_needs_in_100_columns(analysed):
    long = "PURE_PURE_UBFC_deepphys_with_a_long_name"
    first = analysed.summaries[0]
    metrics = dict.fromkeys(("MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC"), (12.34, 0.5))
    wide = replace(first, method=long, values=metrics)
    methods = tuple(replace(m, method=long) for m in analysed.analysis.methods[:1])
    results = replace(
        analysed,
        summaries=(wide, analysed.summaries[1]),
        analysis=replace(analysed.analysis, methods=(*methods, analysed.analysis.methods[1])),
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(tables.to_rich(results))
    text = console.export_text()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100
    for shown in ("1.00 [0.50, 1.75]", "12.34", "88", "25", "0 / 20"):
        assert shown in text
    assert "significant" in verdict(analysed)
    console.print(tables.to_rich(analysed))
    assert "significant at 5 %" in " ".join(console.export_text().split())


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("concluded", [True, False])
def test_no_terminal_is_too_narrow_for_a_column(analysed, width, concluded):
    long = "PURE_PURE_UBFC_deepphys_with_a_long_name"
    values = {
        m: (100.25 + i, 10.5 + i)
        for i, m in enumerate(("MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC", "MAE (refined)"))
    }
    results = replace(
        analysed,
        summaries=tuple(
            replace(s, method=s.method.replace("B", long), values=values)
            for s in analysed.summaries
        ),
        rows=tuple(replace(r, method=r.method.replace("B", long)) for r in analysed.rows[:-1]),
        analysis=replace(analysed.analysis, pairs=()) if concluded else None,
    )
    shown = tables.to_rich(results)
    assert any(name.startswith("MAE in") for name in shown.columns)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(shown)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for name, cells in shown.columns.items():
        numbers = [] if name in ("Method", "Variant") else [cell.text for cell in cells]
        for text in (*name.split(), *" ".join(numbers).split()):
            assert text in words
    folded = [line.split()[0] for line in lines if line.strip() and line[1] != " "]
    assert long in "".join(folded)
    if width == 200:
        assert sum("Method" in line for line in lines) == 1


def test_markup_in_names_is_not_obeyed_by_the_terminal(build):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(tables.to_rich(build({"[red]a[/]": {"s": (1.0,)}}, title="[bold]x[/bold]")))
    text = console.export_text()
    assert "[red]a[/]" in text
    assert "[bold]x[/bold]" in text


def test_reported_rows_stand_below_and_are_never_ranked(analysed):
    text = tables.to_markdown(analysed, PURE_REFERENCES)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [line for line in lines if "reported, not measured" in line]
    assert len(rows) == len(PURE_REFERENCES.rows)
    assert not any("*" in row for row in rows)
    assert lines.index(rows[0]) > next(i for i, line in enumerate(lines) if line.startswith("| B"))
    assert "| POS | reported, not measured | 3.67 |" in text
    assert "NeurIPS 2023" in text
    assert "reported" not in tables.to_markdown(analysed)


def test_reported_values_stand_in_their_own_columns(analysed):
    grid = tables.main_table(analysed, references_for("UBFC-rPPG", "neurips-2023"))
    row = dict(zip(grid.columns, grid.reported[-1], strict=True))
    assert row["Method"].text == "STREAM-Net, trained on PURE"
    assert row["MAE (bpm)"] == Cell("1.15", 1.151)
    assert row["RMSE (bpm)"].value == 2.715
    assert row["Pearson"].text == "—"


def test_a_better_reported_value_does_not_take_the_mark_of_the_best(build):
    results = build({"slow": {"s": (50.0,)}, "slower": {"s": (60.0,)}})
    text = tables.to_markdown(results, PURE_REFERENCES)
    assert "**50.00 ± 0.10**" in text
    assert "**3.67" not in text


def test_all_files_of_an_analysis_are_written_and_counted(analysed, tmp_path):
    seen = []
    folder = write_results(analysed, tmp_path / "r", plots=False, progress=seen.append)
    assert {p.name for p in folder.iterdir()} == {
        "results.json", "windows.csv", "table.md", "table.csv", "table.tex", "table.html",
        "pairs.csv", "groups.csv", "lengths.csv", "uncertainty.csv",
    }  # fmt: skip
    assert len(seen) == n_files(analysed, plots=False)
    assert read_results(folder) == analysed


# Markup, whatever the words are

WORDS = st.text(
    st.sampled_from("ab &%$#_{}~^\\|<>[]*\"'\n\t±—∞é中–×0"), max_size=8
) | st.text(max_size=4)  # fmt: skip


@st.composite
def any_grid(draw):
    n = draw(st.integers(1, 4))
    mark = st.sampled_from(["", "best", "second"])
    cell = st.builds(Cell, WORDS, st.none() | st.floats(), mark)
    row = st.tuples(*[cell] * n)
    return Grid(
        "g", draw(WORDS), draw(st.tuples(*[WORDS] * n)), tuple(draw(st.lists(row, max_size=3))),
        draw(st.integers(0, n)), tuple(draw(st.lists(row, max_size=2))),
        tuple(draw(st.lists(WORDS, max_size=2))),
    )  # fmt: skip


ACCENT = re.compile(r"\\[`'^~=\".uHvrc]\{[a-zA-Z]\}")


def unescaped(text):
    """LaTeX without its escaped characters, so that what is left has a meaning."""
    return re.sub(r"\\[&%$#_{}]|\$\^(\\circ|[23])\$", "", ACCENT.sub("", text))


def tabulars(text):
    """(alignment, [[cell, ...], ...]) of every table in the text, those in headings left out."""
    inner = re.sub(r"\\begin\{tabular\}\[b\]\{@\{\}[lr]@\{\}\}(.*?)\\end\{tabular\}", r"\1", text)
    for spec, body in re.findall(
        r"\\begin\{tabular\}\{([lr]*)\}\n(.*?)\n\\end\{tabular\}", inner, re.DOTALL
    ):
        rows = [line for line in body.splitlines() if not line.endswith("rule")]
        assert all(row.endswith(r" \\") for row in rows)
        yield spec, [re.sub(r"\\&", "", row).split(" & ") for row in rows]


@settings(max_examples=50)
@given(any_grid())
def test_latex_is_well_formed(grid):
    text = latex(grid)
    assert text.isascii()
    meaning = unescaped(text)
    assert "%" not in meaning  # would comment out the rest of its line
    assert not set(meaning) & set("#~^<>|")
    assert meaning.count("$") % 2 == 0
    depth = 0
    for c in meaning:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for spec, rows in tabulars(text):
        expected = [len(spec)] * (1 + len(grid.rows))
        assert [len(row) for row in rows][: len(expected)] == expected
        for row in rows[len(expected) :]:
            assert len(row) == (1 if "multicolumn" in row[0] else len(spec))
    for line in text.splitlines():  # \\ and \midrule must not swallow a [ or * as an option
        assert not line.lstrip().startswith(("[", "*"))
    assert text.count(r"\par" + "\n") >= len(grid.notes)


def test_a_bracket_behind_a_row_end_is_no_option_of_it():
    grid = Grid("g", "c", ("a", "b"), ((Cell("x"), Cell("1")), (Cell("[2cm]"), Cell("2"))), 1)
    assert "\n{[}2cm{]} & 2 \\\\" in latex(grid)
    grid = Grid("g", "c", ("a", "b"), ((Cell("x"), Cell("1")), (Cell("*"), Cell("2"))), 1)
    assert "\n{*} & 2 \\\\" in latex(grid)


@pytest.mark.parametrize(
    ("text", "latex_text"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        ("#1 ~x^ \\ {y} $", r"\#1 \textasciitilde{}x\textasciicircum{} \textbackslash{} \{y\} \$"),
        ("1.0 ± 0.5 × ≥ – —", r"1.0 $\pm$ 0.5 $\times$ $\geq$ -- ---"),
        ("Zoë Ångström", r"Zo\"{e} \r{A}ngstr\"{o}m"),
        ("中", "U+4E2D"),
        ("-2.02 [-3.10, -0.50]", "$-$2.02 {[}$-$3.10, $-$0.50{]}"),
        ("-∞", r"$-$$\infty$"),
        ("0.6-3.3 Hz, TS-CAN, a--b", "0.6-3.3 Hz, TS-CAN, a-{}-b"),
    ],
)
def test_what_latex_reads_is_what_was_meant(text, latex_text):
    assert escape_latex(text) == latex_text


def test_a_hyphen_in_a_name_is_no_minus():
    grid = Grid("g", "c", ("a", "b"), ((Cell("net -5"), Cell("-5.00", -5.0)),), 1)
    assert r"net -5 & $-$5.00 \\" in latex(grid)


def test_latex_has_the_notes_and_says_what_it_needs(analysed):
    failed = FailureRow("s_9", "p", "truncated at 50 %", "copy it again", dataset="PURE")
    results = replace(analysed, notes=("Trained on A & B.",), failures=(failed,))
    results = replace(results, convention="neurips-2023 (0.75-2.5 Hz)")
    text = tables.to_latex(results, PURE_REFERENCES)
    assert text.startswith(r"% needs \usepackage{booktabs}\usepackage{adjustbox}" + "\n")
    first, *_ = text.split(r"\end{table*}")
    for note in (
        "cluster bootstrap over subjects", r"Trained on A \& B.", r"truncated at 50 \%",
        "what could not be done", "Reported by: rPPG-Toolbox paper", "significant at 5",
    ):  # fmt: skip
        assert note in first
    assert first.index(r"\end{adjustbox}") < first.index("truncated at")
    why_not = tables.to_latex(analysed, References((), "Published results do not compare."))
    assert "Published results do not compare." in why_not
    for name in ("main", "uncertainty", "pairs"):
        assert rf"\label{{tab:streamnet-{name}}}" in text
    assert text.count(r"\caption{") == 3
    assert text.count(r"\begin{adjustbox}{max width=\linewidth}") == text.count("{tabular}{")


@pytest.mark.parametrize("fragment", [tables.to_markdown, tables.to_html])
def test_every_format_has_the_same_notes(analysed, fragment):
    failed = FailureRow("s_9", "p", "cut short", "copy it again", dataset="PURE")
    results = replace(analysed, notes=("Trained on A.",), failures=(failed,))
    text = fragment(results, References((), "Published results do not compare."))
    for note in tables.main_table(results).notes:
        assert note in text
    assert "No result for s_9: cut short" in text
    assert "Published results do not compare." in text


def test_what_is_too_high_for_a_page_goes_on_in_another_float():
    rows = tuple((Cell(f"name {i}"), Cell(f"{i}.00", float(i))) for i in range(100))
    published = ((Cell("theirs"), Cell("9.00", 9.0)),)
    notes = tuple(f"note {i}: " + 30 * "words " for i in range(60))
    text = latex(Grid("g", "What it is.", ("a", "b"), rows, 1, published, notes))
    floats = text.split(r"\end{table*}")[:-1]
    assert len(floats) > 3
    assert max(part.count(r" \\") for part in floats) <= 45
    assert max(part.count(r"words \par") for part in floats) <= 30
    names = [row[0] for _, table in tabulars(text) for row in table[1:]]
    wanted = [f"name {i}" for i in range(100)]
    assert names == [*wanted, r"\multicolumn{2}{l}{\emph{Reported, not measured}} \\", "theirs"]
    assert re.findall(r"note (\d+):", text) == [str(i) for i in range(60)]
    assert text.count(r"\label{tab:streamnet-g}") == text.count("What it is.") == 1
    assert text.count(r"\addtocounter{table}{-1}") == len(floats) - 1


def test_wide_tables_continue_below_with_the_methods_again(analysed):
    columns = ("Method", *(f"Column number {i}" for i in range(12)))
    row = (Cell("a_b & 50%"), *(Cell(f"1{i}.00 [0.00, 20.00]", 1.0) for i in range(12)))
    published = (Cell("theirs"), Cell("9.00", 9.0), *[Cell("—")] * 11)
    grid = Grid("g", "c", columns, (row,), 1, (published,))
    parts = list(tabulars(latex(grid)))
    assert len(parts) > 1
    for _, rows in parts:
        assert rows[0][0] == "Method"
        assert rows[1][0] == r"a\_b  50\%"  # `tabulars` drops an escaped &
        assert sum(len("10.00 [0.00, 20.00]") for _ in rows[1][1:]) <= LETTERS
    assert sum(len(rows[1]) - 1 for _, rows in parts) == 12
    assert "theirs" in str(parts[0])
    assert "theirs" not in str(parts[1:])  # has no number there


@given(any_grid())
def test_markdown_rows_have_one_cell_per_column(grid):
    lines = markdown(grid).splitlines()
    assert len(lines) == 2 + len(grid.rows) + len(grid.reported) + bool(grid.reported)
    for line in lines:
        pipes = re.sub(r"\\[\\|]", "", line).count("|")
        assert pipes == len(grid.columns) + 1


class Table(HTMLParser):
    """Collects the cells of each row; fails on a tag that the grid did not make."""

    KNOWN = ("table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "u", "ul", "li")

    def __init__(self):
        super().__init__()
        self.rows, self.open, self.values = [], [], []

    def handle_starttag(self, tag, attrs):
        assert tag in self.KNOWN
        self.open.append(tag)
        self.values += [value for name, value in attrs if name == "data-value"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@given(any_grid())
def test_html_reads_back_as_the_same_words(grid):
    page = Table()
    page.feed(html(grid))
    page.close()
    assert page.open == []

    def words(texts):
        printable = ("".join(c if c.isprintable() else " " for c in text) for text in texts)
        return [" ".join(text.split()) for text in printable]

    measured = [words(c.text for c in row) for row in grid.rows]
    assert page.rows[: 1 + len(measured)] == [words(grid.columns), *measured]
    reported = [words(c.text for c in row) for row in grid.reported]
    assert page.rows[1 + len(measured) :] == (
        [["Reported, not measured"], *reported] if reported else []
    )
    assert not {"nan", "inf", "-inf"} & set(page.values)


def test_windows_of_another_truth_are_not_in_the_common_mae(build):
    results = build({"A": {"s": (1.0, 3.0)}, "B": {"s": (2.0, 4.0)}})
    assert same_windows(results)
    assert common_mae(results) == (2, {"A": 2.0, "B": 3.0})
    other = replace(results.rows[3], hr_label=90.0, hr_label_refined=90.0)
    changed = replace(results, rows=(*results.rows[:3], other))
    assert not same_windows(changed)
    assert common_mae(changed) == (1, {"A": 1.0, "B": 2.0})
    # A step of the FFT's grid alone is what two forms of one label may differ by.
    step = replace(results.rows[3], hr_label=results.rows[3].hr_label + 3.5)
    assert same_windows(replace(results, rows=(*results.rows[:3], step)))
