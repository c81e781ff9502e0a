"""Saved waveforms: what can be asked of them, and what is said where there is no result."""

from __future__ import annotations

import numpy as np
import pytest

from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.report.tables import footnotes
from streamnet_plugin.rescoring import rescore

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
