"""Where results may be written."""

from __future__ import annotations

import os

import pytest

from streamnet_plugin.errors import OutputError
from streamnet_plugin.report.writer import check_writable


def test_what_is_no_folder_gets_none_beside_it(tmp_path):
    (tmp_path / "results.txt").write_text("mine")
    for place in (tmp_path / "results.txt", os.devnull):
        with pytest.raises(OutputError, match="need a folder"):
            check_writable(place)
    assert [p.name for p in tmp_path.iterdir()] == ["results.txt"]
