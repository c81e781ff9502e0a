from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.statistics import groups
from streamnet_plugin.statistics.bootstrap import metric_intervals
from streamnet_plugin.statistics.groups import (
    HR_EDGES,
    coverage_interval,
    coverage_warning,
    group_rows,
    length_rows,
    range_of,
)
from streamnet_plugin.statistics.paired import holm
from streamnet_plugin.statistics.results import GroupRow, Interval
from streamnet_plugin.uncertainty.assess import assess


def test_ranges_include_their_lower_end():
    values = [59.9, 60, 79.9, 80, 99, 100, 180]
    assert [range_of(v, HR_EDGES) for v in values] == [
        "<60", "60 to <80", "60 to <80", "80 to <100", "80 to <100", ">=100", ">=100"
    ]  # fmt: skip


def test_every_key_and_range_is_a_group(row):
    rows = [
        row("A", f"s{s}", 0, 50 + 10 * s, 51 + 10 * s, snr_db=s - 3.0, spread=s * 1.0,
            groups={"skin": "IV"})
        for s in range(7)
    ]  # fmt: skip
    found = group_rows(rows)
    assert [(g.group, g.value, g.n_windows) for g in found] == [
        ("skin", "IV", 7),
        ("HR (bpm)", "<60", 1), ("HR (bpm)", "60 to <80", 2), ("HR (bpm)", "80 to <100", 2),
        ("HR (bpm)", ">=100", 2),
        ("SNR (dB)", "-5 to <0", 3), ("SNR (dB)", "0 to <5", 4),
        ("spread (bpm)", "<2", 2), ("spread (bpm)", "2 to <5", 3), ("spread (bpm)", "5 to <15", 2),
    ]  # fmt: skip
    assert all(g.mae.value == 1 and g.n_subjects == g.n_windows for g in found)


def test_groups_go_by_the_true_heart_rate_and_split_the_error(row):
    rows = []
    for s in range(8):
        for setup, error in (("steady", 1 + s / 8), ("talking", 5 + s)):
            rows.append(row("A", f"s{s}", len(rows), 70, 70 + error, groups={"setup": setup}))
    rows += [row("A", "s0", 99, read=None, groups={"setup": "walking"})]
    found = {(g.group, g.value): g for g in group_rows(rows)}
    assert set(found) == {
        ("setup", "steady"), ("setup", "talking"),
        ("HR (bpm)", "60 to <80"), ("SNR (dB)", "0 to <5"),
    }  # fmt: skip
    talking = [r for r in rows if r.groups["setup"] == "talking"]
    assert found["setup", "talking"].mae == metric_intervals(talking)["MAE"]
    assert found["setup", "steady"].mae.high < found["setup", "talking"].mae.low


def test_several_datasets_are_a_group_of_their_own(row):
    rows = [row("A", f"s{s}", dataset=d) for d in ("PURE", "UBFC-rPPG") for s in range(2)]
    assert [g.value for g in group_rows(rows) if g.group == "dataset"] == ["PURE", "UBFC-rPPG"]
    assert not [g for g in group_rows(rows[:2]) if g.group == "dataset"]


def calibrated(row, errors_by_subject, half=2.0):
    return [
        row("A", f"s{s}", w, 70, 70 + e, half_widths={"90": half})
        for s, errors in enumerate(errors_by_subject)
        for w, e in enumerate(errors)
    ]


def test_coverage_uses_the_refined_heart_rate_and_infinity_covers(row):
    rows = [
        row("A", "s0", 0, 70, 90, hr_pred_refined=71.0, half_widths={"90": 1.0}),  # at the end
        row("A", "s0", 1, 70, 70, hr_pred_refined=75.0, half_widths={"90": 1.0}),
        row("A", "s0", 2, 70, 70, hr_pred_refined=170.0, half_widths={"90": None}),
        row("A", "s0", 3, 70, 170, half_widths={"50": 1.0}),  # not calibrated at 90 %
    ]
    assert coverage_interval(rows, "90").value == pytest.approx(2 / 3)
    assert coverage_interval(rows[3:], "90") is None


def test_a_group_that_is_covered_too_rarely_is_warned_about(row):
    rng = np.random.default_rng(0)
    poor = [rng.random(6) * 2.6 for _ in range(20)]
    (group, *_) = group_rows(calibrated(row, poor))
    cover = group.coverage
    assert cover.value == pytest.approx(np.mean(np.array(poor) <= 2))
    assert cover.high < 0.9
    assert group.warning == (
        f"coverage {100 * cover.value:.0f} % ({100 * cover.low:.0f}-{100 * cover.high:.0f} %) "
        "is below the nominal 90 %"
    )


