"""What is concluded from waveforms: which lengths, what repeats, and coverage under shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamnet_plugin.analysis import analyse_run
from streamnet_plugin.comparison import Scoring, report_pairs
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.report.findings import find
from streamnet_plugin.report.tables import to_markdown, uncertainty_table
from streamnet_plugin.scoring import WaveformPair, plot_waveform, score
from streamnet_plugin.uncertainty.calibration import CalibratorFile, Wanted, make_calibrators

CONVENTION = get_convention("toolbox-2025")
FS = 30.0
DRAWS = "mean of 2 Monte Carlo samples"


def pulse(hr, seconds, noise=0.0, seed=0):
    """(T,) a sine of that heart rate, bpm, and noise."""
    t = np.arange(round(seconds * FS)) / FS
    return np.sin(2 * np.pi * hr / 60 * t) + noise * np.random.default_rng(seed).normal(size=len(t))


def pair(method="POS", person=0, error=0.0, seconds=20.0, samples=0, **changes):
    """A pulse of 60 bpm and more, read with that error in bpm, maybe with Monte Carlo samples."""
    hr = 60.0 + 2.0 * person
    pred = pulse(hr + error, seconds, 0.3, person)
    drawn = None
    if samples:
        drawn = np.array(
            [pulse(hr + error, seconds, 1.0, 1000 * person + s) for s in range(samples)]
        )
    made = WaveformPair(
        method, "CSV", f"v{person}", f"p{person}", FS, pred, pulse(hr, seconds), False,
        samples=drawn,
    )  # fmt: skip
    return replace(made, **changes)


def analysed(pairs, window_s=10.0, **options):
    rows, _ = score(pairs, CONVENTION, window_s, "FFT")
    return analyse_run(pairs, rows, CONVENTION, "FFT", **options)


def repeated(analysis, method=0):
    return {r.what: r for r in analysis.methods[method].repeatability}


def test_a_length_is_tried_in_the_recordings_that_are_long_enough():
    """In whole windows: 7 of 5 s in 35 s, and 2 in 12 s, whose rest of 2 s is none."""
    found = analysed([pair(person=0, seconds=12.0), pair(person=1, seconds=35.0)])
    windows = {row.seconds: row.n_windows for row in found.lengths}
    assert windows == {5: 9, 10: 4, 15: 2, 30: 1, None: 2}
    (note,) = (n for n in found.notes if "windows of" in n)
    assert note == "windows of 15 and 30 s: 1 of 2 recordings is shorter and not among them"


def test_labels_that_read_as_two_heart_rates_are_named():
    """A slow pulse whose harmonic the FFT's grid prefers counts as twice as fast."""
    pairs = [pair(method, person) for method in ("POS", "CHROM") for person in range(3)]
    rows, _ = score(pairs, CONVENTION, 10.0, "FFT")
    assert not [n for n in analyse_run(pairs, rows, CONVENTION, "FFT").notes if "doubtful" in n]
    doubled = [
        replace(row, hr_label=2 * row.hr_label_refined) if row.recording == "v1" else row
        for row in rows
    ]
    notes = analyse_run(pairs, doubled, CONVENTION, "FFT").notes
    (note,) = (n for n in notes if "doubtful" in n)
    assert note.startswith("the labels of 2 of 6 windows are doubtful: in CSV v1 the FFT reads 124")
    assert "its refined peak is at 62" in note


def test_lengths_beyond_every_recording_are_not_tried():
    found = analysed([pair(person=0, seconds=9.0), pair(person=1, seconds=9.0)])
    assert [row.seconds for row in found.lengths] == [5, None]
    assert not any("windows of" in note for note in found.notes)


def test_windows_of_a_recording_are_retests_only_where_there_are_two():
    pairs = [pair(person=s, error=s % 3) for s in range(6)]
    assert any("windows of a recording" in what for what in repeated(analysed(pairs)))
    assert repeated(analysed(pairs, window_s=None)) == {}


def test_samples_are_repetitions_from_six_on():
    found = repeated(analysed([pair(person=s, samples=6) for s in range(3)]))[DRAWS]
    assert found.n_measurements == 3 * 2 * 3  # people, windows, draws
    assert found.n_subjects == 3
    assert 0 < found.within_sd.value < 2
    assert DRAWS not in repeated(analysed([pair(person=s, samples=5) for s in range(3)]))
    assert DRAWS not in repeated(analysed([pair(person=s) for s in range(3)]))


def test_what_a_method_did_not_cover_is_in_no_repetition():
    """Behind the covered frames stands anything: here noise that would drown the pulse."""

    def with_tail(scale):
        pairs = [pair(person=s, samples=6, covered=450) for s in range(3)]
        tail = scale * np.random.default_rng(0).normal(size=(6, 150))
        for p in pairs:
            p.samples[:, 450:] = tail
        return repeated(analysed(pairs))[DRAWS]

    assert with_tail(0.0) == with_tail(50.0)


def test_an_inverted_waveform_has_the_same_beats():
    upright = [pair(person=s, seconds=10.0) for s in range(6)]
    turned = [replace(p, method="CHROM", pred=-p.pred, inverted=True) for p in upright]
    wrong = [replace(p, method="wrong", inverted=True) for p in upright]
    a, b, c = (m.metrics for m in analysed([*upright, *turned, *wrong]).methods)
    for name in ("IBI error (ms)", "beat F1 (%)"):
        assert a[name].value is not None
        assert b[name] == a[name]
    assert c["beat F1 (%)"].value < a["beat F1 (%)"].value


