"""From a protocol's YAML to weights: `streamnet train`, `streamnet test`, and Python."""

from __future__ import annotations

import csv
import json
import logging
import shutil

import pytest
import yaml
from tiny import QUICK
from typer.testing import CliRunner

import streamnet_plugin as sp
from streamnet_plugin.cli import app
from streamnet_plugin.config import load_config
from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_ubfc
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.model.checkpoint import load_checkpoint
from streamnet_plugin.training import fabric
from streamnet_plugin.training import run as run_module
from streamnet_plugin.training.run import check_training, settings_of


@pytest.fixture(scope="module")
def ubfc(ubfc_people):
    return ubfc_people(5, 8.0)


@pytest.fixture(scope="module")
def run(ubfc, tmp_path_factory):
    """A finished training of two epochs and the folder that it was started in."""
    place = tmp_path_factory.mktemp("run")
    done = sp.train("train/ubfc-intra", overrides=QUICK, data_root=ubfc, output=place / "run")
    return place, done


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_everything_is_in_the_runs_folder(run, ubfc):
    folder = run[1].folder
    assert run[1].weights == folder / "weights" / "best.safetensors"  # USE_LAST_EPOCH: False
    steps, epochs = rows(folder / "steps.csv"), rows(folder / "epochs.csv")
    # 3 subjects of 8 s at 30 Hz: 4 clips of 60 frames each, 6 batches of 2.
    assert [int(r["step"]) for r in steps] == list(range(12))
    assert [r["epoch"] for r in epochs] == ["0", "1"]
    assert all(float(r["valid_hr_mae"]) >= 0 for r in epochs)
    split = json.loads((folder / "split.json").read_text())
    assert {name: len(part) for name, part in split.items()} == {"TRAIN": 3, "VALID": 1, "TEST": 1}
    assert len({s for part in split.values() for s in part}) == 5
    assert yaml.safe_load((folder / "config.yaml").read_text())["TRAIN"]["EPOCHS"] == 2
    (start,) = json.loads((folder / "provenance.json").read_text())["starts"]
    assert start["versions"]["torch"]
    assert start["data_fingerprint"]
    for name in ("losses.png", "losses.svg", "bvp-epoch-000.png", "bvp-epoch-001.png"):
        assert (folder / "plots" / name).stat().st_size > 1000
    model, metadata = load_checkpoint(run[1].weights)
    assert (model.config.width, model.config.shift) == (16, "wrap")
    assert metadata["trained_on"] == "UBFC-rPPG"
    assert metadata["train_subjects"] == ["subject1", "subject2", "subject3"]


def test_tensorboard_has_the_losses(run):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(run[1].folder / "tensorboard"))
    events.Reload()
    written = [e.value for e in events.Scalars("train/loss")]
    told = [float(r["loss"]) for r in rows(run[1].folder / "steps.csv")]
    assert written == pytest.approx(told, rel=1e-5)
    assert len(events.Images("valid/bvp")) >= 1


def test_the_same_command_again_trains_no_more(run, ubfc):
    before = run[1].weights.read_bytes()
    again = sp.train("train/ubfc-intra", overrides=QUICK, data_root=ubfc, output=run[1].folder)
    assert again.weights.read_bytes() == before
    assert [r.train_loss for r in again.epochs] == [r.train_loss for r in run[1].epochs]
    assert len(json.loads((run[1].folder / "provenance.json").read_text())["starts"]) == 2
    assert len(rows(run[1].folder / "steps.csv")) == 12


def test_settings_that_were_others_are_told_where_they_had_a_part(run, ubfc, tmp_path):
    assert run[1].changed == ()
    options = {"data_root": ubfc, "output": tmp_path / "run"}
    with pytest.raises(StreamnetError, match="diverged"):
        sp.train("train/ubfc-intra", overrides=[*QUICK, "TRAIN.LR=1e30"], **options)
    anew = sp.train("train/ubfc-intra", overrides=QUICK, **options)  # nothing was left of it
    assert anew.changed == ()
    longer = [*QUICK, "TRAIN.EPOCHS=3"]
    done = sp.train("train/ubfc-intra", overrides=longer, force=True, **options)
    assert done.changed == ("TRAIN.EPOCHS: 2 -> 3",)
    again = sp.train("train/ubfc-intra", overrides=longer, **options)
    assert again.changed == done.changed


