"""What a run inside the toolbox does with mistakes: says so, before it costs anything."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
import yaml
from typer.testing import CliRunner

from streamnet_plugin import cli
from streamnet_plugin.checks import check_config
from streamnet_plugin.comparison import Scoring, report_pairs
from streamnet_plugin.config import parse_config
from streamnet_plugin.errors import CheckpointError, ConfigError, DataError, StreamnetError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.report.results import BenchmarkResults
from streamnet_plugin.scoring import WaveformPair
from toolbox_adapters.rppg_toolbox import command, launcher, trainer, workers
from toolbox_adapters.rppg_toolbox.checkout import open_checkout
from toolbox_adapters.rppg_toolbox.compat import toolbox_environment
from toolbox_adapters.rppg_toolbox.outputs import read_outputs

KNOWN_COMMIT = "d807b01"


# Not the toolbox that is meant


@pytest.fixture
def edited(standin, tmp_path):
    """(old, new): a copy of the stand-in with that change in its main.py."""

    def edit(old, new):
        root = tmp_path / "edited"
        shutil.copytree(standin, root)
        script = root / "main.py"
        text = script.read_text()
        assert old in text
        script.chmod(0o644)
        script.write_text(text.replace(old, new))
        return root

    return edit


def test_a_folder_that_is_no_toolbox(tmp_path, toolbox_yaml, launch):
    config = toolbox_yaml(tmp_path, "only_test", test=("PURE", tmp_path, 0.0, 1.0))
    with pytest.raises(ConfigError, match=r"no rPPG-Toolbox checkout: it lacks main\.py") as error:
        launch(tmp_path, config)
    assert error.value.path == tmp_path


@pytest.mark.parametrize("function", ["train_and_test", "test", "unsupervised_method_inference"])
def test_a_renamed_function_is_named_beside_the_commit_that_has_it(edited, function):
    root = edited(f"def {function}(", f"def renamed_{function}(")
    with pytest.raises(ConfigError, match=rf"no function {function}\(") as error:
        open_checkout(root)
    assert error.value.path == root / "main.py"
    assert KNOWN_COMMIT in error.value.remedy


def test_a_main_without_its_block(edited):
    root = edited('if __name__ == "__main__":', "if True:")
    with pytest.raises(ConfigError, match="no single block `if __name__") as error:
        open_checkout(root)
    assert KNOWN_COMMIT in error.value.remedy


def test_a_main_that_makes_its_loaders_otherwise(edited):
    root = edited("= DataLoader(", "= torch.utils.data.DataLoader(")
    with pytest.raises(ConfigError, match=r"no call DataLoader\(\.\.\.\) by that name") as error:
        open_checkout(root)
    assert KNOWN_COMMIT in error.value.remedy


def test_a_module_that_the_checkout_itself_lacks(edited, toolbox_yaml, twin_pure, launch, tmp_path):
    root = edited("RANDOM_SEED", "SEED")
    (root / "evaluation").chmod(0o755)
    (root / "evaluation" / "BlandAltmanPy.py").unlink()
    config = toolbox_yaml(tmp_path, "only_test", test=("PURE", twin_pure, 0.0, 1.0))
    with pytest.raises(ConfigError, match=r"has no module evaluation\.BlandAltmanPy") as error:
        launch(root, config)
    assert KNOWN_COMMIT in error.value.remedy
    assert "pip" not in str(error.value)


def test_a_name_that_a_package_no_longer_has(edited, toolbox_yaml, twin_pure, launch, tmp_path):
    root = edited("import argparse\n", "import argparse\nfrom argparse import gone\n")
    config = toolbox_yaml(tmp_path, "only_test", test=("PURE", twin_pure, 0.0, 1.0))
    with pytest.raises(ConfigError, match="imports what is not there: cannot import") as error:
        launch(root, config)
    assert KNOWN_COMMIT in error.value.remedy


def test_a_face_detector_of_older_toolboxes_is_missed_only_where_it_is_used(standin):
    with toolbox_environment(standin):
        from retinaface import RetinaFace

        with pytest.raises(ImportError, match=r"retinaface is not installed: .*BACKEND: HC"):
            RetinaFace.detect_faces("frame")


def test_a_main_that_is_no_python(edited):
    with pytest.raises(ConfigError, match="not valid Python"):
        open_checkout(edited("def add_args(parser):", "def add_args(parser:"))


# Configurations that cannot work: known before any data is read


@pytest.fixture
def refused(standin, twin_pure, twin_ubfc, toolbox_yaml, launch, tmp_path):
    """(changes, mode="only_test"): the error that STREAM-Net's run with these changes ends in."""

    def run(changes, mode="only_test", root=standin, **options):
        ubfc = {"train": ("UBFC-rPPG", twin_ubfc, 0.0, 0.4)}
        config = toolbox_yaml(
            tmp_path,
            mode,
            test=("PURE", twin_pure, 0.0, 1.0),
            **{"model": "STREAMNet", **(ubfc if mode == "train_and_test" else {}), **options},
            changes=changes,
        )
        with pytest.raises(StreamnetError) as error:
            launch(root, config)
        assert not (tmp_path / "cache").exists(), "data was read before"
        assert not (tmp_path / "runs").exists()
        return error.value

    return run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TEST": {"DATA": {"PREPROCESS": {"CHUNK_LENGHT": 60}}}},
         ("TEST.DATA.PREPROCESS.CHUNK_LENGHT", "nearest known key: CHUNK_LENGTH")),
        ({"MODEL": {"STREAMNET": {"FRAMEDEPTH": 10}}},
         ("MODEL.STREAMNET.FRAMEDEPTH", "nearest known key: FRAME_DEPTH")),
        ({"UNCERTAINITY": {"MC_SAMPLES": 0}}, ("UNCERTAINITY", "nearest known key: UNCERTAINTY")),
        ({"TRAIN": {"LR": 1}}, ("TRAIN.LR", "write 1.0")),
        ({"TEST": {"DATA": {"FS": 29.97}}}, ("TEST.DATA.FS", "write 30")),
        ({"UNCERTAINTY": {"MC_SAMPLES": -1}}, ("UNCERTAINTY.MC_SAMPLES", "-1")),
        ({"INFERENCE": {"MODEL_PATH": "gone.pth"}}, ("gone.pth", "does not exist: correct it")),
        ({"INFERENCE": {"MODEL_PATH": "${NOT_HERE}"}}, ("set the environment variable NOT_HERE",)),
        ({"TEST": {"DATA": {"DATA_PATH": "$NOT_SET_HERE/PURE"}}},
         ("TEST.DATA.DATA_PATH", "environment variable")),
        ({"TEST": {"DATA": {"DATA_PATH": "${NOT_SET_HERE}"}}}, ("NOT_SET_HERE", "not set")),
        ({"TEST": {"DATA": {"DATA_FORMAT": "NCDHW"}}}, ("TEST.DATA.DATA_FORMAT", "needs NDCHW")),
        ({"EVALUATION": {"LABEL_ALIGNMENT": "timestamp"}}, ("timestamp", "--fast-loader")),
        ({"MODEL": {"NAME": "STREAMnet"}}, ("'STREAMnet'", "one of STREAMNet, ")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)  # fmt: skip
