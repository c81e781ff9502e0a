from dataclasses import replace

import numpy as np
import pytest

from streamnet_plugin.statistics.bootstrap import metric_intervals
from streamnet_plugin.statistics.groups import (
    HR_EDGES,
    coverage_interval,
    coverage_warning,
    group_rows,
    length_rows,
    range_of,
)
from streamnet_plugin.statistics.results import Interval
from streamnet_plugin.uncertainty.assess import assess


def test_ranges_include_their_lower_end():
    values = [59.9, 60, 79.9, 80, 99, 100, 180]
    assert [range_of(v, HR_EDGES) for v in values] == [
        "<60", "60 to <80", "60 to <80", "80 to <100", "80 to <100", ">=100", ">=100"
    ]  # fmt: skip


def test_every_key_and_range_is_a_group(row):
    rows = [
        row("A", f"s{s}", 0, 50 + 10 * s, 51 + 10 * s, snr_db=s - 3.0, groups={"skin": "IV"})
        for s in range(7)
    ]
    found = group_rows(rows)
    assert [(g.group, g.value, g.n_windows) for g in found] == [
        ("skin", "IV", 7),
        ("HR (bpm)", "<60", 1), ("HR (bpm)", "60 to <80", 2), ("HR (bpm)", "80 to <100", 2),
        ("HR (bpm)", ">=100", 2),
        ("SNR (dB)", "-5 to <0", 3), ("SNR (dB)", "0 to <5", 4),
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
