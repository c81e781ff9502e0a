"""Splits never share a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.data.splits import (
    check_split,
    read_split,
    select_range,
    split_subjects,
    subjects_of,
    write_split,
)
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.types import Recording


def recordings(n, per_subject=2):
    return [
        Recording("PURE", f"{s:02d}-{m:02d}", f"{s}", Path("x"))
        for s in range(1, n + 1)
        for m in range(per_subject)
    ]


@given(st.integers(5, 40), st.integers(0, 1000))
def test_parts_are_disjoint_and_complete(n, seed):
    parts = split_subjects(recordings(n), {"train": 0.6, "valid": 0.2, "test": 0.2}, seed)
    dealt = [s for part in parts.values() for s in part]
    assert sorted(dealt) == sorted(subjects_of(recordings(n)))
    check_split(parts)


def test_ranges_cut_between_subjects_in_natural_order():
    chosen = select_range(recordings(10), 0.8, 1.0)
    assert {r.subject for r in chosen} == {"9", "10"}
    with pytest.raises(ConfigError, match="selects none"):
        select_range(recordings(3), 0.5, 0.6)


def test_a_leak_is_named(tmp_path):
    with pytest.raises(ConfigError, match="'7' is in 'train' and in 'test'"):
        write_split({"train": ["6", "7"], "test": ["7"]}, tmp_path / "s.json")
    (tmp_path / "s.json").write_text('{"train": ["1"], "test": ["1"]}')
    with pytest.raises(ConfigError, match=r"s\.json: subject '1' is in"):
        read_split(tmp_path / "s.json")


def test_splits_survive_the_disk(tmp_path):
    parts = {"train": ["1", "2"], "test": ["3"]}
    write_split(parts, tmp_path / "s.json")
    assert read_split(tmp_path / "s.json") == parts


def test_too_few_subjects_or_wrong_fractions():
    with pytest.raises(ConfigError, match="too few"):
        split_subjects(recordings(1), {"train": 0.8, "test": 0.2}, 0)
    with pytest.raises(ConfigError, match="add up"):
        split_subjects(recordings(5), {"train": 0.8, "test": 0.3}, 0)
