"""A protocol's training from its YAML: crops, clips, the loop, and a folder of results."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamnet_plugin.atomic import remove_leftovers, write_text
from streamnet_plugin.checks import STREAMNET, UNREAD_OF_OPTIMIZER, findings
from streamnet_plugin.comparison import (
    SPLIT,
    BenchmarkRun,
    benchmark,
    failure_rows,
    forced_note,
    nothing_usable,
    preprocess_data,
    preprocess_settings,
    with_weights,
)
from streamnet_plugin.config import Config, Data, Optimizer, dump_config, load_config, size_keys
from streamnet_plugin.data.datasets import dataset_fingerprint
from streamnet_plugin.data.splits import check_split, write_split
from streamnet_plugin.data_root import DataRoot, with_data_root
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.leaks import subjects_by_section
from streamnet_plugin.model.checkpoint import load_checkpoint
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.progress import Reporter, Silent
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.report.results import FailureRow
from streamnet_plugin.training.augment import Augment
from streamnet_plugin.training.clips import VideoClips
from streamnet_plugin.training.fabric import launched, make_fabric
from streamnet_plugin.training.loggers import check_loggers
from streamnet_plugin.training.loop import (
    EpochReport,
    described,
    fit,
)
from streamnet_plugin.training.recipe import TrainSettings
from streamnet_plugin.training.state import StateFolder, differences
from streamnet_plugin.training.tracking import (
    BEST,
    EPOCH_COLUMNS,
    EPOCHS,
    LAST,
    PLOTS,
    Recorder,
    RunLog,
    as_csv,
)
from streamnet_plugin.training.validation import make_validate
from streamnet_plugin.types import FaceVideo
from streamnet_plugin.wording import count

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)
MAX_WORKERS = 16
"""Processes that load clips, unless NUM_WORKERS says so: a core makes 10 augmented clips of 180
frames and 72 px a second, a step of 4 takes 38 ms on a large GPU."""
STATES, WEIGHTS, PROVENANCE, CONFIG = "state", "weights", "provenance.json", "config.yaml"
ELSEWHERE = (
    "DATA_PATH", "CACHED_PATH", "FILE_LIST_PATH", "EXP_DATA_NAME", "DO_PREPROCESS", "INFO", "FOLD",
)  # fmt: skip
"""Keys of a DATA section that say where things lie; the fingerprint says what is trained on."""
NAMES = ("MODEL_FILE_NAME", "PLOT_LOSSES_AND_LR")
"""Keys of TRAIN that change nothing of the training."""


@dataclass(frozen=True)
class TrainRun:
    """What a training came to.

    Attributes:
        folder: of the run.
        weights: the ones that the protocol tests: of the last epoch, or of the best one.
        epochs: what each came to.
        failures: recordings that could not be used.
        changed: settings that were others in a part of it, or all of it, as `KEY: old -> new`; it
            was kept by force.
    """

    folder: Path
    weights: Path
    epochs: tuple[EpochReport, ...]
    failures: tuple[FailureRow, ...]
    changed: tuple[str, ...] = ()

    def describe(self) -> str:
        """The last and the best epoch, in words."""
        last = self.epochs[-1]
        lines = [f"epoch {last.epoch + 1}: {described(last)}"]
        if self.changed:
            lines.append(f"It {forced_note(self.changed)}")
        best = [r for r in self.epochs if r.best][-1]
        if best.valid_loss is not None:
            lines.append(f"best is epoch {best.epoch + 1}: {described(best)}")
        return "\n".join([*lines, f"weights: {self.weights}"])


def train(
    config: str | Path | Config,
    *,
    overrides: Sequence[str] = (),
    size: int | None = None,
    data_root: DataRoot | None = None,
    output: str | Path | None = None,
    jobs: int = 2,
    force: bool = False,
    fabric: Fabric | None = None,
    progress: Reporter | None = None,
) -> TrainRun:
    """Train STREAM-Net by a protocol; the same call again goes on where the last one was stopped.

    In several processes, started by `torchrun` or SLURM, each takes its part of every batch; the
    result is that of one.

    Args:
        config: a YAML with TOOLBOX_MODE train_and_test, the name of a shipped one, or a parsed one.
        overrides: `KEY=VALUE` strings, of a YAML.
        size: px of the crops in all sections of a YAML; None leaves what it says.
        data_root: the dataset's folder, or one for each dataset by name; overrides DATA_PATH.
        output: folder of the run; None for LOG.PATH/MODEL_FILE_NAME.
        jobs: videos preprocessed at a time.
        force: go on even if settings or data changed since the training began.
        fabric: the processes to train in, launched; None makes it by the configuration.
        progress: hears of every step.

    Raises:
        ConfigError: the configuration cannot work, lists every problem found; or it changed.
        DataError: no video of a section could be used.
        DivergedError: the loss went beyond all bounds; names the step.
        OutputError: cache, state or weights cannot be written; what was written before is whole.
    """
    progress = progress or Silent()
    parsed = _parsed(config, overrides, size)
    parsed = with_data_root(parsed, data_root)
    check_training(parsed)
    folder = run_folder(parsed) if output is None else Path(output)
    fabric = fabric or fabric_of(parsed)
    if not fabric.is_global_zero:
        progress = Silent()
    for finding in findings(parsed, "builtin", weights=False, data=False):
        if finding.note and fabric.is_global_zero:
            log.warning("%s", finding.text)
    with fabric.rank_zero_first():
        sections = {
            name: _section(name, data, parsed, jobs, progress)
            for name, data in trained_on(parsed).items()
        }
    failures = tuple(failure for section in sections.values() for failure in section.failures)
    split = subjects_by_section(parsed.sections, "TRAIN", sections["TRAIN"].videos)
    check_split(split)
    epochs = _fit(parsed, sections, split, folder, fabric, force, progress)
    weights = tested_weights(parsed, folder)
    told = _checked_weights(weights, folder) if fabric.is_global_zero else {}  # which writes them
    steps = sum(len(report.learning_rates) for report in epochs)
    starts = _with_a_part(_starts(folder / PROVENANCE), steps)
    changed = _changed(identity(parsed, sections), starts) or tuple(told.get("changed", ()))
    return TrainRun(folder, weights, tuple(epochs), failures, changed)


def run_test(
    config: str | Path | Config,
    *,
    weights: str | Path | None = None,
    overrides: Sequence[str] = (),
    size: int | None = None,
    data_root: DataRoot | None = None,
    output: str | Path | None = "streamnet-results",
    **options: Any,
) -> BenchmarkRun:
    """Test a protocol's network, beside the classical methods that it names, on its test data.

    Args:
        config: as of `train`; also one with TOOLBOX_MODE only_test.
        weights: what to test; None for the weights of the protocol's own training, or those that
            INFERENCE.MODEL_PATH names.
        overrides, size, data_root: as of `train`.
        output, options: as of `benchmark`.

    Raises:
        ConfigError: nothing was trained yet; or see `benchmark`.
    """
    parsed = _parsed(config, overrides, size)
    trained_here = parsed.TOOLBOX_MODE == "train_and_test" and not parsed.INFERENCE.MODEL_PATH
    if weights is None and trained_here:
        weights = tested_weights(parsed, run_folder(parsed))
        if not weights.is_file():
            raise ConfigError(
                "there are no weights of this protocol's training",
                path=weights,
                remedy="run `streamnet train` first, or name other weights (--weights).",
            )
        done, epochs = _epochs_done(run_folder(parsed)), parsed.TRAIN.EPOCHS
        if done < epochs and not parsed.TRAINING.EARLY_STOPPING:
            log.warning("%s: the training has not ended: %d of %d epochs", weights, done, epochs)
    if weights is not None:
        parsed = with_weights(parsed, weights)
    return benchmark(parsed, data_root=data_root, output=output, **options)


def _parsed(config: str | Path | Config, overrides: Sequence[str], size: int | None) -> Config:
    if isinstance(config, Config):
        return config
    return load_config(config, (*size_keys(size), *overrides))


def check_training(config: Config, *, data: bool = True) -> None:
    """`ConfigError` with everything that keeps a protocol from being trained here.

    Without `data`, all but the datasets' folders: these may be about to be made.
    """
    if config.TOOLBOX_MODE != "train_and_test":
        raise ConfigError(
            f"TOOLBOX_MODE is {config.TOOLBOX_MODE}: there is nothing to train",
            remedy="set train_and_test, or use `streamnet test`.",
        )
    if config.MODEL.NAME != STREAMNET:
        raise ConfigError(
            f"MODEL.NAME is {config.MODEL.NAME!r}: the builtin backend trains {STREAMNET}",
            remedy="train other networks inside the toolbox: streamnet toolbox --config_file ...",
        )
    check_loggers(config.TRAINING.LOGGERS)
    found = findings(config, "builtin", weights=False, data=data)
    problems = [f.text for f in found if not f.note]
    if problems:
        raise ConfigError("; ".join(problems))


def run_folder(config: Config) -> Path:
    """Where a protocol's training is: LOG.PATH/MODEL_FILE_NAME."""
    return Path(config.LOG.PATH) / (config.TRAIN.MODEL_FILE_NAME or "streamnet")


