"""One YAML, the same weights and data: both backends give the same numbers, on any toolbox."""

from __future__ import annotations

import contextlib
import io
import shutil

import cv2
import numpy as np
import pytest

from streamnet_plugin.comparison import benchmark
from streamnet_plugin.scoring import load_pairs
from toolbox_adapters.rppg_toolbox.checkout import open_checkout

CLOSE = 1e-6
NUMBERS = ("hr_label", "hr_pred", "hr_label_refined", "hr_pred_refined", "snr_db", "macc",
           "hr_mc_mean", "hr_mc_std", "hr_mc_q05", "hr_mc_q95")  # fmt: skip
METRICS = ("MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC")
WINDOWS = {"USE_SMALLER_WINDOW": True, "WINDOW_SIZE": 3}

pytestmark = pytest.mark.usefixtures("inline")


@pytest.fixture(scope="session")
def folders(twin_ubfc, twin_pure, tmp_path_factory):
    """Small datasets by name."""
    ubfc = tmp_path_factory.mktemp("ubfc_pair")
    for name in ("subject1", "subject4"):
        shutil.copytree(twin_ubfc / name, ubfc / name)
    return {"UBFC-rPPG": ubfc, "PURE": twin_pure}


@pytest.fixture(scope="session")
def caches(toolbox, tmp_path_factory):
    """Where a toolbox keeps what it has preprocessed, for all tests here."""
    return tmp_path_factory.mktemp("caches")


@pytest.fixture
def both(toolbox, folders, caches, toolbox_yaml, tmp_path):
    """(mode, dataset, chunk, changes): results of both backends, the toolbox's first."""

    def run(mode, dataset, chunk, **changes):
        section = "UNSUPERVISED" if mode == "unsupervised_method" else "TEST"
        cache = caches / f"{mode}-{dataset}-{chunk}"
        config = toolbox_yaml(
            tmp_path,
            mode,
            **{section.lower(): (dataset, folders[dataset], 0.0, 1.0)},
            model="STREAMNet",
            methods=sorted(open_checkout(toolbox).methods),
            preprocess=not cache.exists(),
            changes={
                section: {"DATA": {"CACHED_PATH": str(cache), "PREPROCESS": {"DO_CHUNK": chunk}}},
                "UNCERTAINTY": {"MC_SAMPLES": 2, "MC_PRECISION": "float32"},
                **changes,
            },
        )
        with contextlib.redirect_stdout(io.StringIO()):
            inside = benchmark(
                config,
                backend="toolbox",
                checkout=toolbox,
                plots=False,
                output=config.parent / "inside",
            )
        ours = benchmark(config, output=config.parent / "outside", jobs=1, plots=False)
        return inside.results, ours.results

    return run


def assert_same(inside, ours, record_property, skip=()):
    """Every window and every metric of both within CLOSE; what is None is None in both."""
    assert inside.failures == ours.failures == ()
    rows = [
        {(r.method, r.recording, r.window): r for r in results.rows} for results in (inside, ours)
    ]
    assert rows[0].keys() == rows[1].keys() != set()
    largest = 0.0
    for key, theirs in rows[0].items():
        mine = rows[1][key]
        assert (theirs.status, theirs.subject, theirs.groups) == (
            mine.status, mine.subject, mine.groups
        )  # fmt: skip
        assert (theirs.start_s, theirs.end_s) == (mine.start_s, mine.end_s)
        for name in NUMBERS:
            a, b = getattr(theirs, name), getattr(mine, name)
            if key[0] in skip or (a is None and b is None):
                continue
            assert a == pytest.approx(b, abs=CLOSE), (key, name)
            largest = max(largest, abs(a - b))
        # Of the beats too, which are maxima: the waveforms stand the same way up. ICA's may not.
        if key[0] not in {"ICA", *skip}:
            assert theirs.withheld == mine.withheld, key
            assert (theirs.spread is None) == (mine.spread is None), key
            assert theirs.spread is None or theirs.spread == pytest.approx(mine.spread, rel=1e-4), (
                key
            )
    tables = [{s.method: s for s in results.summaries} for results in (inside, ours)]
    assert tables[0].keys() == tables[1].keys()
    for method, theirs in tables[0].items():
        mine = tables[1][method]
        for metric in METRICS:
            for a, b in zip(theirs.values[metric], mine.values[metric], strict=True):
                if method in skip or (a is None and b is None):  # e.g. the error of two videos' r
                    continue
                assert a == pytest.approx(b, abs=CLOSE, nan_ok=True), (method, metric)
        assert (theirs.n_videos, theirs.n_windows) == (mine.n_videos, mine.n_windows)
    record_property("largest difference", largest)