def test_a_mistake_in_the_yaml(refused, changes, words):
    error = refused(changes)
    assert isinstance(error, ConfigError)
    for word in words:
        assert word in str(error)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
@pytest.mark.parametrize("model", ["STREAMNet", "Tscan"])
def test_cuda_without_cuda(refused, model):
    error = refused({"DEVICE": "cuda:0"}, model=model)
    assert "no CUDA" in str(error)
    assert "DEVICE: cpu" in error.remedy


def test_chunks_that_tear_segments_are_refused_before_preprocessing(refused):
    error = refused(
        {"TRAIN": {"DATA": {"PREPROCESS": {"CHUNK_LENGTH": 128}}},
         "TEST": {"DATA": {"PREPROCESS": {"CHUNK_LENGTH": 64}}}},
        "train_and_test",
    )  # fmt: skip
    text = str(error)  # both at once
    assert "TRAIN.DATA.PREPROCESS.CHUNK_LENGTH 128 is no multiple of" in text
    assert "set 120 or 130" in text
    assert "TEST.DATA.PREPROCESS.CHUNK_LENGTH 64" in text


def test_weights_of_another_image_size(refused):
    error = refused({"TEST": {"DATA": {"PREPROCESS": {"RESIZE": {"W": 96, "H": 96}}}}})
    assert isinstance(error, CheckpointError)
    assert "72" in str(error)
    assert "96" in str(error)