def tested_weights(config: Config, folder: Path) -> Path:
    """The weights of a run that its protocol tests."""
    return folder / WEIGHTS / (LAST if config.TEST.USE_LAST_EPOCH else BEST)


def _checked_weights(weights: Path, folder: Path) -> Mapping[str, Any]:
    """What they say of themselves.

    Raises:
        ConfigError: the training is complete by its state, and its weights cannot be read.
    """
    try:
        return load_checkpoint(weights)[1]
    except StreamnetError as error:
        raise ConfigError(
            f"the training is complete, and its weights cannot be read: {error.what}",
            path=weights,
            remedy=f"restore them, or delete {folder / STATES} to train anew.",
        ) from error


def _epochs_done(folder: Path) -> int:
    """Of a run, by its table of epochs."""
    try:
        return max(0, len((folder / EPOCHS).read_text(encoding="utf-8").splitlines()) - 1)
    except (OSError, ValueError):
        return 0


def settings_of(config: Config) -> TrainSettings:
    """The recipe of a YAML."""
    keys = config.TRAINING
    return TrainSettings(
        epochs=config.TRAIN.EPOCHS,
        batch_clips=config.TRAIN.BATCH_SIZE,
        learning_rate=config.TRAIN.LR,
        weight_decay=keys.WEIGHT_DECAY,
        loss=config.MODEL.STREAMNET.LOSS,
        optimizer=keys.OPTIMIZER,
        momentum=config.TRAIN.OPTIMIZER.MOMENTUM,
        schedule=keys.SCHEDULE,
        accumulate=keys.ACCUMULATE,
        clip_norm=keys.CLIP_NORM,
        precision=keys.PRECISION,
        seed=keys.SEED,
        select_by=keys.SELECT_BY,
        patience=keys.EARLY_STOPPING,
        workers=_workers(config),
    )


