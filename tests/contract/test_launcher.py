"""STREAM-Net and the toolbox's own models through `run_toolbox`, on a read-only checkout."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import re
import shutil
import sys
import time
from types import ModuleType

import numpy as np
import pytest
import torch

from streamnet_plugin.errors import ConfigError, DataError, StreamnetError
from streamnet_plugin.model.checkpoint import load_checkpoint, shipped_checkpoint
from streamnet_plugin.rescoring import rescore
from streamnet_plugin.scoring import WaveformPair, load_pairs
from toolbox_adapters.rppg_toolbox import launcher
from toolbox_adapters.rppg_toolbox.capture import identity
from toolbox_adapters.rppg_toolbox.compat import give_numpy, toolbox_environment
from toolbox_adapters.rppg_toolbox.outputs import read_outputs
from toolbox_adapters.rppg_toolbox.settings import absolute_paths
from toolbox_adapters.rppg_toolbox.workers import (
    MAX_WORKERS,
    PATIENCE_S,
    PatientProcess,
    ToolboxDataLoader,
    choose_workers,
)

METRIC_LINE = re.compile(r"(FFT|Peak) (\w+) \(\1 Label\): (\S+) \+/- (\S+)")
EPOCH_LINE = re.compile(r"Epoch (\d+): training loss (\S+), validation loss ([\d.]+)")
METRICS = {"MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC"}


def printed_metrics(text):
    """{metric: (value, standard error)} of a run's printout."""
    return {m[2]: (float(m[3]), float(m[4])) for m in METRIC_LINE.finditer(text)}


def outputs_of(folder):
    """The one output pickle below `folder`."""
    (path,) = folder.rglob("*_outputs.pickle")
    return path


def same_outputs(one, other):
    """Whether two output pickles hold the very same waveforms."""
    pairs = list(zip(read_outputs(one), read_outputs(other), strict=True))
    return len(pairs) > 0 and all(
        a.recording == b.recording
        and np.array_equal(a.pred, b.pred)
        and np.array_equal(a.label, b.label)
        for a, b in pairs
    )


# Training


def test_every_epoch_leaves_a_checkpoint_with_the_toolboxs_names(stream_trained):
    paths = stream_trained.files("*.pth")
    assert [p.name for p in paths] == [f"twin_Epoch{n}.pth" for n in range(3)]
    assert {p.parent.name for p in paths} == {"PreTrainedModels"}
    for path in paths:
        state = torch.load(path, weights_only=True)
        assert all(key.startswith("module.") for key in state)
        network, _ = load_checkpoint(path)
        assert (network.config.width, network.config.segment_length) == (36, 10)
        for key, value in network.state_dict().items():
            assert torch.equal(value, state[f"module.{key}"])


def test_training_changes_the_weights(stream_trained):
    first, *_, last = (torch.load(p, weights_only=True) for p in stream_trained.files("*.pth"))
    assert any(not torch.equal(first[key], last[key]) for key in first)


def test_the_epoch_with_the_least_validation_loss_is_tested(stream_trained):
    losses = [float(m[3]) for m in EPOCH_LINE.finditer(stream_trained.stdout)]
    assert losses == [0.5, 0.25, 0.75]  # see the fixture
    assert re.search(r"Testing uses .*/twin_Epoch1\.pth\n", stream_trained.stdout)


def test_losses_and_rates_are_drawn_by_the_toolbox(stream_trained):
    assert {p.name for p in stream_trained.files("plots/*")} == {"twin_losses.pdf", "twin_lrs.pdf"}
    assert stream_trained.files("bland_altman_plots/*")


def test_without_validation_the_last_epoch_is_tested(
    standin, trained, twin_ubfc, twin_pure, launch, toolbox_yaml, tmp_path
):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        train=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        test=("PURE", twin_pure, 0.0, 1.0),
        model="STREAMNet",
        metrics=("MAE",),
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
        changes={
            "TRAIN": {"PLOT_LOSSES_AND_LR": False},
            "UNCERTAINTY": {"MC_SAMPLES": 0},
        },
    )
    done = launch(standin, config)
    assert "validation loss" not in done.stdout
    assert "twin_Epoch1.pth\n" in done.stdout.split("Testing uses ")[1]
    assert [p.name for p in done.files("*.pth")] == ["twin_Epoch0.pth", "twin_Epoch1.pth"]
    assert not done.files("plots/*")
    assert done.run.results.summaries[0].hr_mc_std is None  # no samples were asked for


