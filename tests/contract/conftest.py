"""A stand-in toolbox, the real one where there is one, and small twins of the real datasets."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import pytest
import yaml

from streamnet_plugin.comparison import BenchmarkRun
from streamnet_plugin.data.synthetic.writers import write_pure_set, write_ubfc_set
from streamnet_plugin.training.loop import Validation
from toolbox_adapters.rppg_toolbox import workers
from toolbox_adapters.rppg_toolbox.launcher import run_toolbox
from toolbox_adapters.rppg_toolbox.workers import LostVideo

HERE = Path(__file__).resolve().parent
CASCADE = "haarcascade_frontalface_default.xml"
WANTED = {
    "timm/__init__.py": "",
    "timm/models/layers.py": "trunc_normal_ = None",
    "mamba_ssm/modules/mamba_simple.py": "class Mamba: ...",
    "causal_conv1d.py": "causal_conv1d_fn = None",
    "thop.py": "profile = None",
}
"""What the toolbox's own requirements would have installed, as far as the stand-in imports it."""
SMALL = {"width": 320, "height": 240, "skin_tone": 1, "motion_scale": 0.5}
ALL_METRICS = ("MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC")
Split = tuple[str, Path, float, float]
"""Dataset, its folder, BEGIN, END."""


# Toolboxes


def _writable(root: Path, allowed: bool) -> None:
    for path in [root, *root.rglob("*")]:
        mode = path.stat().st_mode
        path.chmod(mode | 0o200 if allowed else mode & ~0o222)


def _snapshot(root: Path) -> dict[str, str]:
    """Every file below `root` with a hash of its content."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def standin(tmp_path_factory) -> Iterator[Path]:
    """A read-only copy of the stand-in; that nothing wrote into it is checked at the end.

    The check is there because file modes do not hold back a superuser.
    """
    root = tmp_path_factory.mktemp("toolbox") / "standin"
    shutil.copytree(HERE / "standin", root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(cv2.data.haarcascades) / CASCADE, root / "dataset")
    _writable(root, False)
    before = _snapshot(root)
    yield root
    after = _snapshot(root)
    _writable(root, True)
    assert after == before, "something wrote into the toolbox's folder"


@pytest.fixture(scope="session")
def real_toolbox() -> Path:
    """The checkout that RPPG_TOOLBOX names; without one the test is skipped."""
    path = os.environ.get("RPPG_TOOLBOX")
    if not path:
        pytest.skip("RPPG_TOOLBOX names no checkout of the rPPG-Toolbox")
    return Path(path).resolve()


@pytest.fixture(scope="session", params=["standin", "real"])
def toolbox(request) -> Path:
    """The stand-in, then the real toolbox where there is one."""
    return request.getfixturevalue("standin" if request.param == "standin" else "real_toolbox")


@pytest.fixture(scope="session")
def renaming(standin, tmp_path_factory) -> Path:
    """The stand-in, whose UBFC-rPPG is called SCAMPS and whose PURE is called PhysDrive."""
    root = tmp_path_factory.mktemp("toolbox") / "renaming"
    shutil.copytree(standin, root)
    script = root / "main.py"
    script.chmod(0o644)
    text = script.read_text().replace('"UBFC-rPPG"', '"SCAMPS"').replace('"PURE"', '"PhysDrive"')
    script.write_text(text)
    return root


# Data


@pytest.fixture(scope="session")
def twin_ubfc(shared) -> Path:
    """subject1..5 in the UBFC-rPPG format, 8 s each: 240 frames of 320 x 240."""
    options = {"seed": 11, "codec": "mjpg", "duration_s": 8.0, **SMALL}
    return shared("ubfc_twin", lambda root: write_ubfc_set(root, 5, **options))


@pytest.fixture(scope="session")
def twin_pure(shared) -> Path:
    """01-01, 02-01, 03-01 in the PURE format, 7 s each: 210 frames of 320 x 240."""
    options = {"seed": 21, "setups": (1,), "duration_s": 7.0, **SMALL}
    return shared("pure_twin", lambda root: write_pure_set(root, 3, **options))


@pytest.fixture(scope="session")
def splits(twin_ubfc, twin_pure) -> dict[str, Split]:
    """Train on two subjects of UBFC-rPPG, validate on one, test on all of PURE."""
    return {
        "train": ("UBFC-rPPG", twin_ubfc, 0.0, 0.4),
        "valid": ("UBFC-rPPG", twin_ubfc, 0.4, 0.6),
        "test": ("PURE", twin_pure, 0.0, 1.0),
    }


# Configuration files


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`tree` with the nested keys of `changes` in it."""
    out = dict(tree)
    for key, value in changes.items():
        old = out.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        out[key] = merged(old, value) if both else value
    return out


