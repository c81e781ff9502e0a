"""Saved results: reported again, together, compared, and calibrated on."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest

from streamnet_plugin.comparison import Scoring, report_pairs
from streamnet_plugin.errors import ConfigError, DataError, OutputError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.report import writer
from streamnet_plugin.report.tables import caption
from streamnet_plugin.report.writer import read_results
from streamnet_plugin.reporting import convention_of, difference, make_calibrator, report
from streamnet_plugin.rescoring import rescore
from streamnet_plugin.scoring import WaveformPair, load_pairs
from streamnet_plugin.uncertainty.calibration import Wanted, load_calibrators

FS, SECONDS = 30.0, 6.0
T = np.arange(round(SECONDS * FS)) / FS


def pairs(method, error, n=6, seed=0, dataset="PURE", samples=None):
    """Noisy pulses of `n` people, read with an error of that size, bpm."""
    rng = np.random.default_rng(seed)
    made = []
    for s in range(n):
        read, true = 60 + 3 * s + error * rng.normal(), 60 + 3 * s
        pred = np.sin(2 * np.pi * read / 60 * T) + 0.3 * rng.normal(size=len(T))
        made.append(
            WaveformPair(
                method, dataset, f"v{s}", f"p{s}", FS, pred, np.sin(2 * np.pi * true / 60 * T),
                False, "toolbox", rgb=np.ones((len(T), 3)),
                samples=samples and pred + 0.5 * rng.normal(size=(samples, len(T))),
            )
        )  # fmt: skip
    return made


def save(folder, made, convention="toolbox-2025", window_s=None, hr_method="FFT", seed=0):
    """A results folder as `streamnet benchmark` writes it, without figures."""
    return report_pairs(
        made,
        title="twin",
        scoring=Scoring(get_convention(convention), hr_method, window_s, Wanted(seed=seed)),
        failures=(),
        provenance={"data_fingerprint": "f", "git_commit": "c", "seed": seed},
        notes=(f"said of {folder.name}",),
        output=folder,
        plots=False,
        report=False,
    ).folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders by name; `other` and `again` read the videos of `both` by a method of its name."""
    root = tmp_path_factory.mktemp("runs")
    made = {
        "both": [*pairs("POS", 1), *pairs("GREEN", 6, seed=1)],
        "other": pairs("POS", 3, seed=2),
        "net": pairs("net", 2, seed=3, samples=6),
    }
    folders = {name: save(root / name, of) for name, of in made.items()}
    folders["short"] = save(root / "short", made["both"], window_s=5.0)
    folders["neurips"] = save(root / "neurips", made["net"], convention="neurips-2023")
    folders["peaks"] = save(root / "peaks", made["net"], hr_method="Peak")
    return folders


@pytest.fixture
def no_page(monkeypatch):
    """The report's page takes a second to draw; tests of it stand elsewhere."""
    monkeypatch.setattr(writer, "write_report", lambda results, path, *_, **__: path.touch())


def names(results):
    return [s.method for s in results.summaries]


def test_one_folder_again_says_the_same_and_never_overwrites(runs, tmp_path):
    first = report(runs["both"], output=tmp_path / "r", plots=False)
    before = {p.name: p.read_bytes() for p in first.folder.iterdir()}
    second = report(runs["both"] / "results.json", output=tmp_path / "r", plots=False)
    assert (first.folder.name, second.folder.name) == ("r", "r-2")
    assert {p.name: p.read_bytes() for p in first.folder.iterdir()} == before
    assert b"twin" in before["report.html"]
    old = read_results(runs["both"])
    for done in (first, second):  # the waveforms beside results.json are found, too
        new = read_results(done.folder)
        assert (new.rows, new.summaries, new.analysis) == (old.rows, old.summaries, old.analysis)
        assert new.notes == old.notes
        assert len(load_pairs(done.folder)) == 12


