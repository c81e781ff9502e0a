"""STREAM-Net as one of the toolbox's trainers: same interface, same files.

Training is `streamnet_plugin.training.loop.fit`, reading is `streamnet_plugin.model.method`: what
is here only speaks the toolbox's language.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from streamnet_plugin.atomic import remove_leftovers, whole_file
from streamnet_plugin.checks import missing_path, network_findings, or_shipped
from streamnet_plugin.config import Config
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.model.checkpoint import load_checkpoint, shipped_checkpoint
from streamnet_plugin.model.engines import make_engine
from streamnet_plugin.model.method import n_clips, read_waveform, usable_device, usable_precision
from streamnet_plugin.model.streamnet import STREAMNet
from streamnet_plugin.training.fabric import own_fabric
from streamnet_plugin.training.loop import (
    EpochReport,
    Listener,
    StepReport,
    Validate,
    Validation,
    described,
    fit,
    load_like,
)
from streamnet_plugin.training.recipe import TrainSettings
from streamnet_plugin.training.run import (
    default_recipe,
    new_network,
    recipe_of,
    settings_of,
)
from streamnet_plugin.training.state import StateFolder
from streamnet_plugin.training.validation import make_validate
from streamnet_plugin.types import FloatArray
from toolbox_adapters.rppg_toolbox.settings import YACS_DEFAULTS, config_of


class STREAMNetTrainer:
    """Trains and tests STREAM-Net on the toolbox's data loaders.

    Attributes:
        model: the network, inside DataParallel where there are several GPUs.
        best_epoch: the epoch with the lowest validation loss.
        mc_samples: after `test`, Monte Carlo samples (S, T) by the toolbox's name of a video.
    """

    yacs_defaults = YACS_DEFAULTS

    @staticmethod
    def check_config(config: Any) -> None:
        """Whether the network can work with this configuration, and its weights with the data.

        Raises:
            ConfigError: it cannot; has every reason.
            CheckpointError: the weights to test are none, or of another image or segment size.
        """
        problems = list(_problems(config))
        if problems:
            raise ConfigError(" ".join(problems))
        if config.TOOLBOX_MODE == "only_test":
            _load_weights(config_of(config), config.INFERENCE.MODEL_PATH or None)

    def __init__(self, config: Any, data_loader: Any) -> None:
        self.check_config(config)
        if config.TOOLBOX_MODE == "only_test" and not config.INFERENCE.MODEL_PATH:
            config.defrost()  # its printout and its files are named by the weights
            size = config.TEST.DATA.PREPROCESS.RESIZE
            config.INFERENCE.MODEL_PATH = str(shipped_checkpoint(size.W, size.H))
            config.freeze()
        self.config = config
        self.own = config_of(config)
        self.device = usable_device(config.DEVICE)
        self.model_dir = Path(config.MODEL.MODEL_DIR)
        self.model_file_name = config.TRAIN.MODEL_FILE_NAME
        self.best_epoch = 0
        self.min_valid_loss: float | None = None
        self.mc_samples: dict[str, FloatArray] = {}
        self.model: nn.Module = nn.Identity()
        if config.TOOLBOX_MODE == "train_and_test":
            network = new_network(self.own)
            self.model = _spread(network.to(self.device), config.NUM_OF_GPU_TRAIN)

    def train(self, data_loader: Any) -> None:
        """All epochs; a checkpoint and, with USE_LAST_EPOCH False, a validation after each."""
        if data_loader["train"] is None:
            raise ConfigError("there is no training data: set TRAIN.DATA.DATA_PATH")
        recipe = self.config.TRAIN
        validate = not self.config.TEST.USE_LAST_EPOCH
        if validate and data_loader["valid"] is None:
            raise ConfigError(
                "there is no validation data to choose the best epoch by",
                remedy="set VALID.DATA.DATA_PATH, or TEST.USE_LAST_EPOCH: True.",
            )
        states = StateFolder(
            self._states,
            self._identity(data_loader),
            defaults=default_recipe(),
            remedy=f"restore them, or delete {self._states} to begin anew.",
        )
        with _Printer(self) as printer:
            reports = fit(
                self.model,
                data_loader["train"].dataset,
                self._settings,
                validate=self._validate(data_loader["valid"]) if validate else None,
                states=states,
                listener=printer,
                load=load_like(data_loader["train"]),
            )
        if recipe.PLOT_LOSSES_AND_LR:
            self._toolbox_base().plot_losses_and_lrs(
                [r.train_loss for r in reports],
                [r.valid_loss for r in reports if r.valid_loss is not None],
                [[rate] for r in reports for rate in r.learning_rates],
                self.config,
            )

    @property
    def _settings(self) -> TrainSettings:
        return replace(settings_of(self.own), workers=0)  # the toolbox's loaders have their own

    @property
    def _states(self) -> Path:
        return self.model_dir / f"{self.model_file_name}.state"

    def _identity(self, data_loader: Any) -> dict[str, Any]:
        """What an interrupted training must have in common with the one that goes on from it."""
        sets = {
            section: data_loader[section].dataset
            for section in ("train", "valid")
            if data_loader[section] is not None
        }
        return {
            **recipe_of(self.own),
            "clips": {section: len(clips) for section, clips in sets.items()},
            "fingerprint": {section: clips_fingerprint(clips) for section, clips in sets.items()},
        }

    def _validate(self, loader: Any) -> Validate:
        data, convention = self.own.VALID.DATA, get_convention(self.own.EVALUATION.CONVENTION)
        return make_validate(
            loader.dataset,
            self.own.MODEL.STREAMNET.LOSS,
            batch=loader.batch_size if data.PREPROCESS.DO_CHUNK else 1,  # videos differ in length
            fs=float(data.FS),
            band=convention.band,
            load=load_like(loader),
        )

    def remember(self, report: EpochReport) -> None:
        """Which epoch is the best so far."""
        if report.best and report.valid_loss is not None:
            self.min_valid_loss, self.best_epoch = report.valid_loss, report.epoch

    @torch.no_grad()
    def valid(self, data_loader: Any) -> float:
        """Mean loss over the validation batches."""
        if data_loader["valid"] is None:
            raise ConfigError("there is no validation data: set VALID.DATA.DATA_PATH")
        self.model.eval()
        found = self._validate(data_loader["valid"])(
            self.model, own_fabric(self.model, self._settings.precision)
        )
        return found.loss

    def save_model(self, index: int) -> None:
        """Write `{MODEL_FILE_NAME}_Epoch{index}.pth`, a state dict named as the toolbox's are."""
        path = self._checkpoint(index)
        state = {f"module.{k}": v for k, v in _bare(self.model).state_dict().items()}
        remedy = "free disk space, or set LOG.PATH to another folder."
        with whole_file(path, "the checkpoint", remedy) as whole, whole.open("wb") as file:
            torch.save(state, file)

    def _checkpoint(self, epoch: int) -> Path:
        return self.model_dir / f"{self.model_file_name}_Epoch{epoch}.pth"

    def test(self, data_loader: Any) -> None:
        """Read all test clips, print the toolbox's metrics, save its pickle of outputs."""
        if data_loader["test"] is None:
            raise ConfigError("there is no test data: set TEST.DATA.DATA_PATH")
        model = self._model_to_test()
        predictions: dict[str, dict[int, Tensor]] = defaultdict(dict)
        labels: dict[str, dict[int, Tensor]] = defaultdict(dict)
        samples: dict[str, dict[int, FloatArray]] = defaultdict(dict)
        keys, network = self.own.UNCERTAINTY, self.own.MODEL.STREAMNET
        precision = usable_precision(network.PRECISION, self.device)
        engine = make_engine(network.ENGINE, model, precision)
        for batch in tqdm(data_loader["test"], desc="Test", ncols=80):
            for clip, label, name, chunk in zip(*batch[:4], strict=True):
                number, frames = int(chunk), clip.float()
                bvp, drawn = read_waveform(
                    model,
                    len(frames),
                    lambda start, stop, frames=frames: frames[start:stop],  # type: ignore[misc]
                    mc_samples=keys.MC_SAMPLES,
                    mc_rate=keys.MC_RATE,
                    mc_precision=usable_precision(
                        keys.MC_PRECISION, next(model.parameters()).device
                    ),
                    engine=engine,
                    seed=keys.SEED,
                    first_clip=number * n_clips(len(frames), model.config.segment_length),
                )
                predictions[name][number] = torch.from_numpy(bvp.astype(np.float32))[:, None]
                # The labels of a whole video may go on after its frames do.
                labels[name][number] = label.float().reshape(-1, 1)[: len(bvp)].cpu()
                if drawn is not None:
                    samples[name][number] = drawn
        self.mc_samples = {
            name: np.concatenate([chunks[k] for k in sorted(chunks)], axis=1)
            for name, chunks in samples.items()
        }
        if self.config.TEST.OUTPUT_SAVE_DIR:  # first: metrics may fail where outputs do not
            self._toolbox_base().save_test_outputs(dict(predictions), dict(labels), self.config)
        import_module("evaluation.metrics").calculate_metrics(
            dict(predictions), dict(labels), self.config
        )
        if self.config.TOOLBOX_MODE == "train_and_test":
            # All is complete: the same command trains anew, as the toolbox does.
            shutil.rmtree(self._states, ignore_errors=True)

    def _model_to_test(self) -> STREAMNet:
        if self.config.TOOLBOX_MODE == "only_test":
            path = Path(self.config.INFERENCE.MODEL_PATH)
        else:
            last = self.config.TEST.USE_LAST_EPOCH
            path = self._checkpoint(self.config.TRAIN.EPOCHS - 1 if last else self.best_epoch)
        print(f"Testing uses {path}")  # noqa: T201
        model = _load_weights(self.own, path)
        return model.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _toolbox_base(self) -> Any:
        """What all its trainers inherit from: it writes outputs and draws losses."""
        base = import_module("neural_methods.trainer.BaseTrainer").BaseTrainer()
        base.model_file_name = self.model_file_name
        return base


