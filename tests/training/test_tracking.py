"""What is written down while a training goes, and what happens where it cannot be."""

from __future__ import annotations

import errno
import subprocess
import sys
import types
from pathlib import Path

import pytest
from tensorboardX.record_writer import RecordWriter

from streamnet_plugin.errors import ConfigError, OutputError
from streamnet_plugin.training import loggers
from streamnet_plugin.training.loggers import Logger, check_loggers
from streamnet_plugin.training.loop import StepReport
from streamnet_plugin.training.tracking import RunLog

STEP = StepReport(0, 0, 0, 10, 1.0, 1e-3, 1.0, 5.0)
FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from streamnet_plugin.errors import OutputError
from streamnet_plugin.training.loop import StepReport
from streamnet_plugin.training.tracking import Recorder, RunLog
from streamnet_plugin.progress import Silent

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
folder = Path(sys.argv[1])
try:
    with Recorder(None, folder, RunLog(folder, 30.0), 1, lambda report: {}, Silent()) as recorder:
        recorder.begin(0, [])
        for step in range(100_000):
            recorder.after_step(StepReport(step, 0, step, 10, 1.0, 1e-3, 1.0, 5.0))
except OutputError as error:
    print(error)
    sys.exit(7)
"""


def test_a_full_disk_ends_the_training_with_a_named_file(tmp_path):
    """By a real limit of the system, in a process that must neither hang nor say anything else."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 7, done.stderr
    assert "the training's log cannot be written" in done.stdout
    assert str(tmp_path) in done.stdout
    assert "free disk space" in done.stdout


def full(self, *arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def log(tmp_path):
    """With a step in it, after which everything was written."""
    log = RunLog(tmp_path, 30.0)
    log.begin(0, [])
    log.after_step(STEP)
    return log


def test_tensorboards_full_disk_is_an_error(log, monkeypatch):
    monkeypatch.setattr(RecordWriter, "write", full)
    with pytest.raises(OutputError, match=r"tensorboard.*No space left"):
        log.after_step(STEP)


def test_what_comes_last_is_an_error_too(log, monkeypatch):
    monkeypatch.setattr(RecordWriter, "flush", full)
    with pytest.raises(OutputError, match=r"tensorboard.*No space left"):
        log.close()
    assert log._steps.closed  # whatever else fails


class Service:
    """Stands for lightning.pytorch.loggers: keeps what its loggers are made with and told.

    Attributes:
        runs: of an address, those that are there.
        failing: what happens to whoever tells it something.
    """

    def __init__(self):
        self.made, self.told, self.ended, self.failing = [], [], [], None
        self.runs = {}
        self.WandbLogger = self.MLFlowLogger = self.make

    def make(self, *words, **options):
        known = self.runs.setdefault(options.get("tracking_uri"), [])
        if options.get("run_id") is None:
            known.append(f"r{len(known)}")
        self.made.append((words, options))
        return types.SimpleNamespace(
            run_id=options.get("run_id") or known[-1],
            experiment=types.SimpleNamespace(get_run=known.index),
            log_metrics=self.log,
            finalize=self.ended.append,
        )

    def log(self, metrics, step):
        if self.failing:
            raise self.failing
        self.told.append((step, metrics))


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setitem(sys.modules, "lightning", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "lightning.pytorch", types.SimpleNamespace(loggers=service))
    monkeypatch.setattr(loggers, "find_spec", lambda name: name)
    return service


def test_mlflow_writes_into_the_folder_and_goes_on_with_its_run(service, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("a b#", "a b#", "other"):
        (tmp_path / "runs" / folder).mkdir(parents=True, exist_ok=True)
        Logger("mlflow", Path("runs") / folder, "mine")
    (words, first), (_, again), (_, other) = service.made
    assert words == ("mine",)
    place = tmp_path / "runs" / "a b#"
    assert first["tracking_uri"] == f"sqlite:///{tmp_path}/runs/a b%23/mlflow.db"
    assert first["artifact_location"] == (place / "mlflow").as_uri()
    assert ("run_id" in first, again["run_id"], "run_id" in other) == (False, "r0", False)


def test_a_run_of_another_place_or_that_is_gone_is_begun_anew(service, tmp_path, monkeypatch):
    Logger("mlflow", tmp_path, "mine")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    Logger("mlflow", tmp_path, "mine")
    assert service.runs["http://somewhere"] == ["r0"]
    service.runs["http://somewhere"].clear()
    Logger("mlflow", tmp_path, "mine")
    assert service.runs["http://somewhere"] == ["r0"]
    assert not any("artifact_location" in options for _, options in service.made[1:])


def test_wandb_goes_on_with_the_run_of_the_folder_alone(service, tmp_path):
    for folder in ("a", "b", "a"):
        Logger("wandb", tmp_path / folder, "mine")
    first, other, again = (options for _, options in service.made)
    assert first == again
    assert first["name"] == other["name"] == "mine"
    assert first["id"] != other["id"]
    assert first["resume"] == "allow"


@pytest.mark.parametrize("failed", [False, True])
def test_services_are_told_of_steps_and_of_the_end(service, tmp_path, failed):
    log = RunLog(tmp_path, 30.0, ["mlflow"], "mine")
    log.begin(0, [])
    assert not list(tmp_path.iterdir())  # the training may be refused yet
    log.after_step(STEP)
    log.close(failed)
    ((step, metrics),) = service.told
    assert (step, metrics["train/loss"]) == (0, 1.0)
    assert service.ended == ["failed" if failed else "success"]


def test_a_service_that_fails_is_an_error_of_ours(service, tmp_path):
    log = RunLog(tmp_path, 30.0, ["mlflow"], "mine")
    log.begin(0, [])
    service.failing = ConnectionError("nobody there")
    with pytest.raises(OutputError, match=r"mlflow fails: nobody there.*TRAINING\.LOGGERS"):
        log.after_step(STEP)
    service.MLFlowLogger = None
    with pytest.raises(OutputError, match="mlflow fails"):
        Logger("mlflow", tmp_path, "mine")


def test_a_logger_that_is_not_there(monkeypatch):
    with pytest.raises(ConfigError, match="wandb, mlflow"):
        check_loggers(["neptune"])
    monkeypatch.setattr(loggers, "find_spec", lambda name: None if name == "mlflow" else name)
    with pytest.raises(ConfigError, match=r"not installed: mlflow.*pip install lightning mlflow"):
        check_loggers(["wandb", "mlflow"])