# What is left behind


def test_outputs_are_pickled_as_the_toolbox_does(stream_trained, trained):
    path = outputs_of(stream_trained.work)
    theirs = outputs_of(trained.work)
    assert path.relative_to(stream_trained.work) == theirs.relative_to(trained.work)
    content, other = (pickle.loads(p.read_bytes()) for p in (path, theirs))
    assert content.keys() == other.keys()
    assert (content["label_type"], content["fs"]) == (other["label_type"], other["fs"])
    for part in ("predictions", "labels"):
        assert set(content[part]) == set(other[part]) == {"101", "201", "301"}
        for video, chunks in content[part].items():
            assert set(chunks) == set(other[part][video]) == {0, 1, 2}
            assert all(x.shape == (60, 1) and x.dtype == torch.float32 for x in chunks.values())
    labels = [[p.label for p in read_outputs(x)] for x in (path, theirs)]
    assert np.array_equal(*labels)


def test_the_toolboxs_printout_our_table_and_the_saved_outputs_agree(stream_trained):
    printed = printed_metrics(stream_trained.stdout)
    (row,) = stream_trained.run.results.summaries
    (again,) = rescore(outputs_of(stream_trained.work), plots=False).results.summaries
    assert set(printed) == METRICS
    for metric in METRICS:
        for ours in (row, again):
            # No correlation of equal heart rates, which a network so little trained may read.
            told = [math.nan if value is None else value for value in ours.values[metric]]
            assert printed[metric] == pytest.approx(tuple(told), abs=1e-6, nan_ok=True), metric


def test_our_results_lie_beside_the_toolboxs_outputs(stream_trained):
    run = stream_trained.run
    assert run.folder == outputs_of(stream_trained.work).parents[1] / "streamnet-results"
    saved, pickled = load_pairs(run.folder), list(read_outputs(outputs_of(stream_trained.work)))
    assert [p.recording for p in saved] == ["01-01", "02-01", "03-01"]
    assert [p.subject for p in saved] == ["01", "02", "03"]
    for ours, theirs in zip(saved, pickled, strict=True):
        assert np.array_equal(ours.pred, theirs.pred)
    assert run.results.provenance["methods"]["toolbox"]["config_file"] == str(stream_trained.config)


def test_monte_carlo_spread_is_reported(stream_trained):
    results = stream_trained.run.results
    assert results.summaries[0].hr_mc_std > 0
    assert all(row.hr_mc_std is not None for row in results.rows)
    assert len({row.hr_mc_std for row in results.rows}) > 1


# Testing