def clips_fingerprint(clips: Any) -> str:
    """A short hash of what a dataset holds: our own say it themselves; of the toolbox's, names and
    sizes of the clips' files, and the labels. Others have their number of clips alone."""
    own = getattr(clips, "fingerprint", None)
    if own is not None:
        return str(own)
    digest = hashlib.sha256()
    files = zip(getattr(clips, "inputs", ()), getattr(clips, "labels", ()), strict=True)
    for frames, label in sorted((Path(frames), Path(label)) for frames, label in files):
        digest.update(f"{frames.name} {frames.stat().st_size} {label.name}\n".encode())
        digest.update(label.read_bytes())
    return digest.hexdigest()[:16]


class _Printer(Listener):
    """Tells of a training as the toolbox's trainers do, and saves every epoch's weights."""

    def __init__(self, trainer: STREAMNetTrainer) -> None:
        self._trainer = trainer
        self._bar: Any = None
        self._done = 0

    def __enter__(self) -> _Printer:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def begin(self, step: int, reports: Sequence[EpochReport]) -> None:
        self._done = step
        remove_leftovers(self._trainer.model_dir)
        for report in reports:
            self._trainer.remember(report)
        if step:
            print(f"Going on after step {step}, in epoch {len(reports)}")  # noqa: T201

    def after_step(self, report: StepReport) -> None:
        if self._bar is None:
            total = self._trainer.config.TRAIN.EPOCHS * report.steps
            self._bar = tqdm(total=total, initial=self._done, desc="Train", ncols=80)
        self._bar.set_postfix(loss=f"{report.loss:.4f}")
        self._bar.update()

    def after_epoch(self, report: EpochReport, validation: Validation | None) -> None:
        if report.sound:
            self._trainer.save_model(report.epoch)
        self._trainer.remember(report)
        print(f"Epoch {report.epoch}: {described(report)}")  # noqa: T201