def test_the_intervals_of_a_run_are_drawn_again_with_its_own_seed(tmp_path, no_page):
    seven, zero = (save(tmp_path / str(s), pairs("POS", 6), seed=s) for s in (7, 0))
    again = report(seven, output=tmp_path / "again", plots=False).results
    assert again.analysis == read_results(seven).analysis
    assert again.analysis != read_results(zero).analysis


def test_several_folders_are_concluded_from_together(runs, tmp_path, no_page):
    done = report(runs["both"], runs["net"], output=tmp_path / "r", plots=False)
    results = read_results(done.folder)
    assert names(results) == ["POS", "GREEN", "net"]
    found = {frozenset((p.a, p.b)) for p in results.analysis.pairs}
    assert frozenset(("GREEN", "net")) in found  # which no run had
    assert all(p.n_subjects == 6 for p in results.analysis.pairs)
    assert results.analysis.ranks.n_subjects == 6
    assert Counter(p.method for p in load_pairs(done.folder)) == dict.fromkeys(names(results), 6)
    (net,) = (m for m in results.analysis.methods if m.method == "net")
    assert [r.what for r in net.repeatability] == ["mean of 2 Monte Carlo samples"]
    assert {row.method for row in results.analysis.lengths} == set(names(results))
    said = {note.rpartition("/")[2] for note in results.notes}
    assert {"both: said of both", "net: said of net"} <= said
    again = report(done.folder, output=tmp_path / "again", plots=False)
    assert again.results.analysis == results.analysis


def test_methods_of_one_name_keep_their_folders_waveforms_apart(runs, tmp_path, no_page):
    done = report(runs["both"], runs["other"], output=tmp_path / "r", plots=False)
    mine, green, theirs = names(done.results)
    assert green == "GREEN"
    assert mine.startswith("POS (")
    assert mine.endswith("/both)")
    assert theirs.endswith("/other)")
    kept = {(p.method, p.recording): p.pred for p in load_pairs(done.folder)}
    assert len(kept) == 18
    for name, folder in ((mine, "both"), (theirs, "other")):
        for pair in load_pairs(runs[folder]):
            if pair.method == "POS":
                np.testing.assert_array_equal(kept[name, pair.recording], pair.pred)
    maes = {m.method: m.metrics["MAE (refined)"].value for m in done.results.analysis.methods}
    assert maes[mine] < maes[theirs]
    rescored = rescore(done.folder).results  # what is written can be scored again
    assert names(rescored) == [mine, green, theirs]


def test_a_copy_is_there_once(runs, tmp_path, no_page):
    shutil.copytree(runs["both"], tmp_path / "copy")
    done = report(
        runs["both"], tmp_path / "copy", output=tmp_path / "r", plots=False, baseline="POS"
    )
    assert names(done.results) == ["POS", "GREEN"]
    assert len(load_pairs(done.folder)) == 12
    assert sum("counted once" in note for note in done.results.notes) == 2
    assert [(p.a, p.b) for p in done.results.analysis.pairs] == [("GREEN", "POS")]


