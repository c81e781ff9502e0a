"""The loop learns, does the same every time however it is cut up, and stops where it must."""

from __future__ import annotations

import csv
import logging
import os
import re
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import several
import torch
from tiny import SETTINGS, SIZE, Stop, StopAt, TinyClips, network

from streamnet_plugin.errors import ConfigError, DataError, StreamnetError
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.training.loop import EpochReport, Listener, Validation, fit, is_best
from streamnet_plugin.training.state import StateFolder, read_state
from streamnet_plugin.training.validation import hr_error, make_validate, validation_of
from streamnet_plugin.training.whole_batch import (
    clip_dropout,
    epoch_steps,
    share,
    shared_batch_norm,
)

HERE = Path(__file__).parent


def trained(settings=SETTINGS, clips=None, **options):
    model = network()
    reports = fit(model, TinyClips() if clips is None else clips, settings, **options)
    return model.state_dict(), reports


def scalars(folder, name):
    """(step, value) of a curve as TensorBoard shows it."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [(e.step, e.value) for e in events.Scalars(name)]


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def reference():
    return trained()


def test_the_loss_falls_and_the_same_seed_gives_the_same_weights(reference):
    weights, reports = reference
    assert reports[-1].train_loss < 0.9 * reports[0].train_loss
    assert equal(weights, trained()[0])
    assert not equal(weights, trained(replace(SETTINGS, seed=2))[0])


@pytest.mark.parametrize("batch", [2, 8])
def test_accumulated_batches_make_one_step(batch):
    # Batch norm sees each forward pass by itself; without it, they are one batch.
    def run(settings):
        model = network()
        model.ssfem.eval()
        model.ssfem.train = lambda mode=True: model.ssfem  # stays in evaluation mode
        fit(model, TinyClips(16), settings)
        return model.state_dict()

    whole = run(replace(SETTINGS, epochs=1, batch_clips=8, accumulate=1, learning_rate=1e-4))
    parts = run(
        replace(SETTINGS, epochs=1, batch_clips=batch, accumulate=8 // batch, learning_rate=1e-4)
    )
    for name in whole:
        torch.testing.assert_close(whole[name], parts[name], atol=2e-6, rtol=0)


def test_an_epoch_sees_every_clip_once_in_an_order_of_its_own():
    steps = [epoch_steps(21, 4, 2, seed=1, epoch=e) for e in range(2)]
    for epoch in steps:
        assert sorted(i for step in epoch for clips in step for i in clips) == list(range(21))
        assert [len(step) for step in epoch] == [2, 2, 2]
    assert steps[0] != steps[1]
    # Between two processes, of whom one may get nothing.
    assert share([5, 6, 7], 0, 2) + share([5, 6, 7], 1, 2) == [5, 7, 6]
    assert share([5], 1, 2) == []


def test_a_clips_masks_do_not_depend_on_its_company():
    model = network().train()
    x = torch.randn(3, 10, 6, 16, 16)
    with clip_dropout(model, 7, torch.device("cpu")) as dropout:
        model.ssfem.eval()
        dropout.begin(5, range(3))
        together = model(x)
        dropout.begin(5, [1])
        alone = model(x[1:2])
        dropout.begin(6, [1])
        later = model(x[1:2])
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=0)
    assert not torch.allclose(alone, later, atol=1e-3)


def test_shared_batch_norm_alone_is_batch_norm():
    torch.manual_seed(0)
    plain, shared = torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64).float().mul(3).add(7)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.randn(4, 3, 5, 5)
    (plain(a) * weight).sum().backward()
    with shared_batch_norm(shared):
        (shared(b) * weight).sum().backward()
    torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-4)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, shared.state_dict()[name])
    torch.testing.assert_close(plain.weight.grad, shared.weight.grad, atol=1e-4, rtol=1e-4)


def by_torchrun(script):
    """Two processes of one machine."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    yield [*command, "--nproc_per_node", "2", *script], {}


