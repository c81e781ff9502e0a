"""What changed between two results, and whether that is called noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.report.diff import Change, diff
from streamnet_plugin.report.diff_text import sentence, to_markdown, to_text

from .conftest import build as _build

SUBJECTS = [f"s{i}" for i in range(10)]


def errors(changes=(0.0,) * 10, base=3.0):
    """Two windows a subject, both changed by the subject's change."""
    return {s: (base + c, base + 1 + c) for s, c in zip(SUBJECTS, changes, strict=True)}


@pytest.fixture
def before(build):
    return build({"net": errors()})


def changed(build, changes):
    return build({"net": errors(changes)})


def test_the_same_is_identical(before):
    found = diff(before, before)
    (net,) = found.methods
    assert (net.verdict, net.largest, net.p) == ("identical", (), None)
    assert all(m.a == m.b for m in net.metrics)
    assert found.config == found.origin == ()
    assert "net: identical in 20 common windows of 10 subjects." in to_text(found)
    assert "are the same" in to_text(found)


def test_the_same_errors_from_other_waveforms_are_not_called_identical(before):
    rows = tuple(replace(r, snr_db=2.0) for r in before.rows)
    assert diff(before, replace(before, rows=rows)).methods[0].verdict == "the same errors"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"hr_pred_refined": 71.0}, "HR"),
        ({"spread": 9.0}, "spread"),
        ({"half_widths": {"90": 7.0}}, "intervals"),
        ({"half_widths": {"90": None}}, "intervals"),
        ({"hr_range": (40.0, 180.0)}, "intervals"),
        ({"hr_mc_std": 0.5}, "Monte Carlo samples"),
        ({"withheld": "the peak is weak"}, "withholding"),
        ({"macc": None}, "MACC"),
        ({"reason": "other"}, "which windows have a result"),
        ({"hr_label_refined": 70.5}, "true HR and time"),
    ],
)
def test_what_is_not_the_same_beside_the_errors_is_said(before, change, what):
    """In one window of twenty."""
    other = replace(before, rows=(replace(before.rows[0], **change), *before.rows[1:]))
    for found in (diff(before, other), diff(other, before)):
        (net,) = found.methods
        assert (net.verdict, net.changed) == ("the same errors", (what,))
        assert what not in net.same
        assert {"SNR", "numbers of the tables"} <= {*net.same}
        text = to_text(found)
        assert "net: the same errors in 20 common windows of 10 subjects; the same, too: " in text
        assert f"; not the same: {what}." in text


def test_runs_whose_tables_differ_are_not_identical(analysed):
    methods = tuple(replace(m, n_withheld=9) for m in analysed.analysis.methods)
    other = replace(analysed, analysis=replace(analysed.analysis, methods=methods))
    for m in diff(analysed, other).methods:
        assert (m.verdict, m.changed) == ("the same errors", ("numbers of the tables",))
    fewer = replace(other, rows=other.rows[2:])  # the tables are of other windows then
    assert diff(analysed, fewer).methods[0].verdict == "identical"


def test_a_change_of_nothing_has_no_direction(before, build):
    (net,) = diff(before, changed(build, [1, -1, 2, -2, 1.5, -1.5, 0.5, -0.5, 0, 0])).methods
    assert net.difference.value == 0
    assert sentence(net).startswith("net: errors neither larger nor smaller, within noise, in")
    for gone, direction in ((0.5, "larger"), (-0.5, "smaller")):
        (net,) = diff(before, changed(build, [gone] * 10)).methods
        assert f"errors {direction}, more than noise" in sentence(net)


def test_a_steady_change_is_more_than_noise(before, build):
    changes = np.linspace(0.5, 1.5, 10)
    (net,) = diff(before, changed(build, changes)).methods
    assert net.verdict == "more than noise"
    assert net.difference.value == pytest.approx(1.0)
    assert 0 < net.difference.low < 1 < net.difference.high
    assert net.p == pytest.approx(2 / 2**10)  # all of one sign: the smallest exact p
    assert (net.n_subjects, net.n_windows) == (10, 20)
    (back,) = diff(changed(build, changes), before).methods
    assert back.difference.value == pytest.approx(-1.0)
    assert back.verdict == "more than noise"


def test_a_change_to_and_fro_is_within_noise(before, build):
    (net,) = diff(before, changed(build, [1, -1.1, 0.9, -1, 1.2, -1, 1, -0.8, 0.7, -1])).methods
    assert net.verdict == "within noise"
    assert net.difference.low < 0 < net.difference.high
    assert net.p > 0.5


