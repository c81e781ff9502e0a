"""The stand-in behaves as the rPPG-Toolbox does, its faults included.

Whatever touches its modules runs in a process of its own: they have names like `config`.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import pickle
import re
import shutil
from functools import partial

import numpy as np
import pytest
import torch
import yaml

from streamnet_plugin import classical
from streamnet_plugin.classical.chrom import covered_frames
from streamnet_plugin.data.clips import make_input, make_label
from streamnet_plugin.data.preprocess import PreprocessSettings, preprocess_recording
from streamnet_plugin.data.pure import find_pure
from streamnet_plugin.data.ubfc import find_ubfc
from streamnet_plugin.evaluation.aggregate import aggregate
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import evaluate_window, window_slices
from streamnet_plugin.rescoring import rescore
from toolbox_adapters.rppg_toolbox.checkout import open_checkout
from toolbox_adapters.rppg_toolbox.outputs import read_outputs

NAME = (
    "{}_SizeW36_SizeH36_ClipLength60_DataTypeDiffNormalized_Standardized_DataAugNone_"
    "LabelTypeDiffNormalized_Crop_faceTrue_BackendHC_Large_boxTrue_Large_size1.5_"
    "Dyamic_DetFalse_det_len30_Median_face_boxFalse"
)
UBFC, PURE = NAME.format("UBFC-rPPG"), NAME.format("PURE")
METRIC_LINE = re.compile(r"(FFT|Peak) (\w+) \(\1 Label\): (\S+) \+/- (\S+)")
TOOLBOX_2025 = get_convention("toolbox-2025")


def printed_metrics(text):
    """{metric: (value, standard error)} of a run's printout."""
    return {m[2]: (float(m[3]), float(m[4])) for m in METRIC_LINE.finditer(text)}


@pytest.fixture(scope="session")
def evaluated(standin, python_in_toolbox):
    """(code, complete=True): run code in the stand-in; the JSON that it prints last."""

    def run(code, *arguments, complete=True):
        done = python_in_toolbox(standin, "-c", code, *map(str, arguments), complete=complete)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


# The launcher's view


def test_its_dispatch_is_found(standin):
    checkout = open_checkout(standin)
    assert checkout.models == {"Tscan", "Physnet", "PhysMamba"}
    assert checkout.methods == {"GREEN", "CHROM", "POS", "PBV", "LGI", "OMIT"}


def test_every_data_loader_gets_16_workers(standin):
    source = (standin / "main.py").read_text()
    block = source[source.index('if __name__ == "__main__":') :]
    assert source.count("= DataLoader(") == source.count("num_workers=16") == 4
    assert block.count("worker_init_fn=seed_worker") == 4


# Training and testing


def test_checkpoints_are_named_by_epoch_and_come_from_data_parallel(trained):
    folder = trained.work / "runs" / UBFC / "PreTrainedModels"
    assert sorted(p.name for p in folder.iterdir()) == ["twin_Epoch0.pth", "twin_Epoch1.pth"]
    state = torch.load(folder / "twin_Epoch1.pth", weights_only=True)
    assert all(key.startswith("module.") for key in state)


def test_outputs_hold_a_tensor_per_video_and_chunk(trained):
    path = trained.work / "runs" / PURE / "saved_test_outputs" / "twin_outputs.pickle"
    content = pickle.loads(path.read_bytes())
    assert content.keys() == {"predictions", "labels", "label_type", "fs"}
    assert (content["label_type"], content["fs"]) == ("DiffNormalized", 30)
    for part in (content["predictions"], content["labels"]):
        assert set(part) == {"101", "201", "301"}
        for chunks in part.values():
            assert set(chunks) == {0, 1, 2}
            assert all(x.numel() == 60 and x.dtype == torch.float32 for x in chunks.values())
    assert [len(pair.pred) for pair in read_outputs(path)] == [180, 180, 180]


def test_other_files_lie_where_the_toolbox_puts_them(trained):
    runs, cache = trained.work / "runs", trained.work / "cache"
    assert list((runs / UBFC / "plots").iterdir())
    assert list((runs / PURE / "bland_altman_plots").iterdir())
    lists = {p.name for p in (cache / "DataFileLists").iterdir()}
    assert lists >= {f"{UBFC}_0.0_0.4.csv", f"{UBFC}_0.4_0.6.csv", f"{PURE}_0.0_1.0.csv"}
    with open(cache / "DataFileLists" / f"{PURE}_0.0_1.0.csv") as file:
        files = [row["input_files"] for row in csv.DictReader(file)]
    assert set(files) == {str(p) for p in (cache / PURE).glob("*_input*.npy")}
    assert len(files) == 9


