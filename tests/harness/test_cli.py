"""The command line: what it passes on, what it refuses, what its help says."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from streamnet_plugin import cli, rates
from streamnet_plugin.errors import StreamnetError
from streamnet_plugin.report.results import FailureRow
from streamnet_plugin.rescoring import rescore
from streamnet_plugin.statistics.results import Interval


def run(*arguments):
    """Exit code and everything printed."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    error = result.exception
    if isinstance(error, StreamnetError):
        return cli.EXIT_ERROR, result.output + str(error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return result.exit_code, result.output


def test_the_list_of_commands_says_what_each_does_in_full():
    """Whatever the terminal's width; also of commands that bring others."""
    code, text = run("--help")
    assert code == 0
    said = " ".join(text.split())
    assert "predict Read the heart rate of your own video, with its spread; write the BVP" in said
    assert "synth Write synthetic recordings in the datasets' real formats." in said
    assert "..." not in said.partition("Commands:")[2]


@pytest.mark.parametrize(
    "command",
    [
        ["benchmark"], ["predict"], ["preprocess"], ["evaluate"], ["compare"], ["methods"],
        ["config", "show"], ["config", "check"], ["synth", "ubfc"], ["synth", "pure"],
        ["synth", "photos"],
        ["report"], ["diff"], ["calibrate"], ["uncertainty"], ["live"], ["bench"],
    ],
)  # fmt: skip
def test_every_help_teaches_by_example(command):
    code, text = run(*command, "--help")
    assert code == 0
    assert "Example" in text
    assert f"streamnet {' '.join(command)}" in " ".join(text.split("Example")[1].split())


TINY = ["--seconds", 0.5, "--size", "96x72"]
SHARED = {
    "--fps": ("fs", 20.0), "--motion-scale": ("motion_scale", 0.5), "--skin-tone": ("skin_tone", 2),
    "--light": ("light", 0.6), "--drift": ("illumination_drift", 0.04),
    "--clutter": ("clutter", 0.5),
    "--flicker": ("flicker", 0.02),
    "--flicker-hz": ("flicker_hz", 1.5), "--noise": ("noise", 2.5), "--pulse": ("pulse", 0.7),
    "--hr": ("hr_bpm", 77.0), "--seed": ("seed", 3),
}  # fmt: skip


@pytest.mark.parametrize("dataset", ["ubfc", "pure"])
def test_synth_passes_every_setting_on(tmp_path, dataset):
    given = {**SHARED, "--motion": ("motion", "talking")} if dataset == "ubfc" else SHARED
    options = [text for name, (_, value) in given.items() for text in (name, value)]
    own = ["--codec", "mjpg", "--quality", 60] if dataset == "ubfc" else ["--setups", "2"]
    code, text = run("synth", dataset, tmp_path / "out", "--subjects", 1, *TINY, *options, *own)
    assert code == 0
    assert "1 recording in" in text
    (manifest,) = (tmp_path / "out").glob("*/synthetic.json")
    made_by = json.loads(manifest.read_text())
    expected = dict(given.values())
    if dataset == "pure":  # a person's recordings have seeds of their own
        expected["seed"] = 3002
    found = {name: made_by["settings"][name] for name in expected}
    assert found == expected
    assert made_by.get("quality") == (60 if dataset == "ubfc" else None)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["ubfc", "--seconds", "nan"], "duration_s"),
        (["ubfc", "--light", "0"], "light"),
        (["ubfc", "--codec", "mjpg", "--quality", "0"], "quality"),
        (["ubfc", "--size", "640"], "WIDTHxHEIGHT"),
        (["ubfc", "--size", "10x10"], "width"),
        (["ubfc", "--motion", "dancing"], "steady"),
        (["pure", "--setups", "1,x,3"], "1 to 6"),
        (["pure", "--setups", ""], "1 to 6"),
        (["pure", "--hr", "20"], "hr_bpm"),
    ],
)
def test_synth_refuses_what_makes_no_recording(tmp_path, options, says):
    code, text = run("synth", options[0], tmp_path / "out", *options[1:])
    assert code == 2
    assert says in text
    assert not (tmp_path / "out").exists()


