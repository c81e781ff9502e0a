"""Mistakes in a protocol that can be found before a long run, each with its fix."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from streamnet_plugin.config import MIN_SIZE, Config, Data, Optimizer, parse_leniently, read_tree
from streamnet_plugin.data.datasets import FINDERS
from streamnet_plugin.data_root import DataRoot, with_data_root
from streamnet_plugin.errors import ConfigError, StreamnetError, UnknownMethodError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.leaks import leaks
from streamnet_plugin.registry import check_method, list_methods, nearest_first
from streamnet_plugin.sections import has_fold, recordings_of
from streamnet_plugin.strict_types import strict_types

if TYPE_CHECKING:
    from streamnet_plugin.model.checkpoint import StatedConfig

Backend = Literal["both", "builtin", "toolbox"]
"""What a protocol is to run on; some mistakes are mistakes on one of them only."""

DEMO = "demo"
STREAMNET = "STREAMNet"
DATA_TYPE = ("DiffNormalized", "Standardized")
LABEL_TYPE, DATA_FORMAT = "DiffNormalized", "NDCHW"
# Names that the toolbox dispatches on (commit d807b01); capitals matter to it.
TOOLBOX_CONVENTION = "toolbox-2025"
TOOLBOX_MODELS = (
    "Physnet", "iBVPNet", "FactorizePhys", "Tscan", "EfficientPhys", "DeepPhys", "BigSmall",
    "PhysFormer", "PhysMamba", "RhythmFormer",
)  # fmt: skip
TOOLBOX_METHODS = ("POS", "CHROM", "ICA", "GREEN", "LGI", "PBV", "OMIT")
TOOLBOX_DATASETS = (
    "UBFC-rPPG", "PURE", "SCAMPS", "MMPD", "BP4DPlus", "BP4DPlusBigSmall", "UBFC-PHYS", "iBVP",
    "PhysDrive",
)  # fmt: skip
UNREAD_OF_OPTIMIZER = ("EPS", "BETAS")
TOOLBOX_CHECKOUT = "RPPG_TOOLBOX"
"""Environment variable that names the rPPG-Toolbox checkout."""
TOOLBOX_MODEL_GROUP = "rppg_toolbox.models"


@dataclass(frozen=True)
class Finding:
    """What was found and what to do; a note is worth knowing, but no reason to stop."""

    text: str
    note: bool = False


def check_file(
    name: str | Path,
    overrides: Sequence[str] = (),
    data_root: DataRoot | None = None,
    backend: Backend = "both",
) -> list[Finding]:
    """Everything wrong with a protocol file: keys and types, then what the keys say.

    Keys that do not parse are left at their defaults for the rest, so that one mistake does not
    hide the others.

    Raises:
        ConfigError: there is no such file, it is not YAML, or its BASE files cannot be read.
    """
    _, tree = read_tree(name, overrides)
    config, problems = parse_leniently(tree)
    if backend != "builtin":
        for key, problem in strict_types(tree):
            problems.setdefault(key, problem)
    found = [Finding(problem) for problem in problems.values()]
    if config is None:
        return found
    try:
        config = with_data_root(config, data_root)
    except ConfigError as error:
        found.append(Finding(str(error)))
    broken = tuple(".".join(key) for key in problems)
    # A key left at its default would be blamed a second time, for the default.
    return found + [f for f in findings(config, backend) if not f.text.startswith(broken)]


def check_config(config: Config, backend: Backend = "both") -> Iterator[str]:
    """The problems of a configuration that parses, without the notes."""
    return (finding.text for finding in findings(config, backend) if not finding.note)


def findings(
    config: Config, backend: Backend = "both", *, weights: bool = True, data: bool = True
) -> Iterator[Finding]:
    """Problems and notes of a configuration that parses; of what it names on disk only if wanted.

    Args:
        weights: look at the weights, too.
        data: look at the datasets' folders, too.
    """
    # The toolbox's own models leave VALID unread with USE_LAST_EPOCH; many of its YAMLs leave
    # there what happens to be. A protocol of STREAM-Net is held to be sound as it is written.
    unread = config.TEST.USE_LAST_EPOCH and not _uses_streamnet(config)
    told: set[str] = set()
    for section, keys in config.sections.items():
        found = list(_section(section, keys, backend))
        if data:
            own = set() if unread and section == "VALID" else told  # a note stands for no problem
            found += _on_disk(f"{section}.DATA", keys, own)
        for finding in found:
            yield _as_note(finding) if unread and section == "VALID" else finding
    yield from _names(config, backend)
    if _uses_streamnet(config):
        yield from network_findings(config, backend)
    if weights:
        yield from _weights(config, backend)
    yield from _evaluation(config, backend)
    yield from _device(config)
    if config.TOOLBOX_MODE == "train_and_test":
        yield from _optimizer(config)
        yield from _validation(config, backend)
        for leak, where in leaks(config.sections):
            yield _as_note(Finding(leak)) if unread and "VALID" in where else Finding(leak)


def network_findings(config: Config, backend: Backend) -> Iterator[Finding]:
    """What keeps STREAM-Net from working on the clips of a configuration."""
    yield from _clips(config, backend)
    yield from _sizes(config)


def _optimizer(config: Config) -> Iterator[Finding]:
    """Keys that stand in the toolbox's YAMLs and that none of its trainers reads."""
    given, default = config.TRAIN.OPTIMIZER, Optimizer()
    for key in UNREAD_OF_OPTIMIZER:
        if getattr(given, key) != getattr(default, key):
            yield Finding(
                f"TRAIN.OPTIMIZER.{key} has no effect, here as in the toolbox: Adam and AdamW take "
                "torch's own.",
                note=True,
            )


