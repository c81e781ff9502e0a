"""Protocols in the rPPG-Toolbox's YAML schema, as typed and frozen models.

The keys and their defaults are the toolbox's (see its `config.py`, commit d807b01), so that
one file serves both backends. Keys of our own live under `MODEL.STREAMNET`, `UNCERTAINTY` and
`EVALUATION`. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamnet_plugin.errors import ConfigError

DataType = Literal["DiffNormalized", "Standardized", "Raw", ""]
Mode = Literal["train_and_test", "only_test", "unsupervised_method"]


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class Detection(_Node):
    DO_DYNAMIC_DETECTION: bool = False
    DYNAMIC_DETECTION_FREQUENCY: int = Field(30, ge=1)
    USE_MEDIAN_FACE_BOX: bool = False


class CropFace(_Node):
    DO_CROP_FACE: bool = True
    BACKEND: str = "HC"
    USE_LARGE_FACE_BOX: bool = True
    LARGE_BOX_COEF: float = Field(1.5, gt=0)
    DETECTION: Detection = Detection()


class Resize(_Node):
    W: int = Field(128, ge=1)
    H: int = Field(128, ge=1)


class Preprocess(_Node):
    USE_PSUEDO_PPG_LABEL: bool = False  # the toolbox's spelling
    DATA_TYPE: tuple[DataType, ...] = ("",)
    DATA_AUG: tuple[str, ...] = ("None",)
    LABEL_TYPE: DataType = ""
    DO_CHUNK: bool = True
    CHUNK_LENGTH: int = Field(180, ge=1)
    CROP_FACE: CropFace = CropFace()
    RESIZE: Resize = Resize()
    # Sections that only the toolbox's own models read; passed through unread.
    BIGSMALL: dict[str, Any] = Field(default_factory=dict)
    IBVP: dict[str, Any] = Field(default_factory=dict)


class Fold(_Node):
    FOLD_NAME: str = ""
    FOLD_PATH: str = ""


class Data(_Node):
    INFO: dict[str, Any] = Field(default_factory=dict)
    FILTERING: dict[str, Any] = Field(default_factory=dict)
    FS: int = Field(0, ge=0, strict=True)
    DATA_PATH: str = ""
    EXP_DATA_NAME: str = ""
    CACHED_PATH: str = "PreprocessedData"
    FILE_LIST_PATH: str = ""
    DATASET: str = ""
    DO_PREPROCESS: bool = False
    DATA_FORMAT: Literal["NDCHW", "NCDHW", "NDHWC"] = "NDCHW"
    BEGIN: float = Field(0.0, ge=0, le=1)
    END: float = Field(1.0, ge=0, le=1)
    FOLD: Fold = Fold()
    PREPROCESS: Preprocess = Preprocess()


class Optimizer(_Node):
    EPS: float = 1e-4
    BETAS: tuple[float, float] = (0.9, 0.999)
    MOMENTUM: float = 0.9


class Train(_Node):
    EPOCHS: int = Field(50, ge=1)
    BATCH_SIZE: int = Field(4, ge=1)
    LR: float = Field(1e-4, gt=0)
    OPTIMIZER: Optimizer = Optimizer()
    MODEL_FILE_NAME: str = ""
    PLOT_LOSSES_AND_LR: bool = True
    DATA: Data = Data()


class Valid(_Node):
    DATA: Data = Data()


class Test(_Node):
    OUTPUT_SAVE_DIR: str = ""
    METRICS: tuple[str, ...] = ()
    USE_LAST_EPOCH: bool = True
    DATA: Data = Data()


class Unsupervised(_Node):
    METHOD: tuple[str, ...] = ()
    OUTPUT_SAVE_DIR: str = ""
    METRICS: tuple[str, ...] = ()
    DATA: Data = Data()


class StreamNet(_Node):
    """`MODEL.STREAMNET`: the network's own keys."""

    FRAME_DEPTH: int = Field(10, ge=2)
    # auto: wrap for a new network; for weights, what their file says or implies.
    SHIFT: Literal["auto", "wrap", "zero", "none"] = "auto"
    ATTENTION: bool = True
    SSFEM: bool = True
    THIRD_CONV: bool = False
    # The authors train on the mean squared error; "pearson" is 1 - r over time, "both" their sum.
    LOSS: Literal["mse", "pearson", "both"] = "mse"


class Model(_Node):
    NAME: str = ""
    RESUME: str = ""
    DROP_RATE: float = Field(0.0, ge=0, lt=1)
    MODEL_DIR: str = "PreTrainedModels"
    STREAMNET: StreamNet = StreamNet()
    # The toolbox's own models: read by the toolbox alone.
    PHYSNET: dict[str, Any] = Field(default_factory=dict)
    iBVPNet: dict[str, Any] = Field(default_factory=dict)
    FactorizePhys: dict[str, Any] = Field(default_factory=dict)
    TSCAN: dict[str, Any] = Field(default_factory=dict)
    EFFICIENTPHYS: dict[str, Any] = Field(default_factory=dict)
    BIGSMALL: dict[str, Any] = Field(default_factory=dict)
    PHYSFORMER: dict[str, Any] = Field(default_factory=dict)


