"""Our cached clips in the place of the toolbox's loaders, and its loaders in our harness."""

from __future__ import annotations

import argparse
import pickle
import shutil
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from streamnet_plugin.comparison import benchmark, preprocess_data, preprocess_settings
from streamnet_plugin.config import load_config
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.progress import Silent
from toolbox_adapters.rppg_toolbox import datasets
from toolbox_adapters.rppg_toolbox.compat import toolbox_environment
from toolbox_adapters.rppg_toolbox.fast_loader import LOADERS, CachedClips
from toolbox_adapters.rppg_toolbox.outputs import read_outputs

BOTH = ["DiffNormalized", "Standardized"]
SHAPES = {"NDCHW": (6, 36, 36), "NDHWC": (36, 36, 6), "NCDHW": (36, 36)}

pytestmark = pytest.mark.usefixtures("inline")


def run_config(alignment="index"):
    return SimpleNamespace(EVALUATION=SimpleNamespace(LABEL_ALIGNMENT=alignment))


def fast(dataset, data, lost=None, alignment="index"):
    """Our clips of a dataset, made as the launcher makes them."""
    lost = [] if lost is None else lost
    return CachedClips(dataset, lost, lambda: run_config(alignment), "test", data.DATA_PATH, data)


def read_data(config):
    """TEST.DATA as the toolbox reads it; inside its environment only."""
    return import_module("config").get_config(argparse.Namespace(config_file=str(config))).TEST.DATA


# The same tuples


def with_spare_labels(twin, place):
    """A copy of the dataset whose first subject has more labels than frames, as real ones do."""
    root = place / "spare"
    shutil.copytree(twin, root)
    path = root / "subject1" / "ground_truth.txt"
    path.write_text("".join(f"{row} 9 -3 5\n" for row in path.read_text().splitlines()))
    return root


@pytest.mark.parametrize(
    ("dataset", "types", "label", "chunk", "formats"),
    [
        ("UBFC-rPPG", BOTH, "DiffNormalized", True, ("NDCHW", "NCDHW", "NDHWC")),
        ("PURE", BOTH, "DiffNormalized", False, ("NDCHW",)),
        ("PURE", ["Standardized"], "Standardized", True, ("NCDHW",)),
        ("UBFC-rPPG", ["Raw"], "Raw", False, ("NDHWC",)),
    ],
)
def test_the_tuples_are_the_toolboxs(
    toolbox, twin_ubfc, twin_pure, toolbox_yaml, tmp_path, dataset, types, label, chunk, formats
):
    root = twin_ubfc if dataset == "UBFC-rPPG" else twin_pure
    if dataset == "UBFC-rPPG" and chunk:  # without, its labels are longer than its frames
        root = with_spare_labels(root, tmp_path)
    config = toolbox_yaml(
        tmp_path,
        "only_test",
        test=(dataset, root, 0.0, 1.0),
        data={"PREPROCESS": {"DATA_TYPE": types, "LABEL_TYPE": label, "DO_CHUNK": chunk}},
    )
    with toolbox_environment(toolbox):
        base = import_module("dataset.data_loader.BaseLoader")
        base.mp = import_module("toolbox_adapters.rppg_toolbox.workers").multiprocessing
        module, name = LOADERS[dataset]
        loader_class = getattr(import_module(f"dataset.data_loader.{module}"), name)
        data = read_data(config)
        for data_format in formats:
            data.defrost()
            data.DATA_FORMAT = data_format
            theirs = loader_class("test", data.DATA_PATH, data, device="cpu")
            ours = fast(dataset, data)
            assert len(theirs) == len(ours) > 0
            for a, b in zip((theirs[i] for i in range(len(theirs))), ours, strict=True):
                assert a[2:] == b[2:]  # video and chunk
                for x, y in zip(a[:2], b[:2], strict=True):
                    assert (x.shape, x.dtype) == (y.shape, y.dtype)
                    assert np.allclose(x, y, rtol=0, atol=1e-5)
                assert y.flags.c_contiguous
            data.DO_PREPROCESS = False