@pytest.fixture(scope="session")
def tested(standin, stream_trained, trained, twin_pure, launch, toolbox_yaml, tmp_path_factory):
    """The best epoch of `stream_trained`, tested again: paths by environment, two workers' worth.

    Relative paths, `KEY=VALUE`, and one real worker process.
    """
    work = tmp_path_factory.mktemp("tested")
    best = stream_trained.stdout.split("Testing uses ")[1].splitlines()[0]
    shutil.copy(best, work / "weights.pth")
    config = toolbox_yaml(
        work,
        "only_test",
        test=("PURE", "$TWIN_PURE", 0.0, 1.0),
        model="STREAMNet",
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
        changes={
            "INFERENCE": {"MODEL_PATH": "weights.pth"},
            "LOG": {"PATH": "nowhere"},
            "UNCERTAINTY": {"MC_SAMPLES": 30},
        },
    )
    loaders = []

    class Watched(launcher.ToolboxDataLoader):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            loaders.append(self.num_workers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWIN_PURE", str(twin_pure))
        patch.setattr(launcher, "ToolboxDataLoader", Watched)
        done = launch(
            standin,
            config,
            overrides=["NUM_WORKERS=1", "UNCERTAINTY.MC_SAMPLES=3", "LOG.PATH=runs",
                       "TEST.METRICS=[MAE]"],
        )  # fmt: skip
    return done, loaders


def test_only_test_reads_the_same_waveforms_again(tested, stream_trained):
    done, _ = tested
    assert same_outputs(outputs_of(done.work), outputs_of(stream_trained.work))
    assert outputs_of(done.work).name == "weights_PURE_outputs.pickle"


def test_equal_seeds_give_equal_spreads(tested, stream_trained):
    spreads = [[r.hr_mc_std for r in x.run.results.rows] for x in (tested[0], stream_trained)]
    assert spreads[0] == spreads[1]


def test_overrides_environment_and_relative_paths(tested):
    done, _ = tested
    assert set(printed_metrics(done.stdout)) == {"MAE"}
    assert {p.name for p in done.work.iterdir()} == {"config.yaml", "weights.pth", "runs"}
    assert f"Testing uses {done.work / 'weights.pth'}\n" in done.stdout


def test_worker_processes(tested):
    assert tested[1] == [1]


def test_the_number_of_workers():
    assert choose_workers(-1, 20) == 0
    assert choose_workers(-1, 100_000) == min(MAX_WORKERS, os.cpu_count())
    assert [choose_workers(n, 20) for n in (0, 1, 16)] == [0, 1, 16]


def test_asking_for_processes_without_a_pause_takes_no_core():
    process = PatientProcess(multiprocessing.Process(target=time.sleep, args=(0.3,)))
    start, asked = time.perf_counter(), 0
    process.start()
    while process.is_alive():
        asked += 1
    assert 0 < asked <= (time.perf_counter() - start) / PATIENCE_S
    assert process.exitcode == 0


def clip(length, name, label=None):
    return np.zeros((length, 2), "f"), np.zeros(label or length, "f"), name, "0"


@pytest.mark.parametrize("last", [clip(7, "c"), clip(5, "c", label=6)], ids=["frames", "label"])
def test_videos_of_different_lengths_come_one_by_one(tmp_path, last):
    items = [clip(5, "a"), clip(5, "b"), last, clip(5, "d"), clip(5, "e"), clip(5, "f")]
    loader = ToolboxDataLoader(items, tmp_path, batch_size=3)
    found = []
    for frames, label, names, _ in loader:
        assert len(frames) == len(label) == len(names)
        assert loader.current[1] == names
        found.append("".join(names))
    assert found == ["a", "b", "c", "def"]


def test_training_is_not_in_other_batches_than_asked_for(tmp_path):
    items = [clip(5, "a"), clip(7, "b")]
    with pytest.raises(DataError, match="different lengths make no batch of 2"):
        next(iter(ToolboxDataLoader(items, tmp_path, batch_size=2, shuffle=True)))


def test_clips_of_two_sizes_of_frames_are_one_batch(tmp_path):
    items = [([np.zeros((5, 4)), np.zeros((5, 2))], np.zeros(5), name, "0") for name in "ab"]
    ((frames, *_),) = ToolboxDataLoader(items, tmp_path, batch_size=2)
    assert [tuple(x.shape) for x in frames] == [(2, 5, 4), (2, 5, 2)]


def test_a_label_that_is_no_pulse_is_told_where_the_toolbox_counts_it():
    t = np.arange(300.0)
    labels = {"good": np.sin(t), "flat": np.zeros(300), "nan": np.where(t == 9, np.nan, t)}
    pairs = [
        WaveformPair(method, "PURE", name, name, 30.0, np.sin(t), label, False)
        for method in ("A", "B")
        for name, label in labels.items()
    ]
    (note,) = launcher._printed_alone(pairs)
    assert note.endswith(": flat, nan.")
    assert not list(launcher._printed_alone(pairs[:1]))


def test_shipped_weights_and_whole_videos_from_a_data_root(
    inline, standin, twin_pure, launch, toolbox_yaml, tmp_path
):
    checkout = tmp_path / "checkout"
    shutil.copytree(standin, checkout)
    os.chmod(checkout, 0o755)
    (checkout / "configs").mkdir()
    toolbox_yaml(
        checkout / "configs",
        "only_test",
        test=("PURE", "/nowhere", 0.0, 0.4),  # of three subjects the first
        model="STREAMNet",
        metrics=("MAE", "BA"),
        data={"CACHED_PATH": "cache", "PREPROCESS": {"DO_CHUNK": False}},
        changes={"LOG": {"PATH": "runs"}, "UNCERTAINTY": {"MC_SAMPLES": 2}},
    )
    work = tmp_path / "work"
    work.mkdir()
    (work / "child.yaml").write_text("BASE: ['../checkout/configs/config.yaml']\nNUM_WORKERS: 0\n")
    root = os.path.relpath(twin_pure, work)  # from here, wherever the toolbox is
    done = launch(checkout, work / "child.yaml", data_root={"PURE": root})
    assert f"Testing uses {shipped_checkpoint()}" in done.stdout
    (pair,) = read_outputs(outputs_of(done.work))
    assert len(pair.pred) == 210  # also the frames after the last whole chunk
    (row,) = done.run.results.rows
    assert (row.recording, row.abs_error < 5) == ("01-01", True)
    assert set(printed_metrics(done.stdout)) == {"MAE"}  # one video: its BA plot is left out
    assert {p.name for p in work.iterdir()} == {"child.yaml", "cache", "runs"}
    assert {p.name for p in (checkout / "configs").iterdir()} == {"config.yaml"}


def test_a_configuration_is_found_here_then_in_the_checkout_then_among_the_shipped(
    tmp_path, monkeypatch
):
    here, checkout = tmp_path / "here", tmp_path / "checkout"
    for folder in (here, checkout / "configs"):
        folder.mkdir(parents=True)
    (checkout / "configs" / "a.yaml").touch()
    monkeypatch.chdir(here)
    find = launcher.find_config_file
    assert find("configs/a.yaml", checkout) == checkout / "configs" / "a.yaml"
    (here / "configs").mkdir()
    (here / "configs" / "a.yaml").touch()
    assert find("configs/a.yaml", checkout) == here / "configs" / "a.yaml"
    assert find("benchmark/demo", checkout).name == "demo.yaml"
    with pytest.raises(ConfigError, match="no such configuration file"):
        find("configs/b.yaml", checkout)


def test_folds_and_weights_are_found_here_then_in_the_checkout(tmp_path):
    here, checkout = tmp_path / "here", tmp_path / "checkout"
    for folder in (here, checkout):
        folder.mkdir()
        (folder / "both.csv").touch()
    for name in ("fold.csv", "weights.pth"):
        (checkout / name).touch()
    tree = {
        "TRAIN": {"DATA": {"FOLD": {"FOLD_PATH": "./fold.csv"}, "CACHED_PATH": "fold.csv"}},
        "TEST": {"DATA": {"FOLD": {"FOLD_PATH": "both.csv"}}},
        "INFERENCE": {"MODEL_PATH": "weights.pth"},
        "VALID": {"DATA": {"FOLD": {"FOLD_PATH": "nowhere.csv"}}},
    }
    absolute_paths(tree, here, checkout)
    assert tree == {
        "TRAIN": {
            "DATA": {
                "FOLD": {"FOLD_PATH": str(checkout / "fold.csv")},
                "CACHED_PATH": str(here / "fold.csv"),
            }
        },
        "TEST": {"DATA": {"FOLD": {"FOLD_PATH": str(here / "both.csv")}}},
        "INFERENCE": {"MODEL_PATH": str(checkout / "weights.pth")},
        "VALID": {"DATA": {"FOLD": {"FOLD_PATH": str(here / "nowhere.csv")}}},
    }


def test_weights_of_the_checkout_are_tested(
    inline, standin, twin_pure, launch, toolbox_yaml, tmp_path
):
    checkout, work = tmp_path / "checkout", tmp_path / "work"
    shutil.copytree(standin, checkout)
    checkout.chmod(0o755)
    (checkout / "release").mkdir()
    shutil.copy(shipped_checkpoint(), checkout / "release" / "own.safetensors")
    work.mkdir()
    config = toolbox_yaml(
        work,
        "only_test",
        test=("PURE", twin_pure, 0.0, 0.4),
        model="STREAMNet",
        metrics=("MAE",),
        changes={
            "INFERENCE": {"MODEL_PATH": "./release/own.safetensors"},
            "UNCERTAINTY": {"MC_SAMPLES": 0},
        },
    )
    done = launch(checkout, config)
    assert f"Testing uses {checkout / 'release' / 'own.safetensors'}\n" in done.stdout


@pytest.mark.parametrize(
    ("dataset", "name", "subject"),
    [
        ("BP4DPlus", "F006T1", "F006"),
        ("BP4DPlusBigSmall", "M006T10", "M006"),
        ("BP4DPlus", "another", None),
        ("MMPD", "subject12_L1_MO2_E0_S3_GE0_GL1_H0_MA0", "subject12"),
        ("MMPD", "F006T1", None),
        ("iBVP", "p01b", "p01"),
        ("UBFC-PHYS", "s56_T3", "s56"),
        ("PhysDrive", "AFH1_A2", "AFH1"),
        ("UBFC-rPPG", "subject12", "subject12"),
        ("SCAMPS", "P000001.mat", None),
        ("SCAMPS", "subject12", None),
    ],
)
def test_who_a_video_shows_is_known_where_the_toolboxs_name_of_it_says_so(dataset, name, subject):
    assert identity(dataset, name) == (name, subject or name, {}, subject is None)


@pytest.mark.parametrize("mode", ["only_test", "unsupervised_method"])
def test_recordings_of_unknown_people_count_as_subjects_and_a_note_says_so(
    inline, renaming, twin_ubfc, launch, toolbox_yaml, tmp_path, mode
):
    section = "test" if mode == "only_test" else "unsupervised"
    config = toolbox_yaml(
        tmp_path,
        mode,
        **{section: ("SCAMPS", twin_ubfc, 0.0, 0.4)},
        model="STREAMNet",
        methods=("GREEN",),
        changes={
            section.upper(): {"DATA": {"PREPROCESS": {"DO_CHUNK": True}}},
            "UNCERTAINTY": {"MC_SAMPLES": 0},
        },
    )
    run = launch(renaming, config).run
    (note,) = (note for note in run.results.notes if "a subject of its own" in note)
    assert "nobody said who the 2 recordings show" in note  # not: the 8 chunks
    assert "`streamnet evaluate FOLDER --subjects FILE`" in note
    pairs = load_pairs(run.folder)
    assert {pair.subject for pair in pairs} == {"subject1", "subject2"}
    assert all(pair.subject_assumed for pair in pairs)
    table = tmp_path / "subjects.csv"
    table.write_text("recording,subject\n" + "".join(f"{p.recording},anna\n" for p in pairs))
    again = rescore(run.folder, subjects=table).results
    assert {row.subject for row in again.rows} == {"anna"}
    assert not any("a subject of its own" in note for note in again.notes)


def test_known_people_need_no_note(trained, stream_trained):
    assert not any("a subject of its own" in note for note in stream_trained.run.results.notes)
    assert not any(pair.subject_assumed for pair in load_pairs(stream_trained.run.folder))


# The toolbox's own


def test_its_own_model_gives_the_very_same_outputs(
    standin, trained, splits, launch, toolbox_yaml, tmp_path
):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        **splits,
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
    )
    done = launch(standin, config)
    assert same_outputs(outputs_of(done.work), outputs_of(trained.work))
    assert printed_metrics(done.stdout) == printed_metrics(trained.stdout)
    for ours in done.files("*.pth"):
        theirs = trained.work / ours.relative_to(done.work)
        a, b = (torch.load(p, weights_only=True) for p in (ours, theirs))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a)
    (row,) = done.run.results.summaries
    assert row.method == "Tscan"
    for metric, numbers in printed_metrics(done.stdout).items():
        assert numbers == pytest.approx(row.values[metric], abs=1e-6), metric


