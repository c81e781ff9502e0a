"""Who is in which section of a protocol; what shares people is tested with `config check`."""

from __future__ import annotations

import shutil

from streamnet_plugin.config import Data
from streamnet_plugin.data.splits import check_split
from streamnet_plugin.leaks import subjects_by_section


def test_two_datasets_keep_their_people_apart(dataset_trees):
    parts = subjects_by_section(
        {
            "TRAIN": Data(DATASET="PURE", DATA_PATH=str(dataset_trees["PURE"]), END=0.2),
            "TEST": Data(DATASET="UBFC-rPPG", DATA_PATH=str(dataset_trees["UBFC-rPPG"]), END=0.1),
        },
        "TEST",
        (),
    )
    assert parts == {"TRAIN": ["PURE/01", "PURE/02"], "TEST": ["UBFC-rPPG/subject1"]}


def test_one_name_in_two_folders_is_two_people(dataset_trees, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(dataset_trees["UBFC-rPPG"], other)
    parts = subjects_by_section(
        {
            "TRAIN": Data(DATASET="UBFC-rPPG", DATA_PATH=str(other), END=0.1),
            "TEST": Data(DATASET="UBFC-rPPG", DATA_PATH=str(dataset_trees["UBFC-rPPG"]), END=0.1),
        },
        "TEST",
        (),
    )
    assert parts["TRAIN"] == [f"{other}/subject1"]
    check_split(parts)


def test_a_folder_that_is_not_there_has_no_part(dataset_trees):
    here = Data(DATASET="PURE", DATA_PATH=str(dataset_trees["PURE"]), BEGIN=0.5)
    parts = subjects_by_section(
        {"TRAIN": Data(DATASET="PURE", DATA_PATH="/nowhere"), "TEST": here}, "TEST", ()
    )
    assert list(parts) == ["TEST"]
