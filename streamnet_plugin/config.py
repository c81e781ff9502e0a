"""Protocols in the rPPG-Toolbox's YAML schema, as typed and frozen models.

The keys and their defaults are the toolbox's (see its `config.py`, commit d807b01), so that
one file serves both backends. Keys of our own live under `MODEL.STREAMNET`, `TRAINING`,
`EVALUATION` and `UNCERTAINTY`. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamnet_plugin.errors import ConfigError

DataType = Literal["DiffNormalized", "Standardized", "Raw", ""]
Mode = Literal["train_and_test", "only_test", "unsupervised_method"]
MIN_SIZE = 16
"""Of a crop's side, px: STREAM-Net's unpadded convolutions and poolings leave nothing of less."""
MAX_SEED = 2**63 - 1
"""torch's generators take no larger one."""


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
    """The toolbox's; MOMENTUM alone is read, of "sgd"."""

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
    # What computes waveforms at test time, and in which precision; auto is bfloat16 where the
    # processor multiplies it natively.
    ENGINE: Literal["torch", "compile", "onnxruntime", "openvino"] = "torch"
    PRECISION: Literal["auto", "float32", "bfloat16"] = "float32"

    def stated(self, size: Resize) -> dict[str, Any]:
        """Fields of a STREAMNetConfig that these keys and the crops' size fix for given weights.

        A key left at its default says nothing of modules: weights of TS-CAN need no SSFEM: False.
        """
        said: dict[str, Any] = {
            "height": size.H,
            "width": size.W,
            "segment_length": self.FRAME_DEPTH,
        }
        if self.SHIFT != "auto":
            said["shift"] = self.SHIFT
        for key in ("ATTENTION", "SSFEM", "THIRD_CONV"):
            if getattr(self, key) != type(self).model_fields[key].default:
                said[key.lower()] = getattr(self, key)
        return said


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

    CONVENTION names the HR band. LABEL_ALIGNMENT is "index", the toolbox's (label i of UBFC-rPPG
    belongs to frame i, PURE's labels are stretched to the frame count), so that a plain YAML of
    the toolbox gives its numbers; or "timestamp", which places labels by their own clock.
    """

    CONVENTION: str = "toolbox-2025"
    LABEL_ALIGNMENT: Literal["timestamp", "index"] = "index"
    BASELINE: str = ""  # the method that the others are tested against; empty: every pair
    OUTPUT: str = ""  # results folder of a run inside the toolbox; empty: beside its own outputs


class Uncertainty(_Node):
    """`UNCERTAINTY`: Monte Carlo dropout, calibration and withholding, ours.

    MC_RATE null means the trained rates. MC_PRECISION "auto" draws samples in bfloat16 where the
    processor multiplies it natively; the reading itself is always float32. CALIBRATOR is a file
    that `streamnet calibrate` wrote; without it, every subject's intervals are calibrated on the
    other subjects of the same run, leaving out one at a time or, with FOLDS, a part. Windows are
    withheld where there is no pulse, and beyond that until the others reach TARGET_MAE (bpm), or
    until a share of KEEP is left.
    """

    MC_SAMPLES: int = Field(30, ge=0)
    MC_RATE: float | None = Field(None, ge=0, lt=1)
    MC_PRECISION: Literal["auto", "float32", "bfloat16"] = "auto"
    SEED: int = Field(100, ge=0, le=MAX_SEED)
    CALIBRATOR: str = ""
    FOLDS: int = Field(0, ge=0)
    TARGET_MAE: float | None = Field(None, gt=0, allow_inf_nan=False)
    KEEP: float | None = Field(None, gt=0, le=1)


AUGMENT_LIMITS = {
    "CROP_JITTER": 0.25,
    "SHAKE": 0.12,
    "GAIN": 1.0,
    "DRIFT": 0.5,
    "NOISE": 50.0,
    "RESAMPLE": 0.5,
}
"""The largest of each strength; beyond, a clip shows hardly a face or no heart rate of anybody."""


def _strength(name: str) -> Any:
    return Field(0.0, ge=0, le=AUGMENT_LIMITS[name])


class Augmentation(_Node):
    """`TRAINING.AUGMENT`: how far training clips are changed; 0 or False is not at all."""

    FLIP: bool = False
    CROP_JITTER: float = _strength("CROP_JITTER")  # share of the side
    SHAKE: float = _strength("SHAKE")  # share of the side
    GAIN: float = _strength("GAIN")
    DRIFT: float = _strength("DRIFT")
    NOISE: float = _strength("NOISE")  # levels of 255
    RESAMPLE: float = _strength("RESAMPLE")
    TIME_REVERSAL: bool = False


class Training(_Node):
    """`TRAINING`: what the toolbox's TRAIN section has no key for, ours.

    PRECISION is that of the forward pass. A step of the optimizer takes ACCUMULATE batches of
    TRAIN.BATCH_SIZE clips, over all processes together. CLIP_NORM limits the norm of the gradient.
    SELECT_BY says what the best epoch has least of on VALID; after EARLY_STOPPING epochs without a
    better one training stops, 0 never. LOGGERS: wandb, mlflow; tables and TensorBoard are always
    written.
    """

    OPTIMIZER: Literal["adamw", "adam", "sgd"] = "adamw"
    WEIGHT_DECAY: float = Field(0.0, ge=0)
    SCHEDULE: Literal["onecycle", "cosine", "constant"] = "onecycle"
    PRECISION: Literal["float32", "bfloat16", "float64"] = "float32"
    ACCUMULATE: int = Field(1, ge=1)
    CLIP_NORM: float | None = Field(None, gt=0)
    SEED: int = Field(100, ge=0, le=MAX_SEED)
    SELECT_BY: Literal["loss", "hr_mae"] = "loss"
    EARLY_STOPPING: int = Field(0, ge=0)
    AUGMENT: Augmentation = Augmentation()
    LOGGERS: tuple[Literal["wandb", "mlflow"], ...] = ()


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
    NUM_WORKERS: int = Field(-1, ge=-1)  # processes that load clips; -1 chooses
    LOG: Log = Log()
    EVALUATION: Evaluation = Evaluation()
    TRAINING: Training = Training()
    UNCERTAINTY: Uncertainty = Uncertainty()

    @property
    def sections(self) -> dict[str, Data]:
        """The data that the mode names, by section; VALID only where it names a dataset."""
        if self.TOOLBOX_MODE == "unsupervised_method":
            return {"UNSUPERVISED": self.UNSUPERVISED.DATA}
        if self.TOOLBOX_MODE == "only_test":
            return {"TEST": self.TEST.DATA}
        named = {} if self.VALID.DATA.DATASET in ("", "None") else {"VALID": self.VALID.DATA}
        return {"TRAIN": self.TRAIN.DATA, **named, "TEST": self.TEST.DATA}

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
        ConfigError: neither exists; lists the shipped names. Or it is an override.
    """
    path = Path(name)
    if path.is_file():
        return path
    root = shipped_configs()
    candidate = root / Path(f"{name}.yaml" if path.suffix not in (".yaml", ".yml") else name)
    if candidate.is_file():
        return candidate
    key, equals, _ = str(name).partition("=")
    if equals and key.split(".")[0] in Config.model_fields:
        raise ConfigError(
            f"{name} stands where the configuration's name belongs",
            remedy=f"name the configuration first, e.g. benchmark/demo {name}.",
        )
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
    path, tree = read_tree(name, overrides)
    return parse_config(tree, path, [override.partition("=")[0] for override in overrides])