def test_the_printed_metrics_are_ours(trained):
    printed = printed_metrics(trained.stdout)
    assert set(printed) == {"MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC"}
    path = next((trained.work / "runs" / PURE / "saved_test_outputs").iterdir())
    ours = rescore(path, plots=False).results.summaries[0].values
    for metric in ("MAE", "RMSE", "MAPE", "SNR", "MACC"):
        assert printed[metric] == pytest.approx(ours[metric], abs=1e-6), metric


def test_only_test_reads_the_best_checkpoint_again(
    standin, trained, twin_pure, run_main, toolbox_yaml, tmp_path
):
    best = trained.stdout.split("Testing with ")[1].split(" ====")[0]
    config = toolbox_yaml(
        tmp_path,
        "only_test",
        test=("PURE", twin_pure, 0.0, 1.0),
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
        changes={"INFERENCE": {"MODEL_PATH": best}},
    )
    done = run_main(standin, config, workers=1)  # batches from a process, as the toolbox has them
    assert done.returncode == 0, done.stdout + done.stderr
    assert printed_metrics(done.stdout) == printed_metrics(trained.stdout)
    name = best.split("/")[-1].removesuffix(".pth")
    path = tmp_path / "runs" / PURE / "saved_test_outputs" / f"{name}_PURE_outputs.pickle"
    before = next((trained.work / "runs" / PURE / "saved_test_outputs").iterdir())
    for a, b in zip(read_outputs(path), read_outputs(before), strict=True):
        assert a.recording == b.recording
        assert np.array_equal(a.pred, b.pred)


def test_an_omitted_validation_is_an_unsupported_dataset(
    standin, trained, twin_ubfc, twin_pure, run_main, toolbox_yaml, tmp_path
):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        train=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        test=("PURE", twin_pure, 0.0, 1.0),
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
    )
    tree = yaml.safe_load(config.read_text())
    assert tree.pop("VALID") == {"DATA": {"DATASET": None}}
    config.write_text(yaml.safe_dump(tree))
    done = run_main(standin, config)
    assert done.returncode != 0
    assert "ValueError: Unsupported dataset!" in done.stderr


def test_a_clip_network_trains_without_validation(
    standin, trained, twin_ubfc, twin_pure, run_main, toolbox_yaml, tmp_path
):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        train=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        test=("PURE", twin_pure, 0.34, 0.67),  # no file list yet: made from what is cached
        model="Physnet",
        metrics=("MAE", "MACC"),
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache"), "DATA_FORMAT": "NCDHW"},
    )
    done = run_main(standin, config)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "twin_Epoch1.pth ====" in done.stdout  # the last epoch is tested
    assert set(printed_metrics(done.stdout)) == {"MAE", "MACC"}
    (pair,) = read_outputs(next((tmp_path / "runs").rglob("*_outputs.pickle")))
    assert (pair.recording, len(pair.pred)) == ("201", 180)


# Data


@pytest.mark.parametrize(
    ("name", "find"), [("UBFC-rPPG", find_ubfc), ("PURE", find_pure)], ids=["ubfc", "pure"]
)
def test_cached_clips_are_what_our_own_preprocessing_gives(
    trained, twin_ubfc, twin_pure, name, find, tmp_path
):
    cache = trained.work / "cache" / NAME.format(name)
    root = twin_ubfc if name == "UBFC-rPPG" else twin_pure
    settings = PreprocessSettings(width=36, height=36, align="index")
    recordings = {r.id.replace("-", "").lstrip("0"): r for r in find(root)}
    videos = sorted({p.name.split("_")[0] for p in cache.iterdir()})
    assert len(videos) == 3
    for video in videos:
        ours = preprocess_recording(recordings[video], settings, tmp_path)
        data = make_input(ours.frames, ["DiffNormalized", "Standardized"])
        label = make_label(ours.bvp, "DiffNormalized")
        n = len(list(cache.glob(f"{video}_input*.npy")))
        assert n == len(data) // 60
        for k in range(n):
            part = slice(60 * k, 60 * k + 60)
            theirs = np.load(cache / f"{video}_input{k}.npy")
            assert theirs.shape == (60, 36, 36, 6)
            assert np.allclose(theirs, data[part], atol=1e-5)
            assert np.allclose(
                np.load(cache / f"{video}_label{k}.npy"), label[part], rtol=0, atol=1e-5
            )