@pytest.mark.parametrize(("side", "fits"), [(36, True), (72, True), (96, False)])
def test_the_shipped_weights_are_proposed_where_they_fit(refused, side, fits):
    size = {"TEST": {"DATA": {"PREPROCESS": {"RESIZE": {"W": side, "H": side}}}}}
    error = refused({**size, "INFERENCE": {"MODEL_PATH": "gone.pth"}})
    assert "gone.pth does not exist: correct it" in str(error)
    assert ("leave it empty" in str(error)) is fits
    config = parse_config({"TOOLBOX_MODE": "only_test", "MODEL": {"NAME": "STREAMNet"}, **size,
                           "INFERENCE": {"MODEL_PATH": "gone.pth"}})  # fmt: skip
    for backend in ("toolbox", "builtin"):  # that one makes larger crops smaller
        found = " ".join(check_config(config, backend))
        assert "gone.pth does not exist" in found
        assert ("leave it empty" in found) is (fits or backend == "builtin")


@pytest.mark.parametrize("model", ["STREAMNet", "Tscan"])
def test_a_folder_without_recordings(refused, tmp_path, model):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "gone"):
        error = refused({"TEST": {"DATA": {"DATA_PATH": str(folder)}}}, model=model)
        assert isinstance(error, DataError)
        assert str(error.path) == str(folder)
        assert "--data-root" in error.remedy


# Things that would run


class Payload:
    """Unpickled, it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_weights_that_would_run_code(refused, tmp_path):
    evil, trace = tmp_path / "evil.pth", tmp_path / "executed"
    torch.save({"module.x": torch.zeros(1), "y": Payload(trace)}, evil)
    assert isinstance(refused({"INFERENCE": {"MODEL_PATH": str(evil)}}), CheckpointError)
    assert not trace.exists()
    torch.load(evil, weights_only=False)
    assert trace.exists(), "the payload of this test must work"


def test_outputs_that_would_run_code(tmp_path):
    trace = tmp_path / "executed"
    (tmp_path / "evil_outputs.pickle").write_bytes(
        pickle.dumps({"predictions": {"1": Payload(trace)}, "labels": {}, "fs": 30})
    )
    output = tmp_path / "out"
    done = CliRunner().invoke(
        cli.app, ["compare", str(tmp_path / "evil_outputs.pickle"), "-o", str(output)]
    )
    assert done.exit_code != 0
    assert "not allowed" in str(done.exception)
    assert not trace.exists()
    assert not output.exists()


# Models


def test_no_gpu_at_all(standin, trained, twin_pure, launch, toolbox_yaml, tmp_path):
    """NUM_OF_GPU_TRAIN 0, by which the toolbox's own model would divide, is no problem here."""
    uncounted = tmp_path / "uncounted"  # its trainers count the GPUs themselves
    shutil.copytree(standin, uncounted)
    script = uncounted / "neural_methods" / "trainer" / "loop_trainer.py"
    script.chmod(0o644)
    counting = "self.num_of_gpu = config.NUM_OF_GPU_TRAIN"
    assert counting in script.read_text()
    script.write_text(script.read_text().replace(counting, "self.num_of_gpu = 0"))
    weights = next((trained.work / "runs").rglob("twin_Epoch1.pth"))
    roots = [standin] if torch.cuda.is_available() else [standin, uncounted]
    for root, name, model_path in (
        *((root, "Tscan", str(weights)) for root in roots),
        (standin, "STREAMNet", ""),
    ):
        work = tmp_path / f"{root.name}-{name}"
        work.mkdir()
        config = toolbox_yaml(
            work,
            "only_test",
            test=("PURE", twin_pure, 0.0, 0.4),
            model=name,
            metrics=("MAE",),
            preprocess=False,
            data={"CACHED_PATH": str(trained.work / "cache")},
            changes={
                "NUM_OF_GPU_TRAIN": 0,
                "INFERENCE": {"MODEL_PATH": model_path},
                "UNCERTAINTY": {"MC_SAMPLES": 0},
            },
        )
        assert [row.recording for row in launch(root, config).run.results.rows] == ["01-01"]