def _as_note(finding: Finding) -> Finding:
    return Finding(f"{finding.text} (VALID is not read while USE_LAST_EPOCH is True.)", note=True)


def _uses_streamnet(config: Config) -> bool:
    return STREAMNET.lower() in [name.lower() for name in config.methods]


def _section(section: str, data: Data, backend: Backend) -> Iterator[Finding]:
    """Frame rate, dataset, detector and range of one section."""
    where = f"{section}.DATA"
    if data.FS < 1:
        yield Finding(f"{where}.FS is {data.FS}: set the frame rate in Hz, e.g. 30.")
    if data.BEGIN >= data.END:
        yield Finding(
            f"{where}: BEGIN {data.BEGIN} is not below END {data.END}: no subject is left. "
            "Set BEGIN below END."
        )
    if has_fold(data) and backend != "builtin":
        yield Finding(
            f"{where}.FOLD names a split of ours, which the toolbox does not read: it would take "
            "all subjects. Use BEGIN and END, or the builtin backend alone."
        )
    elif section == "TEST" and has_fold(data) and (data.BEGIN, data.END) != (0, 1):
        yield Finding(
            f"{where}: BEGIN {data.BEGIN} to END {data.END} leaves a part of the fold "
            f"{data.FOLD.FOLD_NAME!r} alone: set 0 and 1 to test all of it.",
            note=True,
        )
    yield from _dataset(where, data.DATASET, backend)
    detector = data.PREPROCESS.CROP_FACE
    if detector.DO_CROP_FACE and detector.BACKEND != "HC":
        yield Finding(
            f"{where}: the face detector BACKEND {detector.BACKEND!r} is the toolbox's only"
            + (": set HC." if backend == "builtin" else "; the builtin backend needs HC."),
            note=backend != "builtin",
        )


def _on_disk(where: str, data: Data, told: set[str]) -> Iterator[Finding]:
    """Whether the recordings of a section are there; what other sections `told` is not repeated."""
    if not data.DATA_PATH:
        yield Finding(f"{where}.DATA_PATH is empty: set the dataset's folder, or use --data-root.")
    elif data.DATA_PATH == DEMO:
        return
    elif not Path(data.DATA_PATH).is_dir() and data.DATASET != "video":
        yield Finding(f"{where}.DATA_PATH {missing_path(data.DATA_PATH)}, or use --data-root.")
    elif data.DATASET in FINDERS and data.BEGIN < data.END:
        try:
            recordings_of(data)
        except StreamnetError as error:
            if str(error) not in told:
                yield Finding(f"{where}: {error}")
            told.add(str(error))


