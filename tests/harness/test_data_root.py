"""Where datasets lie: one folder, one per dataset, or one that holds them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamnet_plugin.config import load_config
from streamnet_plugin.data_root import parse_data_roots, with_data_root
from streamnet_plugin.errors import ConfigError


def paths(config):
    return {section: data.DATA_PATH for section, data in config.sections.items()}


@pytest.mark.parametrize(
    ("name", "sections"),
    [
        ("train/ubfc-intra", ["TRAIN", "VALID", "TEST"]),
        ("infer/pure-to-ubfc", ["TEST"]),
        ("infer/pure-unsupervised", ["UNSUPERVISED"]),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_one_folder_for_the_only_dataset_is_set_in_every_section(name, sections, kind):
    config = with_data_root(load_config(name), kind("/data/U"))
    assert paths(config) == dict.fromkeys(sections, "/data/U")


def test_none_changes_nothing():
    config = load_config("train/pure-to-ubfc")
    assert with_data_root(config, None) is config


def test_one_folder_for_each_dataset_by_name():
    config = load_config("train/pure-to-ubfc")
    both = with_data_root(config, {"pure": "/P", "UBFC-rPPG": Path("/U")})
    assert paths(both) == {"TRAIN": "/P", "VALID": "/P", "TEST": "/U"}
    one = with_data_root(config, {"UBFC-rPPG": "/U", "video": "/unused"})
    assert paths(one) == paths(config) | {"TEST": "/U"}
    with pytest.raises(ConfigError, match=r"of no dataset.*UBFC-rPPG=/U"):
        with_data_root(config, {"UBFC": "/U"})


def test_a_folder_that_holds_the_datasets(dataset_trees, tmp_path):
    config = load_config("train/ubfc-to-pure")
    root = dataset_trees["PURE"].parent
    found = paths(with_data_root(config, root))
    assert found == {
        "TRAIN": str(root / "UBFC-rPPG"),
        "VALID": str(root / "UBFC-rPPG"),
        "TEST": str(root / "PURE"),
    }
    (tmp_path / "PURE").mkdir()
    with pytest.raises(
        ConfigError,
        match=r"2 datasets .UBFC-rPPG, PURE.*no folder named UBFC-rPPG"
        r".*--data-root UBFC-rPPG=PATH --data-root PURE=PATH",
    ):
        with_data_root(config, tmp_path)


def test_values_of_the_option(tmp_path):
    assert parse_data_roots([]) is None
    assert parse_data_roots(["/data/U"]) == Path("/data/U")
    assert parse_data_roots(["~/U"]) == Path.home() / "U"
    assert parse_data_roots(["PURE=~/P", "UBFC-rPPG=/U=2"]) == {
        "PURE": Path.home() / "P",
        "UBFC-rPPG": Path("/U=2"),
    }
    assert parse_data_roots(["/data/a=b"]) == Path("/data/a=b")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["/U", "PURE=/P"], "/U is one of several.*NAME=PATH"),
        (["PURE="], "names no folder"),
        (["PURE=/P", "PURE=/Q"], "PURE twice"),
    ],
)
def test_values_that_cannot_be(options, says):
    with pytest.raises(ConfigError, match=says):
        parse_data_roots(options)