class EvaluationWindow(_Node):
    USE_SMALLER_WINDOW: bool = False
    WINDOW_SIZE: int = Field(10, ge=1, strict=True)


class Inference(_Node):
    BATCH_SIZE: int = Field(4, ge=1)
    EVALUATION_METHOD: Literal["FFT", "peak detection"] = "FFT"
    EVALUATION_WINDOW: EvaluationWindow = EvaluationWindow()
    MODEL_PATH: str = ""


class Log(_Node):
    PATH: str = "runs/exp"


class Evaluation(_Node):
    """`EVALUATION`: how numbers are computed, ours.

    CONVENTION names the HR band; LABEL_ALIGNMENT is "timestamp" (labels placed by their own
    clock) or "index" (the toolbox's stretching of the labels to the frame count).
    """

    CONVENTION: str = "toolbox-2025"
    LABEL_ALIGNMENT: Literal["timestamp", "index"] = "timestamp"
    OUTPUT: str = ""  # results folder of a run inside the toolbox; empty: beside its own outputs


class Uncertainty(_Node):
    """`UNCERTAINTY`: Monte Carlo dropout, ours. MC_RATE null means the trained rates."""

    MC_SAMPLES: int = Field(30, ge=0)
    MC_RATE: float | None = Field(None, ge=0, lt=1)
    SEED: int = Field(100, ge=0)