@pytest.mark.skipif(importlib.util.find_spec("mamba_ssm"), reason="mamba_ssm is installed")
@pytest.mark.parametrize("mode", ["only_test", "train_and_test"])
def test_a_model_whose_packages_are_missing(
    standin, trained, twin_pure, twin_ubfc, launch, toolbox_yaml, tmp_path, mode
):
    config = toolbox_yaml(
        tmp_path,
        mode,
        train=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        test=("PURE", twin_pure, 0.0, 0.4),
        model="PhysMamba",
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache"), "DATA_FORMAT": "NCDHW"},
    )
    missing = r"mamba_ssm is not installed: pip install mamba-ssm"
    with pytest.raises(ImportError, match=missing) as error:
        launch(standin, config)
    assert isinstance(error.value, StreamnetError)  # at the command line a line, no traceback


# Interrupted


def test_an_interrupted_training_goes_on(
    standin, trained, twin_ubfc, twin_pure, toolbox_yaml, tmp_path, monkeypatch, capsys
):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        train=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        test=("PURE", twin_pure, 0.0, 0.4),
        model="STREAMNet",
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
        changes={"TRAIN": {"EPOCHS": 3, "BATCH_SIZE": 4}},
    )
    arguments = ["--path", str(standin), "--config_file", str(config), "--no-plots"]
    monkeypatch.setattr(sys, "argv", ["x", "toolbox", *arguments])
    told = trainer._Printer.after_step

    def interrupted(self, report):
        if report.step == 2:  # of two steps an epoch has, in the second epoch
            raise KeyboardInterrupt
        told(self, report)

    def by_ctrl_c(where, what, then):
        with monkeypatch.context() as patch:
            patch.setattr(where, what, then)
            with pytest.raises(SystemExit) as stop:
                cli.main()
        assert stop.value.code == 130

    by_ctrl_c(trainer._Printer, "after_step", interrupted)
    folder = next((tmp_path / "runs").rglob("PreTrainedModels"))
    # The finished epoch, what is needed to go on, and no temporary file.
    assert sorted(p.name for p in folder.iterdir()) == ["twin.state", "twin_Epoch0.pth"]
    state = torch.load(folder / "twin_Epoch0.pth", weights_only=True)
    assert all(torch.isfinite(x).all() for x in state.values())

    def untested(self):
        raise KeyboardInterrupt

    (folder / ".making-x-of-a-killed-process").mkdir()
    capsys.readouterr()
    by_ctrl_c(trainer.STREAMNetTrainer, "_model_to_test", untested)
    assert "Going on after step 2, in epoch 1" in capsys.readouterr().out
    looked = ["TOOLBOX_MODE=only_test", f"INFERENCE.MODEL_PATH={folder / 'twin_Epoch0.pth'}"]
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [*sys.argv, *looked])
        with pytest.raises(SystemExit) as stop:  # a look at an epoch's weights takes nothing away
            cli.main()
    assert not stop.value.code
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:  # nothing is left to train, all to test
        cli.main()
    assert not stop.value.code
    assert "Going on after step 6, in epoch 3" in capsys.readouterr().out
    names = sorted(p.name for p in folder.iterdir())
    assert names == [f"twin_Epoch{n}.pth" for n in range(3)]


