"""The one training loop, on Lightning Fabric: one process or many, CPU or GPUs, resumable.

The builtin backend and the toolbox's trainer adapter both train with it. What a step does depends
on the settings, the data and the number of the step alone, see `whole_batch`: so a run that is
killed and started again ends with the weights of one that never was, and several processes with
those of one.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present
from torch.utils.data import DataLoader

from streamnet_plugin.errors import ConfigError, DataError, DivergedError
from streamnet_plugin.memory import keep_freed_memory
from streamnet_plugin.training.fabric import own_fabric
from streamnet_plugin.training.recipe import LOSSES, TrainSettings, make_optimizer, make_schedule
from streamnet_plugin.training.state import StateFolder
from streamnet_plugin.training.whole_batch import (
    ClipDropout,
    Step,
    clip_dropout,
    epoch_steps,
    share,
    shared_batch_norm,
)
from streamnet_plugin.wording import count

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)
DIVERGED = "lower the learning rate (TRAIN.LR), or set TRAINING.CLIP_NORM, e.g. 1."
FAR, FAR_STEPS = 1000.0, 3
"""Diverged is what is so many times worse than a flat line over so many steps: a network that
starts with nearly nothing as its output is about as good as one, and a bad step or two mend. The
paper's recipe, cut down to 18 steps, was 23 times as bad for one, and found back."""
FLAT_LOSS = 1e-3
"""At least; that of a label that is flat itself would be nothing."""


class Clips(Protocol):
    """Clips by number: items start with a clip and its label (T,), and may go on with the video's
    name and the clip's number in it.

    A clip is (T, 6, H, W), ready for the network, unless the clips have methods of `Prepared`.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@runtime_checkable
class Prepared(Protocol):
    """Clips that make the network's input themselves, on its device."""

    def set_epoch(self, epoch: int) -> None:
        """Augmentation of this epoch."""

    def prepare(self, batch: Any, device: torch.device) -> tuple[Tensor, Tensor]:
        """(B, T, 6, H, W) float32 and labels (B, T) float32."""


@dataclass(frozen=True)
class Validation:
    """How a network did on data that it is not trained on.

    Attributes:
        loss: mean over clips.
        hr_mae: bpm, mean over videos; None where no heart rate could be read.
        waveforms: of some videos: name, output (T,) and label (T,).
    """

    loss: float
    hr_mae: float | None = None
    waveforms: tuple[tuple[str, Any, Any], ...] = ()


@dataclass(frozen=True)
class StepReport:
    """What a step of the optimizer came to; `step` and `epoch` count from 0.

    `number` is the step's in its epoch, which has `steps` of them.
    """

    step: int
    epoch: int
    number: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    clips_per_s: float


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to.

    Attributes:
        epoch: from 0.
        train_loss: mean over steps.
        valid_loss, valid_hr_mae: None without validation data.
        learning_rates: one per step.
        best: no epoch before was better, by what the settings select.
        sound: its last step left weights with a loss that is not far off; others are not kept.
        clips_per_s: in training, without validation; of the part after an interruption.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    learning_rates: tuple[float, ...]
    valid_hr_mae: float | None = None
    best: bool = False
    clips_per_s: float = 0.0
    sound: bool = True


class Listener:
    """Hears how a training goes; does nothing by itself."""

    def begin(self, step: int, reports: Sequence[EpochReport]) -> None:
        """Begins, or goes on after so many steps with these epochs behind it.

        A state of other settings has been refused by now, and nothing is written yet.
        """

    def after_step(self, report: StepReport) -> None:
        """A step is done."""

    def after_epoch(self, report: EpochReport, validation: Validation | None) -> None:
        """An epoch is done and measured; the network is in evaluation mode."""

    def before_state(self) -> None:
        """A state is about to be written: what was told up to here is never told again."""


@dataclass
class Progress:
    """How far a training is; what `StateFolder` keeps beside the tensors.

    Attributes:
        epoch: the one that is under way.
        losses, rates: of its steps that are done.
        reports: of the epochs before.
    """

    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    reports: list[EpochReport] = field(default_factory=list)

    @property
    def steps_done(self) -> int:
        return sum(len(r.learning_rates) for r in self.reports) + len(self.losses)


