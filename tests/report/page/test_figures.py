"""Figures: what they show is what the results say, and nothing is drawn from nothing."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.report import figures
from streamnet_plugin.report.figures import DOUBLE, DPI, SINGLE
from streamnet_plugin.statistics.results import Interval


def axes_of(drawn):
    return drawn.figure.axes[0]


def lines_at(drawn):
    """(x, y) of every line, as lists."""
    return [tuple(map(list, line.get_data())) for line in axes_of(drawn).get_lines()]


def without(analysed, **changes):
    return replace(analysed, analysis=replace(analysed.analysis, **changes))


def changed(analysed, method, **changes):
    methods = (
        replace(m, **changes) if m.method == method else m for m in analysed.analysis.methods
    )
    return without(analysed, methods=tuple(methods))


@pytest.fixture(scope="module")
def drawn(analysed):
    """Every figure by name."""
    return {d.name: d for d in figures.draw_figures(analysed)}


def test_every_figure_is_drawn_when_there_is_data(drawn):
    assert list(drawn) == [
        "forest", "critical-difference", "calibration", "risk-coverage", "lengths", "group-setup",
        "coverage-setup", "bland-altman-STREAMNet", "bland-altman-POS", "bland-altman-GREEN",
    ]  # fmt: skip


def test_without_an_analysis_only_what_the_windows_hold_is_drawn(analysed):
    bare = replace(analysed, analysis=None)
    assert figures.figure_names(bare) == [
        "forest", "bland-altman-STREAMNet", "bland-altman-POS", "bland-altman-GREEN",
    ]  # fmt: skip
    assert "standard error" in figures.forest(bare).alt
    assert "no limits" in figures.bland_altman(bare, "POS").alt


def test_no_result_no_figure(analysed):
    nothing = replace(
        analysed, analysis=None, rows=(),
        summaries=tuple(replace(s, values={"MAE": (None, None)}) for s in analysed.summaries),
    )  # fmt: skip
    assert figures.figure_names(nothing) == []


def test_the_forest_has_the_best_on_top_and_its_intervals(analysed, drawn):
    figure = drawn["forest"]
    axes = axes_of(figure)
    maes = {m.method: m.metrics["MAE"] for m in analysed.analysis.methods}
    order = sorted(maes, key=lambda m: maes[m].value)
    assert [t.get_text() for t in axes.get_yticklabels()] == order
    bottom, top = axes.get_ylim()
    assert bottom > top  # 0, the first, is above
    for y, method in enumerate(order):
        mae = maes[method]
        assert ([mae.low, mae.high], [y, y]) in lines_at(figure)
        assert f"{method} {mae.value:.2f} ({mae.low:.2f} to {mae.high:.2f})" in figure.alt


def test_a_method_without_interval_is_a_point(analysed):
    drawn = figures.forest(changed(analysed, "POS", metrics={"MAE": Interval(2.5)}))
    assert "POS 2.50;" in drawn.alt
    of_pos = [xs for xs, ys in lines_at(drawn) if ys[0] == 1]
    assert of_pos == [[2.5]]


def test_critical_difference_joins_what_is_not_different(analysed, drawn):
    figure = drawn["critical-difference"]
    test = analysed.analysis.ranks
    thick = [line for line in axes_of(figure).get_lines() if line.get_linewidth() == 2.5]
    assert len(thick) == len(test.cliques)
    for line, clique in zip(thick, test.cliques, strict=True):
        xs = line.get_xdata()
        inside = [m for m, rank in test.ranks.items() if xs[0] <= rank <= xs[-1]]
        assert set(inside) == set(clique)
    told = {t.get_text().strip() for t in axes_of(figure).texts}
    assert {"STREAMNet 1.20", "POS 2.05", "2.90 GREEN", "CD = 1.35"} <= told
    assert "STREAMNet and POS; POS and GREEN" in figure.alt


def test_critical_difference_needs_one(analysed):
    ranks = replace(analysed.analysis.ranks, critical_difference=None, reason="too few")
    assert figures.critical_difference(without(analysed, ranks=ranks)) is None
    assert figures.critical_difference(without(analysed, ranks=None)) is None


spans = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: sorted(pair)), max_size=12
)


@given(spans)
def test_spans_on_one_level_do_not_touch(found):
    levels = figures._levels(found)
    for i, a in enumerate(found):
        for j, b in enumerate(found[:i]):
            if levels[i] == levels[j]:
                assert a[0] > b[1] or b[0] > a[1]


def test_bland_altman_shows_each_window_and_the_limits(analysed, drawn):
    figure = drawn["bland-altman-POS"]
    rows = [r for r in analysed.rows if r.method == "POS" and r.hr_pred is not None]
    points = lines_at(figure)[1]
    assert points[0] == pytest.approx([(r.hr_pred + r.hr_label) / 2 for r in rows])
    assert points[1] == pytest.approx([r.hr_pred - r.hr_label for r in rows])
    found = next(m.bland_altman for m in analysed.analysis.methods if m.method == "POS")
    heights = [ys[0] for _, ys in lines_at(figure)[2:]]
    assert heights == [found.bias.value, found.upper.value, found.lower.value]
    assert len(axes_of(figure).patches) == 3  # their intervals


def test_limits_that_are_not_defined_are_named(analysed):
    lost = Interval(None, reason="one subject")
    agreement = next(m for m in analysed.analysis.methods if m.method == "POS").bland_altman
    agreement = replace(agreement, upper=lost, lower=lost)
    drawn = figures.bland_altman(changed(analysed, "POS", bland_altman=agreement), "POS")
    assert "no upper limit: one subject" in drawn.alt
    assert len(lines_at(drawn)) == 3  # zero, the points, the bias


def test_calibration_is_nominal_against_empirical(drawn):
    figure = drawn["calibration"]
    curve = next(ys for xs, ys in lines_at(figure) if len(xs) == 4)
    assert curve == pytest.approx([48, 78, 88, 93])
    assert "STREAMNet 50 %: 48 %" in figure.alt


def test_calibration_shows_what_was_promised_and_tried(analysed):
    """By subject; a level whose intervals are all infinite covers everything by definition."""
    (quality,) = (m.uncertainty for m in analysed.analysis.methods if m.method == "STREAMNet")
    levels = tuple(
        replace(c, by_subject=Interval(0.33, 0.2, 0.5), n_infinite=c.n_windows * (c.level > 0.9))
        for c in quality.levels
    )
    results = changed(analysed, "STREAMNet", uncertainty=replace(quality, levels=levels))
    alt = figures.calibration(results).alt
    assert "STREAMNet 50 %: 33 %, 80 %: 33 %, 90 %: 33 %;" in alt


def test_risk_coverage_is_in_percent_of_windows(analysed, drawn):
    figure = drawn["risk-coverage"]
    kept, mae = lines_at(figure)[0]
    curve = analysed.analysis.methods[0].uncertainty.risk_coverage
    assert kept == pytest.approx([100 * k for k, _ in curve])
    assert mae == pytest.approx([risk for _, risk in curve])


def test_whole_videos_are_the_longest_window(drawn):
    figure = drawn["lengths"]
    assert [t.get_text() for t in axes_of(figure).get_xticklabels()] == [
        "5 s",
        "10 s",
        "whole video",
    ]


def test_coverage_that_is_too_low_is_hollow(drawn):
    figure = drawn["coverage-setup"]
    points = [line for line in axes_of(figure).get_lines() if line.get_marker() not in ("None", "")]
    for point in points:
        hollow = point.get_markerfacecolor() == figures.SURFACE
        assert hollow == (point.get_ydata()[0] < 60)
        assert hollow == (point.get_xdata()[0] > 0.5)
    dashed = [ys for xs, ys in lines_at(figure) if xs == [0, 1]]
    assert [90.0, 90.0] in dashed
    assert figure.alt.count("(too low)") == 3


def test_how_many_stand_behind_a_point_is_below_it(analysed):
    groups = tuple(
        replace(g, n_windows=7 if g.method == "POS" else 9) for g in analysed.analysis.groups
    )
    drawn = figures.group_errors(without(analysed, groups=groups), "setup")
    assert [label.get_text() for label in axes_of(drawn).get_xticklabels()] == [
        "steady\n6 subj.\n7-9 win.", "talking\n6 subj.\n7-9 win."
    ]  # fmt: skip
    assert "steady (6 subjects, 7-9 windows): STREAMNet" in drawn.alt


def test_coverage_of_a_few_people_is_not_drawn(analysed):
    groups = tuple(
        replace(g, n_subjects=4 if g.value == "steady" else 5) for g in analysed.analysis.groups
    )
    drawn = figures.group_coverage(without(analysed, groups=groups), "setup")
    labels = [label.get_text() for label in axes_of(drawn).get_xticklabels()]
    assert [label.partition("\n")[0] for label in labels] == ["talking"]
    assert "values of 5 or more subjects" in axes_of(drawn).get_xlabel()
    assert "steady" in figures.group_errors(without(analysed, groups=groups), "setup").alt


def test_the_axes_say_which_heart_rate_their_errors_are_of(analysed):
    assert "refined" in axes_of(figures.risk_coverage(analysed)).get_ylabel()
    assert "by FFT" in axes_of(figures.forest(analysed)).get_xlabel()


def test_a_group_without_intervals_has_no_coverage_figure(analysed):
    groups = tuple(replace(g, coverage=None) for g in analysed.analysis.groups)
    results = without(analysed, groups=groups)
    assert figures.group_errors(results, "setup") is not None
    assert figures.group_coverage(results, "setup") is None


def test_a_method_looks_the_same_everywhere(analysed, drawn):
    looks = figures._looks(analysed)
    assert len({(look.color, look.marker) for look in looks.values()}) == 3
    for name in ("forest", "lengths"):
        seen = {(p.get_color(), p.get_marker()) for p in axes_of(drawn[name]).get_lines()}
        assert {(look.color, look.marker) for look in looks.values()} <= seen


def test_every_format_at_publication_size(analysed, tmp_path):
    few = replace(analysed, analysis=None, rows=analysed.rows[:18])
    seen = []
    pictures = figures.save_figures(few, tmp_path / "figures", progress=seen.append)
    assert len(seen) == 3 * len(pictures)
    assert {p.name for p in (tmp_path / "figures").iterdir()} == set(seen)
    for name, picture in pictures.items():
        image = cv2.imread(str(tmp_path / f"figures/{name}.png"))
        assert image.shape[1] in (round(SINGLE * DPI), round(DOUBLE * DPI))
        assert image.std() > 5
        assert (tmp_path / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
        text = (tmp_path / f"figures/{name}.svg").read_text(encoding="utf-8")
        assert text == picture.svg
        ElementTree.fromstring(text)
    assert "STREAMNet</text>" in pictures["forest"].svg  # text stays text


def test_names_that_only_differ_in_odd_letters_keep_their_figures(make_results):
    results = make_results(methods=("POS:paper", "POS_paper", "pos_paper"), n_subjects=1)
    names = figures.figure_names(replace(results, analysis=None))
    assert len({n.lower() for n in names}) == 4  # and the forest


def test_names_are_text_not_markup(make_results):
    results = make_results(methods=("a$b$c", "<script>alert(1)</script>", "x & y"))
    svg = figures.to_svg(figures.forest(results))
    ElementTree.fromstring(svg)
    assert "a$b$c" in svg
    assert "<script" not in svg


def test_long_names_leave_room_for_the_data(make_results):
    methods = tuple(f"PURE_PURE_UBFC_deepphys_long_{i}" for i in range(9))
    results = make_results(methods=methods, n_subjects=2)
    draw = (figures.forest, figures.critical_difference, figures.calibration, figures.lengths)
    for drawn in (d(results) for d in draw):
        box = axes_of(drawn).get_position()
        width, height = drawn.figure.get_size_inches()
        assert box.width * width > 1.2, drawn.name
        assert box.height * height > 1.2, drawn.name
