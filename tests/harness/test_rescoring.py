"""Saved waveforms: what can be asked of them, and what is said where there is no result."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.paths import distinguishing
from streamnet_plugin.report.tables import footnotes
from streamnet_plugin.rescoring import rescore
from streamnet_plugin.uncertainty.calibration import (
    CalibratorFile,
    Wanted,
    make_calibrators,
)

T = np.arange(900) / 30
PULSE = np.sin(2 * np.pi * 1.2 * T)


def csv_of(path, **videos):
    """A CSV with these predictions, each of the same true pulse."""
    lines = ["video,pred,label"]
    for name, pred in videos.items():
        lines += [f"{name},{p:.6f},{g:.6f}" for p, g in zip(pred, PULSE, strict=True)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def good(tmp_path):
    return csv_of(tmp_path / "net.csv", a=PULSE, b=PULSE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"hr_method": "Welch"}, "no HR method is named 'Welch'.*FFT or Peak"),
        ({"window_s": float("nan")}, "window of nan s"),
        ({"window_s": 0.0}, "window of 0 s"),
        ({"window_s": -1.0}, "window of -1 s"),
        ({"window_s": 0.1}, "0.1 s has 3 samples at 30 Hz; at least 10 are needed"),
        ({"window_s": 1e5}, "longer than every recording: the longest has 30.0 s"),
        ({"fs": 0.0}, "frame rate of 0 Hz"),
        ({"fs": float("inf")}, "frame rate of inf Hz"),
        ({"convention": "mine"}, "mine"),
    ],
)
def test_what_cannot_be_asked_is_refused(good, options, says):
    with pytest.raises(ConfigError, match=says):
        rescore(good, **options)


@pytest.mark.parametrize("options", [{"fs": 25.0}, {"differential": True}])
def test_what_a_source_knows_itself_is_not_taken_from_the_user(good, tmp_path, options):
    folder = rescore(good, output=tmp_path / "r", plots=False).folder
    for source in (folder, tmp_path / "model_outputs.pickle"):
        with pytest.raises(ConfigError, match="knows it better"):
            rescore(source, **options)
    rescore(good, **options)


@pytest.mark.parametrize("name", ["fft", "FFT", "peak", "Peak"])
def test_capitals_of_the_hr_method_do_not_matter(good, name):
    assert rescore(good, hr_method=name).results.hr_method.lower() == name.lower()


def test_a_csv_without_rows_is_an_error(tmp_path):
    (tmp_path / "p.csv").write_text("video,pred,label\n")
    with pytest.raises(DataError, match="no row below the header"):
        rescore(tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("pred", "says"),
    [(np.full(900, np.nan), "300 of 300 values that are not finite"), (np.ones(900), "constant")],
)
def test_a_recording_without_any_result_is_a_failure(tmp_path, pred, says):
    source = csv_of(tmp_path / "net.csv", a=PULSE, b=pred)
    results = rescore(source, window_s=10).results
    (failure,) = results.failures
    assert (failure.recording, failure.method, failure.path) == ("b", "net", str(source))
    assert says in failure.reason
    assert failure.remedy
    (summary,) = results.summaries
    assert (summary.n_windows, summary.n_no_result) == (3, 3)
    assert [note for note in footnotes(results) if note.startswith("No result")] == [
        f"No result for b by net: {failure.reason}"
    ]


def test_single_windows_without_a_result_are_named_and_no_failure(tmp_path):
    half = np.where(T < 10, 1.0, PULSE)
    many = {f"v{i}": np.where(T < 20, 1.0, PULSE) for i in range(3)}
    results = rescore(csv_of(tmp_path / "net.csv", a=half, **many), window_s=10).results
    assert results.failures == ()
    notes = footnotes(results)
    assert "net: 7 windows without a result are left out." in notes
    assert "No result for a, 0-10 s, by net: the prediction is constant" in notes
    assert sum(note.startswith("No result for") for note in notes) == 5
    assert "No result in 2 more windows: see windows.csv." in notes


def test_one_is_not_many(tmp_path):
    half = np.where(T < 10, 1.0, PULSE)
    notes = footnotes(rescore(csv_of(tmp_path / "net.csv", a=half), window_s=10).results)
    assert "net: 1 window without a result is left out." in notes


def read(hr, noise=0.3, seed=0):
    """A noisy pulse of that heart rate, bpm, as long as the true one of 72 bpm."""
    return np.sin(2 * np.pi * hr / 60 * T) + noise * np.random.default_rng(seed).normal(size=len(T))


def test_two_csvs_are_compared_video_by_video(tmp_path):
    """A video's name says who it shows; what only one has is in no pair, and named."""
    a = csv_of(tmp_path / "a.csv", **{f"v{i}": read(72 + i, seed=i) for i in range(7)})
    b = csv_of(tmp_path / "b.csv", **{f"v{i}": read(72 + 3 * i, seed=i) for i in range(1, 9)})
    results = rescore(a, b).results
    (pair,) = results.analysis.pairs
    assert (pair.a, pair.b, pair.n_subjects) == ("a", "b", 6)
    common = [f"v{i}" for i in range(1, 7)]
    maes = {
        m: np.mean([r.abs_error for r in results.rows if r.method == m and r.recording in common])
        for m in "ab"
    }
    assert pair.difference.value == pytest.approx(maes["a"] - maes["b"])
    assert pair.p is not None
    notes = footnotes(results)
    assert any(n.startswith("Not the same videos: 6 are common to all methods") for n in notes)
    assert "a has no result of 2 recordings (v7, v8)" in notes
    assert "b has no result of 1 recording (v0)" in notes


