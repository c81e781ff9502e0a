"""Losses against what they are defined as; optimizers and schedules that are those asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.training.recipe import (
    LOSSES,
    TrainSettings,
    make_optimizer,
    make_schedule,
    negative_pearson,
)


@given(st.integers(0, 10_000), st.floats(0.1, 100), st.floats(-50, 50))
def test_negative_pearson_is_numpys_and_knows_no_scale(seed, scale, offset):
    rng = np.random.default_rng(seed)
    pred, label = rng.normal(size=(2, 3, 50))
    got = negative_pearson(torch.tensor(pred * scale + offset), torch.tensor(label)).numpy()
    expected = [1 - np.corrcoef(p, g)[0, 1] for p, g in zip(pred, label, strict=True)]
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_losses_are_one_number_per_clip():
    pred, label = torch.randn(3, 50), torch.randn(3, 50)
    mse = ((pred - label) ** 2).mean(dim=1)
    torch.testing.assert_close(LOSSES["mse"](pred, label), mse)
    torch.testing.assert_close(LOSSES["both"](pred, label), mse + negative_pearson(pred, label))
    assert negative_pearson(torch.ones(1, 9), label[:1, :9]).item() == 1.0  # flat: no NaN


@pytest.mark.parametrize(
    ("schedule", "first", "highest", "last"),
    [("onecycle", 0.04, 1.0, 1e-3), ("cosine", 1.0, 1.0, 1e-3), ("constant", 1.0, 1.0, 1.0)],
)
def test_schedules(schedule, first, highest, last):
    settings = TrainSettings(learning_rate=1.0, schedule=schedule)
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], settings)
    lr = make_schedule(optimizer, settings, 100)
    rates = []
    for _ in range(100):
        rates.append(lr.get_last_lr()[0])
        optimizer.step()
        lr.step()
    assert rates[0] == pytest.approx(first, abs=1e-9)
    assert max(rates) == pytest.approx(highest, rel=1e-3)
    assert rates[-1] <= last + 1e-9


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_optimizers_take_their_keys(name):
    settings = TrainSettings(optimizer=name, learning_rate=0.5, weight_decay=0.1, momentum=0.7)
    optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], settings)
    assert type(optimizer).__name__.lower() == name
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.1)
    assert group.get("momentum", 0.7) == 0.7


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
def test_a_schedule_that_goes_on_is_the_one_that_began(schedule):
    settings = TrainSettings(learning_rate=0.3, schedule=schedule)

    def run(done):
        optimizer = make_optimizer([torch.nn.Parameter(torch.zeros(1))], settings)
        lr, told = make_schedule(optimizer, settings, 20, done), []
        for _ in range(done, 20):
            group = optimizer.param_groups[0]
            told.append((lr.get_last_lr()[0], group["lr"], group["betas"]))
            optimizer.step()
            lr.step()
        return told

    assert run(0)[7:] == run(7)