def write_toolbox_yaml(
    work: Path,
    mode: str,
    *,
    train: Split | None = None,
    valid: Split | None = None,
    test: Split | None = None,
    unsupervised: Split | None = None,
    model: str = "Tscan",
    methods: Sequence[str] = ("GREEN", "CHROM", "POS"),
    metrics: Sequence[str] = ALL_METRICS,
    preprocess: bool = True,
    data: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    name: str = "config.yaml",
) -> Path:
    """A configuration in the toolbox's schema: 36 px, chunks of 60 frames, 2 epochs, CPU.

    Args:
        work: the YAML goes here, the cache into `cache`, all results into `runs`.
        mode: train_and_test, only_test or unsupervised_method.
        train, valid, test, unsupervised: `Split`s; without `valid` the last epoch is tested.
        model: MODEL.NAME. methods: UNSUPERVISED.METHOD. metrics: of both.
        preprocess: DO_PREPROCESS of all splits.
        data: changes to the section DATA of train, valid and test.
        changes: changes to the whole tree.
        name: of the file.
    """

    def section(split: Split | None, **more: Any) -> dict[str, Any]:
        if split is None:
            return {"DATA": {"DATASET": None}}
        dataset, root, begin, end = split
        base = {
            "FS": 30,
            "DATASET": dataset,
            "DATA_PATH": str(root),
            "CACHED_PATH": str(work / "cache"),
            "DO_PREPROCESS": preprocess,
            "DATA_FORMAT": "NDCHW",
            "BEGIN": begin,
            "END": end,
            "PREPROCESS": {
                "DATA_TYPE": ["DiffNormalized", "Standardized"],
                "LABEL_TYPE": "DiffNormalized",
                "DO_CHUNK": True,
                "CHUNK_LENGTH": 60,
                "CROP_FACE": {"DO_CROP_FACE": True, "LARGE_BOX_COEF": 1.5},
                "RESIZE": {"H": 36, "W": 36},
            },
        }
        return {"DATA": merged(merged(base, data or {}), more)}

    raw = {"DATA_TYPE": ["Raw"], "LABEL_TYPE": "Raw", "DO_CHUNK": False}
    tree: dict[str, Any] = {
        "TOOLBOX_MODE": mode,
        "DEVICE": "cpu",
        "LOG": {"PATH": str(work / "runs")},
        "MODEL": {"NAME": model},
        "INFERENCE": {"BATCH_SIZE": 2, "EVALUATION_METHOD": "FFT"},
    }
    if mode == "unsupervised_method":
        tree["UNSUPERVISED"] = {
            "METHOD": list(methods),
            "METRICS": list(metrics),
            **section(unsupervised, DATA_FORMAT="NDHWC", PREPROCESS=raw),
        }
    else:
        tree["TEST"] = {
            "METRICS": list(metrics),
            "USE_LAST_EPOCH": valid is None,
            **section(test),
        }
    if mode == "only_test":
        # A trainer may read the image size from here in this mode too.
        tree["TRAIN"] = {"DATA": {"PREPROCESS": {"RESIZE": {"H": 36, "W": 36}}}}
    if mode == "train_and_test":
        tree["TRAIN"] = {
            "BATCH_SIZE": 2,
            "EPOCHS": 2,
            "LR": 9e-3,
            "MODEL_FILE_NAME": "twin",
            **section(train),
        }
        tree["VALID"] = section(valid)
    path = Path(work) / name
    path.write_text(yaml.safe_dump(merged(tree, changes or {})))
    return path


@pytest.fixture(scope="session")
def toolbox_yaml() -> Callable[..., Path]:
    """`write_toolbox_yaml`."""
    return write_toolbox_yaml


# Running