def by_slurm(script):
    """One process on each of two machines, as SLURM starts them; here both are this one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    job = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NODELIST": "a,b"}
    job |= {"SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
    job |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for rank in ("0", "1"):
        task = {"SLURM_PROCID": rank, "SLURM_NODEID": rank, "SLURM_LOCALID": "0"}
        yield [sys.executable, *script], job | task


@pytest.fixture(scope="module")
def in_one_process():
    return several.both(lambda precision: None)


@pytest.mark.parametrize("started", [by_torchrun, by_slurm])
def test_two_processes_are_one(tmp_path, started, in_one_process):
    script = [str(HERE / "several.py"), str(tmp_path)]
    children = [
        subprocess.Popen(command, env=os.environ | env, stderr=subprocess.PIPE, text=True)
        for command, env in started(script)
    ]
    said = [child.communicate(timeout=240)[1] for child in children]
    assert not any(child.returncode for child in children), "\n".join(said)[-3000:]
    two, one = torch.load(tmp_path / "two.pth", weights_only=True), in_one_process
    # Adam divides gradients by their size: where that is only rounding, steps differ at random.
    for name, tolerance in (("float64", 1e-9), ("float32", 1e-5), ("no attention", 1e-9)):
        a, b = one[name], two[name]
        for name, weight in a["model"].items():
            torch.testing.assert_close(weight, b["model"][name], atol=tolerance, rtol=0)
        np.testing.assert_allclose(a["valid"], b["valid"], atol=1e-5)
    assert set(one) == {"float64", "float32", "no attention"}
    assert one["float64"]["model"]["motion_conv1.weight"].dtype == torch.float64


def test_a_killed_training_ends_with_the_weights_of_one_that_was_not(tmp_path, reference):
    kill_at = 3
    command = [sys.executable, str(HERE / "tiny.py"), str(tmp_path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if line == f"step {kill_at}\n":
            child.kill()
            break
    assert child.wait(60) == -9
    assert not (tmp_path / "final.pth").exists()
    again = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    first = int(re.findall(r"step (\d+)", again.stdout)[0])
    assert kill_at - 1 <= first <= kill_at + 2  # no step that is done is done again from the start
    final = torch.load(tmp_path / "final.pth", weights_only=True)
    assert equal(reference[0], final)
    with (tmp_path / "steps.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    shown = scalars(tmp_path / "tensorboard", "train/loss")
    assert [step for step, _ in shown] == list(range(len(losses)))
    assert [value for _, value in shown] == pytest.approx(losses, rel=1e-5)
    ends = {step for step, _ in scalars(tmp_path / "tensorboard", "train/epoch_loss")}
    assert len(ends) == SETTINGS.epochs


@pytest.mark.parametrize("where", [{"step": 0}, {"step": 3}, {"epoch": 1}])
def test_going_on_from_anywhere(tmp_path, reference, where):
    states = StateFolder(tmp_path, {})
    states.due = lambda: True
    with pytest.raises(Stop):
        trained(states=states, listener=StopAt(**where))
    weights, reports = trained(states=StateFolder(tmp_path, {}))
    assert equal(reference[0], weights)
    assert [r.train_loss for r in reports] == [r.train_loss for r in reference[1]]
    assert [r.learning_rates for r in reports] == [r.learning_rates for r in reference[1]]


def test_a_training_that_is_over_does_nothing(tmp_path, reference):
    trained(states=StateFolder(tmp_path, {}))
    heard = StopAt(step=-1)
    weights, _ = trained(states=StateFolder(tmp_path, {}), listener=heard)
    assert heard.steps == []
    assert equal(reference[0], weights)


def test_a_damaged_last_state_falls_back_to_the_one_before(tmp_path, reference, caplog):
    states = StateFolder(tmp_path, {})
    states.due = lambda: True
    with pytest.raises(Stop):
        trained(states=states, listener=StopAt(step=3))
    last = max(tmp_path.glob("*.state"))
    last.write_bytes(last.read_bytes()[:-1000])
    heard = StopAt(step=-1)
    with caplog.at_level(logging.WARNING):
        weights, _ = trained(states=StateFolder(tmp_path, {}), listener=heard)
    assert last.name in caplog.text
    assert heard.steps[0] == 2
    assert equal(reference[0], weights)


def test_a_diverging_training_stops_with_the_step(tmp_path):
    # A step of 1e30 leaves no finite output for the next one.
    with pytest.raises(StreamnetError, match=r"diverged: .* at step [1-9].*last finite loss") as e:
        trained(replace(SETTINGS, learning_rate=1e30, schedule="constant", clip_norm=None))
    assert "TRAIN.LR" in e.value.remedy


@pytest.mark.parametrize("rate", [10, 1e6])
def test_a_loss_that_is_far_off_is_a_diverged_training(tmp_path, reference, rate):
    """And leaves the state of the last epoch's end, from which the training can be as it was."""

    def states(**options):
        folder = StateFolder(tmp_path, {}, **options)
        folder.due = lambda: True
        return folder

    per_epoch = len(epoch_steps(14, 4, 2, seed=0, epoch=0))
    with pytest.raises(Stop):
        trained(states=states(), listener=StopAt(step=per_epoch))
    wild = replace(SETTINGS, epochs=20, learning_rate=rate, schedule="constant", clip_norm=None)
    with pytest.raises(StreamnetError, match="1000 times that of a flat line"):
        trained(wild, states=states())
    assert states().load()["step"] == per_epoch
    assert equal(trained(states=states())[0], reference[0])


