"""Protocol files: strict, with the nearest key named, and checks that find real mistakes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from streamnet_plugin.config import (
    Config,
    check_config,
    dump_config,
    load_config,
    parse_config,
    shipped_configs,
)
from streamnet_plugin.errors import ConfigError

SHIPPED = sorted(
    p.relative_to(shipped_configs()).with_suffix("").as_posix()
    for p in shipped_configs().rglob("*.yaml")
)


def demo(**changes):
    return load_config("benchmark/demo", [f"{k}={v}" for k, v in changes.items()])


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_are_valid(name):
    assert load_config(name).MODEL.NAME == "STREAMNet"


def test_the_demo_has_no_problem():
    assert list(check_config(demo())) == []


def test_show_prints_what_can_be_read_again():
    config = demo()
    assert parse_config(yaml.safe_load(dump_config(config))) == config


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"MODLE": {}}, "unknown key MODLE .nearest known key: MODEL"),
        ({"TEST": {"DATA": {"FSS": 3}}}, "TEST.DATA.FSS .nearest known key: FS"),
        ({"TEST": {"DATA": {"FS": 29.97}}}, "TEST.DATA.FS"),
        ({"TEST": {"DATA": {"BEGIN": 2}}}, "TEST.DATA.BEGIN"),
        ({"TOOLBOX_MODE": "test"}, "TOOLBOX_MODE"),
    ],
)
def test_mistakes_are_named(tree, says):
    with pytest.raises(ConfigError, match=says):
        parse_config({"TOOLBOX_MODE": "only_test"} | tree)


def test_learning_rates_in_yaml_are_numbers(tmp_path):
    (tmp_path / "c.yaml").write_text("TOOLBOX_MODE: train_and_test\nTRAIN: {LR: 9e-3}\n")
    assert load_config(tmp_path / "c.yaml").TRAIN.LR == 0.009


def test_overrides():
    config = demo(**{"EVALUATION.CONVENTION": "neurips-2023", "TEST.DATA.END": 0.5})
    assert config.EVALUATION.CONVENTION == "neurips-2023"
    assert config.TEST.DATA.END == 0.5
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        load_config("benchmark/demo", ["nonsense"])
    with pytest.raises(ConfigError, match="a value, not a section"):
        demo(**{"TOOLBOX_MODE.X": 1})


def test_missing_broken_and_empty_files(tmp_path):
    with pytest.raises(ConfigError, match="benchmark/demo"):
        load_config("benchmark/demmo")
    for text in ("a: [", "just text", ""):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ConfigError):
            load_config(tmp_path / "c.yaml")


def test_environment_variables_in_paths(monkeypatch):
    monkeypatch.setenv("UBFC_RPPG_ROOT", "/somewhere")
    assert load_config("benchmark/ubfc").TEST.DATA.DATA_PATH == "/somewhere"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("TEST.DATA.FS=0", "FS is 0"),
        ("TEST.DATA.DATA_PATH=/nowhere", "does not exist"),
        ("TEST.DATA.BEGIN=1.0", "not below"),
        ("MODEL.NAME=STREAMNt", "did you mean STREAMNet"),
        ("INFERENCE.MODEL_PATH=/nowhere.pth", "does not exist"),
        ("EVALUATION.CONVENTION=none", "neurips-2023"),
        ("TEST.DATA.DATASET=''", "DATASET is empty"),
    ],
)
def test_check_finds(override, says):
    problems = list(check_config(load_config("benchmark/demo", [override])))
    assert len(problems) == 1
    assert says in problems[0]


def test_check_finds_chunks_that_mix_segments():
    bad = ["TEST.DATA.PREPROCESS.DO_CHUNK=true", "TEST.DATA.PREPROCESS.CHUNK_LENGTH=128"]
    (problem,) = check_config(load_config("benchmark/demo", bad))
    assert "set 120 or 130" in problem


def test_check_finds_a_leak(tmp_path):
    part = {"DATASET": "PURE", "DATA_PATH": str(tmp_path), "FS": 30}
    tree = {
        "TOOLBOX_MODE": "train_and_test",
        "MODEL": {"NAME": "STREAMNet"},
        "TRAIN": {"DATA": part | {"BEGIN": 0.0, "END": 0.8}},
        "TEST": {"DATA": part | {"BEGIN": 0.0, "END": 1.0}},
    }
    (leak,) = check_config(parse_config(tree))
    assert "TRAIN.DATA (0.0-0.8) and TEST.DATA (0.0-1.0)" in leak
    tree["TEST"]["DATA"]["BEGIN"] = 0.8
    assert list(check_config(parse_config(tree))) == []


@pytest.mark.skipif("RPPG_TOOLBOX" not in os.environ, reason="RPPG_TOOLBOX is not set")
def test_every_yaml_of_the_toolbox_is_valid_here():
    files = sorted(Path(os.environ["RPPG_TOOLBOX"], "configs").rglob("*.yaml"))
    assert len(files) > 50
    failed = {}
    for path in files:
        try:
            assert isinstance(load_config(path), Config)
        except ConfigError as error:
            failed[path.name] = str(error)
    assert failed == {}


@pytest.mark.skipif("RPPG_TOOLBOX" not in os.environ, reason="RPPG_TOOLBOX is not set")
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_pass_the_toolboxs_parser(name, monkeypatch):
    yacs = pytest.importorskip("yacs.config")
    monkeypatch.syspath_prepend(os.environ["RPPG_TOOLBOX"])
    monkeypatch.delitem(sys.modules, "config", raising=False)
    import config as toolbox

    own = load_config(name)
    toolbox._C.MODEL.STREAMNET = yacs.CfgNode(own.MODEL.STREAMNET.model_dump())
    toolbox._C.EVALUATION = yacs.CfgNode(own.EVALUATION.model_dump())
    toolbox._C.UNCERTAINTY = yacs.CfgNode(own.UNCERTAINTY.model_dump())
    path = shipped_configs() / f"{name}.yaml"
    parsed = toolbox.get_config(SimpleNamespace(config_file=str(path)))
    assert parsed.MODEL.NAME == "STREAMNet"