def _load_weights(config: Config, path: str | Path | None) -> STREAMNet:
    stated = config.MODEL.STREAMNET.stated(config.TEST.DATA.PREPROCESS.RESIZE)
    return load_checkpoint(path, stated=stated)[0]


def _problems(config: Any) -> Iterator[str]:
    """Why STREAM-Net cannot work with a configuration, before any data is read."""
    if config.TOOLBOX_MODE not in ("only_test", "train_and_test"):
        yield f"TOOLBOX_MODE is {config.TOOLBOX_MODE}: set train_and_test or only_test."
        return
    for finding in network_findings(config_of(config), "toolbox"):
        if not finding.note:
            yield finding.text
    if config.TOOLBOX_MODE == "train_and_test" and not config.TRAIN.MODEL_FILE_NAME:
        yield "TRAIN.MODEL_FILE_NAME is empty: name the checkpoints."
    weights = config.INFERENCE.MODEL_PATH
    if config.TOOLBOX_MODE == "only_test" and weights and not Path(weights).is_file():
        yield (
            f"INFERENCE.MODEL_PATH {missing_path(weights)}"
            f"{or_shipped(config_of(config), 'toolbox')}."
        )
    gpus = config.NUM_OF_GPU_TRAIN
    if config.DEVICE.startswith("cuda") and gpus > torch.cuda.device_count():
        yield f"NUM_OF_GPU_TRAIN is {gpus}, this machine has {torch.cuda.device_count()} GPUs."


def _spread(network: STREAMNet, gpus: int) -> nn.Module:
    """The network on several GPUs; whole clips go to each, so no segment is torn."""
    if gpus > 1 and next(network.parameters()).is_cuda:
        return nn.DataParallel(network, device_ids=list(range(gpus)))
    return network


def _bare(model: nn.Module) -> nn.Module:
    return model.module if isinstance(model, nn.DataParallel) else model
