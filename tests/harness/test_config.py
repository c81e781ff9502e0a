"""Protocol files: strict, with the nearest key named, and inheriting from others."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml

from streamnet_plugin import comparison
from streamnet_plugin.comparison import make_method, scoring_of
from streamnet_plugin.config import Config, dump_config, load_config, parse_config
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.uncertainty.calibration import CalibratorFile, Wanted, save_calibrators
from streamnet_plugin.uncertainty.conformal import calibrate


def demo(**changes):
    return load_config("benchmark/demo", [f"{k}={v}" for k, v in changes.items()])


def test_show_prints_what_can_be_read_again():
    config = demo()
    assert parse_config(yaml.safe_load(dump_config(config))) == config


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ({"MODLE": {}}, "unknown key MODLE .nearest known key: MODEL"),
        ({"TEST": {"DATA": {"FSS": 3}}}, "TEST.DATA.FSS .nearest known key: FS"),
        (
            {"MODEL": {"STREAMNET": {"FRAME_DEPHT": 10}}},
            "STREAMNET.FRAME_DEPHT .*FRAME_DEPTH",
        ),
        ({"MODEL": {"factorizephys": {}}}, "nearest known key: FactorizePhys"),
        ({"TEST": {"DATA": {"FS": 29.97}}}, "TEST.DATA.FS: .*found 29.97: write 30"),
        ({"TEST": {"METRICS": "MAE"}}, "TEST.METRICS: .*write a list"),
        ({"TEST": {"DATA": {"DO_PREPROCESS": "maybe"}}}, "DO_PREPROCESS: .*write True or False"),
        ({"TEST": {"DATA": {"BEGIN": 2}}}, "TEST.DATA.BEGIN"),
        ({"TOOLBOX_MODE": "test"}, "TOOLBOX_MODE"),
    ],
)
def test_mistakes_are_named(tree, says):
    with pytest.raises(ConfigError, match=says):
        parse_config({"TOOLBOX_MODE": "only_test"} | tree)


def test_an_override_is_not_blamed_on_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("TOOLBOX_MODE: train_and_test\nTRAIN: {LR: fast}\n")
    with pytest.raises(ConfigError) as error:
        load_config("benchmark/demo", ["TRAINING.OPTIMZER=adam"])
    assert str(error.value).startswith("unknown key TRAINING.OPTIMZER")
    assert error.value.path is None
    with pytest.raises(ConfigError, match=r"unknown key TRAIN.DATA.FOO .*\(an override\)") as error:
        load_config("benchmark/demo", ["TRAIN.DATA.FOO.BAR=1"])
    assert error.value.path is None
    with pytest.raises(ConfigError, match=r"EPOCHS.*\(an override\); TRAIN.LR: ") as error:
        load_config(path, ["TRAIN={EPOCHS: 0, LR: fast}", "TRAIN.EPOCHS=0"])
    assert error.value.path is None
    with pytest.raises(ConfigError, match=r"EPOCHS.*\(an override\); TRAIN.LR: ") as error:
        load_config(path, ["TRAIN.EPOCHS=0"])
    assert error.value.path == path


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
    monkeypatch.setenv("UBFC_RPPG", "/somewhere")
    assert load_config("benchmark/ubfc").TEST.DATA.DATA_PATH == "/somewhere"


def test_labels_are_placed_by_index_unless_the_file_says_otherwise():
    assert parse_config({"TOOLBOX_MODE": "only_test"}).EVALUATION.LABEL_ALIGNMENT == "index"


class TestBase:
    def write(self, folder, **files):
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text)

    def test_a_file_lies_over_its_bases(self, tmp_path):
        (tmp_path / "sub").mkdir()
        self.write(
            tmp_path,
            deep="TOOLBOX_MODE: only_test\nTEST: {DATA: {FS: 25, DATASET: PURE}}",
            first="BASE: [deep.yaml]\nDEVICE: cuda:1\nTEST: {METRICS: [MAE, SNR]}",
            second="DEVICE: cuda:0",
        )
        self.write(
            tmp_path / "sub",
            own="BASE: [../first.yaml, ../second.yaml, '']\n"
            "TEST: {METRICS: [RMSE], DATA: {FS: 30}}",
        )
        config = load_config(tmp_path / "sub" / "own.yaml")
        assert config.DEVICE == "cuda:0"
        assert config.TEST.METRICS == ("RMSE",)
        assert (config.TEST.DATA.FS, config.TEST.DATA.DATASET) == (30, "PURE")

    def test_circles_are_refused_and_diamonds_are_not(self, tmp_path):
        self.write(
            tmp_path,
            a="BASE: [b.yaml]\nTOOLBOX_MODE: only_test",
            b="BASE: [a.yaml]",
            root="TOOLBOX_MODE: only_test",
            left="BASE: [root.yaml]",
            right="BASE: [root.yaml]",
            both="BASE: [left.yaml, right.yaml]",
        )
        with pytest.raises(ConfigError, match=r"a.yaml -> b.yaml -> a.yaml.*break the circle"):
            load_config(tmp_path / "a.yaml")
        assert load_config(tmp_path / "both.yaml").TOOLBOX_MODE == "only_test"

    def test_mistakes_are_named(self, tmp_path):
        self.write(tmp_path, a="BASE: [none.yaml]", b="BASE: other.yaml")
        with pytest.raises(ConfigError, match=r"none.yaml.*relative to the file that names it"):
            load_config(tmp_path / "a.yaml")
        with pytest.raises(ConfigError, match="not a list of files"):
            load_config(tmp_path / "b.yaml")


def test_aliases_are_sections_of_their_own(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "TOOLBOX_MODE: train_and_test\nTRAIN: {DATA: &d {FS: 30}}\nTEST: {DATA: *d}\n"
    )
    config = load_config(tmp_path / "c.yaml", ["TEST.DATA.FS=25"])
    assert (config.TRAIN.DATA.FS, config.TEST.DATA.FS) == (30, 25)


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


def test_an_override_in_the_configurations_place_is_told():
    with pytest.raises(ConfigError, match=r"name the configuration first.*demo TEST\.DATA\.FS=25"):
        load_config("TEST.DATA.FS=25")


def test_the_keys_of_uncertainty_reach_the_scoring(tmp_path):
    plain = scoring_of(demo())
    assert plain.uncertainty == Wanted(seed=100)
    assert plain.baseline is None
    made = CalibratorFile(
        {"POS": calibrate(np.ones(3), np.ones(3), ["a", "b", "c"])},
        str(plain.convention),
        plain.window,
    )
    save_calibrators(made, tmp_path / "c.json")
    scoring = scoring_of(
        demo(
            **{
                "UNCERTAINTY.CALIBRATOR": tmp_path / "c.json",
                "UNCERTAINTY.FOLDS": 3,
                "UNCERTAINTY.TARGET_MAE": 2.5,
                "UNCERTAINTY.KEEP": 0.7,
                "UNCERTAINTY.SEED": 4,
                "EVALUATION.BASELINE": "POS",
            }
        )
    )
    assert scoring.baseline == "POS"
    wanted = scoring.uncertainty
    assert (wanted.folds, wanted.target_mae, wanted.keep, wanted.seed) == (3, 2.5, 0.7, 4)
    assert list(wanted.calibrators.methods) == ["POS"]
    for key, value in {"EVALUATION.CONVENTION": "neurips-2023",
                       "INFERENCE.EVALUATION_WINDOW.WINDOW_SIZE": 5}.items():  # fmt: skip
        with pytest.raises(ConfigError, match="the calibrator was made with"):
            scoring_of(demo(**{"UNCERTAINTY.CALIBRATOR": tmp_path / "c.json", key: value}))
    with pytest.raises(DataError, match="no calibrator file"):
        scoring_of(demo(**{"UNCERTAINTY.CALIBRATOR": tmp_path / "none.json"}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("FOLDS", -1), ("TARGET_MAE", 0), ("TARGET_MAE", ".inf"), ("TARGET_MAE", ".nan"),
        ("KEEP", 0), ("KEEP", 1.01), ("MC_PRECISION", "float16"), ("MC_RATE", 1.0),
    ],
)  # fmt: skip
def test_keys_of_uncertainty_that_mean_nothing_are_refused(key, value):
    with pytest.raises(ConfigError, match=f"UNCERTAINTY.{key}"):
        demo(**{f"UNCERTAINTY.{key}": value})


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_of_samples_reaches_the_network(precision):
    method = make_method("STREAMNet", demo(**{"UNCERTAINTY.MC_PRECISION": precision}))
    assert method.provenance["mc_precision"] == precision


def test_a_baseline_that_is_not_compared_is_told_before_any_work(dataset_trees, monkeypatch):
    monkeypatch.setattr(comparison, "prepare", lambda *a, **k: pytest.fail("work was begun"))
    with pytest.raises(ConfigError, match=r"'GREEN' is none of the methods.*POS, CHROM"):
        comparison.benchmark(
            overrides=["EVALUATION.BASELINE=GREEN"],
            data_root=dataset_trees["UBFC-rPPG"],
            methods=["POS", "CHROM"],
            output=None,
        )
