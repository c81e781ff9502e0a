"""The command line: what it passes on, what it refuses, what its help says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from streamnet_plugin import cli


def run(*arguments):
    """Exit code and everything printed."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    error = result.exception
    if isinstance(error, cli.StreamnetError):
        return cli.EXIT_ERROR, result.output + str(error)
    if error is not None and not isinstance(error, SystemExit):
        raise error
    return result.exit_code, result.output


@pytest.mark.parametrize(
    "command",
    [
        ["benchmark"], ["predict"], ["preprocess"], ["evaluate"], ["compare"], ["methods"],
        ["config", "show"], ["config", "check"], ["synth", "ubfc"], ["synth", "pure"],
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
