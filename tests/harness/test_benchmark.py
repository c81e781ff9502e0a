"""The benchmark and the command line, end to end on small recordings."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from streamnet_plugin import cli, comparison, prediction
from streamnet_plugin.comparison import benchmark
from streamnet_plugin.config import load_config
from streamnet_plugin.data.splits import read_split
from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_pure_set, write_video
from streamnet_plugin.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    NoResultError,
    OutputError,
    StreamnetError,
)
from streamnet_plugin.prediction import predict
from streamnet_plugin.report.writer import read_results
from streamnet_plugin.rescoring import rescore
from streamnet_plugin.types import Prediction

SEVEN = ["GREEN", "ICA", "CHROM", "LGI", "PBV", "POS", "OMIT"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, ubfc_subject):
    """Three copies of one recording, and a truncated one."""
    root = tmp_path_factory.mktemp("set")
    for n in (1, 2, 3, 4):
        shutil.copytree(ubfc_subject, root / f"subject{n}")
    video = root / "subject3" / "vid.avi"
    video.write_bytes(video.read_bytes()[:200_000])
    return root


def run_cli(*arguments):
    """Exit code and everything printed, by the real entry point."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    error = result.exception
    if isinstance(error, StreamnetError):
        return cli.EXIT_ERROR, result.output + str(error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return result.exit_code, result.output


def test_every_method_reads_an_easy_pulse(dataset, tmp_path):
    few = ["UNCERTAINTY.MC_SAMPLES=2"]
    run = benchmark(
        "benchmark/demo", overrides=few, data_root=dataset, output=tmp_path / "r", jobs=1
    )
    by_name = {s.method: s for s in run.results.summaries}
    assert list(by_name) == ["STREAMNet", *SEVEN]
    for name in ("STREAMNet", "POS", "CHROM", "LGI", "OMIT"):
        assert by_name[name].values["MAE"][0] < 4  # one step of the grid at 10 s is 3.5 bpm
        assert by_name[name].n_windows == 3
    assert by_name["STREAMNet"].hr_mc_std is not None
    assert by_name["POS"].hr_mc_std is None
    (failure,) = run.results.failures
    assert failure.recording == "subject3"
    assert failure.remedy
    tree = json.loads((run.folder / "results.json").read_text())
    for key in ("config", "seed", "versions", "git_commit", "data_fingerprint"):
        assert key in tree["provenance"]
    with (run.folder / "windows.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8 * 3
    assert read_results(run.folder).summaries == run.results.summaries


def test_saved_waveforms_give_the_same_numbers_again(dataset, tmp_path):
    run = benchmark(data_root=dataset, output=tmp_path / "r", methods=["POS", "GREEN"], plots=False)
    again = rescore(run.folder, window_s=10).results
    for before, after in zip(run.results.summaries, again.summaries, strict=True):
        assert after.values == before.values
    other = rescore(run.folder, convention="neurips-2023").results
    assert "neurips-2023" in other.convention


def test_the_same_seed_gives_the_same_results(dataset, tmp_path):
    for name in ("subject1", "subject2"):
        shutil.copytree(dataset / name, tmp_path / name)
    few = ["UNCERTAINTY.MC_SAMPLES=2"]
    runs = [
        benchmark(overrides=few, data_root=tmp_path, output=None, methods=["STREAMNet"], jobs=1)
        for _ in range(2)
    ]
    assert runs[0].results.rows[0].hr_mc_std > 0
    assert runs[0].results.rows == runs[1].results.rows


class Raising:
    name = "Raising"

    def predict(self, video):
        if video.recording.id == "subject2":
            raise RuntimeError("own fault")
        return Prediction(np.full(len(video.frames), np.nan))


def test_a_method_that_raises_or_gives_nan_costs_nothing_else(dataset, monkeypatch):
    real = comparison.make_method
    monkeypatch.setattr(
        comparison, "make_method", lambda n, c: Raising() if n == "GREEN" else real(n, c)
    )
    run = benchmark(data_root=dataset, output=None, methods=["GREEN", "POS"])
    bad, good = run.results.summaries
    assert (bad.method, bad.n_windows, bad.n_no_result) == ("Raising", 0, 3)
    assert bad.values["MAE"] == (None, None)
    assert good.n_windows == 3
    reasons = {f.recording: f.reason for f in run.results.failures if f.method == "Raising"}
    nan = "the prediction has 300 of 300 values that are not finite"
    assert reasons == {"subject1": nan, "subject2": "RuntimeError: own fault", "subject4": nan}
    assert all(Path(f.path).name == "vid.avi" for f in run.results.failures)
    assert all(r.hr_pred is None for r in run.results.rows if r.method == "Raising")


def test_pure_runs_and_keeps_its_setups(tmp_path):
    write_pure_set(tmp_path / "pure", 1, setups=(1, 3), width=320, height=240, duration_s=4.0)
    run = benchmark(
        "benchmark/pure", data_root=tmp_path / "pure", output=None, methods=["POS"], jobs=1
    )
    assert [r.groups["setup"] for r in run.results.rows] == ["steady", "slow translation"]


def test_nothing_usable_is_an_error_with_the_first_reason(tmp_path):
    (tmp_path / "subject1").mkdir()
    with pytest.raises(DataError, match="none of 1 recording could"):
        benchmark(data_root=tmp_path, output=None)


def test_configuration_problems_stop_before_any_work(dataset):
    with pytest.raises(ConfigError, match="STREAMNet"):
        benchmark(data_root=dataset, methods=["STREAMNt"], output=None)


def test_one_data_root_for_each_dataset(dataset, tmp_path):
    roots = ["--data-root", f"UBFC-rPPG={dataset}", "--data-root", "PURE=/unused"]
    arguments = ["benchmark/demo", *roots, "--allow-failures"]
    code, text = run_cli("benchmark", *arguments, "-m", "POS", "--no-plots", "-o", tmp_path / "r")
    assert code == 0
    assert "Results:" in text
    assert "3 videos" in run_cli("preprocess", *arguments)[1]
    run = benchmark(data_root={"UBFC-rPPG": dataset}, output=None, methods=["POS"], plots=False)
    assert len(run.results.failures) == 1
    code, text = run_cli("benchmark", "benchmark/demo", "--data-root", "UBFC=/x")
    assert code == 2
    assert "UBFC-rPPG=/x" in text


def test_chunks_leave_the_tail_unscored(dataset):
    chunks = ["TEST.DATA.PREPROCESS.DO_CHUNK=true", "TEST.DATA.PREPROCESS.CHUNK_LENGTH=180",
              "INFERENCE.EVALUATION_WINDOW.USE_SMALLER_WINDOW=false"]  # fmt: skip
    run = benchmark(
        load_config("benchmark/demo", chunks), data_root=dataset, output=None, methods=["POS"]
    )
    assert {r.end_s for r in run.results.rows} == {6.0}


def test_cli_benchmark_names_the_bad_video_and_exits_one(dataset, tmp_path):
    arguments = ["benchmark", "benchmark/demo", "--data-root", dataset, "-m", "POS", "--no-plots"]
    code, text = run_cli(*arguments, "-o", tmp_path / "r")
    assert code == 1
    assert re.search(r"FAILED subject3 .*vid.avi.*Remedy", text)
    assert "POS" in text
    assert run_cli(*arguments, "-o", tmp_path / "r", "--allow-failures")[0] == 0
    assert (tmp_path / "r-2" / "table.tex").exists()


def test_cli_unwritable_output(dataset, tmp_path):
    (tmp_path / "file").write_text("")
    code, text = run_cli(
        "benchmark", "--data-root", dataset, "-m", "POS", "-o", tmp_path / "file" / "r"
    )
    assert code == 2
    assert "--output" in text


def test_cli_preprocess_and_config(dataset, tmp_path):
    code, text = run_cli("preprocess", "benchmark/demo", "--data-root", dataset)
    assert code == 1
    assert "3 videos, 900 frames" in text
    assert run_cli("config", "check", "benchmark/demo")[0] == 0
    code, text = run_cli("config", "check", "benchmark/demo", "TEST.DATA.FS=0")
    assert code == 2
    assert "FS is 0" in text
    shown = yaml.safe_load(run_cli("config", "show", "benchmark/demo")[1])
    assert shown["TEST"]["DATA"]["PREPROCESS"]["CROP_FACE"]["DETECTION"] is not None


def test_cli_methods_and_evaluate(dataset, tmp_path):
    text = run_cli("methods")[1]
    assert "CHROM:paper" in text
    assert "streamnet-rppg" in text
    t = np.arange(600) / 30
    lines = ["video,pred,label"]
    lines += [f"a,{np.sin(9 * x):.5f},{np.sin(9 * x):.5f}" for x in t]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    code, text = run_cli("evaluate", tmp_path / "p.csv", "-o", tmp_path / "e")
    assert code == 0
    assert read_results(tmp_path / "e").summaries[0].values["MAE"][0] == 0
    (tmp_path / "q.csv").write_text("a,b\n1,2\n")
    assert run_cli("evaluate", tmp_path / "q.csv")[0] == 2


def test_cli_synth(tmp_path):
    tiny = ["--seconds", 1, "--size", "160x120"]
    assert run_cli("synth", "ubfc", tmp_path / "u", "--subjects", 2, *tiny)[0] == 0
    assert run_cli("synth", "pure", tmp_path / "p", "--subjects", 1, *tiny)[0] == 0
    assert len(list((tmp_path / "u").glob("subject*/vid.avi"))) == 2
    assert len(list((tmp_path / "p").glob("01-0?/01-0?/*.png"))) == 6 * 30
    assert run_cli("synth", "ubfc", tmp_path / "u", "--size", "big")[0] == 2
    assert run_cli("synth", "pure", tmp_path / "p", "--setups", "9")[0] == 2


@pytest.fixture(scope="module")
def own_video(tmp_path_factory):
    settings = easy(7, width=320, height=240, duration_s=12.0, hr_bpm=80.0)
    return write_video(tmp_path_factory.mktemp("own") / "me.avi", settings)


@pytest.mark.parametrize("method", ["POS", "STREAMNet"])
def test_predict_reads_the_heart_rate(own_video, tmp_path, method, monkeypatch):
    monkeypatch.setattr(prediction, "MC_SAMPLES", 6)
    reading = predict(own_video, method, output=tmp_path / "out")
    assert reading.hr_bpm == pytest.approx(80, abs=2)
    assert reading.trusted
    assert (reading.hr_std_bpm is not None) == (method == "STREAMNet")
    assert (reading.folder / "pulse.png").stat().st_size > 10_000
    with (reading.folder / "bvp.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 360


def test_predict_distrusts_a_face_without_pulse(tmp_path):
    settings = easy(8, width=320, height=240, duration_s=12.0, pulse=0.0)
    reading = predict(write_video(tmp_path / "doll.avi", settings), "POS")
    assert not reading.trusted
    assert "not to be trusted" in reading.describe()


def test_predict_says_what_is_wrong(tmp_path):
    short = write_video(tmp_path / "s.avi", easy(7, width=320, height=240, duration_s=4.0))
    with pytest.raises(NoResultError, match=r"lasts 4.0 s, at least 8 s"):
        predict(short)
    with pytest.raises(DataError, match="no such file"):
        predict(tmp_path / "nothing.mp4")
    code, text = run_cli("predict", short)
    assert code == 2
    assert "at least 8 s" in text


def test_cli_predict_exits_three_without_trust(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = easy(8, width=320, height=240, duration_s=12.0, pulse=0.0)
    write_video(tmp_path / "doll.avi", settings)
    code, text = run_cli("predict", "doll.avi", "-m", "POS")
    assert code == 3
    assert "not to be trusted" in text
    assert (tmp_path / "doll-pulse" / "bvp.csv").exists()


def test_main_turns_known_errors_into_one_line(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["streamnet", "predict", str(tmp_path / "no.mp4")])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "no such file" in capsys.readouterr().err


def test_ctrl_c_says_that_work_is_kept(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["streamnet"])

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        cli.run_app(interrupted)
    assert stop.value.code == 130
    assert "finished videos stay cached" in capsys.readouterr().err


def test_an_unwritable_output_is_told_before_any_work(dataset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(comparison, "prepare", lambda *a, **k: pytest.fail("work was begun"))
    with pytest.raises(OutputError):
        benchmark(data_root=dataset, output=tmp_path / "file" / "r", methods=["POS"])


def test_a_method_named_twice_is_scored_once(dataset):
    run = benchmark(data_root=dataset, output=None, methods=["pos", "POS"])
    (summary,) = run.results.summaries
    assert summary.n_windows == 3


def test_a_folder_named_demo_is_not_the_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()
    with pytest.raises(ConfigError, match=r"vid\.avi"):
        benchmark(data_root="demo", output=None, methods=["POS"])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("MODEL.STREAMNET.SHIFT=zero", "shift is wrap, not zero"),
        ("MODEL.STREAMNET.SSFEM=False", "ssfem is True, not False"),
        ("MODEL.STREAMNET.ATTENTION=False", "attention is True, not False"),
    ],
)
def test_weights_of_another_network_than_the_yamls_are_refused(dataset, override, says):
    with pytest.raises(CheckpointError, match=says):
        benchmark(overrides=[override], data_root=dataset, output=None, methods=["STREAMNet"])


def test_an_unwritable_cache_stops_the_run(dataset, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STREAMNET_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="STREAMNET_CACHE"):
        benchmark(data_root=dataset, output=None, methods=["POS"], jobs=1)


def test_the_readmes_commands_are_what_ci_runs():
    root = Path(__file__).resolve().parents[2]
    readme, ci = (root / "README.md").read_text(), (root / ".ci" / "run").read_text()
    assert "pip install -c constraints.txt . && streamnet benchmark\n" in readme
    assert 'pip install -c constraints.txt -e ".[test]" && pytest\n' in readme
    assert "README.md" in ci


def test_the_split_is_kept_with_the_numbers(dataset, tmp_path):
    """Also the failed subject3; who was trained on is known where the folders are there."""
    run = benchmark(data_root=dataset, output=tmp_path / "r", methods=["POS"], plots=False)
    everyone = [f"subject{n}" for n in (1, 2, 3, 4)]
    assert read_split(run.folder / "split.json") == {"TEST": everyone}
    ranges = ["TRAIN.DATA.END=0.25", "VALID.DATA.BEGIN=0.25", "VALID.DATA.END=0.5",
              "TEST.DATA.BEGIN=0.5"]  # fmt: skip
    run = benchmark(
        "train/ubfc-intra",
        overrides=ranges,
        data_root=dataset,
        output=tmp_path / "r",
        methods=["POS"],
        plots=False,
    )
    assert read_split(run.folder / "split.json") == {
        "TRAIN": ["subject1"], "VALID": ["subject2"], "TEST": ["subject3", "subject4"],
    }  # fmt: skip


def test_a_demo_recording_that_cannot_be_read_says_what_to_delete(monkeypatch, tmp_path):
    folder = tmp_path / "demo-1"
    (folder / "subject1").mkdir(parents=True)
    monkeypatch.setattr(comparison, "_demo", lambda *_: folder)
    with pytest.raises(DataError, match=f"delete {folder}; the demo recordings are made anew"):
        benchmark(output=None, methods=["POS"])