def test_settings_by_which_nothing_was_trained_have_no_part(run, ubfc, tmp_path):
    shutil.copytree(run[1].folder, tmp_path / "run")
    options = {"data_root": ubfc, "output": tmp_path / "run"}
    other = sp.train("train/ubfc-intra", overrides=[*QUICK, "TRAIN.LR=0.5"], force=True, **options)
    assert other.changed == ("TRAIN.LR: 0.001 -> 0.5",)  # all of it was trained otherwise
    assert sp.train("train/ubfc-intra", overrides=QUICK, **options).changed == ()


def test_weights_name_the_people_of_every_part_of_their_training(run, ubfc, tmp_path):
    shutil.copytree(run[1].folder, tmp_path / "run")
    others = ["TRAIN.EPOCHS=3", "TRAIN.DATA.BEGIN=0.4", "TRAIN.DATA.END=0.8"]
    others += ["VALID.DATA.BEGIN=0.0", "VALID.DATA.END=0.2"]
    sp.train(
        "train/ubfc-intra",
        overrides=[*QUICK, *others],
        data_root=ubfc,
        output=tmp_path / "run",
        force=True,
    )
    _, told = load_checkpoint(tmp_path / "run" / "weights" / "last.safetensors")
    assert told["train_subjects"] == ["subject1", "subject2", "subject3", "subject4"]


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"")])
def test_a_complete_training_without_its_weights_is_told(run, ubfc, tmp_path, damage):
    shutil.copytree(run[1].folder, tmp_path / "run")
    damage(tmp_path / "run" / "weights" / "best.safetensors")
    with pytest.raises(ConfigError, match="is complete") as error:
        sp.train("train/ubfc-intra", overrides=QUICK, data_root=ubfc, output=tmp_path / "run")
    assert "run/state" in error.value.remedy


def test_a_damaged_table_of_steps_is_gone_on_with(run, ubfc, tmp_path):
    shutil.copytree(run[1].folder, tmp_path / "run")
    path = tmp_path / "run" / "steps.csv"
    path.write_bytes(path.read_bytes()[:-30] + bytes(200_000) + b"\xff\xfe")
    (tmp_path / "run" / "provenance.json").write_bytes(bytes(99))
    longer = [*QUICK, "TRAIN.EPOCHS=3"]
    sp.train(
        "train/ubfc-intra", overrides=longer, data_root=ubfc, output=tmp_path / "run", force=True
    )
    assert [int(r["step"]) for r in rows(path)] == [*range(11), *range(12, 18)]


def test_a_training_that_begins_anew_does_not_keep_the_table_of_another(run, ubfc, tmp_path):
    shutil.copytree(run[1].folder, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "state")
    keys = [*QUICK, "TRAIN.LR=1e35"]
    with pytest.raises(StreamnetError, match="diverged"):
        sp.train("train/ubfc-intra", overrides=keys, data_root=ubfc, output=tmp_path / "run")
    assert rows(tmp_path / "run" / "epochs.csv") == []


def test_what_a_killed_process_had_begun_to_write_goes(run, ubfc, tmp_path):
    shutil.copytree(run[1].folder, tmp_path / "run")
    for place in ("weights", "plots", "."):
        (tmp_path / "run" / place / ".making-1x").mkdir()
    sp.train("train/ubfc-intra", overrides=QUICK, data_root=ubfc, output=tmp_path / "run")
    assert [*(tmp_path / "run").rglob(".making-*")] == []


def test_changed_settings_are_refused_unless_forced(run, ubfc, tmp_path, caplog):
    folder = tmp_path / "run"
    shutil.copytree(run[1].folder, folder)
    longer = [*QUICK, "TRAIN.EPOCHS=3"]
    with pytest.raises(ConfigError, match=r"TRAIN\.EPOCHS: 2 -> 3") as error:
        sp.train("train/ubfc-intra", overrides=longer, data_root=ubfc, output=folder)
    assert "--force" in error.value.remedy
    with caplog.at_level(logging.WARNING):
        done = sp.train(
            "train/ubfc-intra", overrides=longer, data_root=ubfc, output=folder, force=True
        )
    assert "TRAIN.EPOCHS: 2 -> 3" in caplog.text
    assert len(done.epochs) == 3
    assert len(rows(folder / "steps.csv")) == 18
    # Weights of two recipes say so for good, also to later commands that change nothing.
    told = "was trained with other settings, at first or all the time, and kept by force"
    again = sp.train("train/ubfc-intra", overrides=longer, data_root=ubfc, output=folder)
    for one in (done, again):
        assert f"It {told} (TRAIN.EPOCHS: 2 -> 3" in one.describe()
    assert told not in run[1].describe()
    for weights, notes in ((folder / "weights" / "last.safetensors", 1), (run[1].weights, 0)):
        tested = sp.run_test(
            "train/ubfc-intra", weights=weights, overrides=QUICK, data_root=ubfc, output=None,
            plots=False,
        )  # fmt: skip
        assert [told in note for note in tested.results.notes].count(True) == notes
    _, metadata = load_checkpoint(folder / "weights" / "last.safetensors")
    assert len(metadata["commands"]) == 1  # all in this process