Validate = Callable[[nn.Module, "Fabric"], Validation]
Load = Callable[[Clips, Iterable[list[int]]], Iterable[Any]]
"""Makes batches of clips by their numbers; asked once, and iterated anew in every epoch."""


def load_with(workers: int = 0) -> Load:
    """A `DataLoader` with so many worker processes, which live as long as the training."""

    def load(clips: Clips, batches: Iterable[list[int]]) -> Iterable[Any]:
        return DataLoader(
            clips,  # type: ignore[arg-type]
            batch_sampler=batches,
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    return load


def load_like(loader: DataLoader[Any]) -> Load:
    """As another `DataLoader` does it, in another order."""

    def load(clips: Clips, batches: Iterable[list[int]]) -> Iterable[Any]:
        return DataLoader(
            clips,  # type: ignore[arg-type]
            batch_sampler=batches,
            num_workers=loader.num_workers,
            persistent_workers=loader.num_workers > 0,
            collate_fn=loader.collate_fn,
            worker_init_fn=loader.worker_init_fn,
        )

    return load


def fit(
    model: nn.Module,
    clips: Clips,
    settings: TrainSettings,
    *,
    fabric: Fabric | None = None,
    validate: Validate | None = None,
    states: StateFolder | None = None,
    listener: Listener | None = None,
    load: Load | None = None,
) -> list[EpochReport]:
    """Fit a network that maps clips (B, T, 6, H, W) to (B, T); it is left in evaluation mode.

    Args:
        model: a STREAM-Net, or a wrapper of one such as DataParallel.
        clips: what to train on.
        settings: the recipe.
        fabric: of this process, launched; None trains on the model's own device, alone.
        validate: measures the network after every epoch.
        states: where to go on from, and to save to; None does neither.
        listener: hears of steps and epochs, in the first process only.
        load: how batches are loaded; None as `load_with(settings.workers)`.

    Returns:
        What every epoch came to, those before an interruption included.

    Raises:
        ConfigError: no clips; a state of other settings.
        DataError: a label that is not finite; names its video.
        DivergedError: the loss, its gradient or the weights are no longer finite, or the loss
            stays far above that of a flat line; names the step. Of the states those are left
            whose loss was sound, and only epochs with a sound end are kept.
        OutputError: a state cannot be written.
    """
    with ExitStack() as stack:
        load = load or load_with(settings.workers)
        if states is not None and (fabric is None or fabric.is_global_zero):
            stack.enter_context(states.alone())
        run = _Run(model, clips, settings, fabric, states, listener or Listener(), load, stack)
        run.resume()
        while not run.over():
            run.epoch()
            run.measure(validate)
        run.check_end()
    model.eval()
    return run.progress.reports


class _Order:
    """A batch sampler that is told every epoch's batches."""

    def __init__(self) -> None:
        self.now: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.now)

    def __len__(self) -> int:
        return len(self.now)