def test_a_training_goes_on_with_the_very_clips_alone(tmp_path):
    def clips(folder, label, size=100):
        folder.mkdir(exist_ok=True)
        (folder / "1_input0.npy").write_bytes(b"x" * size)
        (folder / "1_label0.npy").write_bytes(label)
        files = SimpleNamespace(
            inputs=[str(folder / "1_input0.npy")], labels=[str(folder / "1_label0.npy")]
        )
        return trainer.clips_fingerprint(files)

    first = clips(tmp_path / "a", b"labels")
    assert clips(tmp_path / "b", b"labels") == first  # wherever they lie
    assert clips(tmp_path / "a", b"Labels") != first
    assert clips(tmp_path / "a", b"labels", size=101) != first
    assert trainer.clips_fingerprint(SimpleNamespace(fingerprint="own")) == "own"


# Damaged recordings


def damaged_copy(source, root, damage, cut=()):
    """A dataset of three recordings: of `damage` the labels are gone, of `cut` the files' ends."""
    for k in (1, 2, 3):
        shutil.copytree(source / f"subject{k}", root / f"subject{k}")
        if k in damage:
            (root / f"subject{k}" / "ground_truth.txt").unlink()
        if k in cut:
            video = root / f"subject{k}" / "vid.avi"
            video.write_bytes(video.read_bytes()[: int(0.7 * video.stat().st_size)])
    return root


