"""Every kind of mistake is found, all of them at once, and each comes with its fix."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from streamnet_plugin import checks, cli
from streamnet_plugin.checks import check_config, check_file, findings
from streamnet_plugin.config import load_config
from streamnet_plugin.errors import StreamnetError
from streamnet_plugin.model import STREAMNet, STREAMNetConfig
from streamnet_plugin.model.checkpoint import save_checkpoint

P = "PREPROCESS"
TOOLBOX = os.environ.get("RPPG_TOOLBOX")


@pytest.fixture(autouse=True)
def named_places(dataset_trees, monkeypatch):
    monkeypatch.setenv("UBFC_RPPG", str(dataset_trees["UBFC-rPPG"]))
    monkeypatch.setenv("PURE", str(dataset_trees["PURE"]))
    monkeypatch.delenv("RPPG_TOOLBOX", raising=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """By kind: our own file at 36 px, one with segments of 6 frames, and a bare state dict."""
    root = tmp_path_factory.mktemp("weights")
    six = save_checkpoint(
        STREAMNet(STREAMNetConfig(height=72, width=72, segment_length=6)),
        root / "six.safetensors",
        {},
    )
    small = save_checkpoint(STREAMNet(STREAMNetConfig()), root / "small.safetensors", {})
    torch.save(STREAMNet(STREAMNetConfig()).state_dict(), root / "small.pth")
    (root / "broken.pth").write_bytes(b"no weights")
    return {"six": six, "small": small, "pth": root / "small.pth", "broken": root / "broken.pth"}


def problems(name, *overrides, **options):
    return [f.text for f in check_file(name, overrides, **options) if not f.note]


def test_what_no_optimizer_reads_is_told():
    assert problems("train/ubfc-intra", "TRAIN.OPTIMIZER.EPS=1e-3") == []
    (note,) = notes("train/ubfc-intra", "TRAIN.OPTIMIZER.EPS=1e-3")
    assert "TRAIN.OPTIMIZER.EPS has no effect" in note
    assert notes("train/ubfc-intra", "TRAIN.OPTIMIZER.BETAS=[0.9,0.999]") == []


def test_a_bad_split_file_is_named_once(tmp_path):
    (tmp_path / "s.json").write_text('{"train": ["1"], "test": ["1"]}')
    folds = [f"{s}.DATA.FOLD.FOLD_PATH={tmp_path}/s.json" for s in ("TRAIN", "VALID", "TEST")]
    (found,) = problems("train/ubfc-intra", *folds, backend="builtin")
    assert "s.json: subject '1' is in 'train' and in 'test'" in found


def test_a_note_on_one_section_hides_no_problem_of_another(tmp_path):
    wrong = [f"{s}.DATA.{k}" for s in ("VALID", "TEST") for k in (f"DATA_PATH={tmp_path}",)]
    keys = ["MODEL.NAME=Tscan", "TEST.USE_LAST_EPOCH=True", *wrong]
    found = problems("train/ubfc-intra", *keys, backend="toolbox")
    assert any(text.startswith("TEST.DATA: ") for text in found)


def test_the_size_is_set_in_every_section():
    for name in ("infer/ubfc-unsupervised", "train/ubfc-intra"):
        shown = CliRunner().invoke(cli.app, ["config", "show", name, "--size", "48"]).output
        tree = yaml.safe_load(shown)
        for section in ("TRAIN", "VALID", "TEST", "UNSUPERVISED"):
            assert tree[section]["DATA"]["PREPROCESS"]["RESIZE"] == {"W": 48, "H": 48}
    checked = CliRunner().invoke(cli.app, ["config", "check", "train/ubfc-intra", "--size", "8"])
    assert "16 x 16" in checked.output


def notes(name, *overrides, **options):
    return [f.text for f in check_file(name, overrides, **options) if f.note]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("TEST.DATA.FS=0", "TEST.DATA.FS is 0: set the frame rate"),
        ("TEST.DATA.DATA_PATH=/nowhere", "/nowhere does not exist: correct it, or use --data-root"),
        ("VALID.DATA.DATA_PATH=''", "VALID.DATA.DATA_PATH is empty: set the dataset's folder"),
        ("TRAIN.DATA.DATA_PATH=${NOT_SET}", "TRAIN.*set the environment variable NOT_SET"),
        ("TEST.DATA.BEGIN=1.0", "BEGIN 1.0 is not below END 1.0.*Set BEGIN below END"),
        ("VALID.DATA.END=0.601", "VALID.DATA: BEGIN 0.6 to END 0.601.*widen the range"),
        ("TEST.DATA.DATASET=UBFC", "TEST.DATA.DATASET: no dataset .*did you mean UBFC-rPPG"),
        ("TEST.DATA.DATASET=''", "TEST.DATA.DATASET is empty: set UBFC-rPPG"),
        ("MODEL.NAME=STREAMNt", "did you mean STREAMNet"),
        ("MODEL.NAME=streamnet", "capitals matter to the toolbox: write STREAMNet"),
        ("EVALUATION.CONVENTION=none", "use one of toolbox-2025, neurips-2023"),
        ("EVALUATION.CONVENTION=neurips-2023", "toolbox prints toolbox-2025: set toolbox-2025"),
        (f"TRAIN.DATA.{P}.CHUNK_LENGTH=128", "TRAIN.*FRAME_DEPTH 10: set 120 or 130"),
        (f"VALID.DATA.{P}.CHUNK_LENGTH=5", "VALID.*FRAME_DEPTH 10: set 10 or 10"),
        (f"TEST.DATA.{P}.CHUNK_LENGTH=128", "TEST.*FRAME_DEPTH 10: set 120 or 130"),
        (f"TRAIN.DATA.{P}.DO_CHUNK=False", "make no batch of 4. Set it to True"),
        (f"TEST.DATA.{P}.RESIZE.W=36", "TEST.*36 x 72 px, TRAIN's is 72 x 72 px: set the same"),
        (f"TRAIN.DATA.{P}.DATA_TYPE=[Standardized]", "TRAIN.*needs .'DiffNormalized', 'Stand.*set"),
        (f"TEST.DATA.{P}.LABEL_TYPE=Raw", "TEST.*'Raw', STREAM-Net needs DiffNormalized: set that"),
        ("VALID.DATA.DATA_FORMAT=NDHWC", "VALID.*needs NDCHW: set that"),
        ("TRAIN.LR=1", "TRAIN.LR is 1.*write 1.0"),
        ("TEST.DATA.FS=29.97", "TEST.DATA.FS: .*write 30"),
        ("TRAIN.DATA.BEGIN=0", "TRAIN.DATA.BEGIN is 0.*write 0.0"),
        ("TRAIN.EPOCHS=3.0", "TRAIN.EPOCHS is 3.0.*write 3"),
        ("TRAIN.PLOT_LOSSES_AND_LR=1", "PLOT_LOSSES_AND_LR is 1.*write True or False"),
        ("TRAIN.DATA.EXP_DATA_NAME='12'", "EXP_DATA_NAME is '12'.*use a name that does not read"),
        ("MODEL.STREAMNET.FRAME_DEPHT=10", "MODEL.STREAMNET.FRAME_DEPHT .nearest .*FRAME_DEPTH"),
        ("NUM_OF_GPU_TRAIN=2", "NUM_OF_GPU_TRAIN is 2 and DEVICE cpu: set NUM_OF_GPU_TRAIN: 0"),
        ("VALID.DATA.DATASET=''", "VALID.DATA names no dataset: set VALID.DATA"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem_with_its_fix(override, says):
    (problem,) = problems("train/ubfc-intra", override)
    assert re.search(says, problem)


def test_all_mistakes_are_found_at_once(tmp_path):
    tree = yaml.safe_load(Path(checks.__file__).parents[1].joinpath(
        "configs/train/ubfc-intra.yaml").read_text())  # fmt: skip
    tree["MODLE"] = {}
    tree["TRAIN"]["LR"] = 1
    tree["TRAIN"]["DATA"] |= {"FS": 29.97, "DATA_PATH": "/nowhere"}
    tree["TEST"]["DATA"]["BEGIN"] = 0.7
    tree["VALID"]["DATA"]["PREPROCESS"] |= {"CHUNK_LENGTH": 128}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tree))
    found = "\n".join(problems(tmp_path / "c.yaml", "DEVICE=cuda:0"))
    for part in ("unknown key MODLE", "LR is 1", "FS: ", "/nowhere", "CHUNK_LENGTH 128", "leak"):
        assert part in found
    assert ("no CUDA" in found) != torch.cuda.is_available()


def test_a_mode_that_is_none_leaves_the_other_problems_of_parsing():
    found = problems("train/ubfc-intra", "TOOLBOX_MODE=test", "TRAIN.LR=1", "X=2")
    assert len(found) == 3
    assert "TOOLBOX_MODE: input should be 'train_and_test'" in "\n".join(found)


class TestValidation:
    def test_the_toolbox_demands_it_even_where_it_is_not_read(self):
        (problem,) = problems("train/pure-to-ubfc", "VALID.DATA.DATASET=None")
        assert "demands even with USE_LAST_EPOCH: copy TRAIN.DATA" in problem
        assert problems("train/pure-to-ubfc", "VALID.DATA.DATASET=None", backend="builtin") == []


class TestLeaks:
    def test_subjects_found_on_disk_are_named(self):
        (leak,) = problems("train/ubfc-intra", "TEST.DATA.BEGIN=0.7")
        assert "VALID.DATA (0.6-0.8) and TEST.DATA (0.7-1.0) of UBFC-rPPG overlap" in leak
        assert "subject subject8 is in both. Use disjoint ranges" in leak

    def test_as_in_the_authors_only_intra_protocol(self):
        authors = ["TRAIN.DATA.END=0.8", "VALID.DATA.BEGIN=0.8", "VALID.DATA.END=1.0",
                   "TEST.DATA.BEGIN=0.0"]  # fmt: skip
        train, valid = problems("train/pure-intra", *authors)
        assert "subjects 01, 02, 03, 04, 05 and 3 more are in both" in train
        assert "subjects 09, 10 are in both" in valid

    def test_ranges_are_compared_where_there_is_no_folder(self, monkeypatch):
        monkeypatch.delenv("PURE")
        found = problems("train/pure-intra", "TEST.DATA.BEGIN=0.7")
        assert "the same subjects are in both" in found[-1]
        assert len(found) == 4

    def test_one_person_in_two_folders(self, dataset_trees, tmp_path):
        for name in ("01-02", "11-01"):
            (tmp_path / name / name).mkdir(parents=True)
        (leak,) = problems(
            "train/pure-intra", f"TEST.DATA.DATA_PATH={tmp_path}", "TEST.DATA.BEGIN=0.0"
        )
        assert "TRAIN.DATA (0.0-0.6) and TEST.DATA (0.0-1.0) of PURE share people" in leak
        assert "subject 01 is in both. Keep each subject in one of the two folders" in leak

    def test_two_people_of_one_name(self, dataset_trees, tmp_path):
        other = shutil.copytree(dataset_trees["UBFC-rPPG"], tmp_path / "twin")
        there = [f"TEST.DATA.DATA_PATH={other}", "TEST.DATA.BEGIN=0.0"]
        found = problems("train/ubfc-intra", *there)
        assert "subjects subject1, subject2, subject3, subject4, subject5 and 1 more" in found[0]
        for truth in other.glob("*/ground_truth.txt"):
            truth.write_text("another pulse")
        assert problems("train/ubfc-intra", *there) == []


class TestFolders:
    def test_every_section_of_the_mode_is_looked_at(self, monkeypatch):
        monkeypatch.delenv("PURE")
        found = problems("train/pure-to-ubfc")
        assert [text.split(".")[0] for text in found] == ["TRAIN", "VALID"]
        assert all("set the environment variable PURE, or use --data-root" in t for t in found)

    def test_a_folder_without_recordings(self, tmp_path):
        (problem,) = problems("infer/pure-unsupervised", data_root=tmp_path)
        assert problem.startswith("UNSUPERVISED.DATA: ")
        assert "give the folder that holds 01-01, 01-02" in problem

    def test_data_roots_that_do_not_do_are_one_problem_among_others(self, tmp_path):
        found = problems("train/pure-to-ubfc", "TRAIN.LR=1", data_root=tmp_path)
        assert len(found) == 2
        assert "give one folder for each" in found[1]


class TestWeights:
    def check(self, path, *overrides, **options):
        return problems("infer/pure-to-ubfc", f"INFERENCE.MODEL_PATH={path}", *overrides, **options)

    def test_a_variable_that_is_not_set(self, monkeypatch):
        monkeypatch.delenv("STREAMNET_WEIGHTS", raising=False)
        (problem,) = problems("infer/pure-to-ubfc")
        assert "set the environment variable STREAMNET_WEIGHTS" in problem

    @pytest.mark.parametrize("kind", ["small", "pth"])
    def test_another_image_size(self, weights, kind):
        (problem,) = self.check(weights[kind])
        assert "RESIZE is 72 x 72 px" in problem
        assert "36 x 36 px: set RESIZE to W 36, H 36" in problem
        small = [f"TEST.DATA.{P}.RESIZE.{side}=36" for side in "WH"]
        assert self.check(weights[kind], *small) == []

    def test_the_builtin_backend_can_make_crops_smaller(self, weights):
        assert self.check(weights["small"], backend="builtin") == []
        tiny = f"TEST.DATA.{P}.RESIZE.W=30"
        assert "RESIZE is 30 x 72 px" in self.check(weights["small"], tiny, backend="builtin")[0]

    def test_no_path_means_the_shipped_weights_of_that_size(self):
        assert self.check("''") == []  # 72 px
        for px, made_for in ((64, 36), (96, 72)):
            size = [f"TEST.DATA.{P}.RESIZE.{side}={px}" for side in "WH"]
            (problem,) = self.check("''", *size)
            assert f"made for {made_for} x {made_for} px" in problem
            assert self.check("''", *size, backend="builtin") == []

    def test_another_segment_length(self, weights):
        (problem,) = self.check(weights["six"])
        assert "FRAME_DEPTH is 10" in problem
        assert "set 6" in problem

    def test_no_weights_at_all(self, weights, tmp_path):
        (problem,) = self.check(weights["broken"])
        assert "save it again" in problem
        torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
        assert "not STREAM-Net" in self.check(tmp_path / "other.pth")[0]


class TestDevice:
    @pytest.mark.parametrize(
        ("gpus", "overrides", "says"),
        [
            (0, ["DEVICE=cuda:0", "NUM_OF_GPU_TRAIN=1"], "no CUDA: set DEVICE: cpu"),
            (1, ["DEVICE=cuda:1", "NUM_OF_GPU_TRAIN=1"], "has 1 GPU: set DEVICE below cuda:1"),
            (2, ["DEVICE=cuda", "NUM_OF_GPU_TRAIN=3"], "NUM_OF_GPU_TRAIN to at most 2"),
            (1, ["DEVICE=cuda:0", "NUM_OF_GPU_TRAIN=0"], "set 1, or DEVICE: cpu"),
        ],
    )
    def test_what_is_not_there(self, monkeypatch, gpus, overrides, says):
        monkeypatch.setattr(checks, "_cuda_devices", lambda: gpus)
        (problem,) = problems("train/ubfc-intra", *overrides)
        assert says in problem

    def test_what_is(self, monkeypatch):
        monkeypatch.setattr(checks, "_cuda_devices", lambda: 2)
        assert problems("train/ubfc-intra", "DEVICE=cuda:1", "NUM_OF_GPU_TRAIN=2") == []
        assert problems("infer/ubfc-unsupervised", "DEVICE=cuda:7") == []


class TestBackends:
    def test_a_model_of_the_toolbox_is_no_mistake(self):
        own = ["MODEL.NAME=Tscan", "NUM_OF_GPU_TRAIN=1", f"TEST.DATA.{P}.CHUNK_LENGTH=128"]
        assert problems("train/pure-to-ubfc", *own) == []
        (note,) = notes("train/pure-to-ubfc", *own)
        assert note.startswith("Tscan runs with the toolbox backend only")
        (problem,) = problems("train/pure-to-ubfc", *own, backend="builtin")
        assert "toolbox backend only: use one of CHROM" in problem

    def test_validation_data_that_no_model_of_the_toolbox_reads_is_a_note(self):
        own = ["MODEL.NAME=Tscan", "NUM_OF_GPU_TRAIN=1", "TRAIN.DATA.END=1.0"]
        assert problems("train/pure-to-ubfc", *own) == []
        assert "VALID is not read while USE_LAST_EPOCH" in notes("train/pure-to-ubfc", *own)[-1]
        assert len(problems("train/pure-to-ubfc", *own, "TEST.USE_LAST_EPOCH=False")) == 1
        assert len(problems("train/pure-to-ubfc", "TRAIN.DATA.END=1.0")) == 1

    def test_a_dataset_or_detector_of_the_toolbox_is_no_mistake(self, tmp_path, monkeypatch):
        monkeypatch.delenv("RPPG_TOOLBOX", raising=False)
        own = ["TEST.DATA.DATASET=SCAMPS", f"TEST.DATA.DATA_PATH={tmp_path}",
               f"TEST.DATA.{P}.CROP_FACE.BACKEND=Y5F"]  # fmt: skip
        assert problems("train/pure-to-ubfc", *own) == []
        found = "\n".join(notes("train/pure-to-ubfc", *own))
        assert "SCAMPS is read by the toolbox's own loader: set the environment" in found
        assert "'Y5F' is the toolbox's only" in found
        monkeypatch.setenv("RPPG_TOOLBOX", str(tmp_path))
        assert "SCAMPS" not in "\n".join(notes("train/pure-to-ubfc", *own))

    def test_weights_named_relative_to_the_toolbox(self, tmp_path, monkeypatch):
        monkeypatch.delenv("RPPG_TOOLBOX", raising=False)
        own = ["MODEL.NAME=Tscan", "NUM_OF_GPU_TRAIN=1", "INFERENCE.MODEL_PATH=release/w.pth"]
        assert problems("infer/pure-to-ubfc", *own) == []
        assert "set RPPG_TOOLBOX" in notes("infer/pure-to-ubfc", *own)[1]
        monkeypatch.setenv("RPPG_TOOLBOX", str(tmp_path))
        assert "does not exist" in problems("infer/pure-to-ubfc", *own)[0]
        (tmp_path / "release").mkdir()
        (tmp_path / "release" / "w.pth").touch()
        assert problems("infer/pure-to-ubfc", *own) == []

    def test_a_method_of_the_builtin_backend_is_a_note(self):
        own = ["UNSUPERVISED.METHOD=[POS, 'CHROM:paper']"]
        assert problems("infer/pure-unsupervised", *own) == []
        (note,) = notes("infer/pure-unsupervised", *own)
        assert note.startswith("CHROM:paper runs with the builtin backend only")

    def test_the_builtin_backend_computes_either_convention(self):
        other = "EVALUATION.CONVENTION=neurips-2023"
        assert problems("benchmark/demo", other, backend="builtin") == []
        assert len(problems("benchmark/demo", other)) == 1

    def test_timestamps_are_a_note(self):
        assert list(check_config(load_config("benchmark/demo"))) == []
        (note,) = findings(load_config("benchmark/demo"))
        assert note.note
        assert "set index for numbers that equal the toolbox's" in note.text


def run(*arguments):
    result = CliRunner().invoke(cli.app, ["config", "check", *map(str, arguments)])
    error = result.exception
    if isinstance(error, StreamnetError):
        return cli.EXIT_ERROR, str(error)
    return result.exit_code, result.output


def test_the_command(dataset_trees, monkeypatch):
    monkeypatch.delenv("PURE")
    monkeypatch.delenv("UBFC_RPPG")
    roots = [f"--data-root={name}={path}" for name, path in dataset_trees.items()]
    code, text = run("train/pure-to-ubfc", *roots)
    assert (code, text) == (0, "train/pure-to-ubfc: no problem found.\n")
    code, text = run("train/pure-to-ubfc", "TRAIN.LR=1", "TEST.DATA.FS=0", *roots)
    assert code == 2
    assert text.count("\n- ") == 1
    assert text.endswith("2 problems.\n")
    assert run("train/pure-to-ubfc", "--data-root", dataset_trees["PURE"].parent)[0] == 0
    code, text = run("benchmark/demo")
    assert code == 0
    assert "- note: EVALUATION.LABEL_ALIGNMENT" in text
    assert run("benchmark/demo", "--backend", "bultin")[0] == 2
    assert "NAME=PATH for each" in run("train/pure-to-ubfc", roots[0], "--data-root", "/x")[1]


@pytest.mark.skipif(TOOLBOX is None, reason="RPPG_TOOLBOX is not set")
def test_the_toolboxs_own_files_lack_nothing_but_folders(monkeypatch):
    monkeypatch.setenv("RPPG_TOOLBOX", TOOLBOX)
    monkeypatch.setattr(checks, "_cuda_devices", lambda: 8)
    found = {
        path.name: [t for t in problems(path) if not re.search("_PATH .* does not exist", t)]
        for path in Path(TOOLBOX, "configs").rglob("*.yaml")
    }
    assert len(found) > 50
    assert {name: texts for name, texts in found.items() if texts} == {}