LOADER = """
import argparse, json, sys
import numpy as np
from torch.utils.data import DataLoader
from config import get_config
from dataset.data_loader.UBFCrPPGLoader import UBFCrPPGLoader

if __name__ == "__main__":
    data = get_config(argparse.Namespace(config_file=sys.argv[1])).TEST.DATA
    loader = UBFCrPPGLoader("test", data.DATA_PATH, data, device="cpu")
"""


def test_items_and_their_formats(trained, twin_ubfc, evaluated, toolbox_yaml, tmp_path):
    config = toolbox_yaml(
        tmp_path,
        "only_test",
        test=("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        preprocess=False,
        data={"CACHED_PATH": str(trained.work / "cache")},
    )
    code = """
    from neural_methods.model.TS_CAN import TSCAN

    shapes = {}
    for loader.data_format in ("NCDHW", "NDHWC", "NDCHW"):
        data, label, name, chunk = loader[1]
        shapes[loader.data_format] = data.shape
    batch = next(iter(DataLoader(loader, batch_size=2)))
    frames = batch[0].view(120, 6, 36, 36)
    network = TSCAN(10, 36)
    network(frames.contiguous())
    try:
        network(frames)
    except RuntimeError as error:
        problem = str(error)
    print(json.dumps([len(loader), shapes, str(data.dtype), label.shape, str(label.dtype), name,
                      chunk, problem]))
"""
    n, shapes, *item, problem = evaluated(LOADER + code, config)
    assert n == 8
    assert shapes == {
        "NDCHW": [60, 6, 36, 36],
        "NCDHW": [6, 60, 36, 36],
        "NDHWC": [60, 36, 36, 6],
    }
    assert item[:3] == ["float32", [60], "float32"]
    assert re.fullmatch(r"subject\d", item[3])
    assert item[4] == "1"
    assert "view size is not compatible" in problem  # without workers to copy the batches


def test_a_failed_process_loses_its_video_and_nobody_is_told(
    standin, twin_ubfc, python_in_toolbox, toolbox_yaml, tmp_path
):
    root = tmp_path / "damaged"
    for name in ("subject1", "subject2"):
        shutil.copytree(twin_ubfc / name, root / name)
    (root / "subject2" / "ground_truth.txt").unlink()
    config = toolbox_yaml(tmp_path, "only_test", test=("UBFC-rPPG", root, 0.0, 1.0))
    script = tmp_path / "load.py"
    script.write_text(LOADER + "    print({item[2] for item in loader})\n")
    done = python_in_toolbox(standin, str(script), str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Raw files preprocessed: 2" in done.stdout
    assert done.stdout.splitlines()[-1] == "{'subject1'}"
    assert "FileNotFoundError" in done.stderr  # of the child; the parent does not look


def test_a_parent_folder_can_name_every_video(evaluated, tmp_path):
    for k in (1, 2):
        (tmp_path / "subject99" / f"subject{k}").mkdir(parents=True)
    code = """
import json, sys
from dataset.data_loader.UBFCrPPGLoader import UBFCrPPGLoader
loader = UBFCrPPGLoader.__new__(UBFCrPPGLoader)
print(json.dumps([entry["index"] for entry in loader.get_raw_data(sys.argv[1])]))
"""
    assert evaluated(code, tmp_path / "subject99") == ["subject99", "subject99"]


def test_no_face_is_a_wrong_crop(evaluated):
    code = """
import json
import numpy as np
from config import _C
from dataset.data_loader.BaseLoader import BaseLoader
face = _C.TEST.DATA.PREPROCESS.CROP_FACE.clone()
face.USE_LARGE_FACE_BOX = False
frame = np.zeros((240, 320, 3), np.uint8)
print(json.dumps(BaseLoader.face_detection(None, frame, face)))
"""
    assert evaluated(code) == [0, 0, 240, 320]  # height, width where width, height are meant


@pytest.mark.skipif(importlib.util.find_spec("thop") is not None, reason="thop is installed")
def test_preprocessing_needs_thop(twin_ubfc, evaluated, toolbox_yaml, tmp_path):
    config = toolbox_yaml(tmp_path, "only_test", test=("UBFC-rPPG", twin_ubfc, 0.0, 1.0))
    head, _, last = LOADER.rstrip().rpartition("\n")
    code = f"""{head}
    try:
        {last.strip()}
    except ImportError as error:
        print(json.dumps(error.name))
"""
    assert evaluated(code, config, complete=False) == "thop"


@pytest.mark.skipif(importlib.util.find_spec("mamba_ssm"), reason="mamba_ssm is installed")
def test_every_model_needs_what_one_model_needs(standin, python_in_toolbox):
    done = python_in_toolbox(standin, "main.py", "--help", complete=False)
    assert done.returncode != 0
    assert re.search("No module named '(causal_conv1d|mamba_ssm|timm)'", done.stderr)
    done = python_in_toolbox(standin, "main.py", "--help")
    assert done.returncode == 0
    options = {"--config_file", "--lr", "--model_file_name", "--cached_path", "--preprocess"}
    assert options <= set(done.stdout.replace("]", " ").split())


# Configuration


def test_keys_and_types_are_strict_and_bases_are_merged(evaluated, tmp_path):
    files = {
        "base.yaml": {"TRAIN": {"EPOCHS": 7, "BATCH_SIZE": 3}},
        "child.yaml": {"BASE": ["base.yaml"], "TRAIN": {"EPOCHS": 8}},
        "unknown.yaml": {"TRAIN": {"EPOCH": 8}},
        "plugin.yaml": {"MODEL": {"STREAMNET": {"FRAME_DEPTH": 12}}},
        "float.yaml": {"TEST": {"DATA": {"FS": 29.97}}},
        "integer.yaml": {"TRAIN": {"LR": 1}},
        "string.yaml": {"TRAIN": {"LR": "9e-3"}},
    }
    for name, tree in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(tree))
    code = """
import argparse, json, os, sys
import config
from yacs.config import CfgNode as CN

def read(name, get):
    try:
        path = os.path.join(sys.argv[1], name)
        return get(config.get_config(argparse.Namespace(config_file=path)))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

out = {"child": read("child.yaml", lambda c: [c.TRAIN.EPOCHS, c.TRAIN.BATCH_SIZE]),
       "defaults": config._C.TRAIN.EPOCHS,
       "unknown": read("unknown.yaml", str),
       "float": read("float.yaml", str),
       "integer": read("integer.yaml", str),
       "string": read("string.yaml", lambda c: c.TRAIN.LR),
       "before": read("plugin.yaml", str)}
config._C.MODEL.STREAMNET = CN({"FRAME_DEPTH": 10})
out["after"] = read("plugin.yaml", lambda c: c.MODEL.STREAMNET.FRAME_DEPTH)
print(json.dumps(out))
"""
    out = evaluated(code, tmp_path)
    assert out["child"] == [8, 3]
    assert out["defaults"] == 50
    assert out["unknown"].startswith("KeyError: 'Non-existent config key: TRAIN.EPOCH")
    assert out["before"].startswith("KeyError: 'Non-existent config key: MODEL.STREAMNET")
    assert out["after"] == 12
    assert out["float"].startswith("ValueError: Type mismatch")
    assert out["integer"].startswith("ValueError: Type mismatch")
    assert out["string"] == 9e-3


@pytest.mark.parametrize("validated", [True, False])
def test_paths_follow_from_the_configuration(
    toolbox, python_in_toolbox, toolbox_yaml, tmp_path, validated
):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        train=("UBFC-rPPG", tmp_path, 0.0, 0.4),
        valid=("UBFC-rPPG", tmp_path, 0.4, 0.6) if validated else None,
        test=("PURE", tmp_path, 0.0, 1.0),
    )
    code = """
import argparse, json, sys
from config import get_config
c = get_config(argparse.Namespace(config_file=sys.argv[1]))
print(json.dumps({"names": [c.TRAIN.DATA.EXP_DATA_NAME, c.TEST.DATA.EXP_DATA_NAME],
                  "cache": c.TRAIN.DATA.CACHED_PATH, "list": c.TRAIN.DATA.FILE_LIST_PATH,
                  "weights": c.MODEL.MODEL_DIR, "outputs": c.TEST.OUTPUT_SAVE_DIR}))
"""
    done = python_in_toolbox(toolbox, "-c", code, str(config), complete=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "names": [UBFC, PURE],
        "cache": str(tmp_path / "cache" / UBFC),
        "list": str(tmp_path / "cache" / "DataFileLists" / f"{UBFC}_0.0_0.4.csv"),
        "weights": str(tmp_path / "runs" / UBFC / "PreTrainedModels"),
        "outputs": str(tmp_path / "runs" / PURE / "saved_test_outputs"),
    }