def test_a_size_is_one_for_training_and_test(run, ubfc, tmp_path):
    with pytest.raises(ConfigError, match="8 x 8 px: the network needs at least 16 x 16"):
        sp.train("train/ubfc-intra", size=8, data_root=ubfc, output=tmp_path / "run")
    with pytest.raises(ConfigError, match="8 x 8"):
        sp.run_test("train/ubfc-intra", size=8, weights=run[1].weights, data_root=ubfc, output=None)


def test_moved_data_are_the_same(run, ubfc, tmp_path):
    shutil.copytree(ubfc, tmp_path / "data")
    shutil.copytree(run[1].folder, tmp_path / "run")
    again = sp.train(
        "train/ubfc-intra", overrides=QUICK, data_root=tmp_path / "data", output=tmp_path / "run"
    )
    assert again.changed == ()


def test_other_data_are_refused(run, ubfc, tmp_path):
    other, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(ubfc, other)
    shutil.rmtree(other / "subject1")
    write_ubfc(other / "subject1", easy(9, width=320, height=240, duration_s=8.0), codec="mjpg")
    shutil.copytree(run[1].folder, folder)
    with pytest.raises(ConfigError, match=r"fingerprint\.TRAIN"):
        sp.train("train/ubfc-intra", overrides=QUICK, data_root=other, output=folder)


def test_test_reads_the_runs_weights(run, ubfc, monkeypatch, tmp_path, caplog):
    monkeypatch.chdir(tmp_path)
    options = ["train/ubfc-intra", *QUICK, "--data-root", str(ubfc), "--no-plots", "-o", "out"]
    runner = CliRunner()
    missing = runner.invoke(app, ["test", *options], standalone_mode=False)
    assert isinstance(missing.exception, ConfigError)
    assert "streamnet train" in missing.exception.remedy
    shutil.copytree(run[1].folder, tmp_path / "runs" / "exp" / "ubfc_intra_streamnet")
    longer = runner.invoke(app, ["test", *options, "TRAIN.EPOCHS=3"], standalone_mode=False)
    assert "has not ended: 2 of 3 epochs" in longer.output + caplog.text
    shutil.rmtree(tmp_path / "out")
    caplog.clear()
    done = runner.invoke(app, ["test", *options], standalone_mode=False)
    assert done.exception is None, done.output
    assert "has not ended" not in done.output + caplog.text
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [s["method"] for s in results["summaries"]] == ["STREAMNet"]
    assert {r["recording"] for r in results["rows"]} == {"subject5"}
    epoch = results["provenance"]["methods"]["STREAMNet"]["epoch"]
    assert epoch == [r.epoch for r in run[1].epochs if r.best][-1]


def test_weights_tested_on_people_they_were_trained_on_are_told(run, ubfc):
    overrides = [*QUICK, f"INFERENCE.MODEL_PATH={run[1].weights}", "TEST.DATA.BEGIN=0.4"]
    config = load_config("train/ubfc-intra", [*overrides, "TOOLBOX_MODE=only_test"])
    done = sp.benchmark(config, data_root=ubfc, output=None)
    (note,) = [n for n in done.results.notes if "was trained on" in n]
    assert "1 person of the test (subject3)" in note