def test_a_bad_source_among_good_ones_is_named(good, tmp_path):
    bad = tmp_path / "bad.csv"
    for content, says in {
        "video,pred\na,1\n": "no column 'label'",
        "video,pred,label\na,x,1\n": "numbers",
        "": "numbers",
    }.items():
        bad.write_text(content)
        with pytest.raises(DataError, match=says) as error:
            rescore(good, bad, output=tmp_path / "r")
        assert error.value.path == bad
    assert not (tmp_path / "r").exists()


def test_a_baseline_that_is_none_of_the_sources_is_refused(good, tmp_path):
    other = csv_of(tmp_path / "other.csv", a=PULSE, b=read(80))
    assert [(p.a, p.b) for p in rescore(good, other, baseline="net").results.analysis.pairs] == [
        ("other", "net")
    ]
    with pytest.raises(ConfigError, match=r"'POS' is none of the methods.*net, other"):
        rescore(good, other, baseline="POS", output=tmp_path / "r")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(("seconds", "short"), [(4.9, True), (5.0, False), (None, False)])
def test_windows_too_short_to_tell_a_pulse_from_noise_are_withheld(good, seconds, short):
    rows = rescore(good, window_s=seconds).results.rows
    whole = [r for r in rows if seconds is None or r.end_s - r.start_s > seconds - 0.1]
    assert whole
    assert {r.withheld for r in whole} == ({"too short"} if short else {""})


def test_a_last_window_that_is_too_short_is_withheld_alone(good):
    rows = rescore(good, window_s=13.0).results.rows
    assert [r.withheld for r in rows] == ["", "", "too short"] * 2


def test_a_calibrator_of_other_windows_or_another_band_is_refused(tmp_path):
    many = csv_of(tmp_path / "net.csv", **{f"v{i}": read(72 + i, seed=i) for i in range(3)})
    results = rescore(many).results
    made = CalibratorFile(make_calibrators(results.rows), results.convention, results.window)
    wanted = Wanted(calibrators=made)
    assert all(row.half_widths for row in rescore(many, uncertainty=wanted).results.rows)
    with pytest.raises(ConfigError, match="windows 'whole videos', this run has '10 s windows'"):
        rescore(many, window_s=10, uncertainty=wanted)
    with pytest.raises(ConfigError, match="this run has 'neurips-2023"):
        rescore(many, convention="neurips-2023", uncertainty=wanted)


def copied(source, *folders):
    """The same model's file in several folders."""
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / source.name).write_bytes(source.read_bytes())
    return [folder / source.name for folder in folders]


def test_files_of_one_name_are_methods_of_their_own_whatever_the_folders_are_called(tmp_path):
    """As a toolbox saves them: runs/NAME/saved_test_outputs/MODEL_outputs.pickle."""
    for run, hr in (("one", 72), ("two", 90)):
        (tmp_path / run / "saved").mkdir(parents=True)
        csv_of(tmp_path / run / "saved" / "net.csv", a=read(hr), b=read(hr, seed=1))
    results = rescore(*tmp_path.glob("*/saved/net.csv")).results
    maes = {s.method: s.values["MAE"][0] for s in results.summaries}
    assert set(maes) == {"net (one)", "net (two)"}
    assert maes["net (one)"] < 2 < maes["net (two)"]
    assert {s.n_windows for s in results.summaries} == {2}


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["/r/a/out/x", "/r/b/out/x"], ["a", "b"]),
        (["/r/a/x", "/q/a/x"], ["r", "q"]),
        (["/r/a/1/x", "/r/b/1/x", "/r/a/2/x"], ["a/1", "b/1", "a/2"]),
        (["/r/x.csv", "/r/x.pickle"], ["x.csv", "x.pickle"]),
        (["/x", "/a/x"], ["/", "a"]),
    ],
)
def test_the_shortest_part_of_a_path_that_tells_it_apart(paths, labels):
    assert distinguishing([Path(p) for p in paths]) == labels