class Spoils(Listener):
    """Makes the output 100,000 times as large after some steps, and mends that after others."""

    def __init__(self, model, after=(), mended_after=()):
        self.layer, self.after, self.mended_after = model.final_dense_2, after, mended_after
        self.reports, self.losses = [], []

    def scale(self, factor):
        with torch.no_grad():
            self.layer.weight *= factor
            self.layer.bias *= factor

    def after_step(self, report):
        self.losses.append(report.loss)
        if report.step in self.after:
            self.scale(1e5)
        if report.step in self.mended_after:
            self.scale(1e-5)

    def after_epoch(self, report, validation):
        self.reports.append(report)


GENTLE = replace(SETTINGS, epochs=2, accumulate=1, learning_rate=1e-4, clip_norm=None)
"""Of four steps an epoch."""


def spoiled(settings=GENTLE, *, states=None, validate=None, **when):
    model = network()
    heard = Spoils(model, **when)
    try:
        fit(model, TinyClips(), settings, states=states, listener=heard, validate=validate)
    except StreamnetError as error:
        return heard, str(error)
    return heard, ""


@pytest.mark.parametrize("steps", [1, 2])
def test_a_bad_step_or_two_are_no_divergence(steps):
    heard, error = spoiled(after=[0], mended_after=[steps])
    assert error == ""
    far = [loss > 3000 for loss in heard.losses]  # a flat line's is below 2
    assert far == [False, *[True] * steps, *[False] * (7 - steps)]
    assert [report.sound for report in heard.reports] == [True, True]


def test_three_bad_steps_are_and_leave_the_state_before_them(tmp_path):
    states = StateFolder(tmp_path, {})
    states.due = lambda: True
    heard, error = spoiled(after=[1], states=states)
    assert "at step 4," in error
    assert len(heard.losses) == 4
    assert StateFolder(tmp_path, {}).load()["step"] == 1  # the one after step 1 was spoiled


def test_a_spoiled_state_that_is_gone_on_from_goes(tmp_path):
    states = StateFolder(tmp_path, {})
    states.due = lambda: True
    model = network()
    heard = Spoils(model, after=[1])
    heard.after_epoch = StopAt(epoch=0).after_epoch
    with pytest.raises(Stop):  # after two bad steps, which are not saved
        fit(model, TinyClips(12), GENTLE, states=states, listener=heard)
    states = StateFolder(tmp_path, {})
    assert states.load()["step"] == 2
    states.due = lambda: False
    assert "at step 4," in spoiled(states=states)[1]
    assert states.load()["step"] == 1


def test_an_epoch_that_ends_badly_is_not_kept(tmp_path):
    states = StateFolder(tmp_path, {})
    heard, error = spoiled(after=[3], mended_after=[4], states=states)
    assert error == ""
    assert [(r.sound, r.best) for r in heard.reports] == [(False, False), (True, True)]
    assert [p.name for p in tmp_path.glob("*.epoch.*")] == ["step-000000008.epoch.state"]


def test_a_training_that_ends_badly_has_diverged(tmp_path):
    states = StateFolder(tmp_path, {})
    heard, error = spoiled(after=[7], states=states)
    assert "diverged: at its end" in error
    assert [r.sound for r in heard.reports] == [True, False]
    assert StateFolder(tmp_path, {}).load()["step"] == 4


def test_looking_at_an_epochs_end_leaves_no_trace():
    model = network().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, TinyClips(), replace(SETTINGS, epochs=1, optimizer="sgd", learning_rate=0.0))
    norms = {name for name in before if "running" in name or "batches" in name}
    once = network().train()
    with clip_dropout(once, SETTINGS.seed, torch.device("cpu")) as dropout:
        for number, step in enumerate(epoch_steps(14, 4, 2, seed=SETTINGS.seed, epoch=0)):
            place = 0
            for clips in step:
                dropout.begin(number, range(place, place + len(clips)))
                place += len(clips)
                once(torch.from_numpy(np.stack([TinyClips()[i][0] for i in clips])))
    assert len(norms) > 10
    for name in norms:  # of as many passes as there are steps, and of no more
        torch.testing.assert_close(model.state_dict()[name], once.state_dict()[name])