def test_classical_methods_print_what_they_print_under_numpy_1(
    standin, twin_pure, run_main, launch, toolbox_yaml, tmp_path
):
    methods = ("GREEN", "CHROM", "POS", "PBV", "LGI", "OMIT")
    split = ("PURE", twin_pure, 0.0, 1.0)
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    texts = []
    for work in (plain, ours):
        work.mkdir()
        config = toolbox_yaml(
            work,
            "unsupervised_method",
            unsupervised=split,
            methods=methods,
            preprocess=work == plain,
            data={"CACHED_PATH": str(tmp_path / "cache")},
            changes={"INFERENCE": {"EVALUATION_WINDOW": {"USE_SMALLER_WINDOW": True,
                                                         "WINDOW_SIZE": 3}}},
        )  # fmt: skip
        if work == plain:
            done = run_main(standin, config, numpy1=True)
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            done = launch(standin, config)
        texts.append(done.stdout.partition("==== Unsupervised method ")[2])
    number = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
    words = [number.sub("#", text) for text in texts]
    assert words[0] == words[1] != ""
    # To the 9th digit: linear algebra in another process may add in another order. PBV's is so ill
    # conditioned in single precision that this can decide its heart rate.
    sections = [text.split("==== Unsupervised method ") for text in texts]
    values = [
        [float(x) for part in parts if not part.startswith("PBV") for x in number.findall(part)]
        for parts in sections
    ]
    assert len(values[0]) > 6 * (len(methods) - 1)
    assert values[0] == pytest.approx(values[1], rel=1e-9, nan_ok=True)
    table = {row.method: row for row in done.run.results.summaries}
    assert tuple(table) == methods
    assert all(row.n_windows == 9 for row in table.values())  # 3 s, 3 s and the last second


