"""Groups of recordings: from a table, a dataset's own names, or the generator's manifests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamnet_plugin.data.datasets import find_recordings
from streamnet_plugin.data.groups import with_groups
from streamnet_plugin.errors import DataError
from streamnet_plugin.types import Recording


@pytest.fixture
def pure(tmp_path):
    """Recordings 01-01 (steady) and 01-02 (talking) that can be found, not read."""
    for setup in (1, 2):
        name = f"01-0{setup}"
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / f"{name}.json").write_text("{}")
    return tmp_path


def groups(root, dataset="PURE"):
    return {r.id: dict(r.groups) for r in find_recordings(dataset, root)}


def test_without_a_table_a_dataset_says_what_it_says_itself(pure, tmp_path):
    assert groups(pure) == {"01-01": {"setup": "steady"}, "01-02": {"setup": "talking"}}
    (tmp_path / "subject1").mkdir()
    (tmp_path / "subject1" / "vid.avi").touch()
    (tmp_path / "subject1" / "ground_truth.txt").touch()
    assert groups(tmp_path, "UBFC-rPPG") == {"subject1": {}}


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_table_adds_to_a_datasets_own_groups_and_overrides_them(pure, start):
    """As a spreadsheet saves it, too: with a byte-order mark and other line ends."""
    (pure / "groups.csv").write_text(
        f"{start}recording,skin tone,setup\r\n01-02,V,reading aloud\r\n01-01,II,\r\n",
        encoding="utf-8",
        newline="",
    )
    assert groups(pure) == {
        "01-01": {"setup": "steady", "skin tone": "II"},
        "01-02": {"setup": "reading aloud", "skin tone": "V"},
    }


def test_a_table_need_not_name_every_recording(pure):
    (pure / "groups.csv").write_text("light,recording\nweak,01-02\n")
    assert groups(pure)["01-01"] == {"setup": "steady"}
    assert groups(pure)["01-02"] == {"setup": "talking", "light": "weak"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recording,tone\n01-03,II\n", "no recording '01-03'"),
        ("recording,tone\n,II\n", "no recording ''"),
        ("video,tone\n01-01,II\n", "no column `recording`"),
        ("", "no column `recording`"),
        ("recording,tone,light\n01-01,II\n", "row 1 is not as long as the header"),
        ("tone,recording\nII,01-01\nIII\n", "row 2 is not as long as the header"),
        ("recording,tone\n01-01,II,weak\n", "row 1 is not as long as the header"),
        ("recording,tone\n01-01,II\n01-01,III\n", "'01-01' has two rows"),
    ],
)
def test_a_mistake_in_the_table_is_named(pure, text, says):
    (pure / "groups.csv").write_text(text)
    with pytest.raises(DataError, match=says) as error:
        find_recordings("PURE", pure)
    assert error.value.path == pure / "groups.csv"
    assert "column `recording`" in error.value.remedy


def test_a_table_that_is_no_text_is_named(pure):
    (pure / "groups.csv").write_bytes(b"recording,tone\n01-01,\xff\n")
    with pytest.raises(DataError, match="cannot be read"):
        find_recordings("PURE", pure)


def test_the_generators_recordings_say_motion_and_skin(ubfc_subject, pure_recording):
    """PURE's own setup is the motion already."""
    (own,) = find_recordings("PURE", pure_recording.parent)
    settings = json.loads((pure_recording / "synthetic.json").read_text())["settings"]
    assert dict(own.groups) == {"setup": "steady", "skin tone": str(settings["skin_tone"])}
    (face,) = find_recordings("UBFC-rPPG", ubfc_subject.parent)
    assert set(face.groups) == {"motion", "skin tone"}


@pytest.mark.parametrize(
    "manifest", ["{", "[]", "{}", '{"settings": 3}', '{"settings": {"motion": "steady"}}']
)
def test_another_manifest_says_nothing(tmp_path, manifest):
    video = tmp_path / "subject1" / "vid.avi"
    video.parent.mkdir()
    (video.parent / "synthetic.json").write_text(manifest)
    (same,) = with_groups([Recording("UBFC-rPPG", "subject1", "subject1", video)], tmp_path)
    assert same.groups == {}


def test_a_single_video_has_no_groups(tmp_path):
    """The dataset's folder is then the file itself."""
    video = tmp_path / "me.avi"
    video.write_bytes(b"")
    recording = Recording("video", "me", "me", Path(video))
    assert with_groups([recording], video) == [recording]
