"""Tables, files and plots of made-up results."""

from __future__ import annotations

import csv
import errno
import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from streamnet_plugin.errors import DataError, OutputError
from streamnet_plugin.evaluation.aggregate import METRICS
from streamnet_plugin.report import provenance as provenance_module
from streamnet_plugin.report import tables
from streamnet_plugin.report.provenance import git_commit, provenance
from streamnet_plugin.report.results import (
    BenchmarkResults,
    FailureRow,
    MethodSummary,
    Waveform,
    WindowRow,
)
from streamnet_plugin.report.writer import n_files, read_results, to_json, write_results


def row(method, subject, pred, label=70.0):
    known = pred is not None
    return WindowRow(
        method=method, dataset="UBFC-rPPG", recording=subject, subject=subject, window=0,
        start_s=0.0, end_s=10.0, hr_label=label, hr_pred=pred,
        abs_error=abs(pred - label) if known else None, hr_label_refined=label,
        hr_pred_refined=pred, snr_db=1.0 if known else None, macc=0.5 if known else None,
        hr_mc_mean=None, hr_mc_std=None, hr_mc_q05=None, hr_mc_q95=None,
        status="ok" if known else "no result", reason="" if known else "constant",
        groups={"setup": "steady"},
    )  # fmt: skip


def summary(method, mae, r, variant="toolbox", **changes):
    base = MethodSummary(
        method, variant, {"MAE": (mae, 0.5), "Pearson": (r, None)}, 2, 0, 2, 2, None, 0.1
    )
    return replace(base, **changes)


@pytest.fixture
def results():
    return BenchmarkResults(
        title="Test & 100 % set",
        convention="toolbox-2025 (0.6-3.3 Hz)",
        hr_method="FFT",
        window="10 s windows",
        summaries=(
            summary("A_net", 2.0, 0.9, "network", hr_mc_std=1.25),
            summary("B", 1.0, 0.8),
            summary("C", 3.0, None, n_windows=1, n_no_result=1),
        ),
        rows=tuple(
            row(m, s, p)
            for m, values in {"A_net": (71.0, 73.0), "B": (70.0, 72.0), "C": (73.0, None)}.items()
            for s, p in zip(("s1", "s2"), values, strict=True)
        ),
        failures=(FailureRow("s3", "/data/s3/vid.avi", "truncated", "copy it again"),),
        provenance={"seed": 1},
        notes=("a note",),
    )


def waves():
    t = np.arange(300) / 30
    x = np.sin(8 * t)
    return [
        Waveform("A_net", "UBFC-rPPG", "s1", t, x, x, (x - 0.1, x + 0.1)),
        Waveform("B", "UBFC-rPPG", "s1", t, -x, x),
    ]


def test_round_trip(results, tmp_path):
    folder = write_results(results, tmp_path / "r", plots=False)
    assert read_results(folder) == results


def test_json_is_strict(results):
    odd = replace(results, provenance={"x": float("nan"), "y": [float("inf")]})

    def refuse(constant):
        raise AssertionError(constant)

    tree = json.loads(to_json(odd), parse_constant=refuse)
    assert tree["provenance"] == {"x": None, "y": [None]}


def test_all_files_are_there_and_pictures_are_pictures(results, tmp_path):
    seen = []
    figures = ("forest", "bland-altman-A_net", "bland-altman-B", "bland-altman-C")
    folder = write_results(results, tmp_path / "r", waves(), progress=seen.append, report=True)
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names == {
        "results.json", "windows.csv", "table.md", "table.csv", "table.tex", "table.html",
        "report.html", "plots/waveforms-s1.png",
        *(f"plots/{name}.{kind}" for kind in ("png", "pdf", "svg") for name in figures),
    }  # fmt: skip
    for path in folder.glob("plots/*.png"):
        assert cv2.imread(str(path)).std() > 5
    one_video_less = replace(results, rows=tuple(r for r in results.rows if r.recording == "s1"))
    assert len(seen) == n_files(one_video_less, plots=True, report=True)


def test_equal_recordings_of_two_datasets_have_pictures_of_their_own(results, tmp_path):
    other = tuple(replace(r, dataset="PURE") for r in results.rows)
    both = replace(results, rows=(*results.rows, *other))
    shown = [*waves(), *(replace(w, dataset="PURE") for w in waves())]
    seen = []
    folder = write_results(both, tmp_path / "r", shown, progress=seen.append)
    names = {path.name for path in folder.glob("plots/waveforms-*")}
    assert names == {"waveforms-UBFC-rPPG_s1.png", "waveforms-PURE_s1.png"}
    assert n_files(both, plots=True) == len(seen) + 2  # no waveform of s2