def test_what_is_noise_is_judged_among_all_methods_tested(build):
    """Of eight methods of pure noise one is below 5 % by itself in every third rerun."""
    to_and_fro = [1, -1.1, 0.9, -1, 1.2, -1, 1, -0.8, 0.7, -1]
    changes = {f"m{i}": to_and_fro for i in range(6)}
    changes["net"] = [2, 1.8, 1.6, 1.4, 1.2, 1.1, -1, 0.9, 0.8, -0.1]
    changes |= {"worse": [5.0] * 10, "same": [0.0] * 10}
    after = build({m: errors(c) for m, c in changes.items()})
    found = diff(build(dict.fromkeys(changes, errors())), after)
    *others, net, worse, same = found.methods
    assert net.p == pytest.approx(20 / 2**10)
    assert net.p_holm == pytest.approx(7 * net.p)  # the second of eight; `same` has no test
    assert worse.p_holm == pytest.approx(8 * worse.p)
    assert (net.verdict, worse.verdict, same.p_holm) == ("within noise", "more than noise", None)
    assert {m.verdict for m in others} == {"within noise"}
    assert net.difference.low > 0  # it is of this method alone, which the sentence says
    where = "in 20 common windows of 10 subjects"
    text = to_text(found)
    assert f"net: errors larger, within noise, {where} (p = 0.137, Holm; p = 0.020 alone)." in text
    assert f"worse: errors larger, more than noise, {where} (p = 0.016, Holm)." in text
    assert "of that method alone, is below 5 %" in text


def test_windows_of_one_subject_are_not_taken_for_many(build):
    before = build({"net": {"s0": (3.0,) * 40}})
    after = build({"net": {"s0": tuple(3.5 + 0.01 * i for i in range(40))}})
    found = diff(before, after)
    assert found.methods[0].verdict == "cannot be told"
    assert found.methods[0].difference.low is None
    assert "1 subject: p cannot fall below 1, at least 6 are needed" in to_text(found)


def test_a_subject_with_many_windows_weighs_as_one(build):
    before = dict.fromkeys(SUBJECTS, (3.0,))
    after = dict.fromkeys(SUBJECTS, (3.5,)) | {"s0": (13.0,) * 50}
    many = before | {"s0": (3.0,) * 50}
    (net,) = diff(build({"net": many}), build({"net": after})).methods
    assert net.n_subjects == 10
    assert net.difference.value == pytest.approx(0.5)  # of the ten, not of the 59 windows


def test_the_same_change_in_all_has_no_variance_and_no_interval(before, build):
    """Ten of ten subjects say the same: that is no noise, but how much it varies is not known."""
    (net,) = diff(before, changed(build, [1.0] * 10)).methods
    assert (net.verdict, net.p) == ("more than noise", pytest.approx(2 / 2**10))
    assert (net.difference.value, net.difference.low) == (pytest.approx(1.0), None)
    assert "no variance" in net.difference.reason


def test_rounding_is_no_variance(before, build):
    (net,) = diff(before, changed(build, [0.1 + 1e-16 * i for i in range(10)])).methods
    assert net.difference.low is None


def test_changes_that_cancel_within_every_subject_are_not_the_same_errors(build):
    before = build({"net": dict.fromkeys(SUBJECTS, (3.0, 3.0))})
    after = build({"net": dict.fromkeys(SUBJECTS, (4.0, 2.0))})
    (net,) = diff(before, after).methods
    assert net.verdict == "cannot be told"
    assert net.p is None
    assert len(net.largest) == 5


def test_only_one_of_ten_subjects_changed(before, build):
    (net,) = diff(before, changed(build, [5.0] + [0.0] * 9)).methods
    assert (net.verdict, net.p, net.difference.low) == ("cannot be told", None, None)
    assert "10 subjects, 1 of them with a difference" in net.reason


def test_an_interval_beside_0_is_no_verdict_that_the_test_does_not_share(before, build):
    """The bootstrap of these means leaves out 0 (0.43 to 3.28), the exact test has p = 0.125."""
    changes = [0.0] * 3 + [6.0, 0.4, 0.3, 5.0, -0.2, 4.0, -0.1]
    (net,) = diff(before, changed(build, changes)).methods
    assert np.mean(changes) > 1.5
    assert net.verdict == "within noise"
    assert net.p == pytest.approx(0.125)
    assert net.difference.low <= 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 1)), min_size=10, max_size=10))
def test_whatever_the_changes_verdict_and_interval_agree(changes):
    (net,) = diff(_build({"net": errors()}), _build({"net": errors(changes)})).methods
    if net.difference.low is None:
        assert net.difference.reason
        assert net.verdict != "within noise"
    else:
        beyond = net.difference.low > 0 or net.difference.high < 0
        assert beyond == (net.verdict == "more than noise") == (net.p < 0.05)


def test_only_common_windows_are_paired_and_the_rest_is_counted(before):
    lost = [replace(r, abs_error=None, hr_pred=None) for r in before.rows[:3]]
    fewer = replace(before, rows=(*lost, *before.rows[3:-2]))
    found = diff(before, fewer, ("old", "new"))
    (net,) = found.methods
    assert (net.n_windows, net.n_only_a, net.n_only_b) == (15, 5, 0)
    assert net.verdict == "the same errors"
    assert found.recordings_only == (("PURE s9-01",), ())
    text = to_text(found)
    assert "5 windows with a result only in the first" in text
    assert "Recordings only in old: PURE s9-01." in text