def test_one_cache_serves_all_types_and_chunks(standin, twin_pure, toolbox_yaml, tmp_path):
    contents = []
    with toolbox_environment(standin):
        for number, chunk in enumerate((60, 30)):
            config = toolbox_yaml(
                tmp_path,
                "only_test",
                test=("PURE", twin_pure, 0.0, 1.0),
                data={"PREPROCESS": {"DATA_TYPE": BOTH[:number + 1], "CHUNK_LENGTH": chunk}},
                name=f"{chunk}.yaml",
            )  # fmt: skip
            clips = fast("PURE", read_data(config))
            assert len(clips) == 3 * (210 // chunk)
            files = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
            contents.append({p: p.stat().st_mtime_ns for p in files})
    assert contents[0] == contents[1] != {}


def test_workers_get_names_of_files_and_no_frames(standin, twin_pure, toolbox_yaml, tmp_path):
    config = toolbox_yaml(tmp_path, "only_test", test=("PURE", twin_pure, 0.0, 1.0))
    with toolbox_environment(standin):
        clips = fast("PURE", read_data(config))
        sent = pickle.dumps(clips)
        received = pickle.loads(sent)
    assert len(sent) < 50_000  # a video has 210 x 36 x 36 x 3 bytes
    for a, b in zip(clips, received, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# Damaged videos


def test_every_damaged_video_is_named(standin, twin_ubfc, toolbox_yaml, tmp_path):
    root = tmp_path / "data"
    for k in (1, 2, 3, 4):
        shutil.copytree(twin_ubfc / f"subject{k}", root / f"subject{k}")
    (root / "subject2" / "ground_truth.txt").unlink()
    video = root / "subject3" / "vid.avi"
    video.write_bytes(video.read_bytes()[:5000])
    lost = []
    with toolbox_environment(standin):
        config = toolbox_yaml(tmp_path, "only_test", test=("UBFC-rPPG", root, 0.0, 1.0))
        clips = fast("UBFC-rPPG", read_data(config), lost)
    assert {item[2] for item in clips} == {"subject1", "subject4"}
    assert sorted(str(v.path).split("/data/")[1].split("/")[0] for v in lost) == [
        "subject2", "subject3"
    ]  # fmt: skip
    for failure in (v.failure for v in lost):  # named as by the builtin backend, with one remedy
        assert failure.recording in {"subject2", "subject3"}
        assert failure.reason
        assert failure.remedy
        assert failure.remedy not in failure.reason
    assert len({v.failure.recording for v in lost}) == 2


def test_videos_that_fill_no_chunk(standin, twin_pure, toolbox_yaml, tmp_path):
    lost = []
    data = {"PREPROCESS": {"CHUNK_LENGTH": 300}}
    config = toolbox_yaml(tmp_path, "only_test", test=("PURE", twin_pure, 0.0, 1.0), data=data)
    with (
        toolbox_environment(standin),
        pytest.raises(DataError, match="no clip of PURE is left: 3 videos"),
    ):
        fast("PURE", read_data(config), lost)
    assert [v.reason for v in lost] == ["its 210 frames fill no chunk of 300"] * 3


def test_what_only_the_toolboxs_loaders_do_is_refused(standin, twin_pure, toolbox_yaml, tmp_path):
    data = {"PREPROCESS": {"USE_PSUEDO_PPG_LABEL": True}}
    config = toolbox_yaml(tmp_path, "only_test", test=("PURE", twin_pure, 0.0, 1.0), data=data)
    with (
        toolbox_environment(standin),
        pytest.raises(ConfigError, match="pseudo labels") as error,
    ):
        fast("PURE", read_data(config))
    assert "--fast-loader" in error.value.remedy


# In a run


@pytest.mark.parametrize("model", ["Tscan", "STREAMNet"])
def test_any_model_reads_them(
    standin, trained, stream_trained, twin_pure, launch, toolbox_yaml, tmp_path, model
):
    source = trained if model == "Tscan" else stream_trained
    (pickled,) = (source.work / "runs").rglob("*_outputs.pickle")
    tested = source.stdout.split("Testing with " if model == "Tscan" else "Testing uses ")[1]
    config = toolbox_yaml(
        tmp_path,
        "only_test",
        test=("PURE", twin_pure, 0.0, 1.0),
        model=model,
        changes={"INFERENCE": {"MODEL_PATH": tested.split(".pth")[0] + ".pth"},
                 "UNCERTAINTY": {"MC_SAMPLES": 0}},
    )  # fmt: skip
    done = launch(standin, config, fast_loader=True)
    assert "from our cache" in done.stdout
    assert "Preprocessing" not in done.stdout
    (ours,) = done.files("*_outputs.pickle")
    for a, b in zip(read_outputs(ours), read_outputs(pickled), strict=True):
        assert a.recording == b.recording
        assert np.allclose(a.pred, b.pred, rtol=0, atol=1e-4)
        assert np.allclose(a.label, b.label, rtol=0, atol=1e-5)
    assert done.run.results.provenance["methods"]["toolbox"]["fast_loader"] is True


def test_labels_by_their_own_clock(standin, twin_pure, launch, toolbox_yaml, tmp_path):
    labels = {}
    for alignment in ("index", "timestamp"):
        work = tmp_path / alignment
        work.mkdir()
        config = toolbox_yaml(
            work,
            "only_test",
            test=("PURE", twin_pure, 0.0, 0.4),
            model="STREAMNet",
            metrics=("MAE",),
            changes={"UNCERTAINTY": {"MC_SAMPLES": 0},
                     "EVALUATION": {"LABEL_ALIGNMENT": alignment}},
        )  # fmt: skip
        launch(standin, config, fast_loader=True)
        (path,) = (work / "runs").rglob("*_outputs.pickle")
        labels[alignment] = next(read_outputs(path)).label
    assert labels["index"].shape == labels["timestamp"].shape
    assert not np.allclose(labels["index"], labels["timestamp"], atol=1e-3)
    assert np.corrcoef(labels["index"], labels["timestamp"])[0, 1] > 0.9


# The other way round: the toolbox's loaders in our harness


@pytest.fixture
def foreign(toolbox, twin_ubfc, twin_pure, toolbox_yaml, tmp_path, monkeypatch):
    """(dataset): our DATA section of it, and the same with `toolbox:` before the name."""
    monkeypatch.setenv("RPPG_TOOLBOX", str(toolbox))

    def sections(dataset):
        root = twin_ubfc if dataset == "UBFC-rPPG" else twin_pure
        path = toolbox_yaml(tmp_path, "only_test", test=(dataset, root, 0.0, 1.0))
        data = load_config(path).TEST.DATA
        return data, data.model_copy(update={"DATASET": f"toolbox:{dataset}"})

    return sections


@pytest.mark.parametrize("dataset", ["UBFC-rPPG", "PURE"])
def test_its_loaders_give_our_harness_the_videos_that_ours_give(
    foreign, dataset, tmp_path, monkeypatch
):
    own, theirs = foreign(dataset)
    settings = preprocess_settings(own, "index")
    mine = preprocess_data(own, settings).videos
    report = preprocess_data(theirs, settings)
    assert report.failures == ()
    found = {v.recording.id: v for v in report.videos}
    assert set(found) == {v.recording.id for v in mine}
    for video in mine:
        other = found[video.recording.id]
        assert other.fs == video.fs
        assert other.recording.subject == video.recording.subject
        assert other.recording.groups == video.recording.groups
        assert np.array_equal(other.frames, video.frames)
        assert np.allclose(other.bvp, video.bvp, rtol=0, atol=1e-6 * np.ptp(video.bvp))
    monkeypatch.setattr(datasets, "_read", None)  # a second time it comes from the cache
    again = datasets.read_dataset(theirs, tmp_path / "cache", Silent())
    assert [v.recording.id for v in again.videos] == [v.recording.id for v in report.videos]


def test_its_lost_videos_are_ours_to_name(foreign, twin_ubfc, tmp_path):
    _, data = foreign("UBFC-rPPG")
    root = tmp_path / "data"
    for k in (1, 2):
        shutil.copytree(twin_ubfc / f"subject{k}", root / f"subject{k}")
    (root / "subject2" / "ground_truth.txt").unlink()
    data = data.model_copy(update={"DATA_PATH": str(root)})
    report = datasets.read_dataset(data, tmp_path / "cache", Silent())
    assert [v.recording.id for v in report.videos] == ["subject1"]
    (failure,) = report.failures
    assert failure.recording.id == "subject2"
    assert "FileNotFoundError" in failure.reason


def test_its_videos_that_end_early_are_ours_to_name(
    foreign, inline, twin_ubfc, tmp_path, monkeypatch
):
    _, data = foreign("UBFC-rPPG")
    for k in (1, 2):
        shutil.copytree(twin_ubfc / f"subject{k}", tmp_path / "data" / f"subject{k}")
    film = tmp_path / "data" / "subject2" / "vid.avi"
    film.write_bytes(film.read_bytes()[: int(0.7 * film.stat().st_size)])
    data = data.model_copy(update={"DATA_PATH": str(tmp_path / "data")})
    for _ in range(2):  # the second time from the cache
        report = datasets.read_dataset(data, tmp_path / "cache", Silent())
        notes = {v.recording.id: v.notes for v in report.videos}
        assert notes["subject1"] == ()
        assert notes["subject2"][0].startswith(f"{film} is truncated: its header says 240 frames")
        monkeypatch.setattr(datasets, "_read", None)


def test_a_benchmark_on_its_loader(standin, twin_pure, toolbox_yaml, tmp_path, monkeypatch):
    monkeypatch.setenv("RPPG_TOOLBOX", str(standin))
    tables = []
    for name in ("PURE", "toolbox:PURE"):
        config = toolbox_yaml(
            tmp_path,
            "unsupervised_method",
            unsupervised=(name, twin_pure, 0.0, 1.0),
            methods=("GREEN",),
        )
        run = benchmark(config, output=None, plots=False, jobs=1)
        assert run.results.failures == ()
        tables.append({r.recording: (r.hr_pred, r.hr_label, r.snr_db) for r in run.results.rows})
    assert tables[0] == tables[1]
    assert len(tables[0]) == 3


@pytest.mark.parametrize(
    ("dataset", "subjects", "assumed"),
    [("SCAMPS", {"subject1", "subject2"}, True), ("PhysDrive", {"1", "2", "3"}, False)],
)
def test_its_loaders_say_who_a_video_shows_or_a_note_says_that_nobody_does(
    inline, renaming, twin_ubfc, twin_pure, toolbox_yaml, tmp_path, monkeypatch, dataset, subjects,
    assumed,
):  # fmt: skip
    """Of a dataset that only the toolbox knows, with subjects in its loader's list or without."""
    monkeypatch.setenv("RPPG_TOOLBOX", str(renaming))
    split = (twin_ubfc, 0.0, 0.4) if assumed else (twin_pure, 0.0, 1.0)
    config = toolbox_yaml(
        tmp_path, "unsupervised_method", unsupervised=(dataset, *split), methods=("GREEN", "POS")
    )
    for _ in range(2):  # the second time from the cache
        results = benchmark(config, output=None, plots=False, jobs=1).results
        assert {row.subject for row in results.rows} == subjects
        notes = [note for note in results.notes if "a subject of its own" in note]
        assert len(notes) == assumed
        assert all("nobody said who the 2 recordings show" in note for note in notes)


def test_an_unknown_dataset_of_the_toolbox(foreign, tmp_path):
    _, data = foreign("PURE")
    data = data.model_copy(update={"DATASET": "toolbox:COHFACE"})
    with pytest.raises(ConfigError, match="no dataset named 'COHFACE'") as error:
        datasets.read_dataset(data, tmp_path, Silent())
    assert "PURE" in error.value.remedy