class Config(_Node):
    """A whole protocol file."""

    BASE: tuple[str, ...] = ("",)
    TOOLBOX_MODE: Mode
    TRAIN: Train = Train()
    VALID: Valid = Valid()
    TEST: Test = Test()
    UNSUPERVISED: Unsupervised = Unsupervised()
    MODEL: Model = Model()
    INFERENCE: Inference = Inference()
    DEVICE: str = "cpu"
    NUM_OF_GPU_TRAIN: int = Field(1, ge=0)
    NUM_WORKERS: int = Field(-1, ge=-1)  # of the toolbox's data loaders; -1 chooses
    LOG: Log = Log()
    EVALUATION: Evaluation = Evaluation()
    UNCERTAINTY: Uncertainty = Uncertainty()

    @property
    def test_data(self) -> Data:
        """The data a benchmark runs on."""
        if self.TOOLBOX_MODE == "unsupervised_method":
            return self.UNSUPERVISED.DATA
        return self.TEST.DATA

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods a benchmark compares, the network first."""
        if self.TOOLBOX_MODE == "unsupervised_method":
            return self.UNSUPERVISED.METHOD
        return tuple(dict.fromkeys((self.MODEL.NAME, *self.UNSUPERVISED.METHOD)))


class _Yaml12Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, in which `9e-3` is a string; the toolbox's files mean a number."""


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9][0-9_]*)(\.[0-9_]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def shipped_configs() -> Path:
    """The folder of the YAMLs that come with the package (installed, or the source tree's)."""
    here = Path(__file__).resolve().parent
    installed = here / "configs"
    return installed if installed.is_dir() else here.parent / "configs"


def find_config(name: str | Path) -> Path:
    """A YAML by its path, or a shipped one by its name (`benchmark/demo`).

    Raises:
        ConfigError: neither exists; lists the shipped names.
    """
    path = Path(name)
    if path.is_file():
        return path
    root = shipped_configs()
    candidate = root / Path(f"{name}.yaml" if path.suffix not in (".yaml", ".yml") else name)
    if candidate.is_file():
        return candidate
    known = sorted(p.relative_to(root).with_suffix("").as_posix() for p in root.rglob("*.yaml"))
    raise ConfigError(
        "no such configuration file, and none of that name is shipped",
        path=path,
        remedy="give a path to a YAML, or one of: " + ", ".join(known) + ".",
    )


def load_config(name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a protocol file.

    Args:
        name: path of a YAML, or the name of a shipped one.
        overrides: `KEY=VALUE` strings, e.g. `TEST.DATA.DATA_PATH=/data/UBFC`; the value is
            read as YAML.

    Raises:
        ConfigError: missing file, broken YAML, unknown key (nearest known one named),
            wrong type, or a value out of range.
    """
    path = find_config(name)
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not valid YAML: {error}", path=path) from error
    if not isinstance(tree, dict):
        raise ConfigError(
            "the file does not hold a mapping of keys", path=path, remedy="see configs/benchmark."
        )
    for override in overrides:
        _apply_override(tree, override)
    return parse_config(tree, path=path)


def parse_config(tree: Mapping[str, Any], path: Path | None = None) -> Config:
    """Validate a parsed YAML tree; raises `ConfigError` with one line per problem."""
    tree = _expand(tree)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = [_explain(item) for item in error.errors()]
        raise ConfigError("; ".join(problems), path=path) from error


def _expand(value: Any) -> Any:
    """Expand `$NAME` and `~` in path values; an unset variable stays as written."""
    if isinstance(value, Mapping):
        return {
            key: os.path.expanduser(os.path.expandvars(item))
            if isinstance(item, str) and key.endswith("PATH")
            else _expand(item)
            for key, item in value.items()
        }
    return value


def _apply_override(tree: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"the override {override!r} is not of the form KEY=VALUE")
    *parents, leaf = key.split(".")
    node = tree
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"the override {override!r}: {parent} is a value, not a section")
    try:
        node[leaf] = yaml.load(text, Loader=_Yaml12Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"the override {override!r} is not valid YAML: {error}") from error


def _explain(item: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        *parents, leaf = (str(part) for part in item["loc"])
        known = _known_keys(parents)
        near = difflib.get_close_matches(leaf.upper(), known, n=1, cutoff=0.0)
        return f"unknown key {where}" + (f" (nearest known key: {near[0]})" if near else "")
    if item["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {item['msg'].lower()}, found {item['input']!r}"


def _known_keys(parents: Sequence[str]) -> list[str]:
    node: type[BaseModel] = Config
    for parent in parents:
        annotation = node.model_fields[parent].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            node = annotation
    return list(node.model_fields)


def dump_config(config: Config) -> str:
    """The resolved configuration, every default visible, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def check_config(config: Config) -> Iterator[str]:
    """Yield the problems of a configuration that parses, each with its fix."""
    data = config.test_data
    section = "UNSUPERVISED" if config.TOOLBOX_MODE == "unsupervised_method" else "TEST"
    if data.FS < 1:
        yield f"{section}.DATA.FS is {data.FS}: set the frame rate in Hz, e.g. 30."
    if not data.DATASET:
        yield f"{section}.DATA.DATASET is empty: set UBFC-rPPG, PURE or video."
    if not data.DATA_PATH:
        yield f"{section}.DATA.DATA_PATH is empty: set the dataset's folder, or use --data-root."
    elif data.DATA_PATH != "demo" and not Path(data.DATA_PATH).exists():
        yield (
            f"{section}.DATA.DATA_PATH {data.DATA_PATH} does not exist: "
            "correct it, set the environment variable in it, or use --data-root."
        )
    if data.BEGIN >= data.END:
        yield f"{section}.DATA: BEGIN {data.BEGIN} is not below END {data.END}: no subject is left."
    if not config.methods or not all(config.methods):
        yield "no method is named: set MODEL.NAME or UNSUPERVISED.METHOD."
    yield from _check_methods(config)
    yield from _check_streamnet(config)
    yield from _check_convention(config)
    if config.TOOLBOX_MODE == "train_and_test":
        yield from _check_leaks(config)


def _check_methods(config: Config) -> Iterator[str]:
    from streamnet_plugin.errors import StreamnetError, UnknownMethodError
    from streamnet_plugin.registry import check_method, list_methods

    for name in filter(None, config.methods):
        try:
            check_method(name)
        except UnknownMethodError as error:
            known = {info.name.lower(): info.name for info in list_methods()}
            near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)
            yield f"{error.what}: did you mean {known[near[0]]}?"
        except StreamnetError as error:
            yield str(error)


def _check_streamnet(config: Config) -> Iterator[str]:
    if "streamnet" not in [name.lower() for name in config.methods]:
        return
    preprocess, depth = config.test_data.PREPROCESS, config.MODEL.STREAMNET.FRAME_DEPTH
    if preprocess.DO_CHUNK and preprocess.CHUNK_LENGTH % depth:
        lower = preprocess.CHUNK_LENGTH // depth * depth
        yield (
            f"CHUNK_LENGTH {preprocess.CHUNK_LENGTH} is no multiple of "
            f"MODEL.STREAMNET.FRAME_DEPTH {depth}: set {lower or depth} or {lower + depth}."
        )
    if config.INFERENCE.MODEL_PATH and not Path(config.INFERENCE.MODEL_PATH).is_file():
        yield (
            f"INFERENCE.MODEL_PATH {config.INFERENCE.MODEL_PATH} does not exist: "
            "correct it, or leave it empty for the shipped checkpoint."
        )


def _check_convention(config: Config) -> Iterator[str]:
    from streamnet_plugin.errors import StreamnetError
    from streamnet_plugin.evaluation.conventions import get_convention

    try:
        get_convention(config.EVALUATION.CONVENTION)
    except StreamnetError as error:
        yield f"EVALUATION.CONVENTION: {error}"


def _check_leaks(config: Config) -> Iterator[str]:
    """Overlapping fractions of one dataset put the same subject on both sides."""
    parts = {"TRAIN": config.TRAIN.DATA, "VALID": config.VALID.DATA, "TEST": config.TEST.DATA}
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            a, b = parts[first], parts[second]
            same = a.DATASET == b.DATASET != "" and a.DATA_PATH == b.DATA_PATH
            if same and max(a.BEGIN, b.BEGIN) < min(a.END, b.END):
                yield (
                    f"{first}.DATA ({a.BEGIN}-{a.END}) and {second}.DATA ({b.BEGIN}-{b.END}) of "
                    f"{a.DATASET} overlap: the same subjects are in both. Use disjoint ranges."
                )