def run_module(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "toolbox_adapters.rppg_toolbox", *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_here(*arguments):
    """The same command in this process, which has imported everything already."""
    app = typer.Typer()
    app.command()(command.toolbox)
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def a_third_damaged(standin, twin_ubfc, toolbox_yaml, tmp_path_factory):
    """A run as a command on three recordings, one damaged and one cut: (process, YAML)."""
    work = tmp_path_factory.mktemp("third")
    root = damaged_copy(twin_ubfc, work / "data", {2}, cut={3})
    config = toolbox_yaml(
        work,
        "only_test",
        test=("UBFC-rPPG", root, 0.0, 1.0),
        model="STREAMNet",
        changes={"UNCERTAINTY": {"MC_SAMPLES": 0}},
    )
    arguments = ["--path", str(standin), "--config_file", str(config), "--no-plots"]
    return run_module(*arguments), config


def test_every_damaged_video_is_named_and_the_run_goes_on(a_third_damaged):
    done, config = a_third_damaged
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = (x for x in done.stderr.splitlines() if x.startswith("FAILED"))
    assert "subject2" in line
    assert "the toolbox could not read it: FileNotFoundError" in line
    assert str(config.parent / "data" / "subject2") in line
    assert "FFT MAE (FFT Label)" in done.stdout
    (pickled,) = config.parent.rglob("*_outputs.pickle")
    assert {p.recording for p in read_outputs(pickled)} == {"subject1", "subject3"}


def results_below(folder):
    """Of the one results folder there."""
    (path,) = folder.rglob("results.json")
    return BenchmarkResults.from_dict(json.loads(path.read_text()))


CUT = (
    r"subject3: \S*/subject3/vid\.avi is truncated: its header says 240 frames, (\d+) could be "
    r"decoded and are used; copy it again, or remove this recording\."
)


def test_a_video_that_ends_early_is_named_and_used(a_third_damaged):
    """The toolbox's loader takes the end of a file for the end of the recording."""
    done, config = a_third_damaged
    (warned,) = re.findall(CUT, done.stderr)
    results = results_below(config.parent / "runs")
    (noted,) = (m[1] for note in results.notes if (m := re.fullmatch(CUT, note)))
    assert warned == noted
    (row,) = (r for r in results.rows if r.recording == "subject3")
    assert row.status == "ok"
    assert row.end_s == int(noted) // 60 * 60 / 30  # its whole chunks
    assert not any("subject1" in note for note in results.notes)


def test_what_a_cache_says_of_short_videos_is_of_its_clips_as_they_are_now(tmp_path):
    """A recording that was mended and preprocessed anew is short no longer; others stay so."""
    loader, list_ = SimpleNamespace(cached_path=tmp_path), tmp_path / workers.SHORT_VIDEOS
    workers._remember(loader, ["subject1"], {})
    assert not list_.exists()
    workers._remember(loader, ["subject1", "subject2"], {"subject1": "cut", "subject2": "cut"})
    workers._remember(loader, ["subject3"], {"subject3": "cut"})  # another split, the same cache
    workers._remember(loader, ["subject1"], {})
    assert json.loads(list_.read_text()) == {"subject2": "cut", "subject3": "cut"}


def test_a_video_too_short_for_a_clip_says_that_it_was_cut(
    inline, standin, twin_ubfc, launch, toolbox_yaml, tmp_path
):
    root = damaged_copy(twin_ubfc, tmp_path / "data", (), cut={2})
    config = toolbox_yaml(
        tmp_path,
        "unsupervised_method",
        unsupervised=("UBFC-rPPG", root, 0.0, 1.0),
        methods=("GREEN",),
        changes={"UNSUPERVISED": {"DATA": {"PREPROCESS": {"DO_CHUNK": True, "CHUNK_LENGTH": 240}}}},
    )
    done = launch(standin, config)
    (failure,) = done.run.results.failures
    assert failure.recording == "subject2"
    assert "no clip came of it" in failure.reason
    assert "vid.avi is truncated: its header says 240 frames" in failure.reason
    assert not any("truncated" in note for note in done.run.results.notes)  # once is enough


def test_images_of_pure_that_are_missing_are_told_of(
    inline, standin, twin_pure, launch, toolbox_yaml, tmp_path
):
    """The toolbox stretches the whole label over the images that are left."""
    root = tmp_path / "data"
    shutil.copytree(twin_pure, root)
    for name, few in (("02-01", 30), ("03-01", 3)):
        for image in sorted((root / name / name).glob("*.png"))[-few:]:
            image.unlink()
    config = toolbox_yaml(
        tmp_path, "unsupervised_method", unsupervised=("PURE", root, 0.0, 1.0), methods=("POS",)
    )
    results = launch(standin, config).run.results
    assert {row.recording for row in results.rows if row.status == "ok"} == {
        "01-01", "02-01", "03-01",
    }  # fmt: skip
    (note,) = (note for note in results.notes if "missing" in note)
    folder = root / "02-01" / "02-01"
    assert f"{folder}/: 30 of the 210 images that the JSON lists are missing" in note
    assert note.startswith("201: ")


def test_a_cache_that_lacks_a_video_is_told_of_again(a_third_damaged, standin):
    """Exit 0 where failures are allowed; lost and cut videos are named nonetheless."""
    _, config = a_third_damaged
    tree = yaml.safe_load(config.read_text())
    tree["TEST"]["DATA"]["DO_PREPROCESS"] = False
    tree["LOG"]["PATH"] = str(config.parent / "again")
    again = config.with_name("again.yaml")
    again.write_text(yaml.safe_dump(tree))
    done = run_here("--path", standin, "--config_file", again, "--no-plots", "--allow-failures")
    assert done.exit_code == 0, done.output
    (line,) = (x for x in done.output.splitlines() if x.startswith("FAILED"))
    assert "subject2" in line
    assert "not in the cache" in line
    results = results_below(config.parent / "again")
    assert sum(re.fullmatch(CUT, note) is not None for note in results.notes) == 1


def test_all_videos_damaged(inline, standin, twin_ubfc, launch, toolbox_yaml, tmp_path):
    root = damaged_copy(twin_ubfc, tmp_path / "data", {1, 2, 3})
    config = toolbox_yaml(
        tmp_path, "only_test", test=("UBFC-rPPG", root, 0.0, 1.0), model="STREAMNet"
    )
    with pytest.raises(ConfigError, match="lost 3 videos") as error:
        launch(standin, config)
    assert "FileNotFoundError" in str(error.value)
    assert error.value.path.parent == root


@pytest.mark.parametrize(
    ("mode", "last_epoch", "sections"),
    [
        ("train_and_test", True, ["TRAIN", "TEST"]),
        ("train_and_test", False, ["TRAIN", "VALID", "TEST"]),
        ("only_test", True, ["TEST"]),
        ("unsupervised_method", True, ["UNSUPERVISED"]),
    ],
)
def test_clips_that_nobody_has_made_yet(
    standin, twin_ubfc, launch, toolbox_yaml, tmp_path, mode, last_epoch, sections
):
    """As the toolbox's own YAMLs ask for them: preprocessed once, and used from then on."""
    data = ("UBFC-rPPG", twin_ubfc, 0.0, 1.0)
    asked = {"unsupervised": data} if mode == "unsupervised_method" else {"test": data}
    if mode == "train_and_test":
        asked |= {"train": data, "valid": data}
    changes = {"TEST": {"USE_LAST_EPOCH": last_epoch}}
    config = toolbox_yaml(
        tmp_path, mode, model="Tscan", preprocess=False, changes=changes, **asked
    )  # fmt: skip
    with pytest.raises(ConfigError, match="nothing is preprocessed for") as error:
        launch(standin, config)
    wanted = [f"{section}.DATA.DO_PREPROCESS=True" for section in sections]
    assert re.findall(r"\S+DO_PREPROCESS=True", error.value.remedy) == wanted
    assert "--fast-loader" in error.value.remedy


@pytest.mark.parametrize(
    ("methods", "says", "remedy"),
    [
        (("POS", "GREN"), "has no unsupervised method 'GREN'", "use one of GREEN, "),
        (("pos",), "has no unsupervised method 'pos'", "POS"),
        ((), "UNSUPERVISED.METHOD names no method", "CHROM, GREEN, "),
    ],
)
def test_an_unsupervised_method_that_the_toolbox_has_not(
    standin, twin_ubfc, launch, toolbox_yaml, tmp_path, methods, says, remedy
):
    """It is told before any data is read, not after."""
    config = toolbox_yaml(
        tmp_path, "unsupervised_method", unsupervised=("UBFC-rPPG", twin_ubfc, 0.0, 1.0),
        methods=methods,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=says) as error:
        launch(standin, config)
    assert remedy in error.value.remedy
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("fast_loader", [False, True])
def test_a_cache_that_cannot_be_made(
    standin, twin_ubfc, launch, toolbox_yaml, tmp_path, fast_loader
):
    """It is told before an hour of reading, in which every video would be lost to it."""
    (tmp_path / "taken").write_text("a file, as no folder can be made in it by anybody")
    config = toolbox_yaml(
        tmp_path,
        "only_test",
        test=("UBFC-rPPG", twin_ubfc, 0.0, 1.0),
        model="STREAMNet",
        data={"CACHED_PATH": str(tmp_path / "taken" / "cache")},
    )
    with pytest.raises(
        ConfigError, match=r"TEST\.DATA are to be kept.*taken is no folder"
    ) as error:
        launch(standin, config, fast_loader=fast_loader)
    assert "TEST.DATA.CACHED_PATH" in error.value.remedy


# Help


@pytest.mark.parametrize("name", ["module", "command"])
def test_the_help_teaches_by_example(name, monkeypatch, capsys):
    if name == "module":
        text = run_module("--help").stdout
    else:
        monkeypatch.setattr(sys, "argv", ["streamnet", "toolbox", "--help"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == 0
        text = capsys.readouterr().out
    for word in ("streamnet toolbox --path", "--config_file", "TRAIN.EPOCHS=5", "--fast-loader",
                 "$RPPG_TOOLBOX"):  # fmt: skip
        assert word in text


def test_a_recording_without_a_result_makes_the_command_fail(monkeypatch, standin, tmp_path):
    """As in `streamnet benchmark`: the toolbox itself would score it as 36.9 bpm."""
    flat = WaveformPair(
        "Flat", "PURE", "01-01", "01", 30.0, np.zeros(300), np.sin(np.arange(300.0)), False
    )
    run = report_pairs(
        [flat],
        title="PURE",
        scoring=Scoring(get_convention("toolbox-2025")),
        failures=(),
        provenance={},
    )
    monkeypatch.setattr(launcher, "run_toolbox", lambda *a, **k: launcher.ToolboxRun(run, ()))
    done = run_here("--path", standin, "--config_file", tmp_path / "my.yaml")
    assert done.exit_code == 1, done.output
    assert "FAILED 01-01 [Flat]" in done.output
    assert "the prediction is constant" in done.output