@pytest.mark.parametrize(
    ("dataset", "chunk"), [("UBFC-rPPG", True), ("PURE", False)], ids=["UBFC-chunks", "PURE-whole"]
)
def test_the_network(both, record_property, dataset, chunk):
    inside, ours = both("only_test", dataset, chunk)
    assert_same(inside, ours, record_property)
    assert len(inside.rows) == (2 if dataset == "UBFC-rPPG" else 3)
    assert all(row.hr_mc_std is not None for row in inside.rows)
    assert all(row.abs_error < 5 for row in inside.rows)


def test_whole_videos_of_different_lengths_whose_labels_may_be_longer(
    both, folders, monkeypatch, tmp_path
):
    shutil.copytree(folders["UBFC-rPPG"], tmp_path / "data")
    film = tmp_path / "data" / "subject4" / "vid.avi"
    video = cv2.VideoCapture(str(film))
    frames = [video.read()[1] for _ in range(200)]  # of 240, as the label has
    video.release()
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 30, (320, 240))
    for frame in frames:
        writer.write(frame)
    writer.release()
    monkeypatch.setitem(folders, "UBFC cut", tmp_path / "data")
    data = {"DATASET": "UBFC-rPPG", "CACHED_PATH": str(tmp_path / "cache")}
    inside, ours = both(
        "only_test", "UBFC cut", False,
        TEST={"DATA": {**data, "PREPROCESS": {"DO_CHUNK": False}}},
        INFERENCE={"BATCH_SIZE": 4},
    )  # fmt: skip
    assert [(r.recording, r.status) for r in inside.rows] == [
        (name, "ok") for name in ("subject1", "subject4")
    ]
    (note,) = (note for note in inside.notes if note.startswith("subject4:"))
    assert f"{film} may be truncated: its labels go on for 1.3 s behind its 200 frames" in note
    for theirs, mine in zip(inside.rows, ours.rows, strict=True):
        assert (theirs.start_s, theirs.end_s) == (mine.start_s, mine.end_s)
        assert theirs.hr_pred == pytest.approx(mine.hr_pred, abs=CLOSE)
        assert theirs.hr_label == pytest.approx(mine.hr_label, abs=CLOSE)


def test_the_network_in_windows_by_peaks(both, record_property):
    inside, ours = both(
        "only_test",
        "PURE",
        True,
        INFERENCE={"EVALUATION_METHOD": "peak detection", "EVALUATION_WINDOW": WINDOWS},
    )
    assert_same(inside, ours, record_property)
    assert inside.hr_method == "Peak"
    assert len(inside.rows) == 6


@pytest.mark.parametrize(
    ("dataset", "hr_method", "window"),  # every two of them meet in one
    [
        ("UBFC-rPPG", "FFT", False),
        ("UBFC-rPPG", "peak detection", True),
        ("PURE", "FFT", True),
        ("PURE", "peak detection", False),
    ],
)
def test_classical_methods(both, toolbox, record_property, dataset, hr_method, window):
    inside, ours = both(
        "unsupervised_method",
        dataset,
        False,
        INFERENCE={
            "EVALUATION_METHOD": hr_method,
            "EVALUATION_WINDOW": WINDOWS if window else {"USE_SMALLER_WINDOW": False},
        },
    )
    # The sign of an independent component is open, and peaks are not troughs.
    skip = {"ICA"} if hr_method != "FFT" else set()
    assert_same(inside, ours, record_property, skip)
    assert {row.method for row in inside.rows} == open_checkout(toolbox).methods


def test_colours_of_the_frames_are_known_inside_the_toolbox(both, tmp_path):
    """Without them flickering light would be no reason to withhold there."""
    both("unsupervised_method", "UBFC-rPPG", True)
    inside, ours = (
        {(p.method, p.recording): p.rgb for p in load_pairs(next(tmp_path.rglob(name)))}
        for name in ("inside", "outside")
    )
    assert inside.keys() == ours.keys() != set()
    for key, rgb in inside.items():
        assert np.ptp(rgb, axis=0).min() > 0.1
        assert rgb == pytest.approx(ours[key], abs=1e-3), key


def test_classical_methods_in_chunks(both, record_property):
    inside, ours = both("unsupervised_method", "PURE", True)
    assert_same(inside, ours, record_property)
    assert {row.recording for row in inside.rows} >= {"01-01#0", "01-01#2"}