def test_a_bad_video_costs_itself_and_is_named(ubfc, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(ubfc, root)
    (root / "subject2" / "vid.avi").write_bytes(b"no video")
    labels = root / "subject3" / "ground_truth.txt"
    lines = labels.read_text().splitlines()
    lines[0] = " ".join(["1.0"] * len(lines[0].split()))
    labels.write_text("\n".join(lines))
    options = ["train/ubfc-intra", *QUICK, "TRAIN.EPOCHS=1", "--data-root", str(root)]
    done = CliRunner().invoke(
        app, ["train", *options, "-o", str(tmp_path / "run")], standalone_mode=False
    )
    assert done.return_value == 1 or done.exit_code == 1, done.output
    assert "FAILED subject2" in done.output
    assert "FAILED subject3" in done.output
    assert (tmp_path / "run" / "weights" / "last.safetensors").is_file()


def test_a_subject_in_two_splits_is_refused(ubfc, tmp_path):
    with pytest.raises(ConfigError, match=r"leak.*subject4"):
        sp.train(
            "train/ubfc-intra",
            overrides=[*QUICK, "TRAIN.DATA.END=0.8"],
            data_root=ubfc,
            output=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_divergence_keeps_the_last_good_weights(run, ubfc, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run[1].folder, folder)
    before = (folder / "weights" / "last.safetensors").read_bytes()
    overrides = [*QUICK, "TRAIN.EPOCHS=4", "TRAIN.LR=1e35", "TRAINING.SCHEDULE=constant"]
    with pytest.raises(StreamnetError, match="diverged"):
        sp.train("train/ubfc-intra", overrides=overrides, data_root=ubfc, output=folder, force=True)
    assert (folder / "weights" / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("valid", [True, False])
def test_weights_of_a_diverging_training_are_not_kept(run, ubfc, tmp_path, valid):
    """Whose loss is finite, and whose epochs may end before it is known."""
    folder = tmp_path / "run"
    keys = QUICK if valid else [*QUICK, "VALID.DATA.DATASET='None'", "TEST.USE_LAST_EPOCH=True"]
    sp.train("train/ubfc-intra", overrides=keys, data_root=ubfc, output=folder)
    before = {p.name: p.read_bytes() for p in (folder / "weights").iterdir()}
    wild = [*keys, "TRAIN.EPOCHS=6", "TRAIN.LR=10", "TRAINING.SCHEDULE=constant"]
    with pytest.raises(StreamnetError, match="diverged"):
        sp.train("train/ubfc-intra", overrides=wild, data_root=ubfc, output=folder, force=True)
    assert {p.name: p.read_bytes() for p in (folder / "weights").iterdir()} == before
    good = [*keys, "TRAIN.EPOCHS=3"]
    done = sp.train("train/ubfc-intra", overrides=good, data_root=ubfc, output=folder, force=True)
    assert done.epochs[-1].train_loss < 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("TOOLBOX_MODE=only_test", "nothing to train"),
        ("MODEL.NAME=Tscan", "inside the toolbox"),
        ("TRAIN.DATA.PREPROCESS.CHUNK_LENGTH=55", "no multiple"),
    ],
)
def test_what_cannot_be_trained_is_refused(override, message, ubfc):
    config = load_config("train/ubfc-intra", [override, f"TRAIN.DATA.DATA_PATH={ubfc}"])
    with pytest.raises(ConfigError) as error:
        check_training(config)
    assert message in str(error.value)


def test_the_keys_of_a_yaml_become_the_recipe():
    config = load_config(
        "train/ubfc-intra",
        [
            "TRAINING.OPTIMIZER=sgd", "TRAIN.OPTIMIZER.MOMENTUM=0.5", "TRAINING.ACCUMULATE=3",
            "TRAINING.SELECT_BY=hr_mae", "TRAINING.EARLY_STOPPING=4", "TRAINING.CLIP_NORM=2",
            "TRAINING.SCHEDULE=cosine", "TRAINING.PRECISION=bfloat16", "NUM_WORKERS=2",
        ],
    )  # fmt: skip
    s = settings_of(config)
    assert (s.optimizer, s.momentum, s.accumulate, s.select_by) == ("sgd", 0.5, 3, "hr_mae")
    assert (s.patience, s.clip_norm, s.schedule, s.precision) == (4, 2.0, "cosine", "bfloat16")
    assert (s.epochs, s.learning_rate, s.batch_clips, s.workers) == (30, 9e-3, 4, 2)


@pytest.mark.parametrize(
    ("keys", "workers"),
    [
        (["DEVICE=cuda:0"], 12),
        (["DEVICE=cuda:0", "NUM_OF_GPU_TRAIN=4"], 3),
        (["DEVICE=cuda:0", "NUM_WORKERS=0"], 0),
        (["DEVICE=cpu"], 0),
    ],
)
def test_clips_are_loaded_beside_a_gpu_alone(keys, workers, monkeypatch):
    monkeypatch.setattr(run_module.os, "cpu_count", lambda: 12)
    monkeypatch.setattr(run_module.sys, "platform", "linux")
    assert settings_of(load_config("train/ubfc-intra", keys)).workers == workers


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, (1, 1)),
        ({"LOCAL_RANK": "0", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, (4, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "6", "SLURM_NNODES": "3"}, (2, 3)),
    ],
)
def test_processes_as_they_were_started(env, expected, monkeypatch):
    for name in ("LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert fabric.launched() == expected