@pytest.fixture(scope="session")
def requirements(tmp_path_factory) -> Path:
    """A folder of empty modules in place of what the toolbox's requirements would install."""
    root = tmp_path_factory.mktemp("requirements")
    for name, text in WANTED.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def python_in(
    root: Path, *arguments: str, path: Sequence[Path] = (), timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """`python ARGUMENTS` in a toolbox's folder, with `path` importable, on the CPU."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(p) for p in path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="session")
def python_in_toolbox(requirements) -> Callable[..., subprocess.CompletedProcess[str]]:
    """(root, *arguments, complete=True): run Python there, with all requirements or without."""

    def run(root: Path, *arguments: str, complete: bool = True):
        return python_in(root, *arguments, path=[root, HERE, *([requirements] if complete else [])])

    return run


@pytest.fixture(scope="session")
def run_main(requirements) -> Callable[..., subprocess.CompletedProcess[str]]:
    """(root, yaml, workers=0, numpy1=False): `python main.py --config_file yaml` without us.

    Videos are preprocessed in its own process; those of `test_standin.py` that fail are not.
    """

    def run(root: Path, config: Path, *, workers: int = 0, numpy1: bool = False):
        return python_in(
            root,
            str(HERE / "run_main.py"),
            f"--workers={workers}",
            *(["--numpy1"] if numpy1 else []),
            "--",
            f"--config_file={config}",
            path=[requirements],
        )

    return run


@dataclass(frozen=True)
class Run:
    """A finished run of `python main.py`: its configuration, its folder and what it printed."""

    config: Path
    work: Path
    stdout: str


@pytest.fixture(scope="session")
def trained(standin, splits, run_main, tmp_path_factory) -> Run:
    """The stand-in's Tscan, trained on two UBFC subjects, validated on one, tested on PURE."""
    work = tmp_path_factory.mktemp("trained")
    config = write_toolbox_yaml(
        work,
        "train_and_test",
        **splits,
        metrics=(*ALL_METRICS, "BA"),
    )
    done = run_main(standin, config)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(config, work, done.stdout)


# Running through the launcher


@dataclass(frozen=True)
class Launched:
    """A finished run of `run_toolbox`: what came of it, its folder and what it printed."""

    config: Path
    work: Path
    stdout: str
    run: BenchmarkRun | None
    lost: tuple[LostVideo, ...]

    def files(self, pattern: str) -> list[Path]:
        return sorted((self.work / "runs").rglob(pattern))


def launch(root: Path, config: Path, **options: Any) -> Launched:
    """`run_toolbox` in this process, without plots, in the folder of the YAML."""
    printed, before = io.StringIO(), Path.cwd()
    os.chdir(config.parent)
    try:
        with contextlib.redirect_stdout(printed):
            done = run_toolbox(root, config, **{"plots": False, **options})
    finally:
        os.chdir(before)
    return Launched(config, config.parent, printed.getvalue(), done.run, done.lost)


@pytest.fixture(scope="session", name="launch")
def launch_fixture() -> Callable[..., Launched]:
    """`launch`."""
    return launch


@pytest.fixture
def inline(monkeypatch) -> None:
    """The toolbox preprocesses in this process, which takes a tenth of the time."""
    stand_in = runpy.run_path(str(HERE / "run_main.py"))["INLINE"]
    monkeypatch.setattr(workers, "multiprocessing", stand_in)


@pytest.fixture(scope="session")
def stream_trained(standin, splits, trained, tmp_path_factory) -> Launched:
    """STREAM-Net, trained and tested as `trained` is, on what that has preprocessed.

    The results go where a path relative to the working directory says.
    """
    work = tmp_path_factory.mktemp("stream_trained")
    config = write_toolbox_yaml(
        work,
        "train_and_test",
        **splits,
        model="STREAMNet",
        metrics=(*ALL_METRICS, "BA"),
        preprocess=False,
        data={"CACHED_PATH": os.path.relpath(trained.work / "cache", work)},
        changes={
            "LOG": {"PATH": "runs"},
            "TRAIN": {"EPOCHS": 3, "LR": 5e-2},
            "UNCERTAINTY": {"MC_SAMPLES": 3},
        },
    )
    # What the network learns in three epochs is not the same on every machine; which epoch is the
    # best is said here, so that it is not the last.
    losses = iter([0.5, 0.25, 0.75])

    def validation(*args: object) -> Validation:
        return Validation(next(losses))

    with mock.patch("streamnet_plugin.training.validation.validation_of", validation):
        return launch(standin, config)