def test_the_five_largest_changes_are_listed(before, build):
    found = diff(before, changed(build, np.arange(10) / 10))
    (net,) = found.methods
    assert [w.recording for w in net.largest] == ["s9-01", "s9-01", "s8-01", "s8-01", "s7-01"]
    first = net.largest[0]
    assert first.error_b - first.error_a == pytest.approx(0.9)
    assert first.error_a in (3.0, 4.0)
    assert first.hr_label == 70.0
    assert "PURE s9-01, 0-10 s" in to_markdown(found)


@pytest.mark.parametrize(
    "other",
    [
        {"hr_label": 71.0, "hr_label_refined": 71.0},
        {"start_s": 5.0, "end_s": 15.0},
        {"end_s": 20.0},
    ],
)
def test_windows_of_another_truth_or_time_are_told_and_not_compared(before, other):
    changed = replace(before.rows[0], abs_error=50.0, hr_pred=120.0, **other)
    found = diff(before, replace(before, rows=(changed, *before.rows[1:])))
    (net,) = found.methods
    assert (net.n_other_label, net.n_windows, net.verdict) == (1, 19, "the same errors")
    assert "the true HR or the time is not the same in 1 further window" in to_text(found)


def test_single_precision_and_the_last_clip_are_no_other_truth(before):
    rows = tuple(
        replace(r, hr_label_refined=r.hr_label_refined + 1e-4, end_s=r.end_s - 0.5)
        for r in before.rows
    )
    assert diff(before, replace(before, rows=rows)).methods[0].n_other_label == 0


def test_nothing_in_common(before, build):
    other = build({"net": {"x": (1.0,)}, "POS": {"x": (1.0,)}}, dataset="UBFC-rPPG")
    found = diff(before, other)
    assert found.methods[0].verdict == "cannot be told"
    assert "no window has a result in both" in to_text(found)
    assert found.methods_only == ((), ("POS",))
    none = diff(before, build({"POS": {"x": (1.0,)}}))
    assert none.methods == ()
    assert "No method is in both." in to_markdown(none)


def test_configuration_and_origin(before):
    def made(lr, torch, seed, **more):
        return {
            "config": {"TRAIN": {"LR": lr, "BETAS": [0.9, 0.99]}, "DEVICE": "cpu", **more},
            "versions": {"torch": torch, "numpy": "2"}, "seed": seed, "created": str(seed),
            "command": f"run {seed}", "git_commit": "abc", "data_fingerprint": "f",
        }  # fmt: skip

    a = replace(before, provenance=made(0.1, "2.4", 1))
    b = replace(before, provenance=made(0.2, "2.5", 2, NEW=True))
    found = diff(a, b)
    assert found.config == (
        Change("config.TRAIN.LR", "0.1", "0.2"), Change("config.NEW", "not set", "True")
    )  # fmt: skip
    assert {c.key: (c.a, c.b) for c in found.origin} == {
        "versions.torch": ("2.4", "2.5"), "seed": ("1", "2")
    }  # fmt: skip
    assert "| config.TRAIN.LR | 0.1 | 0.2 |" in to_markdown(found)


def test_what_made_a_method_is_compared_where_both_runs_have_it(before):
    method = before.summaries[0].method

    def made(dropout, **others):
        methods = {method: {"config": {"dropout": dropout}}, **others}
        return replace(before, provenance={"methods": methods})

    def merged(run):
        return replace(run, provenance={"sources": [{"provenance": run.provenance}]})

    a, b = made(0.1, Other={"config": {"height": 36}, "epoch": 7}), made(0.2)
    for found, place in (
        (diff(a, b), ""),
        (diff(merged(a), merged(b)), "sources.0.provenance."),
    ):
        assert found.config == (Change(f"{place}methods.{method}.config.dropout", "0.1", "0.2"),)
        assert found.origin == ()


def test_provenance_of_merged_results_is_numbered(before):
    def merged(lr):
        entry = {"source": "x", "provenance": {"config": {"LR": lr}, "created": str(lr)}}
        return replace(before, provenance={"sources": [entry, {"source": "y", "provenance": {}}]})

    assert diff(merged(1), merged(2)).config == (
        Change("sources.0.provenance.config.LR", "1", "2"),
    )


def test_every_number_of_both_tables_is_compared(analysed, before, build):
    found = {m.metric: (m.a, m.b) for m in diff(analysed, analysed).methods[0].metrics}
    assert found["MAE"] == (1.0, 1.0)
    assert found["within 5 bpm"] == (85.0, 85.0)
    assert found["PICP 90"] == (0.88, 0.88)
    assert found["withheld (%)"] == (25.0, 25.0)
    old = replace(analysed, analysis=None)
    found = {m.metric: (m.a, m.b) for m in diff(old, analysed).methods[0].metrics}
    assert found["PICP 90"] == (None, 0.88)
    text = to_text(diff(before, changed(build, [1.0] * 10)))
    assert "MAE" in text
    assert "3.50" in text
    assert "4.50" in text


@pytest.mark.parametrize("name", ["convention", "hr_method", "window"])
def test_what_does_not_compare_is_refused_by_name(before, name):
    with pytest.raises(ConfigError, match="other in new"):
        diff(before, replace(before, **{name: "other"}), ("old", "new"))