def _dataset(where: str, name: str, backend: Backend) -> Iterator[Finding]:
    if not name:
        yield Finding(f"{where}.DATASET is empty: set UBFC-rPPG, PURE or video.")
    elif name not in FINDERS and name.removeprefix("toolbox:") not in TOOLBOX_DATASETS:
        near = nearest_first(name, [*FINDERS, *TOOLBOX_DATASETS])[0]
        yield Finding(f"{where}.DATASET: no dataset is named {name!r}: did you mean {near}?")
    elif name not in FINDERS and not os.environ.get(TOOLBOX_CHECKOUT):
        yield Finding(
            f"{where}.DATASET {name} is read by the toolbox's own loader: "
            f"set the environment variable {TOOLBOX_CHECKOUT} to its checkout.",
            note=backend != "builtin",
        )
    elif name not in TOOLBOX_DATASETS and backend != "builtin":
        yield Finding(
            f"{where}.DATASET {name} is read by the builtin backend only"
            + (
                ": use one of " + ", ".join(TOOLBOX_DATASETS) + "." if backend == "toolbox" else "."
            ),
            note=backend != "toolbox",
        )


def missing_path(path: str) -> str:
    """What is wrong with a path that does not exist, as the end of a sentence."""
    unset = [v for v in re.findall(r"\$\{?(\w+)", path) if v not in os.environ]
    if unset:
        return f"{path} does not exist: set the environment variable {unset[0]}"
    return f"{path} does not exist: correct it"


def _names(config: Config, backend: Backend) -> Iterator[Finding]:
    """Methods and models: whether anything answers to their names, and on which backend."""
    if not config.methods or not all(config.methods):
        yield Finding("no method is named: set MODEL.NAME or UNSUPERVISED.METHOD.")
    builtin = {info.name.lower(): info.name for info in list_methods()}
    unsupervised = config.TOOLBOX_MODE == "unsupervised_method"
    toolbox = TOOLBOX_METHODS if unsupervised else _toolbox_models()
    for name in filter(None, config.methods):
        own = builtin.get(name.lower())
        if name in toolbox and own is None:
            yield Finding(
                f"{name} runs with the toolbox backend only"
                + (f": use one of {', '.join(builtin.values())}." if backend == "builtin" else "."),
                note=backend != "builtin",
            )
        elif own is None:
            yield Finding(_unregistered(name, [*builtin.values(), *toolbox]))
        elif name != own and backend != "builtin":
            yield Finding(f"{name!r}: capitals matter to the toolbox: write {own}.")
        elif unsupervised and name not in toolbox and backend != "builtin":
            yield Finding(
                f"{name} runs with the builtin backend only"
                + (f": use one of {', '.join(toolbox)}." if backend == "toolbox" else "."),
                note=backend != "toolbox",
            )


def _unregistered(name: str, known: Sequence[str]) -> str:
    """Why nothing answers to a name: unknown, or of a family whose package is missing."""
    try:
        check_method(name)
    except UnknownMethodError as error:
        return f"{error.what}: did you mean {nearest_first(name, known)[0]}?"
    except StreamnetError as error:
        return str(error)
    return f"no method {name!r} is registered: did you mean {nearest_first(name, known)[0]}?"


def _toolbox_models() -> tuple[str, ...]:
    """The toolbox's own models, STREAM-Net, and those that other packages plug in."""
    plugged = [point.name for point in entry_points(group=TOOLBOX_MODEL_GROUP)]
    return tuple(dict.fromkeys((*TOOLBOX_MODELS, STREAMNET, *plugged)))


def _clips(config: Config, backend: Backend) -> Iterator[Finding]:
    """Clips that STREAM-Net can read: whole segments, and its two kinds of frames."""
    depth = config.MODEL.STREAMNET.FRAME_DEPTH
    for section, data in config.sections.items():
        p, where = data.PREPROCESS, f"{section}.DATA"
        if p.DO_CHUNK and p.CHUNK_LENGTH % depth:
            lower = p.CHUNK_LENGTH // depth * depth
            yield Finding(
                f"{where}.PREPROCESS.CHUNK_LENGTH {p.CHUNK_LENGTH} is no multiple of "
                f"MODEL.STREAMNET.FRAME_DEPTH {depth}: set {lower or depth} or {lower + depth}."
            )
        if section == "TRAIN" and backend != "builtin" and _augmented(config):
            yield Finding(
                "TRAINING.AUGMENT changes clips in the builtin backend only; inside the toolbox "
                "they stay as they are.",
                note=True,
            )
        if section == "TRAIN" and not p.DO_CHUNK and config.TRAIN.BATCH_SIZE > 1:
            yield Finding(
                f"{where}.PREPROCESS.DO_CHUNK is False: videos of different lengths make no batch "
                f"of {config.TRAIN.BATCH_SIZE}. Set it to True."
            )
        if backend == "builtin" or section == "UNSUPERVISED":
            continue  # the builtin backend makes the network's input itself, whatever these say
        expected: tuple[tuple[str, object, object], ...] = (
            ("PREPROCESS.DATA_TYPE", list(p.DATA_TYPE), list(DATA_TYPE)),
            ("PREPROCESS.LABEL_TYPE", p.LABEL_TYPE, LABEL_TYPE),
            ("DATA_FORMAT", data.DATA_FORMAT, DATA_FORMAT),
        )
        for key, found, needed in expected:
            if found != needed:
                yield Finding(f"{where}.{key} is {found!r}, STREAM-Net needs {needed}: set that.")


