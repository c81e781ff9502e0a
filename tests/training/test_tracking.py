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
from streamnet_plugin.training.loop import StepReport
from streamnet_plugin.training.tracking import RunLog, make_logger

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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_writer_of_tensorboards_is_an_error(tmp_path, monkeypatch):
    log = RunLog(tmp_path, 30.0)
    log.begin(0, [])
    log.after_step(STEP)

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, "write", full)
    log.after_step(STEP)  # this is what the thread dies of
    log._board._thread.join(30)
    with pytest.raises(OutputError, match="tensorboard"):
        log.after_step(STEP)
    with pytest.raises(OutputError, match="tensorboard"):
        log.close()
    assert log._steps.closed  # whatever else fails


@pytest.fixture
def loggers(monkeypatch):
    """Stands for lightning.pytorch.loggers: what they were made with."""
    made = []

    def maker(*words, **options):
        made.append((words, options))
        return types.SimpleNamespace(run_id=f"r{len(made)}")

    module = types.SimpleNamespace(WandbLogger=maker, MLFlowLogger=maker)
    monkeypatch.setitem(sys.modules, "lightning", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "lightning.pytorch", types.SimpleNamespace(loggers=module))
    return made


def test_mlflow_writes_into_the_folder_and_goes_on_with_its_run(loggers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make_logger("mlflow", Path("runs/mine"), "mine")
    make_logger("mlflow", Path("runs/mine"), "mine")
    make_logger("mlflow", Path("runs/other"), "mine")
    (words, first), (_, again), (_, other) = loggers
    assert words == ("mine",)
    place = tmp_path / "runs" / "mine"
    assert first["tracking_uri"] == f"sqlite:///{place}/mlflow.db"
    assert first["artifact_location"] == (place / "mlflow").as_uri()
    assert (first["run_id"], again["run_id"], other["run_id"]) == (None, "r1", None)


def test_mlflow_writes_where_its_variable_says(loggers, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere")
    make_logger("mlflow", tmp_path, "mine")
    assert "tracking_uri" not in loggers[0][1]


def test_wandb_goes_on_with_the_run_of_the_folder_alone(loggers, tmp_path):
    for folder in ("a", "b", "a"):
        make_logger("wandb", tmp_path / folder, "mine")
    first, other, again = (options for _, options in loggers)
    assert first == again
    assert first["name"] == other["name"] == "mine"
    assert first["id"] != other["id"]
    assert first["resume"] == "allow"


def test_a_logger_that_is_not_there(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="wandb, mlflow"):
        make_logger("neptune", tmp_path, "mine")
    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(ConfigError, match="pip install lightning mlflow"):
        make_logger("mlflow", tmp_path, "mine")