def test_methods_whose_waveforms_do_not_pass_by_are_named(
    inline, standin, twin_pure, launch, toolbox_yaml, tmp_path
):
    root = tmp_path / "later"
    shutil.copytree(standin, root)
    predictor = root / "unsupervised_methods" / "unsupervised_predictor.py"
    predictor.chmod(0o644)
    predictor.write_text(predictor.read_text().replace("POS_WANG", "POS_OTHERWISE"))
    config = toolbox_yaml(
        tmp_path,
        "unsupervised_method",
        unsupervised=("PURE", twin_pure, 0.0, 0.4),
        methods=("GREEN", "POS"),
    )
    done = launch(root, config)
    assert "==== Unsupervised method POS ====" in done.stdout
    assert [row.method for row in done.run.results.summaries] == ["GREEN"]
    (note,) = (n for n in done.run.results.notes if n.startswith("Not in this table"))
    assert note.endswith("d807b01 (2025-09-01): POS.")


def test_raw_bytes_are_read_as_numpy_2_2_read_them():
    """BP4D+ images pass through a mode of `np.fromstring` that later NumPys refuse."""
    module = ModuleType("reader")
    module.np = np
    give_numpy(module)
    pixels = module.np.fromstring(b"\x01\x02\xff", np.uint8)
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == [1, 2, 255]
    assert pixels.flags.writeable
    assert module.np.fromstring(b"\x01\x02\xff", np.uint8, 2).tolist() == [1, 2]
    assert module.np.fromstring("1 2.5", sep=" ").tolist() == [1, 2.5]