def test_a_validation_loss_that_is_none_is_no_sound_epoch():
    losses = iter([1.0, float("nan"), 2.0])
    _, reports = trained(validate=lambda model, fabric: Validation(next(losses)))
    assert [(r.sound, r.best) for r in reports] == [(True, True), (False, False), (True, False)]


def test_weights_that_an_epochs_last_step_spoils_are_not_kept(tmp_path):
    clips = TinyClips()
    clips.label *= 1e4  # and so are the gradients
    one_step = replace(
        SETTINGS, batch_clips=14, accumulate=1, learning_rate=1e38, optimizer="sgd", clip_norm=None
    )
    with pytest.raises(StreamnetError, match="diverged"):
        trained(one_step, clips, states=StateFolder(tmp_path, {}))
    assert StateFolder(tmp_path, {}).load() is None


def test_what_damaged_data_do_costs_no_state(tmp_path):
    """As often as it is tried: the weights were sound."""
    settings = replace(SETTINGS, epochs=4)
    with pytest.raises(Stop):
        trained(settings, states=StateFolder(tmp_path, {}), listener=StopAt(epoch=2))
    before = sorted(p.name for p in tmp_path.iterdir())
    clips = TinyClips()
    clips.x[:] = np.nan
    for _ in range(3):
        with pytest.raises(StreamnetError, match="diverged"):
            trained(settings, clips, states=StateFolder(tmp_path, {}))
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("schedule", ["onecycle", "cosine"])
@pytest.mark.parametrize("clips", [5, 40])
def test_going_on_by_force_with_other_clips_ends_its_schedule(tmp_path, schedule, clips):
    settings = replace(SETTINGS, schedule=schedule)
    states = StateFolder(tmp_path, {})
    states.due = lambda: True
    with pytest.raises(Stop):
        trained(settings, states=states, listener=StopAt(step=3))
    _, reports = trained(settings, TinyClips(clips), states=StateFolder(tmp_path, {}))
    rates = [rate for r in reports for rate in r.learning_rates]
    assert len(reports) == settings.epochs
    assert rates[-1] < 0.3 * max(rates)


def test_going_on_by_force_with_another_optimizer(tmp_path, caplog):
    states = StateFolder(tmp_path, {})
    with pytest.raises(Stop):
        trained(states=states, listener=StopAt(epoch=1))
    sgd = replace(SETTINGS, optimizer="sgd", learning_rate=1e-3)
    _, reports = trained(sgd, states=StateFolder(tmp_path, {}))
    assert "the optimizer was adamw" in caplog.text
    assert len(reports) == SETTINGS.epochs


def test_another_network_is_refused_even_by_force(tmp_path):
    fit(network(), TinyClips(), replace(SETTINGS, epochs=1), states=StateFolder(tmp_path, {}))
    other = STREAMNet(STREAMNetConfig(SIZE, SIZE, ssfem=False))
    with pytest.raises(ConfigError, match=r"another network: .*ssfem"):
        fit(other, TinyClips(), SETTINGS, states=StateFolder(tmp_path, {}, force=True))


def test_states_do_not_depend_on_how_a_network_is_spread(tmp_path, reference):
    model = network()
    with pytest.raises(Stop):
        fit(
            model, TinyClips(), SETTINGS, states=StateFolder(tmp_path, {}), listener=StopAt(epoch=1)
        )
    spread = torch.nn.DataParallel(network())  # on no GPU it passes everything on
    fit(spread, TinyClips(), SETTINGS, states=StateFolder(tmp_path, {}))
    (state,) = {p.name: read_state(p) for p in tmp_path.glob("*6.epoch.state")}.values()
    assert not any(name.startswith("module.") for name in state["model"])


def test_states_with_the_names_of_dataparallel_are_read(tmp_path, reference):
    with pytest.raises(Stop):
        trained(states=StateFolder(tmp_path, {}), listener=StopAt(epoch=1))
    state = StateFolder(tmp_path, {}).load()
    for path in tmp_path.iterdir():
        path.unlink()
    state["model"] = {f"module.{name}": value for name, value in state["model"].items()}
    StateFolder(tmp_path, {}).save(state["step"], state, lasting=True)
    assert equal(trained(states=StateFolder(tmp_path, {}))[0], reference[0])