def _augmented(config: Config) -> bool:
    return any(config.TRAINING.AUGMENT.model_dump().values())


def _sizes(config: Config) -> Iterator[Finding]:
    """A network has the image size of the clips it is trained on."""
    if config.TOOLBOX_MODE != "train_and_test":
        return
    train = _size(config.TRAIN.DATA)
    if min(train) < MIN_SIZE:
        yield Finding(
            f"TRAIN.DATA.PREPROCESS.RESIZE is {_px(train)}: the network needs at least "
            f"{MIN_SIZE} x {MIN_SIZE} px."
        )
    for section, data in config.sections.items():
        if _size(data) != train:
            yield Finding(
                f"{section}.DATA.PREPROCESS.RESIZE is {_px(_size(data))}, TRAIN's is {_px(train)}: "
                "set the same, the network has one size."
            )


def _size(data: Data) -> tuple[int, int]:
    return data.PREPROCESS.RESIZE.W, data.PREPROCESS.RESIZE.H


def _px(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]} px"


def _weights(config: Config, backend: Backend) -> Iterator[Finding]:
    """INFERENCE.MODEL_PATH: there, readable, and of the image size and segments asked for."""
    path, streamnet = config.INFERENCE.MODEL_PATH, _uses_streamnet(config)
    tests_weights = config.TOOLBOX_MODE == "only_test"
    if not path:
        if tests_weights and not streamnet and config.MODEL.NAME in _toolbox_models():
            yield Finding("INFERENCE.MODEL_PATH is empty: give the weights to test.")
        if streamnet and (config.TOOLBOX_MODE != "train_and_test" or backend == "builtin"):
            from streamnet_plugin.model.checkpoint import shipped_checkpoint

            yield from _weights_fit(config, shipped_checkpoint(*_size(config.test_data)), backend)
    elif streamnet and not Path(path).is_file():
        yield Finding(f"INFERENCE.MODEL_PATH {missing_path(path)}{or_shipped(config, backend)}.")
    elif streamnet:
        yield from _weights_fit(config, Path(path), backend)
    elif tests_weights and config.MODEL.NAME in _toolbox_models() and not Path(path).is_file():
        root = os.environ.get(TOOLBOX_CHECKOUT)
        if root is None or not Path(root, path).is_file():
            # The toolbox's YAMLs name weights relative to its own folder, wherever that is.
            elsewhere = root is None and not Path(path).is_absolute() and "$" not in path
            yield Finding(
                f"INFERENCE.MODEL_PATH {missing_path(path)}"
                + (
                    ", or set RPPG_TOOLBOX if it lies in the toolbox's folder."
                    if elsewhere
                    else "."
                ),
                note=elsewhere,
            )


def _weights_fit(config: Config, path: Path, backend: Backend) -> Iterator[Finding]:
    from streamnet_plugin.model.checkpoint import read_stated_config

    try:
        weights = read_stated_config(path)
    except StreamnetError as error:
        yield Finding(f"INFERENCE.MODEL_PATH: {error}")
        return
    made_for = weights.config.width, weights.config.height
    depth = config.MODEL.STREAMNET.FRAME_DEPTH
    if weights.stated and weights.config.segment_length != depth:
        yield Finding(
            f"MODEL.STREAMNET.FRAME_DEPTH is {depth}, the weights {path.name} have segments of "
            f"{weights.config.segment_length} frames: set {weights.config.segment_length}."
        )
    if not _takes(weights, config, backend):
        size = _size(config.test_data)
        section = "UNSUPERVISED" if config.TOOLBOX_MODE == "unsupervised_method" else "TEST"
        yield Finding(
            f"{section}.DATA.PREPROCESS.RESIZE is {_px(size)}, the weights {path.name} are made "
            f"for {_px(made_for)}: set RESIZE to W {made_for[0]}, H {made_for[1]}, or "
            "INFERENCE.MODEL_PATH to weights of that size."
        )