class _Run:
    """A training under way."""

    def __init__(
        self,
        model: nn.Module,
        clips: Clips,
        settings: TrainSettings,
        fabric: Fabric | None,
        states: StateFolder | None,
        listener: Listener,
        load: Load,
        stack: ExitStack,
    ) -> None:
        self.fabric = fabric or own_fabric(model, settings.precision)
        if self.fabric.device.type == "cpu":
            keep_freed_memory()
        self.clips, self.settings, self.states = clips, settings, states
        self.listener = listener if self.fabric.is_global_zero else Listener()
        self.steps_per_epoch = steps = len(self._steps(0))
        if steps == 0:
            raise ConfigError("there are no clips to train on", remedy="use longer videos.")
        if len(clips) < settings.batch_clips:
            log.warning(
                "%s to train on are fewer than a batch of %d: every step sees all of them",
                count(len(clips), "clip"),
                settings.batch_clips,
            )
        optimizer = make_optimizer(model.parameters(), settings)
        self.schedule = make_schedule(optimizer, settings, settings.epochs * steps)
        self.bare, self.bare_optimizer = model, optimizer
        self.model, self.optimizer = self.fabric.setup(model, optimizer)
        self.progress = Progress()
        self.far, self.sound = 0, -1  # steps in a row; after so many steps the loss was sound
        self.order = _Order()
        self.batches = load(clips, self.order)
        self.dropout = self._exact(stack)

    def _exact(self, stack: ExitStack) -> ClipDropout | None:
        """Dropout by clip and batch norm over all processes, where the model is in one piece."""
        if isinstance(self.bare, nn.DataParallel):
            return None
        if self.fabric.world_size > 1:
            stack.enter_context(shared_batch_norm(self.bare))
        dropout = clip_dropout(self.bare, self.settings.seed, self.fabric.device)
        return stack.enter_context(dropout)

    def _steps(self, epoch: int) -> list[Step]:
        s = self.settings
        return epoch_steps(len(self.clips), s.batch_clips, s.accumulate, seed=s.seed, epoch=epoch)

    def _mine(self, clips: Sequence[int]) -> list[int]:
        """This process's share of clips or of their places."""
        return share(clips, self.fabric.global_rank, self.fabric.world_size)

    def resume(self) -> None:
        """Go on where a run before was interrupted, if there was one."""
        state = None
        if self.states is not None and self.fabric.is_global_zero:
            state = self.states.load()
        state = self.fabric.broadcast(state)
        if state is not None:
            self._restore(state)
            self.sound = state.get("sound", self.progress.steps_done - 1)
        self.listener.begin(self.progress.steps_done, self.progress.reports)

    def _restore(self, state: Mapping[str, Any]) -> None:
        weights = dict(state["model"])
        consume_prefix_in_state_dict_if_present(weights, "module.")  # older states of DataParallel
        try:
            self._network.load_state_dict(weights)
        except RuntimeError as error:
            raise ConfigError(
                f"this training began with another network: {shorten(str(error), 200)}",
                remedy="restore MODEL.STREAMNET and the size of the crops, or give another folder "
                "(-o): --force cannot put these weights into this network.",
            ) from error
        self.progress = _progress_of(state["progress"])
        if state.get("kind", self.settings.optimizer) == self.settings.optimizer:
            # The moments alone: rates and decay are the settings', which may be others by force.
            own = self.optimizer.state_dict()
            self.optimizer.load_state_dict({**own, "state": state["optimizer"]["state"]})
        else:
            log.warning(
                "the optimizer was %s: %s begins without moments",
                state["kind"],
                self.settings.optimizer,
            )
        done = self.progress.steps_done
        total = done + self._steps_left()
        self.schedule = make_schedule(self.bare_optimizer, self.settings, total, done)
        log.info("going on after step %d", done)

    @property
    def _network(self) -> nn.Module:
        """Without what spreads it: states fit any number of devices."""
        return self.bare.module if isinstance(self.bare, nn.DataParallel) else self.bare

    def _steps_left(self) -> int:
        """Of this epoch and those after it; an epoch may have had more steps before, by force."""
        here = max(0, self.steps_per_epoch - len(self.progress.losses))
        after = self.settings.epochs - self.progress.epoch - 1
        return max(0, here + after * self.steps_per_epoch)

    def save(self, *, lasting: bool = False) -> None:
        """Write a state of this moment, in the first process."""
        if self.states is None or not self.fabric.is_global_zero:
            return
        self.listener.before_state()
        self.states.save(
            self.progress.steps_done,
            {
                "model": self._network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "kind": self.settings.optimizer,
                "sound": self.sound,
                "progress": asdict(self.progress),
            },
            lasting=lasting,
        )

    def over(self) -> bool:
        """All epochs are done, or the last so many of them were no better."""
        reports, patience = self.progress.reports, self.settings.patience
        stale = bool(patience) and len(reports) > patience
        stale = stale and not any(report.best for report in reports[-patience:])
        return stale or len(reports) >= self.settings.epochs

    def epoch(self) -> None:
        """The steps of the epoch under way that are not done yet."""
        progress = self.progress
        if isinstance(self.clips, Prepared):
            self.clips.set_epoch(progress.epoch)
        todo = self._steps(progress.epoch)[len(progress.losses) :]
        self.model.train()
        # A process without a share loads one clip, for the shape of a batch of none.
        self.order.now = [self._mine(clips) or clips[:1] for step in todo for clips in step]
        batches = iter(self.batches)
        self.began, self.seen = time.perf_counter(), 0
        for step in todo:
            self._step(step, batches)
            if self.states is not None and self.far == 0 and self.states.due():
                self.save()

    def _step(self, step: Step, batches: Iterator[Any]) -> None:
        total = sum(len(clips) for clips in step)
        sums = torch.zeros(2, device=self.fabric.device)  # of the losses, and of a flat line's
        place = 0
        for number, clips in enumerate(step):
            places = range(place, place + len(clips))
            place += len(clips)
            with self.fabric.no_backward_sync(self.model, enabled=number < len(step) - 1):
                losses, flat = self._losses(next(batches), places)
                # Fabric averages over processes; each must weigh as much as it has clips.
                weight = self.fabric.world_size / total
                part = losses.sum() * weight
                self.fabric.backward(part)
            sums += torch.stack([part.detach(), flat.sum() * weight])
        means = cast(Tensor, self.fabric.all_reduce(sums, reduce_op="mean"))
        mean_loss, flat_loss = means.tolist()
        norm = self._gradient_norm()
        self._check_step(mean_loss, flat_loss, norm)
        rate = float(self.schedule.get_last_lr()[0])
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        done = self.progress.steps_done
        self.progress.losses.append(mean_loss)
        self.progress.rates.append(rate)
        self.seen += total
        self.listener.after_step(
            StepReport(
                step=done,
                epoch=self.progress.epoch,
                number=len(self.progress.losses) - 1,
                steps=self.steps_per_epoch,
                loss=mean_loss,
                learning_rate=rate,
                gradient_norm=norm,
                clips_per_s=self._clips_per_s(),
            )
        )

    def _is_far(self, loss: float, flat: float) -> bool:
        return not loss <= FAR * max(flat, FLAT_LOSS)  # so is NaN

    def _losses(self, batch: Any, places: range) -> tuple[Tensor, Tensor]:
        """(B,) losses of this process's clips, whose places in the whole step are given, and those
        of a flat line in their place."""
        mine, step = self._mine(places), self.progress.steps_done
        x, label = prepared(self.clips, batch, self.fabric.device)
        x, label = x[: len(mine)], label[: len(mine)]
        if self.dropout is None:
            torch.manual_seed(hash((self.settings.seed, step, places.start)) % 2**63)
        else:
            self.dropout.begin(step, mine)
        loss = LOSSES[self.settings.loss]
        return loss(self.model(x).float(), label), loss(torch.zeros_like(label), label)

    def _gradient_norm(self) -> float:
        """Of all gradients before they are clipped, if they are."""
        limit = self.settings.clip_norm
        norm = torch.nn.utils.clip_grad_norm_(
            self.bare.parameters(), float("inf") if limit is None else limit
        )
        return float(norm)

    def _check_step(self, loss: float, flat: float, norm: float) -> None:
        for what, value in (("loss", loss), ("gradient's norm", norm)):
            if not math.isfinite(value):
                raise self._diverged(f"the {what} is {value}")
        self.far = self.far + 1 if self._is_far(loss, flat) else 0
        if self.far == 0:
            self.sound = self.progress.steps_done
        if self.far >= FAR_STEPS:
            raise self._diverged(
                f"over {FAR_STEPS} steps the loss is more than {FAR:g} times that of a flat line, "
                f"now {loss:.4g}"
            )

    @torch.no_grad()
    def _ends_well(self) -> bool:
        """Whether the epoch's last clips have a loss that is not far off after its last step.

        As in training, whose batch norm needs no statistics of its own, and without a trace of it.
        """
        clips = self._steps(self.progress.epoch)[-1][-1]
        self.order.now = [self._mine(clips) or clips[:1]]
        (batch,) = self.batches
        kept = {name: buffer.clone() for name, buffer in self.bare.named_buffers()}
        losses, flat = self._losses(batch, range(len(clips)))
        for name, buffer in self.bare.named_buffers():
            buffer.copy_(kept[name])
        sums = torch.stack([losses.sum(), flat.sum()])
        found = cast(Tensor, self.fabric.all_reduce(sums, reduce_op="sum")) / len(clips)
        return not self._is_far(*found.tolist())

    def check_end(self) -> None:
        """A training whose last epoch did not end well has diverged."""
        reports = self.progress.reports
        if reports and not reports[-1].sound:
            raise self._diverged(
                f"at its end the loss is more than {FAR:g} times that of a flat line"
            )

    def _diverged(self, why: str) -> DivergedError:
        """The error; states that were on the way out go."""
        if self.states is not None and self.fabric.is_global_zero:
            self.states.drop_after(self.sound)
        epochs = self.settings.epochs
        epoch = f"{min(self.progress.epoch + 1, epochs)} of {epochs}"  # as it is shown
        return DivergedError(
            f"the training diverged: {why} at step {self.progress.steps_done}, in epoch "
            f"{epoch}; the last finite loss was {self._last_loss()}",
            remedy=DIVERGED,
        )

    def _last_loss(self) -> str:
        losses = self.progress.losses or [r.train_loss for r in self.progress.reports]
        return f"{losses[-1]:.4g}" if losses else "none"

    def _clips_per_s(self) -> float:
        return self.seen / max(1e-9, time.perf_counter() - self.began)

    def measure(self, validate: Validate | None) -> None:
        """Validate, report, and begin the next epoch."""
        progress, rate = self.progress, self._clips_per_s()
        sound = self._ends_well()
        self.model.eval()
        found = None if validate is None else validate(self.bare, self.fabric)
        sound = sound and (found is None or math.isfinite(found.loss))
        if sound:
            self.far, self.sound = 0, progress.steps_done
        report = EpochReport(
            epoch=progress.epoch,
            train_loss=sum(progress.losses) / len(progress.losses),
            valid_loss=None if found is None else found.loss,
            learning_rates=tuple(progress.rates),
            valid_hr_mae=None if found is None else found.hr_mae,
            clips_per_s=rate,
            sound=sound,
        )
        best = sound and is_best(report, progress.reports, self.settings)
        report = replace(report, best=best)
        log.info("epoch %d of %d: %s", report.epoch + 1, self.settings.epochs, described(report))
        self.listener.after_epoch(report, found)
        self.progress = Progress(progress.epoch + 1, reports=[*progress.reports, report])
        if sound:
            self.save(lasting=True)