def test_a_cache_is_named_by_some_of_its_settings_only(evaluated, toolbox_yaml, tmp_path):
    split = ("PURE", tmp_path, 0.0, 1.0)
    one = toolbox_yaml(tmp_path, "unsupervised_method", unsupervised=split, name="one.yaml")
    two = toolbox_yaml(
        tmp_path,
        "unsupervised_method",
        unsupervised=split,
        changes={
            "UNSUPERVISED": {
                "DATA": {"FS": 25, "DATA_PATH": "elsewhere", "PREPROCESS": {"RESIZE": {"H": 40}}}
            }
        },
        name="two.yaml",
    )
    code = """
import argparse, json, sys
from config import get_config
read = lambda path: get_config(argparse.Namespace(config_file=path)).UNSUPERVISED.DATA
print(json.dumps([[d.EXP_DATA_NAME, d.CACHED_PATH] for d in map(read, sys.argv[1:])]))
"""
    first, second = evaluated(code, one, two)
    assert first == second
    name = PURE.replace("DiffNormalized_Standardized", "Raw").replace("TypeDiffN", "TypeN")
    name = name.replace("LabelTypeNormalized", "LabelTypeRaw") + "_unsupervised"
    assert first == [name, str(tmp_path / "cache" / name)]


# Evaluation


