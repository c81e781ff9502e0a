"""Throughput of what a benchmark run spends its time on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamnet_plugin.classical import METHODS
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import evaluate_window
from streamnet_plugin.model import STREAMNet, STREAMNetConfig
from streamnet_plugin.uncertainty.mc_dropout import sample_clip

FS = 30.0


@pytest.mark.parametrize("name", sorted(METHODS))
@pytest.mark.parametrize("frames", [300, 1800])
def test_classical_method(benchmark, name, frames):
    rgb = np.random.default_rng(0).uniform(90, 110, (frames, 3))
    benchmark(METHODS[name].from_rgb, rgb, FS)


@pytest.mark.parametrize("frames", [300, 1800, 9000])
def test_evaluation(benchmark, frames):
    rng = np.random.default_rng(0)
    pred, label = rng.standard_normal((2, frames))
    convention = get_convention("toolbox-2025")
    benchmark(evaluate_window, pred, label, FS, convention, differential=True)


@pytest.mark.parametrize("size", [36, 72])
def test_network(benchmark, size):
    model = STREAMNet(STREAMNetConfig(size, size)).eval().to(memory_format=torch.channels_last)
    clip = torch.randn(180, 6, size, size).to(memory_format=torch.channels_last)
    with torch.no_grad():
        benchmark(model, clip)


def test_mc_dropout_of_30_samples(benchmark):
    model = STREAMNet().eval().to(memory_format=torch.channels_last)
    clip = torch.randn(180, 6, 36, 36).to(memory_format=torch.channels_last)
    benchmark.pedantic(sample_clip, (model, clip, 30), rounds=3)
