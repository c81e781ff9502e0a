"""Normalisations: equal to a plain float64 computation of the toolbox's formulas."""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.data.clips import (
    BLOCK,
    Normaliser,
    make_input,
    make_label,
    resized,
    split_clips,
)
from streamnet_plugin.errors import ConfigError

TYPES = ["DiffNormalized", "Standardized"]


def plain(frames):
    f = frames.astype(np.float64)
    diff = (f[1:] - f[:-1]) / (f[1:] + f[:-1] + 1e-7)
    diff = np.concatenate([diff / diff.std(), np.zeros((1, *f.shape[1:]))])
    return np.concatenate([diff, (f - f.mean()) / f.std()], axis=-1)


@given(st.integers(2, 40), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_input_equals_the_formulas(n, seed):
    frames = np.random.default_rng(seed).integers(0, 256, (n, 4, 5, 3), dtype=np.uint8)
    assert make_input(frames, TYPES) == pytest.approx(plain(frames), abs=1e-5)


def test_blocks_do_not_show():
    n = 2 * BLOCK + 3
    frames = np.random.default_rng(0).integers(0, 256, (n, 3, 3, 3), dtype=np.uint8)
    assert make_input(frames, TYPES) == pytest.approx(plain(frames), abs=1e-5)


def test_any_range_is_a_part_of_the_whole():
    frames = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), dtype=np.uint8)
    whole = make_input(frames, TYPES).transpose(0, 3, 1, 2)
    part = Normaliser.fit(frames).network_input(frames, 30, 50)
    assert part == pytest.approx(whole[30:], abs=1e-6)


def test_constant_and_black_frames_stay_finite():
    for value in (0, 9):
        frames = np.full((20, 4, 4, 3), value, np.uint8)
        assert Normaliser.fit(frames).still
        assert not make_input(frames, TYPES).any()


def test_labels():
    bvp = np.random.default_rng(0).standard_normal(30)
    diff = make_label(bvp, "DiffNormalized")
    assert diff[:-1] == pytest.approx(np.diff(bvp) / np.diff(bvp).std())
    assert diff[-1] == 0
    standard = make_label(bvp, "Standardized")
    assert (standard.mean(), standard.std()) == pytest.approx((0, 1))
    assert make_label(bvp, "Raw") == pytest.approx(bvp)
    assert not make_label(np.ones(9), "DiffNormalized").any()


def test_unknown_types_are_refused():
    with pytest.raises(ConfigError, match="Standardized"):
        make_input(np.zeros((3, 4, 4, 3), np.uint8), ["Normal"])
    with pytest.raises(ConfigError, match="Standardized"):
        make_label(np.zeros(3), "Normal")


def test_clips_drop_the_tail():
    assert split_clips(400, 180) == [slice(0, 180), slice(180, 360)]
    assert split_clips(100, 180) == []


def test_frames_are_made_smaller_never_larger():
    frames = np.zeros((2, 72, 72, 3), np.uint8)
    assert resized(frames, 36, 36).shape == (2, 36, 36, 3)
    assert resized(frames, 72, 72) is frames
    with pytest.raises(ConfigError, match="RESIZE"):
        resized(frames, 96, 96)


@pytest.mark.skipif("RPPG_TOOLBOX" not in os.environ, reason="RPPG_TOOLBOX is not set")
def test_input_equals_the_toolboxs(monkeypatch):
    monkeypatch.syspath_prepend(os.environ["RPPG_TOOLBOX"])
    for name in ("dataset", "evaluation"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        loader = importlib.import_module("dataset.data_loader.BaseLoader").BaseLoader
    except ImportError as error:
        pytest.skip(f"the toolbox's loader needs {error.name}")
    frames = np.random.default_rng(0).integers(0, 256, (60, 36, 36, 3), dtype=np.uint8)
    f = frames.astype(np.float64)
    theirs = np.concatenate([loader.diff_normalize_data(f), loader.standardized_data(f)], axis=-1)
    assert make_input(frames, TYPES) == pytest.approx(theirs, abs=1e-5)
    bvp = np.random.default_rng(1).standard_normal(60)
    assert make_label(bvp, "DiffNormalized") == pytest.approx(loader.diff_normalize_label(bvp))
