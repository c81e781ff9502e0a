import dataclasses
import json
import warnings

import pytest
from pydantic import TypeAdapter

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.statistics.analysis import analyse, joined
from streamnet_plugin.statistics.bland_altman import bland_altman
from streamnet_plugin.statistics.results import (
    Analysis,
    Interval,
    LengthRow,
    Repeatability,
    UncertaintyQuality,
)

NONE = Interval(None)


def intervals(tree):
    if isinstance(tree, Interval):
        yield tree
    elif dataclasses.is_dataclass(tree):
        for field in dataclasses.fields(tree):
            yield from intervals(getattr(tree, field.name))
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from intervals(value)
    elif isinstance(tree, tuple):
        for value in tree:
            yield from intervals(value)


def test_a_study_of_three_methods(study):
    rows = study({"A": 1, "B": 1.2, "C": 9}, n=21)
    found = analyse(rows)
    assert [m.method for m in found.methods] == ["A", "B", "C"]
    assert [(m.n_subjects, m.n_windows) for m in found.methods] == [(21, 84)] * 3
    a = [r for r in rows if r.method == "A"]
    difference = [r.hr_pred - r.hr_label for r in a]
    expected = bland_altman(difference, [r.subject for r in a])
    assert found.methods[0].bland_altman == expected
    assert found.methods[0].kept_mae == found.methods[0].metrics["MAE"]
    verdict = {(t.a, t.b): t.p_holm <= 0.05 for t in found.pairs}
    assert verdict == {("A", "B"): False, ("A", "C"): True, ("B", "C"): True}
    assert found.ranks.n_subjects == 21
    assert found.ranks.ranks["C"] == max(found.ranks.ranks.values())
    assert {g.method for g in found.groups} == {"A", "B", "C"}
    assert found.notes == ()
    assert analyse(rows) == found


def test_it_survives_json(study):
    found = analyse(study({"A": 1, "B": 2, "C": 3}))
    text = json.dumps(dataclasses.asdict(found), allow_nan=False)
    again = TypeAdapter(Analysis).validate_python(json.loads(text))
    assert json.dumps(dataclasses.asdict(again)) == text
    assert again.pairs == found.pairs


def test_withheld_windows(row):
    rows = [row("A", f"s{s}", 0, 70, 71 + s / 10) for s in range(8)]
    rows += [row("A", f"s{s}", 1, 70, 150, withheld="SNR below 0 dB") for s in range(5)]
    rows += [row("A", "s6", 1, 70, 150, withheld="no pulse")]
    rows += [row("A", "s7", 1, read=None, withheld="no pulse")]
    (found,) = analyse(rows).methods
    assert found.n_withheld == 7
    assert found.withheld_reasons == {"SNR below 0 dB": 5, "no pulse": 2}
    assert found.kept_mae.value == pytest.approx(1.35)
    assert found.metrics["MAE"].value > 30
    everything = [dataclasses.replace(r, withheld="no pulse") for r in rows]
    (found,) = analyse(everything).methods
    assert found.kept_mae.value is None
    assert found.kept_mae.reason == "every one of 15 windows is withheld"


def test_methods_with_different_windows_are_named(row):
    rows = []
    for s in range(8):
        for w in range(2):
            rows += [row("A", f"s{s}", w, 70, 71 + s / 9), row("B", f"s{s}", w, 70, 73 + s * w)]
            lost = s == 0 or (s, w) == (3, 1)
            rows += [row("C", f"s{s}", w, 70, None if lost else 75 - s)]
    rows += [row("D", "s0", 0, read=None)]
    found = analyse(rows)
    assert found.notes[1:4] == (
        "16 windows with a result, 13 of them of every method that has any; "
        "two methods are compared on the windows that both have",
        "C has no result of 1 recording (v-s0)",
        "C has no result in 1 window of 1 recording (v-s3)",
    )
    assert found.notes[4] == "D has no result at all: it is in no comparison"
    assert "Holm's correction is over the 3 of 6 pairs that can be tested" in found.notes
    assert {(t.a, t.b): t.n_subjects for t in found.pairs} == {
        ("A", "B"): 8, ("A", "C"): 7, ("A", "D"): 0, ("B", "C"): 7, ("B", "D"): 0, ("C", "D"): 0
    }  # fmt: skip
    assert set(found.ranks.ranks) == {"A", "B", "C"}
    assert found.ranks.n_subjects == 7


def test_many_lost_recordings_are_counted(row):
    rows = [row(m, f"s{s}", 0, 70, 71 + s) for m in "AB" for s in range(30) if m == "A" or s < 8]
    (note,) = [n for n in analyse(rows).notes if n.startswith("B has no result")]
    assert note == (
        "B has no result of 22 recordings (v-s8, v-s9, v-s10, v-s11, v-s12 and 17 more)"
    )