def _takes(weights: StatedConfig, config: Config, backend: Backend) -> bool:
    """Whether weights can read crops of that size; the builtin backend shrinks larger ones."""
    width, height = _size(config.test_data)
    larger = width >= weights.config.width and height >= weights.config.height
    return weights.fits(width, height) or (backend == "builtin" and larger)


def or_shipped(config: Config, backend: Backend) -> str:
    """What else to do about INFERENCE.MODEL_PATH, as the end of a sentence: the shipped weights.

    Nothing where they are of another size.
    """
    from streamnet_plugin.model.checkpoint import read_stated_config, shipped_checkpoint

    shipped = shipped_checkpoint(*_size(config.test_data))
    fit = _takes(read_stated_config(shipped), config, backend)
    return ", or leave it empty for the shipped checkpoint" if fit else ""


def _evaluation(config: Config, backend: Backend) -> Iterator[Finding]:
    """Whether the toolbox's own printout and our tables can show the same numbers."""
    convention = config.EVALUATION.CONVENTION
    try:
        get_convention(convention)
    except StreamnetError as error:
        yield Finding(f"EVALUATION.CONVENTION: {error}")
        return
    if backend == "builtin":
        return
    if convention != TOOLBOX_CONVENTION:
        yield Finding(
            f"EVALUATION.CONVENTION is {convention}, and the toolbox prints {TOOLBOX_CONVENTION}: "
            f"set {TOOLBOX_CONVENTION}, or use the builtin backend alone (--backend builtin)."
        )
    if config.EVALUATION.LABEL_ALIGNMENT != "index":
        yield Finding(
            "EVALUATION.LABEL_ALIGNMENT is timestamp in the builtin backend only; set index for "
            "numbers that equal the toolbox's.",
            note=True,
        )


def _device(config: Config) -> Iterator[Finding]:
    """DEVICE and NUM_OF_GPU_TRAIN; classical methods run anywhere."""
    networks = [n for n in config.methods if n.split(":")[0].upper() not in TOOLBOX_METHODS]
    if config.TOOLBOX_MODE == "unsupervised_method" or not networks:
        return
    device, gpus = config.DEVICE, config.NUM_OF_GPU_TRAIN
    if device.startswith("cuda"):
        available = _cuda_devices()
        if not available:
            yield Finding(f"DEVICE is {device}, but this machine has no CUDA: set DEVICE: cpu.")
        elif gpus > available or _index(device) >= available:
            yield Finding(
                f"DEVICE is {device} and NUM_OF_GPU_TRAIN {gpus}, and this machine has {available} "
                f"GPU{'s' * (available > 1)}: set DEVICE below cuda:{available} and "
                f"NUM_OF_GPU_TRAIN to at most {available}."
            )
        elif gpus == 0:
            yield Finding(f"DEVICE is {device} and NUM_OF_GPU_TRAIN 0: set 1, or DEVICE: cpu.")
    elif gpus > 1:
        yield Finding(
            f"NUM_OF_GPU_TRAIN is {gpus} and DEVICE {device}: set NUM_OF_GPU_TRAIN: 0, or "
            "DEVICE: cuda:0."
        )
    elif gpus == 0 and config.MODEL.NAME in TOOLBOX_MODELS:
        yield Finding(
            "NUM_OF_GPU_TRAIN is 0, by which some of the toolbox's models divide: set 1, also on "
            "a CPU.",
            note=True,
        )


def _index(device: str) -> int:
    """Of a CUDA device: 1 of "cuda:1"; 0 where none is given."""
    digits = device.partition(":")[2]
    return int(digits) if digits.isdigit() else 0


def _cuda_devices() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _validation(config: Config, backend: Backend) -> Iterator[Finding]:
    if "VALID" in config.sections:
        return
    if not config.TEST.USE_LAST_EPOCH:
        yield Finding(
            "TEST.USE_LAST_EPOCH is False and VALID.DATA names no dataset: set VALID.DATA, e.g. a "
            "range of the training set's subjects, or USE_LAST_EPOCH: True."
        )
    elif backend != "builtin":
        yield Finding(
            "VALID.DATA names no dataset, which the toolbox demands even with USE_LAST_EPOCH: "
            "copy TRAIN.DATA there with a range of subjects of its own."
        )