def _workers(config: Config) -> int:
    """NUM_WORKERS, or for -1: where a GPU computes, the processors are free to load clips.

    A CPU that computes the network has nothing to gain from them; nor has a system that does not
    fork, where each would be sent all videos.
    """
    if config.NUM_WORKERS >= 0:
        return config.NUM_WORKERS
    if not (config.DEVICE.startswith("cuda") and sys.platform == "linux"):
        return 0
    trainings = max(1, config.NUM_OF_GPU_TRAIN, launched()[0])
    return min(MAX_WORKERS, (os.cpu_count() or 1) // trainings)


def fabric_of(config: Config) -> Fabric:
    """The processes that a YAML is trained in; starts those that are not there yet."""
    return make_fabric(config.DEVICE, config.NUM_OF_GPU_TRAIN, settings_of(config).precision)


def augment_of(config: Config) -> Augment:
    """TRAINING.AUGMENT of a YAML."""
    return Augment(**{k.lower(): v for k, v in config.TRAINING.AUGMENT.model_dump().items()})


def new_network(config: Config) -> STREAMNet:
    """An untrained network as a YAML describes it, the same for the same TRAINING.SEED."""
    import torch

    torch.manual_seed(config.TRAINING.SEED)
    keys, size = config.MODEL.STREAMNET, config.TRAIN.DATA.PREPROCESS.RESIZE
    return STREAMNet(
        STREAMNetConfig(
            height=size.H,
            width=size.W,
            segment_length=keys.FRAME_DEPTH,
            shift="wrap" if keys.SHIFT == "auto" else keys.SHIFT,
            attention=keys.ATTENTION,
            ssfem=keys.SSFEM,
            third_conv=keys.THIRD_CONV,
        )
    )


@dataclass(frozen=True)
class _Section:
    """Crops of one section of a protocol, and what could not be used of it."""

    data: Data
    videos: tuple[FaceVideo, ...]
    failures: tuple[FailureRow, ...]


def trained_on(config: Config) -> dict[str, Data]:
    """The sections that training reads: TRAIN, and VALID where it names a dataset."""
    return {name: data for name, data in config.sections.items() if name != "TEST"}


def _section(name: str, data: Data, config: Config, jobs: int, progress: Reporter) -> _Section:
    settings = preprocess_settings(data, config.EVALUATION.LABEL_ALIGNMENT)
    report = preprocess_data(data, settings, jobs=jobs, progress=progress)
    failures = [*failure_rows(report)]
    videos, needed = [], data.PREPROCESS.CHUNK_LENGTH
    for video in report.videos:
        if len(video.frames) >= needed and video.bvp is not None:
            videos.append(video)
            continue
        reason, remedy = "there is no ground truth to train on", "leave it out."
        if video.bvp is not None:
            reason = f"its {count(len(video.frames), 'frame')} are fewer than a clip's {needed}"
            remedy = "use a longer video, or a smaller CHUNK_LENGTH."
        r = video.recording
        failures.append(FailureRow(r.id, str(r.path), reason, remedy, dataset=r.dataset))
    if not videos:
        raise nothing_usable(failures, f" of {name}.DATA")
    return _Section(data, tuple(videos), tuple(failures))


def _fit(
    config: Config,
    sections: Mapping[str, _Section],
    split: Mapping[str, Sequence[str]],
    folder: Path,
    fabric: Fabric,
    force: bool,
    progress: Reporter,
) -> list[EpochReport]:
    """Train on the crops, and write everything that the run's folder holds."""
    import torch

    settings = settings_of(config)
    network = new_network(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    length = config.TRAIN.DATA.PREPROCESS.CHUNK_LENGTH
    clips = VideoClips(
        sections["TRAIN"].videos, length, augment=augment_of(config), seed=settings.seed
    )
    validate = None
    if "VALID" in sections:
        data = config.VALID.DATA
        validate = make_validate(
            VideoClips(sections["VALID"].videos, data.PREPROCESS.CHUNK_LENGTH),
            settings.loss,
            batch=settings.batch_clips,
            fs=float(data.FS),
            band=get_convention(config.EVALUATION.CONVENTION).band,
        )
    states = StateFolder(
        folder / STATES, identity(config, sections), defaults=default_recipe(), force=force
    )
    with _recorder(config, sections, split, folder, network, progress) as recorder:
        return fit(
            network,
            clips,
            settings,
            fabric=fabric,
            validate=validate,
            states=states,
            listener=recorder,
        )


def identity(config: Config, sections: Mapping[str, _Section]) -> dict[str, Any]:
    """What must not change between two parts of one training: the recipe and the data."""
    return {**recipe_of(config), "fingerprint": _fingerprints(sections)}


def _fingerprints(sections: Mapping[str, _Section]) -> dict[str, str]:
    return {name: dataset_fingerprint(section.videos) for name, section in sections.items()}


def recipe_of(config: Config) -> dict[str, Any]:
    """The keys of a YAML that a training depends on, as plain values."""
    whole = config.model_dump(mode="json")
    kept: dict[str, Any] = {
        "MODEL": {"STREAMNET": whole["MODEL"]["STREAMNET"]},
        # The convention's band is that of the HR MAE, by which an epoch may be chosen.
        "EVALUATION": {k: whole["EVALUATION"][k] for k in ("LABEL_ALIGNMENT", "CONVENTION")},
    }
    kept["TRAINING"] = {k: v for k, v in whole["TRAINING"].items() if k != "LOGGERS"}
    for name in trained_on(config):
        section = {k: v for k, v in whole[name].items() if k not in NAMES}
        if "OPTIMIZER" in section:
            default = Optimizer().model_dump(mode="json", include=set(UNREAD_OF_OPTIMIZER))
            section["OPTIMIZER"] = {**section["OPTIMIZER"], **default}
        section["DATA"] = {k: v for k, v in section["DATA"].items() if k not in ELSEWHERE}
        kept[name] = section
    return kept


def default_recipe() -> dict[str, Any]:
    """What a key of `recipe_of` is where a training's state is older than the key."""
    return Config(TOOLBOX_MODE="train_and_test").model_dump(mode="json")


def _recorder(
    config: Config,
    sections: Mapping[str, _Section],
    split: Mapping[str, Sequence[str]],
    folder: Path,
    network: STREAMNet,
    progress: Reporter,
) -> Recorder:
    """Writes what comes of a training and, before its first step, where it all comes from."""
    train = sections["TRAIN"]
    origin = provenance(
        config.model_dump(mode="json"),
        config.TRAINING.SEED,
        dataset_fingerprint(train.videos),
        {STREAMNET: network.config.to_dict()},
    )
    now = identity(config, sections)
    subjects = sorted({v.recording.subject for v in train.videos})
    own = {"fingerprints": now["fingerprint"], "train_subjects": subjects}
    told = {
        "trained_on": train.data.DATASET,
        "training": asdict(settings_of(config)),
        "provenance": {k: v for k, v in origin.items() if k not in ("config", "methods")},
    }

    def first(step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for place in (folder, folder / WEIGHTS, folder / PLOTS):
            remove_leftovers(place)
        if not step:  # what is there is another training's
            write_text(folder / EPOCHS, as_csv(EPOCH_COLUMNS, ()), "the table of epochs")
        before = _with_a_part(_starts(folder / PROVENANCE), step)
        starts = {"starts": [*before, origin | own | {"step": step}]}
        text = json.dumps(starts, indent=1, default=str) + "\n"
        write_text(folder / PROVENANCE, text, "where the training comes from")
        write_text(folder / CONFIG, dump_config(config), "the configuration")
        write_split(split, folder / SPLIT)

    name = config.TRAIN.MODEL_FILE_NAME or folder.name
    return Recorder(
        network,
        folder / WEIGHTS,
        RunLog(folder, float(config.TRAIN.DATA.FS), config.TRAINING.LOGGERS, name),
        config.TRAIN.EPOCHS,
        lambda report: {
            **told,
            **_of_all_starts(now, _starts(folder / PROVENANCE)),
            **_figures(report),
        },
        progress,
        first,
    )


def _figures(report: EpochReport) -> dict[str, Any]:
    return {
        "epoch": report.epoch,
        "train_loss": report.train_loss,
        "valid_loss": report.valid_loss,
        "valid_hr_mae_bpm": report.valid_hr_mae,
    }


def _with_a_part(starts: Sequence[Any], steps: int) -> list[Any]:
    """The starts that some of the first `steps` steps are of; what others did was not kept."""
    return [start for start in starts if steps > start.get("step", 0)]


def _of_all_starts(now: Mapping[str, Any], starts: Sequence[Any]) -> dict[str, Any]:
    """What weights say of all the parts of their training: by force these may have differed."""
    commands = [start["command"] for start in starts if start.get("command")]
    return {
        "train_subjects": sorted({s for start in starts for s in start.get("train_subjects", ())}),
        "commands": list(dict.fromkeys(commands)),
        "changed": list(_changed(now, starts)),
    }


def _changed(now: Mapping[str, Any], starts: Sequence[Any]) -> tuple[str, ...]:
    """What of the identity was otherwise at an earlier start, see `TrainRun`."""
    found: list[str] = []
    for start in starts:
        try:
            recipe = recipe_of(Config.model_validate(start["config"]))
            before = {**recipe, "fingerprint": start.get("fingerprints", now["fingerprint"])}
        except (KeyError, TypeError, ValueError):  # an older version's, with keys of its own
            continue
        found += differences(before, now)
    return tuple(dict.fromkeys(found))


def _is_start(start: Any) -> bool:
    """Not if it is damaged."""
    return (
        isinstance(start, dict)
        and isinstance(start.get("step", 0), int)
        and isinstance(start.get("train_subjects", []), list)
    )


def _starts(path: Path) -> list[Any]:
    """What was noted at earlier starts of this training."""
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
        return [start for start in starts if _is_start(start)]
    except (OSError, ValueError, KeyError, TypeError):
        return []