def size_keys(px: int | None) -> tuple[str, ...]:
    """Overrides that set the size of the crops in every section; none for None."""
    if px is None:
        return ()
    sections, sides = ("TRAIN", "VALID", "TEST", "UNSUPERVISED"), ("H", "W")
    return tuple(f"{s}.DATA.PREPROCESS.RESIZE.{side}={px}" for s in sections for side in sides)


def read_tree(name: str | Path, overrides: Sequence[str] = ()) -> tuple[Path, dict[str, Any]]:
    """The keys of a protocol file as they are written, over those of its BASE files.

    As in the toolbox, BASE lists files relative to the one that names them; later ones win over
    earlier ones, and the file itself over all of them.

    Returns:
        The file's path, and the tree with the overrides in it; nothing is validated yet.

    Raises:
        ConfigError: missing file, broken YAML, a file that is its own base, or an override that
            is not of the form KEY=VALUE.
    """
    path = find_config(name)
    tree = _read_with_bases(path, ())
    for override in overrides:
        _apply_override(tree, override)
    return path, tree


def _read_with_bases(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in above:
        chain = " -> ".join(p.name for p in (*above[above.index(path.resolve()) :], path))
        raise ConfigError(
            f"BASE leads back to the file itself: {chain}", path=path, remedy="break the circle."
        )
    own = _read_yaml(path)
    bases = own.get("BASE", [])
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ConfigError(
            f"BASE is {bases!r}, not a list of files", path=path, remedy="write BASE: [other.yaml]."
        )
    tree: dict[str, Any] = {}
    for base in filter(None, bases):
        file = path.parent / base
        if not file.is_file():
            raise ConfigError(
                f"BASE names {base}, and there is no file {file}",
                path=path,
                remedy="give its path relative to the file that names it.",
            )
        _overlay(tree, _read_with_bases(file, (*above, path.resolve())))
    _overlay(tree, own)
    return tree


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not valid YAML: {error}", path=path) from error
    if not isinstance(tree, dict):
        raise ConfigError(
            "the file does not hold a mapping of keys", path=path, remedy="see configs/benchmark."
        )
    return _unshared(tree)


def _unshared(value: Any) -> Any:
    """A copy in which YAML's aliases are sections of their own, and every key is a text."""
    if isinstance(value, Mapping):
        return {str(key): _unshared(item) for key, item in value.items()}
    return value


def _overlay(tree: dict[str, Any], over: Mapping[str, Any]) -> None:
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), dict):
            _overlay(tree[key], value)
        else:
            tree[key] = value