def test_coverage_by_the_snr_at_the_true_heart_rate_is_no_evidence(row):
    """A window read wrongly has its low SNR from that: intervals that hold would be warned of."""
    rows = [
        row("A", f"s{s}", w, 70, 70 + (9 if w == 0 else 0), snr_db=-9.0 if w == 0 else 9.0,
            spread=1.0 if w else 9.0, half_widths={"90": 2.0})
        for s in range(20) for w in range(10)
    ]  # fmt: skip
    found = {(g.group, g.value): g for g in group_rows(rows)}
    low = found["SNR (dB)", "<-5"]
    assert (low.coverage.value, low.warning) == (None, "")
    assert "picks the windows that were read wrongly" in low.coverage.reason
    assert low.mae.value == 9
    assert found["spread (bpm)", "5 to <15"].warning.startswith("coverage 0 %")
    assert found["spread (bpm)", "<2"].coverage.value == 1


def in_places(row, n, hits, part=0.22):
    """20 subjects x 4 windows in each of `n` places; in the first, `part` of them miss."""
    rng = np.random.default_rng(3)
    return [
        row("A", f"s{s}", 4 * i + w, 70, 75 if i == 0 and rng.random() < part else 70,
            snr_db=None, half_widths={"90": 2.0}, groups={"place": str(i)})
        for i in range(n) for s in range(hits) for w in range(4)
    ]  # fmt: skip


def test_among_many_groups_more_is_needed_for_a_warning(row):
    def warnings(rows):
        return [g.value for g in group_rows(rows) if g.warning]

    alone, many = in_places(row, 1, 20), in_places(row, 24, 20)
    assert "0" in warnings(alone)
    assert warnings(many) == []
    assert warnings(in_places(row, 24, 20, part=0.6)) == ["0"]


P = st.sampled_from([0.0005, 0.002, 0.004, 0.006, 0.009, 0.012, 0.02, 0.03, 0.049, 0.2, 0.9])


@given(st.lists(P, min_size=1, max_size=9))
def test_the_step_down_is_holms(p):
    """Intervals of any level decide as Holm-corrected p values do."""
    cells = [
        (
            GroupRow("g", str(i), "A", 9, 9, Interval(1.0),
                     Interval(0.5, 0.3, 0.8 if x <= 0.05 else 0.95)),
            [i],
        )
        for i, x in enumerate(p)
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_is_low", lambda rows, level: p[rows[0]] <= 1 - level + 1e-12)
        warned = [bool(row.warning) for row in groups._warned(cells, 0.95)]
    assert warned == [x <= 0.05 + 1e-12 for x in holm(p)]


def test_few_people_are_not_judged():
    low = Interval(0.5, 0.3, 0.8)
    few, some = (GroupRow("g", "v", "A", n, 40, Interval(1.0), low) for n in (4, 5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "_is_low", lambda rows, level: True)
        found = groups._warned([(few, []), (some, [])], 0.95)
    assert [bool(row.warning) for row in found] == [False, True]


@pytest.mark.parametrize(
    "interval",
    [
        Interval(0.8, 0.7, 0.9),  # nominal at its end: not above it
        Interval(0.95, 0.92, 0.99),  # too wide is no danger
        Interval(0.1, reason="3 subjects: ..."),
        Interval(None, reason="no window has a result"),
        None,
    ],
)
def test_no_warning(interval):
    assert coverage_warning(interval, "90") == ""


def test_full_coverage_is_not_certain(row):
    cover = group_rows(calibrated(row, np.zeros((9, 4))))[0].coverage
    assert (cover.value, cover.high) == (1, 1)
    assert cover.low == pytest.approx(0.025 ** (1 / 9))


def test_one_bad_subject_of_three_gives_no_warning(row):
    group = group_rows(calibrated(row, [[0.0] * 4, [0.0] * 4, [9.0] * 4]))[0]
    assert group.coverage.value == pytest.approx(2 / 3)
    assert group.coverage.high > 0.9
    assert group.warning == ""
    assert group_rows(calibrated(row, np.full((1, 4), 9.0)))[0].warning == ""


def test_the_coverage_of_a_group_is_that_of_its_people(row):
    """One person in the group has most of its windows, and few of them covered."""
    errors = [[0.0]] * 9 + [[9.0] * 91]
    assert group_rows(calibrated(row, errors))[0].coverage.value == pytest.approx(0.9)


def test_a_group_and_the_whole_have_one_interval_for_one_coverage(row):
    rows = [
        replace(r, spread=1.0, groups={"all": "of them"})
        for r in calibrated(row, [[0.0, 0.0, 3.0], [0.0] * 3, [3.0, 1.0, 0.0]] * 3)
    ]
    (level,) = assess(rows).levels
    assert group_rows(rows)[0].coverage == level.by_subject
    assert level.by_subject.value == level.picp.value == pytest.approx(7 / 9)


def test_lengths(row, study):
    short = [*study({"A": 1, "B": 2}), row("B", "s0", 99, read=None)]
    found = length_rows({5.0: short, None: short[:9]})
    assert [(r.seconds, r.method, r.n_windows, r.n_no_result) for r in found] == [
        (5.0, "A", 48, 0), (5.0, "B", 48, 1), (None, "A", 9, 0)
    ]  # fmt: skip
    only_b = [r for r in short if r.method == "B"]
    assert found[1].mae == metric_intervals(only_b)["MAE"]
    assert found[2].n_subjects == 3
    assert found[2].mae.reason.startswith("3 subjects: ")