def waves(n, rng):
    """A noisy pulse with a trend and the pulse itself, (n,) float32, as networks give them."""
    t = np.arange(n) / 30
    wave = np.sin(2 * np.pi * rng.uniform(50, 150) / 60 * t) + 0.3 * t
    return np.float32(wave + rng.normal(size=n)), np.float32(wave)


EVALUATE = """
import contextlib, io, json, pickle, sys
import torch
from config import _C
from evaluation.metrics import calculate_metrics
from evaluation.post_process import calculate_metric_per_video

with open(sys.argv[1], "rb") as file:
    cases = pickle.load(file)
out = []
for differential, method, window, pairs in cases:
    config = _C.clone()
    config.TOOLBOX_MODE = "only_test"
    config.TEST.DATA.FS = 30
    config.TEST.DATA.PREPROCESS.LABEL_TYPE = "DiffNormalized" if differential else "Standardized"
    config.TEST.METRICS = ["MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC"]
    config.INFERENCE.EVALUATION_METHOD = "FFT" if method == "FFT" else "peak detection"
    config.INFERENCE.EVALUATION_WINDOW.USE_SMALLER_WINDOW = window is not None
    config.INFERENCE.EVALUATION_WINDOW.WINDOW_SIZE = window or 10
    cut = lambda x: {1: torch.tensor(x[100:])[:, None], 0: torch.tensor(x[:100])[:, None]}
    predictions, labels = ({i: cut(pair[k]) for i, pair in enumerate(pairs)} for k in (0, 1))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert calculate_metrics(predictions, labels, config) is None
    rows = [calculate_metric_per_video(p, g, 30, differential, hr_method=method) for p, g in pairs]
    out.append([[[float(v) for v in row] for row in rows], printed.getvalue()])
print(json.dumps(out))
"""


def test_metrics_are_ours(evaluated, tmp_path):
    rng = np.random.default_rng(5)
    waveforms = [waves(n, rng) for n in (300, 305, 300, 247, 300)]  # 305: a tail of 5 frames
    differences = [(np.diff(p), np.diff(g)) for p, g in waveforms]
    cases = [
        (True, "FFT", None, differences),
        (False, "FFT", 5, waveforms),
        (True, "Peak", 5, differences),
        (False, "Peak", None, waveforms),
    ]
    (tmp_path / "cases.pickle").write_bytes(pickle.dumps(cases))
    results = evaluated(EVALUATE, tmp_path / "cases.pickle")
    for (differential, hr_method, window_s, pairs), (rows, text) in zip(
        cases, results, strict=True
    ):
        ours = partial(
            evaluate_window,
            fs=30,
            convention=TOOLBOX_2025,
            differential=differential,
            hr_method=hr_method,
        )

        for theirs, (p, g) in zip(rows, pairs, strict=True):
            mine = ours(p, g)
            numbers = [mine.hr_label, mine.hr_pred, mine.snr_db, mine.macc]
            assert theirs == pytest.approx(numbers, abs=1e-6)
        summary = aggregate(
            [
                ours(p[part], g[part])
                for p, g in pairs
                for part in window_slices(len(p), 30, window_s)
            ]
        )
        printed = printed_metrics(text)
        assert len(printed) == 6
        for metric, numbers in printed.items():
            estimate = summary[metric]
            assert numbers == pytest.approx((estimate.value, estimate.standard_error), abs=1e-6)