def prepared(clips: Any, batch: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """(B, T, 6, H, W) and (B, T) of a batch, on the device.

    Raises:
        DataError: a label is not finite; names its video.
    """
    if isinstance(clips, Prepared):
        x, label = clips.prepare(batch, device)
    else:
        x, label = batch[0].to(device, torch.float32), batch[1].to(device, torch.float32)
        label = label.reshape(len(x), -1)
    finite = torch.isfinite(label).all(dim=1)
    if not bool(finite.all()):
        raise DataError(
            f"the label of {_name(batch, int((~finite).nonzero()[0]))} has values that are not "
            "finite",
            remedy="get the ground truth of this video again, or leave it out.",
        )
    return x, label


def clip_name(batch: Any, item: int) -> tuple[str, int] | None:
    """Video and number of a clip of a batch; None where it does not say."""
    if hasattr(batch, "video"):
        return str(batch.video[item]), int(batch.chunk[item])
    if isinstance(batch, list | tuple) and len(batch) >= 4:
        return str(batch[2][item]), int(batch[3][item])
    return None


def _name(batch: Any, item: int) -> str:
    known = clip_name(batch, item)
    return f"clip {item} of a batch" if known is None else f"clip {known[1]} of {known[0]}"


def is_best(report: EpochReport, before: Sequence[EpochReport], settings: TrainSettings) -> bool:
    """No epoch before was as good; without validation data the last one always is the best.

    Epochs whose end was not sound do not count: their weights are not kept.
    """
    score = _score(report, settings)
    if report.valid_loss is None:
        return True
    return all(score < _score(other, settings) for other in before if other.sound)


def _score(report: EpochReport, settings: TrainSettings) -> float:
    value = report.valid_hr_mae if settings.select_by == "hr_mae" else report.valid_loss
    return float("inf") if value is None or value != value else value


def described(report: EpochReport) -> str:
    """An epoch in words."""
    text = f"training loss {report.train_loss:.4f}"
    if report.valid_loss is not None:
        text += f", validation loss {report.valid_loss:.4f}"
    if report.valid_hr_mae is not None:
        text += f", HR MAE {report.valid_hr_mae:.2f} bpm"
    return text + (" (best so far)" if report.best and report.valid_loss is not None else "")


def _progress_of(saved: Mapping[str, Any]) -> Progress:
    reports = [
        EpochReport(**{**r, "learning_rates": tuple(r["learning_rates"])}) for r in saved["reports"]
    ]
    return Progress(saved["epoch"], list(saved["losses"]), list(saved["rates"]), reports)