def test_gradients_are_clipped(tmp_path):
    norms = []

    class Norms(Listener):
        def after_step(self, report):
            norms.append(report.gradient_norm)

    free, _ = trained(replace(SETTINGS, epochs=1, clip_norm=None), listener=Norms())
    tight, _ = trained(replace(SETTINGS, epochs=1, clip_norm=1e-9, optimizer="sgd", momentum=0.0))
    start = network().state_dict()
    assert min(norms) > 1e-3
    moved = max(
        float((tight[n] - start[n]).abs().max()) for n in start if n.endswith("dense_1.weight")
    )
    assert moved < 1e-9
    assert not equal(free, start)


def test_bad_labels_name_the_video():
    clips = TinyClips()
    clips.label[7, 3] = np.nan
    with pytest.raises(DataError, match=r"clip 1 of video3 .*not finite"):
        trained(clips=clips)


def test_too_few_clips(caplog):
    with pytest.raises(ConfigError, match="no clips to train on"):
        trained(clips=TinyClips(0))
    with caplog.at_level(logging.WARNING):
        trained(replace(SETTINGS, epochs=1), clips=TinyClips(1))  # a batch of one clip
    assert "fewer than a batch" in caplog.text


def test_bfloat16_learns_too():
    weights, reports = trained(replace(SETTINGS, precision="bfloat16"))
    assert reports[-1].train_loss < 0.9 * reports[0].train_loss
    assert all(t.dtype != torch.bfloat16 for t in weights.values())


def report_of(epoch, loss, mae=None, sound=True):
    return EpochReport(epoch, 1.0, loss, (0.1,), valid_hr_mae=mae, sound=sound)


def test_the_best_epoch_by_loss_and_by_hr_mae():
    before = [report_of(0, 0.5, 3.0), report_of(1, 0.4, 4.0)]
    now = report_of(2, 0.45, 2.0)
    assert not is_best(now, before, SETTINGS)
    assert is_best(now, before, replace(SETTINGS, select_by="hr_mae"))
    assert not is_best(report_of(2, 0.4, 9.0), before, SETTINGS)  # a tie is not better
    assert not is_best(report_of(2, 0.1, None), before, replace(SETTINGS, select_by="hr_mae"))


def test_an_epoch_whose_weights_are_not_kept_is_no_rival():
    # HR does not depend on the scale: an output that has blown up may have the best one.
    far = report_of(0, 1e9, 0.0, sound=False)
    assert is_best(report_of(1, 0.5, 3.0), [far], replace(SETTINGS, select_by="hr_mae"))


def test_early_stopping():
    losses = iter([5.0, 4.0, 4.5, 4.4, 4.3, 1.0])
    settings = replace(SETTINGS, epochs=6, patience=3)
    _, reports = trained(settings, validate=lambda model, fabric: Validation(next(losses)))
    assert [r.best for r in reports] == [True, True, False, False, False]


def test_validation_reads_whole_videos_in_evaluation_mode():
    clips = TinyClips(8)
    validate = make_validate(clips, "mse", batch=3, fs=10.0, band=(0.6, 3.3))
    found = []

    def twice(model, fabric):
        found.extend([validate(model, fabric), validate(model, fabric)])
        return found[0]

    trained(replace(SETTINGS, epochs=1), clips, validate=twice)
    assert found[0].loss == found[1].loss  # no dropout
    assert [name for name, _, _ in found[0].waveforms] == ["video0", "video1", "video2"]
    assert found[0].waveforms[0][2].shape == (20,)
    np.testing.assert_allclose(found[0].waveforms[1][2], clips.label[2:4].ravel(), rtol=1e-6)


def test_hr_mae_of_validation():
    fs, t = 30.0, np.arange(600) / 30
    wave = {f: np.diff(np.sin(2 * np.pi * f * t), prepend=0) for f in (1.0, 1.2, 2.0)}
    band = (0.6, 3.3)
    assert hr_error(wave[1.2], wave[1.0], fs, band) == pytest.approx(12, abs=0.5)
    silent = hr_error(np.zeros(600), wave[1.0], fs, band)
    assert silent == pytest.approx(60 * 2.7)  # never the best
    assert hr_error(wave[1.0][:30], wave[1.0][:30], fs, band) is None
    reads = [
        ("a", 1, 0.2, wave[2.0][300:], wave[2.0][300:]),  # out of order
        ("a", 0, 0.2, wave[2.0][:300], wave[2.0][:300]),
        ("b", 0, 0.5, wave[1.2], wave[1.0]),
    ]
    found = validation_of(reads, fs, band)
    assert found.loss == pytest.approx(0.3)
    assert found.hr_mae == pytest.approx(6, abs=0.4)