def parse_config(
    tree: Mapping[str, Any], path: Path | None = None, overridden: Sequence[str] = ()
) -> Config:
    """Validate a parsed YAML tree; raises `ConfigError` with one line per problem.

    Problems of keys that are overridden are not blamed on the file.
    """
    try:
        return Config.model_validate(expand_paths(tree))
    except ValidationError as error:
        problems = {".".join(map(str, i["loc"])): _explain(i) for i in error.errors()}
        given = [key for key in problems if any(_of_one_branch(key, o) for o in overridden)]
        told = [f"{problems.pop(key)} (an override)" for key in given]
        raise ConfigError(
            "; ".join([*told, *problems.values()]), path=path if problems else None
        ) from error


def _of_one_branch(a: str, b: str) -> bool:
    """One key is the other, or below it; of a section nobody knows, it is the section's."""
    return f"{a}.".startswith(f"{b}.") or f"{b}.".startswith(f"{a}.")


def parse_leniently(tree: Mapping[str, Any]) -> tuple[Config | None, dict[tuple[str, ...], str]]:
    """A configuration without the keys that do not parse, and what is wrong with each of those.

    Returns:
        The configuration, None if not even TOOLBOX_MODE can be told; and problems by key.
    """
    tree = _unshared(expand_paths(tree))
    problems: dict[tuple[str, ...], str] = {}
    while True:
        try:
            return Config.model_validate(tree), problems
        except ValidationError as error:
            found: dict[tuple[str, ...], str] = {}
            for item in error.errors():
                key = tuple(part for part in item["loc"] if isinstance(part, str))
                found.setdefault(key, _explain(item))
        problems = {**found, **problems}
        removed = [_remove(tree, key) for key in found]
        if not any(removed):
            return None, problems


def _remove(tree: Any, key: Sequence[str]) -> bool:
    """Take a key out of a tree; False if it is not in it."""
    for part in key[:-1]:
        tree = tree.get(part) if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or key[-1] not in tree:
        return False
    del tree[key[-1]]
    return True


def expand_paths(value: Any) -> Any:
    """Expand `$NAME` and `~` in path values; an unset variable stays as written."""
    if isinstance(value, Mapping):
        return {
            key: os.path.expanduser(os.path.expandvars(item))
            if isinstance(item, str) and str(key).endswith("PATH")
            else expand_paths(item)
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
        known = {name.upper(): name for name in _known_keys(parents)}
        near = difflib.get_close_matches(leaf.upper(), known, n=1, cutoff=0.0)
        return f"unknown key {where}" + (f" (nearest known key: {known[near[0]]})" if near else "")
    if item["type"] == "missing":
        return f"{where} is missing"
    found = item["input"]
    return f"{where}: {item['msg'].lower()}, found {found!r}{_type_fix(item['type'], found)}"


def _type_fix(kind: str, found: Any) -> str:
    if kind.startswith("int_"):
        number = isinstance(found, float) and math.isfinite(found)
        return f": write {round(found)}" if number else ": write a whole number"
    if kind.startswith("float_"):
        return ": write a number with a decimal point"
    fixes = {"bool": "True or False", "string": "it in quotes", "tuple": "a list, e.g. [a, b]"}
    fix = fixes.get(kind.split("_")[0])
    return f": write {fix}" if fix else ""


def _known_keys(parents: Sequence[str]) -> list[str]:
    node: type[BaseModel] = Config
    for parent in parents:
        node = submodel(node, parent) or node
    return list(node.model_fields)


def submodel(node: type[BaseModel], key: str) -> type[BaseModel] | None:
    """The model of a key that is a section, None for one that is a value."""
    annotation = node.model_fields[key].annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def dump_config(config: Config) -> str:
    """The resolved configuration, every default visible, as YAML."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
