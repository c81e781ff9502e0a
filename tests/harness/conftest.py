"""Folder trees that look like the datasets: enough for finding recordings, not for reading them."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def dataset_trees(tmp_path_factory):
    """`{"UBFC-rPPG": folder of 10 subjects, "PURE": folder of 10 subjects with 2 setups each}`."""
    root = tmp_path_factory.mktemp("trees")
    for n in range(1, 11):
        subject = root / "UBFC-rPPG" / f"subject{n}"
        subject.mkdir(parents=True)
        (subject / "vid.avi").touch()
        (subject / "ground_truth.txt").write_text(f"{n}\n")
        for setup in (1, 3):
            name = f"{n:02}-{setup:02}"
            (root / "PURE" / name / name).mkdir(parents=True)
            (root / "PURE" / name / f"{name}.json").write_text(f'"{name}"')
    return {name: root / name for name in ("UBFC-rPPG", "PURE")}