def test_a_name_that_a_third_source_has_already_is_no_third_method(tmp_path):
    one, two = tmp_path / "one" / "net.csv", tmp_path / "two" / "net.csv"
    third = tmp_path / "net (one).csv"
    for seed, path in enumerate((one, two, third)):
        path.parent.mkdir(exist_ok=True)
        csv_of(path, a=read(72, seed=seed))
    results = rescore(one, two, third).results
    assert len({s.method for s in results.summaries}) == 3
    assert {s.n_windows for s in results.summaries} == {1}


def test_what_is_given_twice_is_counted_once_and_said_so(good, tmp_path):
    (copy,) = copied(good, tmp_path / "copy")
    link = tmp_path / "link.csv"
    link.symlink_to(good)
    results = rescore(good, good, copy, link).results
    assert [s.method for s in results.summaries] == ["net", "link"]
    assert all(s.n_windows == 2 for s in results.summaries)
    said = [note for note in results.notes if "counted once" in note]
    assert said == [
        f"{good}: net is given twice, with the same waveforms; counted once.",
        f"{copy}: net is in {good} too, with the same waveforms; counted once.",
    ]


def test_recordings_named_like_those_of_pure_are_of_their_people(tmp_path):
    names = ["101", "102", "1003", "10-04"]
    results = rescore(csv_of(tmp_path / "net.csv", **dict.fromkeys(names, PULSE))).results
    assert [r.subject for r in results.rows] == ["01", "01", "10", "10"]
    assert results.summaries[0].n_subjects == 2
    assert [r.groups["setup"] for r in results.rows][:2] == ["steady", "talking"]
    (note,) = [n for n in results.notes if "PURE" in n]
    assert note.startswith("net: 4 recordings of 2 people, by their names")
    other = csv_of(tmp_path / "other.csv", **dict.fromkeys([*names, "107"], PULSE))
    results = rescore(other).results  # PURE has no setup 7
    assert results.summaries[0].n_subjects == 5
    assert not any("PURE" in n for n in results.notes)


def told(path, **subjects):
    """A CSV of waveforms in which videos name their subjects; the table that says the same."""
    source = csv_of(path, **dict.fromkeys(subjects, PULSE))
    head, *rows = source.read_text().splitlines()
    named = [f"{row},{subjects[row.partition(',')[0]]}" for row in rows]
    source.write_text("\n".join([f"{head},subject", *named]))
    return source


def table_of(path, **subjects):
    rows = [f"{name},{subject}" for name, subject in subjects.items()]
    path.write_text("\n".join(["recording,subject", *rows]))
    return path


def assumed(results):
    return [note for note in results.notes if "a subject of its own" in note]


TWO_PEOPLE = {"a": "01", "b": "1", "c": "01"}


def test_recordings_of_unknown_people_count_as_subjects_and_the_notes_say_so(good, tmp_path):
    run = rescore(good, output=tmp_path / "r", plots=False)
    (note,) = assumed(run.results)
    assert note.startswith("net: nobody said who the 2 recordings show")
    assert "--subjects FILE" in note
    assert "column subject" in note
    assert note in (run.folder / "table.md").read_text()
    assert assumed(rescore(run.folder).results) == [note]  # the folder does not know them either
    assert not assumed(rescore(csv_of(tmp_path / "one.csv", a=PULSE)).results)
    ubfc = csv_of(tmp_path / "ubfc.csv", subject1=PULSE, subject12=PULSE)
    assert not assumed(rescore(ubfc).results)


def test_a_csv_names_its_subjects(tmp_path):
    run = rescore(told(tmp_path / "net.csv", **TWO_PEOPLE), output=tmp_path / "r", plots=False)
    for results in (run.results, rescore(run.folder).results):
        assert {r.recording: r.subject for r in results.rows} == TWO_PEOPLE
        assert results.summaries[0].n_subjects == 2
        assert not assumed(results)


@pytest.mark.parametrize(
    ("second", "says"), [("02", "the subjects '01', '02'"), ("", "the subjects '01', ''")]
)
def test_a_video_of_two_subjects_is_refused(tmp_path, second, says):
    source = told(tmp_path / "net.csv", a="01", b="02")
    lines = source.read_text().splitlines()
    lines[5] = lines[5].removesuffix("01") + second
    source.write_text("\n".join(lines))
    with pytest.raises(DataError, match=f"the video 'a' has {says}.*one subject in all") as error:
        rescore(source)
    assert error.value.path == source
    with pytest.raises(DataError, match="the video 'b' has no subject"):
        rescore(told(source, a="01", b=""))