def test_windows_csv_has_every_window_also_those_without_result(results, tmp_path):
    folder = write_results(results, tmp_path / "r", plots=False)
    with (folder / "windows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[-1]["status"] == "no result"
    assert rows[-1]["hr_pred"] == ""
    assert rows[-1]["reason"] == "constant"
    assert rows[0]["groups"] == "setup=steady"


@pytest.fixture
def even(results):
    """C has no result at all, so that the others have theirs in the same windows."""
    return replace(results, rows=results.rows[:4])


def test_best_and_second_in_either_direction(even):
    assert tables.ranks(even, "MAE") == ({"B"}, {"A_net"})
    assert tables.ranks(even, "Pearson") == ({"A_net"}, {"B"})
    text = tables.to_markdown(even)
    assert "**1.00 ± 0.50**" in text
    assert "*2.00 ± 0.50*" in text
    assert "**0.90**" in text


def test_markdown_is_a_table_that_names_what_is_missing(results):
    text = tables.to_markdown(results)
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "toolbox-2025 (0.6-3.3 Hz)" in text
    assert "C: 1 window without a result is left out" in text
    assert "No result for s2, 0-10 s, by C: constant" in text
    one = replace(results, rows=results.rows[:1])
    assert "1 subject, 2 windows" in tables.caption(one)
    assert "No result for s3: truncated" in text
    assert "—" in lines[-1]
    assert "1 / 2" in lines[-1]


def test_csv_has_full_precision(results):
    rows = list(csv.DictReader(tables.to_csv(results).splitlines()))
    assert [float(r["MAE"]) for r in rows] == [2.0, 1.0, 3.0]
    assert rows[2]["Pearson"] == ""
    assert rows[0]["hr_mc_std"] == "1.25"


def test_latex_is_escaped_and_balanced(results, even):
    text = tables.to_latex(results)
    assert r"A\_net" in text
    assert r"Test \& 100 \% set" in text
    assert text.count("{") == text.count("}")
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    columns = {line.replace(r"\&", "").count("&") for line in body.splitlines() if "&" in line}
    assert columns == {len(tables.header(results)) - 1}
    ranked = tables.to_latex(even)
    assert r"\textbf{1.00 $\pm$ 0.50}" in ranked
    assert r"\underline{2.00 $\pm$ 0.50}" in ranked


def test_a_second_run_destroys_nothing(results, tmp_path):
    first = write_results(results, tmp_path / "r", plots=False)
    (first / "mine.txt").write_text("kept")
    second = write_results(results, tmp_path / "r", plots=False)
    third = write_results(results, tmp_path / "r", plots=False)
    assert [p.name for p in (first, second, third)] == ["r", "r-2", "r-3"]
    assert (first / "mine.txt").read_text() == "kept"


def test_a_full_disk_leaves_no_half_folder(results, tmp_path, monkeypatch):
    def full(self, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match="--output"):
        write_results(results, tmp_path / "r", plots=False)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_named(results, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as error:
        write_results(results, tmp_path / "file" / "r", plots=False)
    assert error.value.path == tmp_path / "file" / "r"


def test_no_result_at_all_still_gives_a_report(results, tmp_path):
    rows = (row("C", "s1", None),)
    nothing = {"MAE": (None, None), "Pearson": (None, None)}
    empty = summary("C", None, None, values=nothing, n_windows=0, n_no_result=1)
    folder = write_results(replace(results, rows=rows, summaries=(empty,)), tmp_path / "r")
    assert "—" in (folder / "table.md").read_text()


def test_rubbish_is_no_results(tmp_path):
    (tmp_path / "results.json").write_text("[]")
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError):
            read_results(place)


def test_provenance_says_where_from():
    tree = provenance({"a": 1}, 7, "abc", {"POS": {}})
    assert tree["config"] == {"a": 1}
    assert tree["seed"] == 7
    assert tree["data_fingerprint"] == "abc"
    assert tree["versions"]["numpy"] == np.__version__
    commit = git_commit()
    assert commit is None or len(commit.removesuffix("-dirty")) == 40


def test_in_a_narrow_terminal_names_are_folded_and_numbers_stay_whole(results):
    all_metrics = dict.fromkeys(METRICS, (12.34, 0.5))
    name = "PURE_PURE_UBFC_deepphys_with_a_long_name"
    wide = replace(results, summaries=(summary(name, 0, 0, "rPPG-Toolbox", values=all_metrics),))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(tables.to_rich(wide))
    text = console.export_text()
    assert "…" not in text
    assert text.count("12.34") == len(METRICS)
    assert max(map(len, text.splitlines())) <= 80


def test_a_wheel_says_which_commit_it_was_built_from(tmp_path, monkeypatch):
    module = tmp_path / "streamnet_plugin" / "report" / "provenance.py"
    module.parent.mkdir(parents=True)
    (tmp_path / "streamnet_plugin" / "COMMIT").write_text("abc123\n")
    monkeypatch.setattr(provenance_module, "__file__", str(module))
    assert git_commit() == "abc123"