def test_a_folder_without_waveforms_is_reported_without(runs, tmp_path, no_page):
    shutil.copytree(runs["both"], tmp_path / "bare")
    (tmp_path / "bare" / "waveforms.npz").unlink()
    done = report(tmp_path / "bare", runs["net"], output=tmp_path / "r", plots=False)
    assert any(
        note.startswith(f"{tmp_path / 'bare'} has no waveforms") for note in done.results.notes
    )
    assert names(done.results) == ["POS", "GREEN", "net"]
    assert {p.method for p in load_pairs(done.folder)} == {"net"}
    assert all(p.n_subjects == 6 for p in done.results.analysis.pairs)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("neurips", r"convention: toolbox-2025 .* in .*both, neurips-2023 .* in .*neurips"),
        ("short", r"window: whole videos in .*both, 5 s windows in .*short"),
        ("peaks", r"HR method: FFT in .*both, Peak in .*peaks"),
    ],
)
def test_other_conventions_are_refused_with_both_named(runs, tmp_path, name, says):
    for refused in (
        lambda: report(runs["both"], runs[name], output=tmp_path / "r"),
        lambda: difference(runs["both"], runs[name]),
        lambda: make_calibrator(runs["both"], runs[name], output=tmp_path / "c.json"),
    ):
        with pytest.raises(ConfigError, match=says):
            refused()
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_told(runs, tmp_path):
    with pytest.raises(ConfigError, match="no results to report"):
        report(output=tmp_path / "r")
    with pytest.raises(DataError, match="no results of ours") as error:
        report(runs["both"], tmp_path / "nothing", output=tmp_path / "r")
    assert error.value.path == tmp_path / "nothing"
    with pytest.raises(ConfigError, match="'TSCAN' is none of the methods"):
        report(runs["both"], output=tmp_path / "r", baseline="TSCAN")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        report(runs["both"], output=tmp_path / "file" / "r")
    shutil.copytree(runs["both"], tmp_path / "damaged")
    (tmp_path / "damaged" / "waveforms.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="waveforms cannot be read"):
        report(tmp_path / "damaged", output=tmp_path / "r")


def test_damaged_waveforms_are_told_wherever_the_damage_is(runs, tmp_path):
    whole = (runs["net"] / "waveforms.npz").read_bytes()
    path = tmp_path / "waveforms.npz"
    for place in range(0, len(whole), len(whole) // 80):
        path.write_bytes(whole[:place] + bytes(b ^ 255 for b in whole[place : place + 8])
                         + whole[place + 8 :])  # fmt: skip
        with suppress(DataError):  # and nothing else
            load_pairs(tmp_path)


def test_the_convention_is_read_back(runs):
    for name, convention in (("both", "toolbox-2025"), ("neurips", "neurips-2023")):
        assert convention_of(read_results(runs[name])) == get_convention(convention)


def test_a_run_is_identical_with_itself_and_differs_from_another(runs):
    same = difference(runs["both"], runs["both"])
    assert [m.verdict for m in same.methods] == ["identical", "identical"]
    other = difference(runs["both"], runs["other"])
    assert [m.method for m in other.methods] == ["POS"]
    assert other.methods[0].verdict != "identical"
    assert other.methods_only == (("GREEN",), ())


def test_a_calibrator_knows_everybody_of_its_results_once(runs, tmp_path):
    made = make_calibrator(runs["both"], runs["net"], output=tmp_path / "c.json")
    assert {name: c.n_subjects for name, c in made.methods.items()} == {
        "POS": 6, "GREEN": 6, "net": 6
    }  # fmt: skip
    assert made.source[str(runs["net"])] == {
        "title": "twin", "data_fingerprint": "f", "git_commit": "c"
    }  # fmt: skip
    read = load_calibrators(tmp_path / "c.json")
    assert (read.convention, read.window) == ("toolbox-2025 (0.6-3.3 Hz)", "whole videos")
    shutil.copytree(runs["both"], tmp_path / "copy")
    twice = make_calibrator(runs["both"], tmp_path / "copy", output=tmp_path / "d.json")
    np.testing.assert_array_equal(twice.methods["POS"].scores, made.methods["POS"].scores)


def test_a_calibrator_of_two_datasets_has_the_people_of_both(runs, tmp_path):
    """Who is p0 in both are two people."""
    ubfc = save(tmp_path / "ubfc", pairs("POS", 2, seed=9, dataset="UBFC-rPPG"))
    made = make_calibrator(runs["both"], ubfc, output=tmp_path / "c.json")
    assert made.methods["POS"].n_subjects == 12
    assert made.methods["GREEN"].n_subjects == 6


def test_two_readings_of_the_same_windows_calibrate_nothing(runs, tmp_path):
    with pytest.raises(ConfigError, match=r"both and .*other differ in POS, PURE v0"):
        make_calibrator(runs["both"], runs["other"], output=tmp_path / "c.json")


def test_what_cannot_calibrate_is_told(runs, tmp_path):
    with pytest.raises(ConfigError, match="no results to calibrate on"):
        make_calibrator(output=tmp_path / "c.json")
    dead = save(tmp_path / "dead", [replace(p, pred=np.ones(len(T))) for p in pairs("POS", 1, n=2)])
    with pytest.raises(DataError, match="nothing can be calibrated") as error:
        make_calibrator(dead, output=tmp_path / "c.json")
    assert error.value.path == dead
    with pytest.raises(OutputError):
        make_calibrator(runs["both"], output=dead / "results.json" / "c.json")
    assert not (tmp_path / "c.json").exists()


def test_intervals_of_a_calibrator_are_those_of_new_data(runs, tmp_path):
    """Two people alone cannot calibrate each other at 80 %, the file's six can."""
    made = make_calibrator(runs["both"], output=tmp_path / "c.json")
    two = save(tmp_path / "two", [*pairs("POS", 1, n=2, seed=5), *pairs("net", 1, n=2, seed=6)])
    done = rescore(two, uncertainty=Wanted(calibrators=load_calibrators(tmp_path / "c.json")))
    for row in done.results.rows:
        expected = made.methods["POS"].half_widths(row.spread) if row.method == "POS" else {}
        assert row.half_widths == expected
    assert "net: the calibrator file has no calibrator for it: no intervals." in done.results.notes
    assert all(row.half_widths["80"] is None for row in rescore(two).results.rows)


def test_everything_withheld_is_reported_as_such(tmp_path):
    run = rescore(
        save(tmp_path / "a", pairs("POS", 5)),
        output=tmp_path / "r",
        plots=False,
        report=True,
        uncertainty=Wanted(target_mae=0.001),
    )
    assert {row.withheld for row in run.results.rows} == {"too unsure"}
    (method,) = run.results.analysis.methods
    assert (method.n_withheld, method.kept_mae.value) == (6, None)
    assert method.kept_mae.reason == "every one of 6 windows is withheld"
    with (run.folder / "windows.csv").open() as file:
        assert {line["withheld"] for line in csv.DictReader(file)} == {"too unsure"}
    assert "POS: every window is withheld." in (run.folder / "report.html").read_text()
    done = report(run.folder, output=tmp_path / "again", plots=False)
    assert done.results.analysis.methods[0].n_withheld == 6


def test_people_and_videos_of_two_datasets_are_not_the_same_though_named_alike(tmp_path):
    """A recording of PURE that gave nothing fails, though UBFC's of that name was read."""
    pure, ubfc = pairs("POS", 1, n=3), pairs("POS", 1, n=3, dataset="UBFC-rPPG", seed=1)
    pure[0] = replace(pure[0], pred=np.full(len(T), np.nan))
    results = read_results(save(tmp_path / "r", [*pure, *ubfc]))
    (summary,) = results.summaries
    assert (summary.n_subjects, summary.n_videos) == (5, 5)
    assert [(f.dataset, f.recording) for f in results.failures] == [("PURE", "v0")]
    assert "6 subjects" in caption(results)


def test_a_calibrator_names_what_it_leaves_out_and_overwrites_nothing(tmp_path):
    dead = [replace(p, method="dead", pred=np.full(len(T), np.nan)) for p in pairs("POS", 1)]
    folder = save(tmp_path / "r", [*pairs("POS", 1), *dead])
    first = make_calibrator(folder, output=tmp_path / "c.json")
    before = first.path.read_bytes()
    second = make_calibrator(folder, output=tmp_path / "c.json")
    assert (first.path, second.path) == (tmp_path / "c.json", tmp_path / "c-2.json")
    assert first.path.read_bytes() == before == second.path.read_bytes()
    assert (list(first.methods), first.left_out) == (["POS"], ("dead",))
