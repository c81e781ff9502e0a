"""What is written down while a training goes: tables, TensorBoard, plots."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from streamnet_plugin.atomic import whole_file, write_text
from streamnet_plugin.errors import OutputError
from streamnet_plugin.model.checkpoint import save_checkpoint
from streamnet_plugin.model.streamnet import STREAMNet
from streamnet_plugin.progress import Reporter
from streamnet_plugin.training.board import Board
from streamnet_plugin.training.loggers import Logger
from streamnet_plugin.training.loop import EpochReport, Listener, StepReport, Validation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)
STEPS, EPOCHS = "steps.csv", "epochs.csv"
BEST, LAST = "best.safetensors", "last.safetensors"
STEP_COLUMNS = ("step", "epoch", "loss", "learning_rate", "gradient_norm", "clips_per_s")
EPOCH_COLUMNS = ("epoch", "train_loss", "valid_loss", "valid_hr_mae", "best", "clips_per_s")
TENSORBOARD, PLOTS = "tensorboard", "plots"
LOG, LOG_REMEDY = "the training's log", "free disk space and run the same command again."
SHOWN_S = 10.0
"""So much of a waveform is drawn."""


class RunLog(Listener):
    """`steps.csv`, `epochs.csv`, TensorBoard, and plots of losses, rates and waveforms.

    After an interruption the tables go on where the training goes on: rows of steps that are done
    again are taken out first.

    Args:
        folder: of the run.
        fs: of the waveforms, Hz.
        loggers: services to tell as well, see `Logger`.
        name: of the run there.
    """

    def __init__(
        self, folder: Path, fs: float, loggers: Sequence[str] = (), name: str = ""
    ) -> None:
        self.folder, self.fs, self._kinds, self._name = folder, fs, loggers, name
        self._others: list[Logger] = []
        self._reports: list[EpochReport] = []
        self._first = 0
        self._steps: Any = None
        self._board: Any = None

    def begin(self, step: int, reports: Sequence[EpochReport]) -> None:
        self._first, self._reports = step, list(reports)

    def _open(self) -> None:
        """Begin the tables, with the rows of the steps before this part of the training."""
        if self._steps is not None:
            return
        path = self.folder / STEPS
        with _named(path):
            kept = _rows_before(path, self._first)
            write_text(path, as_csv(STEP_COLUMNS, kept), "the table of steps")
            self._steps = path.open("a", newline="", encoding="utf-8")
        with _named(self.folder / TENSORBOARD):
            self._board = Board(self.folder / TENSORBOARD, self._first)
        for kind in self._kinds:
            self._others.append(Logger(kind, self.folder, self._name))

    def after_step(self, report: StepReport) -> None:
        self._open()
        row = {name: getattr(report, name) for name in STEP_COLUMNS}
        with _named(self.folder / STEPS):
            csv.DictWriter(self._steps, STEP_COLUMNS, lineterminator="\n").writerow(row)
            self._steps.flush()
        self._metrics(
            {
                "train/loss": report.loss,
                "train/learning_rate": report.learning_rate,
                "train/gradient_norm": report.gradient_norm,
                "train/clips_per_s": report.clips_per_s,
            },
            report.step,
        )

    def after_epoch(self, report: EpochReport, validation: Validation | None) -> None:
        self._open()
        self._reports = [*self._reports, report]
        steps = sum(len(r.learning_rates) for r in self._reports)
        rows = [{name: getattr(r, name) for name in EPOCH_COLUMNS} for r in self._reports]
        write_text(self.folder / EPOCHS, as_csv(EPOCH_COLUMNS, rows), "the table of epochs")
        found = {"valid/loss": report.valid_loss, "valid/hr_mae": report.valid_hr_mae}
        known = {name: value for name, value in found.items() if value is not None}
        self._metrics({"train/epoch_loss": report.train_loss, **known}, steps - 1)
        save_figure(losses_figure(self._reports), self.folder / PLOTS / "losses")
        if validation is not None and validation.waveforms:
            figure = waveforms_figure(validation.waveforms, self.fs)
            with _named(self.folder / TENSORBOARD):
                self._board.figure("valid/bvp", figure, steps - 1)
            name = f"bvp-epoch-{report.epoch:03d}"
            save_figure(figure, self.folder / PLOTS / name, kinds=("png",))

    def _metrics(self, metrics: Mapping[str, float], step: int) -> None:
        with _named(self.folder / TENSORBOARD):
            for name, value in metrics.items():
                self._board.scalar(name, value, step)
        for logger in self._others:
            logger.log(metrics, step)

    def before_state(self) -> None:
        if self._board is not None:
            with _named(self.folder / TENSORBOARD):
                self._board.flush()

    def close(self, failed: bool = False) -> None:
        """Write what is not written yet, and whether the training failed.

        Raises:
            OutputError: something could not be written; the others are.
        """
        with ExitStack() as stack:
            for logger in self._others:
                stack.callback(logger.close, failed)
            for path, what in ((TENSORBOARD, self._board), (STEPS, self._steps)):
                if what is not None:
                    stack.enter_context(_named(self.folder / path))
                    stack.callback(what.close)


class Recorder(Listener):
    """Keeps the last and the best weights beside a `RunLog`, and tells of the progress.

    Args:
        network: that is trained.
        weights: folder of `last.safetensors` and `best.safetensors`.
        log: tables and plots; closed when this is left, as a context.
        epochs: in all.
        metadata: what an epoch's weights say of themselves.
        progress: hears of every step.
        first: called with the number of steps that are done, before anything is written.
    """

    def __init__(
        self,
        network: STREAMNet,
        weights: Path,
        log: RunLog,
        epochs: int,
        metadata: Callable[[EpochReport], Mapping[str, Any]],
        progress: Reporter,
        first: Callable[[int], None] = lambda step: None,
    ) -> None:
        self._first = first
        self._network, self._weights, self._log = network, weights, log
        self._epochs, self._metadata, self._progress = epochs, metadata, progress
        self._epoch = -1

    def begin(self, step: int, reports: Sequence[EpochReport]) -> None:
        self._first(step)
        self._log.begin(step, reports)

    def after_step(self, report: StepReport) -> None:
        self._log.after_step(report)
        if report.epoch != self._epoch:
            self._epoch = report.epoch
            stage = f"Epoch {report.epoch + 1} of {self._epochs}"
            self._progress.start(stage, report.steps - report.number)
        self._progress.step(f"loss {report.loss:.4f}, {report.clips_per_s:.2f} clips/s")

    def after_epoch(self, report: EpochReport, validation: Validation | None) -> None:
        if report.sound:
            metadata = self._metadata(report)
            for name in (LAST, *([BEST] if report.best else [])):
                save_checkpoint(self._network, self._weights / name, metadata)
        else:
            log.warning("epoch %d did not end well: its weights are not kept", report.epoch + 1)
        self._log.after_epoch(report, validation)

    def before_state(self) -> None:
        self._log.before_state()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        # Where the training has failed already, that is what is to be told.
        with suppress(*([OutputError] if failed else [])):
            self._log.close(failed is not None)


def losses_figure(reports: Sequence[EpochReport]) -> Figure:
    """Losses and HR MAE over epochs, the learning rate over steps."""
    from matplotlib.figure import Figure

    epochs = [r.epoch for r in reports]
    figure = Figure(figsize=(7, 5), layout="constrained")
    loss, rate = figure.subplots(2, 1)
    loss.plot(epochs, [r.train_loss for r in reports], "o-", ms=3, label="training loss")
    _plot_known(loss, epochs, [r.valid_loss for r in reports], "s-", "validation loss")
    loss.set(xlabel="epoch", ylabel="loss")
    if any(r.valid_hr_mae is not None for r in reports):
        other = loss.twinx()
        _plot_known(other, epochs, [r.valid_hr_mae for r in reports], "^:", "HR MAE", "tab:green")
        other.set_ylabel("validation HR MAE (bpm)", color="tab:green")
    loss.legend(loc="best")
    rate.plot([x for r in reports for x in r.learning_rates])
    rate.set(xlabel="step", ylabel="learning rate")
    return figure


def _plot_known(
    axes: Any, x: Sequence[int], y: Sequence[float | None], style: str, label: str, color: str = ""
) -> None:
    known = [(a, b) for a, b in zip(x, y, strict=True) if b is not None]
    if known:
        options = {"color": color} if color else {}
        axes.plot(*zip(*known, strict=True), style, ms=3, label=label, **options)


def waveforms_figure(waveforms: Sequence[tuple[str, Any, Any]], fs: float) -> Figure:
    """Read and true difference-normalised BVP of some videos, the first seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.8 * len(waveforms)), layout="constrained")
    axes = figure.subplots(len(waveforms), 1, squeeze=False)[:, 0]
    for ax, (name, pred, label) in zip(axes, waveforms, strict=True):
        n = min(len(pred), int(SHOWN_S * fs))
        t = np.arange(n) / fs
        ax.plot(t, label[:n], lw=1, color="0.6", label="true")
        ax.plot(t, pred[:n], lw=1, label="read")
        ax.set(title=name, xlabel="s", ylabel="diff. BVP")
    axes[0].legend(loc="upper right", ncols=2)
    return figure


def save_figure(figure: Figure, stem: Path, kinds: Sequence[str] = ("png", "svg")) -> None:
    """Write a figure, whole or not at all, in each kind of file."""
    for kind in kinds:
        with whole_file(stem.with_suffix(f".{kind}"), LOG, LOG_REMEDY) as whole:
            figure.savefig(whole, format=kind, dpi=150)


def _rows_before(path: Path, step: int) -> list[dict[str, Any]]:
    """Rows of an older table of steps up to, and without, a step; a torn or damaged one is none."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="ascii", errors="replace")
    lines = (line.split(",") for line in text.splitlines()[1:])
    whole = (
        line for line in lines if len(line) == len(STEP_COLUMNS) and all(map(_is_number, line))
    )
    rows = (dict(zip(STEP_COLUMNS, line, strict=True)) for line in whole)
    return [row for row in rows if row["step"].isdecimal() and int(row["step"]) < step]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """A table as text, its header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """An error of the system while writing a log becomes one that names the file."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{LOG} cannot be written: {error}", path=path, remedy=LOG_REMEDY
        ) from error