def test_ties_are_noted(row):
    rows = [row(m, f"s{s}", 0, 70, 70 + e * (s % 3)) for m, e in (("A", 1), ("B", 2))
            for s in range(21)]  # fmt: skip
    found = analyse(rows)
    assert found.pairs[0].p is not None
    assert found.notes == ("1 of 1 pair with ties between subjects: p is exact given these",)


def test_few_subjects_are_noted(study):
    assert "too few for intervals and tests" in analyse(study({"A": 1}, n=4)).notes[0]
    assert "somewhat too narrow" in analyse(study({"A": 1}, n=12)).notes[0]
    assert analyse(study({"A": 1}, n=20)).notes == ()


def broken_studies(row, study):
    nan = float("nan")
    grid = [row(m, f"s{s}", w, 70, 70) for m in "ABC" for s in range(9) for w in range(2)]
    half = {"90": None, "50": 1.0}
    return {
        "nothing": [],
        "one window": [row()],
        "one subject": study({"A": 1, "B": 2, "C": 3}, n=1),
        "two subjects": study({"A": 1, "B": 2}, n=2),
        "ties everywhere and no variance": grid,
        "one true rate": [row(m, f"s{s}", 0, 70, 70 + s) for m in "ABC" for s in range(9)],
        "all withheld": study({"A": 1, "B": 2}, withheld="no pulse"),
        "no result": [row(m, f"s{s}", read=None) for m in "ABC" for s in range(9)],
        "NaN": [row(m, f"s{s}", 0, 70, nan, snr_db=nan, macc=nan) for m in "AB" for s in range(7)],
        "NaN beside numbers": [*study({"A": 1, "B": 2}, snr_db=nan), row("A", "s1", 77, 70, nan)],
        "no SNR": study({"A": 1, "B": 2, "C": 3}, macc=None, hr_pred_refined=None),
        "infinite": study({"A": 1, "B": 2, "C": 3}, half_widths=half),
        "other videos": [row(m, f"{m}{s}") for m in "ABC" for s in range(9)],
        "a rate of zero": [row("A", f"s{s}", 0, 0.0, 70 + s) for s in range(8)],
    }  # fmt: skip


def test_bad_input_ends_in_reasons(row, study):
    for name, rows in broken_studies(row, study).items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = analyse(rows)
        json.dumps(dataclasses.asdict(found), allow_nan=False)
        for interval in intervals(found):
            assert (interval.low is None) == (interval.high is None), name
            assert interval.reason or interval.low is not None, (name, interval)
            if interval.low is not None:
                assert interval.low <= interval.value <= interval.high
        assert all(t.reason or t.p is not None for t in found.pairs), name
        assert found.ranks is None or found.ranks.reason or found.ranks.p is not None, name


def test_no_stars_from_one_subject_or_other_videos(row, study):
    studies = broken_studies(row, study)
    for name in ("one subject", "two subjects", "ties everywhere and no variance", "other videos"):
        found = analyse(studies[name])
        assert all(t.p is None and t.p_holm is None for t in found.pairs), name
        assert found.ranks is None or found.ranks.p is None
    assert analyse([]).notes == ("there are no windows",)


def test_wrong_arguments_are_refused(study):
    rows = study({"A": 1, "B": 2})
    with pytest.raises(ConfigError, match="baseline 'C'"):
        analyse(rows, baseline="C")
    with pytest.raises(ConfigError, match="confidence level"):
        analyse(rows, level=95)


def test_joining_what_others_found(study):
    found = analyse(study({"A": 1, "B": 2}))
    quality = UncertaintyQuality((), 0.1, NONE, None, (), None, None)
    again = Repeatability("windows of a recording", NONE, NONE, NONE, 9, 36)
    length = LengthRow(5.0, "A", 12, 48, 0, Interval(1.0))
    whole = joined(
        found,
        uncertainty={"A": quality},
        repeatability={"B": (again,)},
        waveform={"B": {"IBI error (ms)": Interval(12.0)}},
        lengths=(length,),
        notes=("calibrated on the rest",),
    )
    a, b = whole.methods
    assert (a.uncertainty, b.uncertainty) == (quality, None)
    assert (a.repeatability, b.repeatability) == ((), (again,))
    assert a.metrics == found.methods[0].metrics
    assert b.metrics == {**found.methods[1].metrics, "IBI error (ms)": Interval(12.0)}
    assert whole.lengths == (length,)
    assert whole.notes == (*found.notes, "calibrated on the rest")
    assert whole.pairs == found.pairs


def test_windows_whose_truth_differs_between_methods_are_noted_by_number(row):
    rows = [row(m, f"s{s}", w, 70 + 9 * (m == "B" and w == 1), 71) for m in "AB" for s in range(3)
            for w in range(2)]  # fmt: skip
    (note,) = [n for n in analyse(rows).notes if "true HR" in n]
    assert note.startswith("the true HR or the time is not the same for all methods in 3 of 6 ")
    assert not any("true HR" in n for n in analyse([r for r in rows if r.window == 0]).notes)