def test_what_evaluation_gets_wrong(evaluated):
    code = """
import json, warnings
import numpy as np
from config import _C
from evaluation.BlandAltmanPy import BlandAltman
from evaluation.post_process import calculate_metric_per_video
warnings.simplefilter("ignore")
wave = np.sin(2 * np.pi * 1.5 * np.arange(900) / 30)
out = {name: calculate_metric_per_video(x, wave, 30, False)[1]
       for name, x in [("nan", wave * np.nan), ("zero", wave * 0)]}

def failure(function):
    try:
        function()
    except Exception as error:
        return type(error).__name__

out["short"] = failure(lambda: calculate_metric_per_video(wave[:9], wave[:9], 30, False))
out["one"] = failure(lambda: BlandAltman([60], [61], _C, "x").plot("x"))
gold = np.array([60.0, 70, 80, 90])
plot = BlandAltman(gold, gold + [1, -1, 2, -2], _C, "x")
out["limits"] = (plot.limits[1] - plot.limits[0]) / np.std([1, -1, 2, -2])
print(json.dumps(out))
"""
    out = evaluated(code)
    assert out["nan"] == out["zero"] == pytest.approx(36.9, abs=0.05)
    assert out["short"] == "ValueError"
    assert out["one"] in ("LinAlgError", "ValueError")
    assert out["limits"] == pytest.approx(2 * 1.96 * np.sqrt(2))


# Classical methods

METHODS = """
import json, sys
import numpy as np
if sys.argv[2] == "numpy1":
    from run_main import restore_numpy1
    restore_numpy1()
from unsupervised_methods.unsupervised_predictor import predict

out, frames = {}, np.load(sys.argv[1])
for name in ("GREEN", "CHROM", "POS", "PBV", "LGI", "OMIT"):
    try:
        out[name] = list(predict(frames, 30, name))
    except Exception as error:
        out[name] = f"{type(error).__name__}: {error}"
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def face_frames(tmp_path_factory):
    """(250, 6, 6, 3): grey noise and a pulse, on a path."""
    rng = np.random.default_rng(9)
    pulse = np.sin(2 * np.pi * 1.3 * np.arange(250) / 30)
    colour = np.array([150.0, 110, 90]) + pulse[:, None] * [-0.5, -1.2, -0.8]
    colour = colour * (1 + 0.01 * rng.normal(size=(250, 1)))
    frames = colour[:, None, None] + rng.normal(size=(250, 6, 6, 3))
    path = tmp_path_factory.mktemp("faces") / "frames.npy"
    np.save(path, frames)
    return path


def test_classical_methods_are_ours_upside_down_but_for_chrom(evaluated, face_frames):
    theirs = evaluated(METHODS, face_frames, "numpy1")
    frames = np.load(face_frames)
    for name, waveform in theirs.items():
        ours = getattr(classical, name).from_frames(frames, 30).bvp
        n = covered_frames(250, 30) if name == "CHROM" else 250
        assert len(waveform) == n
        sign = 1 if name == "CHROM" else -1
        scale = np.std(ours)
        assert np.allclose(np.array(waveform) / scale, sign * ours[:n] / scale, atol=1e-6), name


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 1")
def test_numpy_2_breaks_pos_and_pbv(evaluated, face_frames):
    out = evaluated(METHODS, face_frames, "numpy2")
    assert re.match("AttributeError: .*mat", out["POS"])
    assert out["PBV"].startswith("ValueError")
    assert all(isinstance(out[name], list) for name in ("GREEN", "CHROM", "LGI", "OMIT"))


def test_unsupervised_mode_prints_every_method(
    standin, twin_pure, run_main, toolbox_yaml, tmp_path
):
    methods = ("GREEN", "POS", "PBV")
    config = toolbox_yaml(
        tmp_path, "unsupervised_method", unsupervised=("PURE", twin_pure, 0.0, 1.0), methods=methods
    )
    done = run_main(standin, config, numpy1=True)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = done.stdout.split("==== Unsupervised method ")[1:]
    assert [part.split(" ====")[0] for part in parts] == list(methods)
    for part in parts:
        numbers = printed_metrics(part)
        assert len(numbers) == 6
        assert numbers["MAE"][0] < 10
