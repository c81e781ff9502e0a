"""The data of the viewer: small, exact enough, and safe inside a page."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streamnet_plugin.report.viewer import index, packed, recordings, script_json, unpacked

numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))


@given(arrays(np.float64, st.integers(0, 50), elements=numbers))
def test_packed_waveforms_come_back(x):
    back = unpacked(packed(x))
    assert np.array_equal(np.isnan(back), np.isnan(x))
    largest = np.nanmax(np.abs(x), initial=0.0)
    error = np.nanmax(np.abs(back - x), initial=0.0)
    assert error <= largest / 65534 * 1.001 + 1e-300


def test_the_smallest_of_all_numbers_does_not_divide_by_zero():
    assert np.abs(unpacked(packed(np.array([5e-324])))).max() < 1e-300


def test_a_sample_takes_two_bytes():
    x = np.sin(np.arange(1800))
    assert len(packed(x)) < 1800 * 2 * 4 / 3 + 40


@given(st.dictionaries(st.text(), st.text()))
def test_no_string_leaves_its_script_element(tree):
    text = script_json(tree)
    assert "<" not in text
    assert json.loads(text) == tree


def trees(results, waves, methods=("STREAMNet", "POS", "GREEN")):
    return [json.loads(r) for r in recordings(results, waves, list(methods))]


def test_the_index_finds_recordings(analysed, waves):
    found = index(analysed, waves, ["STREAMNet", "POS", "GREEN"], ["POS"], (0.6, 3.3))
    assert found["shown"] == [1]
    assert found["band"] == [0.6, 3.3]
    assert [r["id"] for r in found["recordings"]] == [f"subject{i}" for i in range(1, 7)]
    assert found["recordings"][1] == {
        "id": "subject2", "subject": "s2", "dataset": "UBFC-rPPG", "groups": "setup: talking"
    }  # fmt: skip


def test_every_recording_has_its_windows_and_waveforms(analysed, waves):
    found = trees(analysed, waves)
    assert len(found) == 6
    rows = [r for r in analysed.rows if r.recording == "subject3"]
    assert len(found[2]["rows"]) == len(rows) == 9
    for tree, row in zip(found[2]["rows"], rows, strict=True):
        assert tree["read"] == round(row.hr_pred_refined, 2)
        assert tree["half"] == round(row.half_widths["90"], 2)
        assert (tree["low"], tree["high"]) == tuple(round(x, 2) for x in row.interval("90"))
        assert tree["withheld"] == bool(row.withheld)
    wave = next(w for w in waves if (w.method, w.recording) == ("STREAMNet", "subject3"))
    tree = found[2]["waves"][0]
    assert np.allclose(unpacked(tree["pred"]), wave.pred, atol=1e-3)
    assert np.allclose(unpacked(found[2]["labels"][tree["label"]]), wave.label, atol=1e-3)
    assert np.allclose(unpacked(tree["band"][1]), wave.band[1], atol=1e-3)
    assert abs(tree["dt"] - 1 / 30) < 1e-9


def of_two_datasets(results, waves):
    """The same recordings in another dataset, too, where 120 bpm are read."""
    rows = [replace(r, dataset="PURE", hr_pred_refined=120.0) for r in results.rows]
    more = [replace(w, dataset="PURE", pred=2 * w.pred) for w in waves]
    return replace(results, rows=(*results.rows, *rows)), [*waves, *more]


def test_equal_recordings_of_two_datasets_are_told_apart(analysed, waves):
    both, shown = of_two_datasets(analysed, waves)
    methods = ["STREAMNet", "POS", "GREEN"]
    found = index(both, shown, methods, ["POS"], (0.6, 3.3))["recordings"]
    assert [r["id"] for r in found] == [
        f"{dataset}/subject{i}" for dataset in ("UBFC-rPPG", "PURE") for i in range(1, 7)
    ]
    assert [r["dataset"] for r in found] == ["UBFC-rPPG"] * 6 + ["PURE"] * 6
    apart, alone = trees(both, shown), trees(analysed, waves)
    assert apart[:6] == alone
    assert {r["read"] for r in apart[6]["rows"]} == {120.0}
    assert len(apart[6]["rows"]) == len(alone[0]["rows"])
    assert len(apart[6]["waves"]) == len(alone[0]["waves"]) > 0


def test_a_waveform_without_windows_is_of_its_dataset(analysed, waves):
    (wave,) = [w for w in waves if (w.method, w.recording) == ("POS", "subject1")]
    other = replace(wave, dataset="PURE")
    found = index(analysed, [other], ["POS"], ["POS"], (0.6, 3.3))["recordings"]
    assert found[-1] == {"id": "PURE/subject1", "subject": "", "dataset": "PURE", "groups": ""}
    tree = trees(analysed, [other])[-1]
    assert (tree["rows"], len(tree["waves"])) == ([], 1)


def test_a_shared_truth_is_kept_once(analysed, waves):
    assert all(len(tree["labels"]) == 1 for tree in trees(analysed, waves))


def test_no_result_and_infinite_intervals_are_told_apart(analysed, waves):
    lost = [r for r in trees(analysed, waves)[1]["rows"] if r["m"] == 2]
    assert [(r["read"], r["half"], r["infinite"]) for r in lost] == [(None, None, False)] * 3
    assert {r["why"] for r in lost} == {"the waveform is constant"}
    rows = tuple(replace(r, half_widths={"90": None}) for r in analysed.rows)
    endless = trees(replace(analysed, rows=rows), waves)[0]["rows"]
    assert all(r["infinite"] and r["half"] is None for r in endless)


def test_heart_rates_error_and_interval_of_a_window_are_of_one_kind(analysed):
    """By FFT the error is 0, by the refined peak 24.5 bpm: neither number beside the other's."""
    coarse = {"hr_label": 79.1, "hr_pred": 79.1, "abs_error": 0.0}
    fine = {"hr_label_refined": 54.6, "hr_pred_refined": 79.1, "half_widths": {"90": 9.9}}
    row = replace(analysed.rows[0], **coarse, **fine)
    tree = trees(replace(analysed, rows=(row,)), [])[0]["rows"][0]
    assert (tree["true"], tree["read"], tree["error"]) == (54.6, 79.1, 24.5)
    assert (tree["half"], tree["refined"], tree["scored"]) == (9.9, True, [79.1, 79.1, 0.0])
    row = replace(row, hr_pred_refined=None)  # then all are by FFT, which has no interval
    tree = trees(replace(analysed, rows=(row,)), [])[0]["rows"][0]
    assert (tree["true"], tree["read"], tree["error"], tree["half"]) == (79.1, 79.1, 0.0, None)
    assert not tree["infinite"]


def test_recordings_without_waveforms_keep_their_windows(analysed):
    assert all(tree["waves"] == [] and tree["rows"] for tree in trees(analysed, []))