def test_a_table_names_the_subjects_of_sources_that_do_not_know_them(good, tmp_path):
    table = tmp_path / "subjects.csv"
    table.write_text("recording,subject,setup\na,anna,still\nb,anna,still\nz,zoe,still\n")
    results = rescore(good, subjects=table).results
    assert results.summaries[0].n_subjects == 1
    assert {r.groups["setup"] for r in results.rows} == {"still"}
    assert not assumed(results)
    assert not any("by their names" in note for note in results.notes)
    assert f"{table}: 1 row of no recording here (z)." in results.notes


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ({"a": "anna"}, r"no row for 1 recording \(b\)"),
        ({"a": "anna", "b": ""}, "'b' has no subject"),
    ],
)
def test_a_table_that_lacks_a_subject_is_refused(good, tmp_path, rows, says):
    table = table_of(tmp_path / "subjects.csv", **rows)
    with pytest.raises(DataError, match=says) as error:
        rescore(good, subjects=table, output=tmp_path / "r")
    assert error.value.path == table
    assert not (tmp_path / "r").exists()


def test_what_one_source_knows_holds_in_the_others_and_contradictions_are_refused(tmp_path):
    knowing = told(tmp_path / "a.csv", **TWO_PEOPLE)
    other = csv_of(tmp_path / "b.csv", **dict.fromkeys(TWO_PEOPLE, PULSE))
    results = rescore(other, knowing).results
    assert [s.n_subjects for s in results.summaries] == [2, 2]
    assert not assumed(results)
    with pytest.raises(DataError, match="'a' is of '02' by c, and of '01' by a"):
        rescore(knowing, told(tmp_path / "c.csv", **{**TWO_PEOPLE, "a": "02"}))
    table = table_of(tmp_path / "subjects.csv", **{**TWO_PEOPLE, "a": "02"})
    with pytest.raises(DataError, match="'a' is of '02' here, and of '01' by"):
        rescore(knowing, subjects=table)


@pytest.mark.parametrize("name", ["PURE", "pure"])
def test_waveforms_of_a_named_dataset_are_compared_with_results_on_it(tmp_path, name):
    """The toolbox's names of PURE's recordings become ours; folders know their dataset."""
    names = [f"{person}0{setup}" for person in range(1, 7) for setup in (1, 2)]
    ours = csv_of(tmp_path / "ours.csv", **{n: read(72, seed=i) for i, n in enumerate(names)})
    folder = rescore(ours, dataset="PURE", output=tmp_path / "r", plots=False).folder
    theirs = csv_of(tmp_path / "theirs.csv", **{n: read(90, seed=i) for i, n in enumerate(names)})
    results = rescore(theirs, folder, dataset=name).results
    (pair,) = results.analysis.pairs
    assert pair.n_subjects == 6
    assert results.title == "PURE"
    assert {(r.dataset, r.recording, r.subject) for r in results.rows} == {
        ("PURE", f"0{n[0]}-{n[1:]}", f"0{n[0]}") for n in names
    }
    said = ("by their names", "a subject of its own", "Not the same videos")
    assert not [note for note in results.notes for words in said if words in note]
    with pytest.raises(ConfigError, match="every source knows its own"):
        rescore(folder, dataset=name)
    with pytest.raises(ConfigError, match="name of the dataset is empty"):
        rescore(theirs, dataset=" ")


def test_published_rows_stand_beside_a_whole_named_dataset_and_else_the_table_says_why(tmp_path):
    videos = {f"subject{i}": PULSE for i in range(42)}
    source = csv_of(tmp_path / "net.csv", **videos)
    for dataset, shown in (("ubfc", True), ("UBFC-rPPG", True), (None, False)):
        options = {"convention": "neurips-2023", "dataset": dataset, "plots": False}
        folder = rescore(source, **options, output=tmp_path / "r").folder
        table = (folder / "table.md").read_text()
        assert ("reported, not measured" in table) == shown
        assert ("nobody said which dataset" in table) != shown
    windows = rescore(source, dataset="ubfc", window_s=10, output=tmp_path / "r", plots=False)
    assert "do not compare" in (windows.folder / "table.md").read_text()


def test_a_failed_recording_is_of_the_named_dataset_too(tmp_path):
    """Else it would count beside the same recording of a method that read it."""
    source = csv_of(tmp_path / "net.csv", **{"101": PULSE, "102": np.ones(900)})
    (failure,) = rescore(source, dataset="PURE").results.failures
    assert (failure.dataset, failure.recording) == ("PURE", "01-02")


def test_a_source_without_any_video_is_an_error(good, tmp_path):
    empty = tmp_path / "none_outputs.pickle"
    content = {"predictions": {}, "labels": {}, "label_type": "Standardized", "fs": 30}
    empty.write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="no video") as error:
        rescore(good, empty)
    assert error.value.path == empty