def test_evaluate_names_what_has_no_result_and_exits_one(tmp_path):
    rows = [f"a,nan,{np.sin(0.25 * i):.5f}" for i in range(600)]
    (tmp_path / "net.csv").write_text("\n".join(["video,pred,label", *rows]))
    for command in (["evaluate"], ["compare", "--no-plots", "-o", tmp_path / "r"]):
        code, text = run(*command, tmp_path / "net.csv")
        assert code == 1
        line = " ".join(text[text.index("FAILED") :].split())
        assert line.startswith("FAILED a [net] (")
        assert "net.csv): the prediction has 600 of 600 values that are not finite" in line
        assert run(*command, tmp_path / "net.csv", "--allow-failures")[0] == 0


def test_an_override_where_the_configuration_belongs(tmp_path):
    code, text = run("benchmark", "TEST.DATA.FS=25", "-o", tmp_path / "r")
    assert code == 2
    assert "name the configuration first" in text


FS = 30


def csv_of(path, n=6, size=2.0, seed=0):
    """A CSV of `n` videos of 8 s, pulses of 60 bpm and more read with errors of that size, bpm."""
    rng, t = np.random.default_rng(seed), np.arange(8 * FS) / FS
    lines = ["video,pred,label"]
    for i in range(n):
        hrs = np.array([60 + 4 * i + size * rng.normal(), 60 + 4 * i])
        pred, label = np.sin(2 * np.pi * hrs[:, None] / 60 * t)
        pred = pred + 0.3 * rng.normal(size=len(t))
        lines += [f"v{i},{p:.5f},{g:.5f}" for p, g in zip(pred, label, strict=True)]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Results folders of two CSVs, `net` and `pos`, and one of `net` in other windows."""
    root = tmp_path_factory.mktemp("saved")
    net = csv_of(root / "net.csv")
    pos = csv_of(root / "pos.csv", size=8.0, seed=1)
    for name, source, window in (("a", net, None), ("b", pos, None), ("short", net, 6.0)):
        rescore(source, output=root / name, plots=False, window_s=window)
    return root


def one_line(text):
    return " ".join(text.split())


def test_report_puts_several_runs_together_and_keeps_what_is_there(saved, tmp_path):
    for name in ("r", "r-2"):
        options = ["-o", tmp_path / "r", "--no-plots", "--baseline", "pos"]
        code, text = run("report", saved / "a", saved / "b", *options)
        assert code == 0
        assert f"Report: {tmp_path / name / 'report.html'}" in text.replace("\n", "")
        tree = json.loads((tmp_path / name / "results.json").read_text())
        assert [s["method"] for s in tree["summaries"]] == ["net", "pos"]
        assert [(p["a"], p["b"]) for p in tree["analysis"]["pairs"]] == [("net", "pos")]
        assert (tmp_path / name / "report.html").stat().st_size > 10_000


def test_report_and_diff_refuse_other_windows(saved, tmp_path):
    for command in (["report", "-o", tmp_path / "r"], ["diff"]):
        code, text = run(*command, saved / "a", saved / "short")
        assert code == 2
        assert "window: whole videos in" in text
        assert "6 s windows in" in text
    assert run("report", tmp_path / "none", "-o", tmp_path / "r")[0] == 2
    assert run("diff", saved / "a", tmp_path / "none")[0] == 2
    assert not (tmp_path / "r").exists()


def test_diff_of_a_run_with_itself_says_identical(saved):
    code, text = run("diff", saved / "a", saved / "a")
    assert code == 0
    assert "net: identical in 6 common windows of 6 subjects." in text
    assert "Configuration, versions, commit and data are the same." in text
    code, text = run("diff", saved / "a", saved / "b", "--markdown")
    assert code == 0
    assert f"- Methods only in {saved / 'a'}: net." in text


def test_calibrate_says_what_each_method_can_and_evaluate_takes_the_file(saved, tmp_path):
    code, text = run("calibrate", saved / "a", saved / "b", "-o", tmp_path / "c.json")
    assert code == 0
    said = "6 subjects; infinite intervals where 90 % needs 9, 95 % needs 19"
    assert text.splitlines()[:2] == [f"net: {said}", f"pos: {said}"]
    with_file = ["--calibrator", tmp_path / "c.json"]
    table = ["--no-plots", "-o", tmp_path / "e"]
    assert run("compare", saved / "net.csv", *with_file, *table)[0] == 0
    assert run("evaluate", saved / "net.csv", *with_file)[0] == 0
    tree = json.loads((tmp_path / "e" / "results.json").read_text())
    learnt = json.loads((tmp_path / "c.json").read_text())["methods"]["net"]["scores"]
    for row in tree["rows"]:
        assert row["half_widths"]["90"] is None
        q = row["half_widths"]["80"] / (row["spread"] + 1)
        assert q == pytest.approx(learnt[5])  # 80 % of the mass of 6 of 7 people
    code, text = run("evaluate", saved / "net.csv", *with_file, "--window", 6)
    assert code == 2
    assert "windows 'whole videos', this run has '6 s windows'" in text
    code, text = run("evaluate", saved / "net.csv", "--calibrator", saved / "a" / "results.json")
    assert code == 2
    assert "no calibrator file" in text


def test_targets_withhold_windows_and_the_table_says_so(saved, tmp_path):
    keep = ["compare", saved / "net.csv", saved / "pos.csv", "--no-plots", "-o", tmp_path / "k"]
    assert run(*keep, "--keep", 0.5, "--baseline", "net")[0] == 0
    tree = json.loads((tmp_path / "k" / "results.json").read_text())
    for method in ("net", "pos"):
        withheld = [r["withheld"] for r in tree["rows"] if r["method"] == method]
        assert set(withheld) == {"", "too unsure"}
    assert [(p["a"], p["b"]) for p in tree["analysis"]["pairs"]] == [("pos", "net")]
    page = ["--no-plots", "--report", "-o", tmp_path / "n"]
    code, text = run("compare", saved / "pos.csv", "--target-mae", 0.01, *page)
    assert code == 0
    (method,) = json.loads((tmp_path / "n" / "results.json").read_text())["analysis"]["methods"]
    assert method["n_withheld"] == method["n_windows"] == 6
    assert method["kept_mae"]["value"] is None
    row = next(line for line in text.splitlines() if line.lstrip().startswith("pos"))
    assert "100" in row.split()
    assert "every window is withheld" in (tmp_path / "n" / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target-mae", "0"], "target MAE of 0 bpm"),
        (["--target-mae", "nan"], "target MAE of nan bpm"),
        (["--target-mae", "inf"], "target MAE of inf bpm"),
        (["--keep", "0"], "a share of 0 to keep"),
        (["--keep", "1.5"], "a share of 1.5 to keep"),
        (["--keep", "nan"], "a share of nan to keep"),
        (["--baseline", "TSCAN"], "'TSCAN' is none of the methods"),
        (["--calibrator", "nothing.json"], "nothing.json: this is no calibrator file"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_options_that_mean_nothing_are_refused(saved, tmp_path, command, options, says):
    code, text = run(command, saved / "net.csv", *options, "-o", tmp_path / "r")
    assert code == 2
    assert says in one_line(text)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rates", "0.1,x"], "the rates '0.1,x' are no numbers"),
        (["--rates", ""], "the rates '' are no numbers"),
        (["--rates", "0.1,1.5"], "dropout rate of 1.5"),
        (["benchmark/demo", "UNCERTAINTY.MC_SAMPLES=0"], "fewer than 2 samples"),
        (["benchmark/nothing"], "benchmark/nothing"),
    ],
)
def test_uncertainty_refuses_what_cannot_be_sampled(tmp_path, arguments, says):
    code, text = run("uncertainty", *arguments, "-o", tmp_path / "r")
    assert code == 2
    assert says in one_line(text)
    assert not (tmp_path / "r").exists()


def test_uncertainty_prints_its_table_and_what_failed(tmp_path, monkeypatch):
    seen = {}

    def sampled(config, chosen, **options):
        seen.update(options, config=config, rates=chosen)
        row = rates.RateRow(0.25, 0.0123, 1.5, 2.5, 1.25, Interval(0.5, 0.1, 0.8), 12, 4)
        failed = FailureRow("subject9", "/v", "too dark", "more light.")
        return rates.RateRun("STREAMNet", (row,), (failed,), options["output"])

    monkeypatch.setattr(rates, "uncertainty_by_rate", sampled)
    given = ["my.yaml", "DEVICE=cpu", "--rates", "0.25", "-j", 1, "-o", tmp_path / "r"]
    code, text = run("uncertainty", *given, "--data-root", "/data")
    assert code == 1
    assert (seen["config"], seen["rates"], seen["overrides"]) == ("my.yaml", [0.25], ["DEVICE=cpu"])
    assert (str(seen["data_root"]), seen["jobs"]) == ("/data", 1)
    assert re.search(r"0\.25 +0\.0123 +1\.50 +2\.50 +1\.25 +0\.50 \[0\.10, 0\.80\]", text)
    assert f"Results: {tmp_path / 'r'}" in text
    assert "FAILED subject9 (/v): too dark" in text
    assert run("uncertainty", *given, "--allow-failures")[0] == 0