@pytest.mark.parametrize("pred", [np.empty(0), np.full(600, np.nan), np.ones(600)])
def test_a_method_that_read_nothing_is_analysed_as_such(pred):
    dead = [replace(pair(person=s), method="dead", pred=pred) for s in range(6)]
    found = analysed([*(pair(person=s) for s in range(6)), *dead])
    good, bad = found.methods
    assert (good.n_windows, bad.n_windows) == (12, 0)
    assert bad.uncertainty is None
    assert all(x.value is None and x.reason for x in bad.metrics.values())
    assert all(row.n_windows == 0 for row in found.lengths if row.method == "dead")
    assert any("dead has no result at all" in note for note in found.notes)
    assert plot_waveform(dead[0], CONVENTION) is None  # rounding errors would look like a pulse


def test_one_person_has_values_and_reasons_for_all_that_is_missing():
    found = analysed([pair(samples=6), pair("CHROM", error=4.0)])
    mae = found.methods[0].metrics["MAE"]
    assert mae.value is not None
    assert mae.low is None
    assert mae.reason
    assert found.pairs[0].p is None
    assert found.pairs[0].reason


def test_no_waveforms_are_no_error():
    """Results whose waveforms are gone are concluded from as far as rows go."""
    pairs = [pair(person=s) for s in range(6)]
    rows, _ = score(pairs, CONVENTION, 10.0, "FFT")
    found = analyse_run([], rows, CONVENTION, "FFT")
    assert found.methods[0].metrics["MAE"] == analysed(pairs).methods[0].metrics["MAE"]
    assert found.lengths == ()
    assert analyse_run([], (), CONVENTION, "FFT").methods == ()


def test_a_baseline_is_compared_with_every_other_method_alone():
    methods = {"A": 1, "B": 2, "C": 3}
    pairs = [pair(m, s, e, seconds=6.0) for m, e in methods.items() for s in range(6)]
    assert len(analysed(pairs).pairs) == 3
    assert [(p.a, p.b) for p in analysed(pairs, baseline="B").pairs] == [("A", "B"), ("C", "B")]
    with pytest.raises(ConfigError, match=r"'D' is none of the methods.*A, B, C"):
        analysed(pairs, baseline="D")


def test_the_same_seed_concludes_the_same():
    pairs = [pair(person=s, error=s % 4, samples=6, seconds=8.0) for s in range(8)]
    assert analysed(pairs, seed=3) == analysed(pairs, seed=3)
    mae, other = (analysed(pairs, seed=s).methods[0].metrics["MAE (refined)"] for s in (3, 4))
    assert mae.value == other.value
    assert mae != other


@pytest.fixture(scope="module")
def shifted():
    """Calibrated on people who sit still; half of the others talk: errors 5 times as large."""
    error = np.random.default_rng(7).normal(0, 1.5, 48)
    learnt, _ = score(
        [pair(person=s, error=error[s], seconds=10.0) for s in range(24)], CONVENTION, 10.0, "FFT"
    )
    scoring = Scoring(CONVENTION, "FFT", 10.0)
    known = CalibratorFile(make_calibrators(learnt), str(CONVENTION), scoring.window)
    still = [
        pair(person=s, error=error[s], seconds=10.0, groups={"motion": "steady"}, dataset="PURE")
        for s in range(24, 36)
    ]
    talking = [
        pair(
            person=s, error=5 * error[s], seconds=10.0, groups={"motion": "talking"}, dataset="PURE"
        )
        for s in range(36, 48)
    ]

    def run(pairs):
        return report_pairs(
            pairs,
            title="twin",
            scoring=replace(scoring, uncertainty=Wanted(calibrators=known)),
            failures=(),
            provenance={},
        ).results

    return run(still), run([*still, *talking])


def test_intervals_hold_on_the_twin_and_fall_short_under_shift(shifted):
    same, mixed = shifted
    assert not any(row.warning for row in same.analysis.groups)
    assert not any("do not rely" in line for line in to_markdown(same).splitlines())
    by_motion = {r.value: r for r in mixed.analysis.groups if r.group == "motion"}
    assert by_motion["steady"].coverage.value > 0.85
    assert by_motion["steady"].warning == ""
    low = by_motion["talking"].coverage
    assert low.value < 0.6
    assert low.high < 0.9
    assert by_motion["talking"].warning.startswith(f"coverage {100 * low.value:.0f} %")
    assert "below the nominal 90 %" in by_motion["talking"].warning


def test_a_shift_is_warned_of_in_tables_and_report(shifted):
    _, mixed = shifted
    (warning,) = (r.warning for r in mixed.analysis.groups if r.value == "talking")
    assert f"POS, motion talking: {warning}" in uncertainty_table(mixed).notes
    cautions = find(mixed).cautions
    assert f"POS where motion is talking: {warning}." in cautions
    over_all = next(c for c in mixed.analysis.methods[0].uncertainty.levels if c.level == 0.9)
    assert over_all.by_subject.high < 0.9
    share = f"{100 * over_all.by_subject.value:.0f}"
    told = f"POS: the 90 % intervals cover only {share} % of windows"
    assert f"{told}, every subject weighing the same." in cautions
    assert f"- POS: its 90 % intervals hold the true HR in only {share} [" in to_markdown(mixed)