# The process afterwards


def state_of_the_process():
    names = ("config", "main", "dataset", "evaluation", "neural_methods", "unsupervised_methods",
             "mamba_ssm", "causal_conv1d", "timm", "thop")  # fmt: skip
    return {
        "cwd": os.getcwd(),
        "argv": list(sys.argv),
        "path": list(sys.path),
        "meta_path": list(sys.meta_path),
        "modules": {n: m for n, m in sys.modules.items() if n.partition(".")[0] in names},
        "load": torch.load,
        "numpy": {n: id(value) for n, value in vars(np).items() if not n.startswith("__")},
        "solve": np.linalg.solve,
        "start_method": multiprocessing.get_start_method(allow_none=True),
        "bytecode": sys.dont_write_bytecode,
        "environment": dict(os.environ),
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_losses_written_for_a_gpu_do_without(standin):
    """Two of the toolbox's losses move tensors to "cuda" whatever DEVICE says."""
    x = torch.ones(2)
    with toolbox_environment(standin):
        for moved in (x.cuda(), x.to("cuda:0"), x.to(torch.device("cuda")), x.to(device="cuda")):
            assert torch.equal(moved, x)
        assert torch.equal(x.double().type(torch.cuda.FloatTensor), x)
        assert x.to(torch.float64).dtype == torch.float64
        assert torch.nn.Linear(1, 1).to("cuda").weight.device.type == "cpu"
    for move in (lambda: x.cuda(), lambda: x.to("cuda")):
        with pytest.raises((AssertionError, RuntimeError)):
            move()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"TEST": {"DATA": {"DATA_PATH": "/nowhere"}}}, (ValueError, StreamnetError)),
        ({"MODEL": {"NAME": "STREAMnet"}}, ConfigError),
    ],
    ids=["run", "error in the toolbox", "error before"],
)
def test_the_process_is_as_it_was(
    standin, trained, twin_pure, launch, toolbox_yaml, tmp_path, monkeypatch, changes, error
):
    monkeypatch.setitem(sys.modules, "config", ModuleType("config"))  # of the user
    config = toolbox_yaml(
        tmp_path,
        "only_test",
        test=("PURE", twin_pure, 0.0, 0.4),
        model="STREAMNet",
        metrics=("MAE",),
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
        changes={"UNCERTAINTY": {"MC_SAMPLES": 0}, **changes},
    )
    before = state_of_the_process()
    if error is None:
        assert launch(standin, config).run is not None
    else:
        with pytest.raises(error):
            launch(standin, config)
    after = state_of_the_process()
    for what, value in before.items():
        assert after[what] == value, what
