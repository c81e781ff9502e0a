"""Training on a GPU: as on the CPU, resumable, and by the same YAML."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import QUICK, SETTINGS, SIZE, Stop, StopAt, TinyClips

import streamnet_plugin as sp
from streamnet_plugin.model.checkpoint import load_checkpoint
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.training.loop import fit
from streamnet_plugin.training.run import run_test
from streamnet_plugin.training.state import StateFolder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
ON_GPU = ["DEVICE=cuda:0", "NUM_OF_GPU_TRAIN=1"]


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def network(device, dropout=0.0):
    torch.manual_seed(1)
    return STREAMNet(STREAMNetConfig(SIZE, SIZE, dropout=(dropout,) * 3)).to(device)


def losses(device, settings=SETTINGS, dropout=0.0, **options):
    reports = fit(network(device, dropout), TinyClips(), settings, **options)
    return [report.train_loss for report in reports]


def test_losses_are_the_cpus_and_fall():
    expected = losses("cpu")
    assert losses("cuda") == pytest.approx(expected, rel=0.02)
    fast = losses("cuda", replace(SETTINGS, precision="bfloat16"))
    assert fast == pytest.approx(expected, rel=0.1)
    assert fast[-1] < 0.9 * fast[0]


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_an_interrupted_training_goes_on(tmp_path, device):
    """Also on a machine without a GPU: without dropout, whose masks are the device's own."""
    expected = losses("cuda")
    with pytest.raises(Stop):
        losses("cuda", states=StateFolder(tmp_path, {}), listener=StopAt(step=3))
    heard = StopAt(step=-1)
    going_on = losses(device, states=StateFolder(tmp_path, {}), listener=heard)
    assert heard.steps[0] >= 2
    assert going_on == pytest.approx(expected, rel=0.02)


def test_dropout_is_the_same_again():
    first = losses("cuda", dropout=0.3)
    assert losses("cuda", dropout=0.3) == pytest.approx(first, rel=1e-3)
    assert losses("cuda", replace(SETTINGS, seed=2), dropout=0.3) != pytest.approx(first, rel=1e-3)


def test_a_protocol_is_trained_and_tested(ubfc_people, tmp_path):
    options = {"overrides": [*QUICK, *ON_GPU], "data_root": ubfc_people(5, 8.0)}
    done = sp.train("train/ubfc-intra", output=tmp_path / "run", **options)
    assert [report.epoch for report in done.epochs] == [0, 1]
    model, _ = load_checkpoint(done.weights)
    assert next(model.parameters()).device.type == "cpu"  # and so it loads where there is no GPU
    tested = run_test("train/ubfc-intra", weights=done.weights, output=tmp_path / "test", **options)
    assert {row.method for row in tested.results.rows} >= {"STREAMNet"}
    assert not tested.results.failures
