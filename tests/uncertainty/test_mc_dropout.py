"""Monte Carlo dropout: only dropout is random, and sampling the head alone is exact."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.uncertainty.mc_dropout import _seed, sample_clip

CLIP = torch.randn(20, 6, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return STREAMNet(STREAMNetConfig(16, 16)).eval()


class Wrapped(nn.Module):
    """Hides that the network is a STREAM-Net, so that the whole of it is sampled."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def test_the_short_way_equals_the_naive_one(net):
    short = sample_clip(net, CLIP, 4, seed=3)
    naive = sample_clip(Wrapped(net), CLIP, 4, seed=3)
    assert torch.allclose(short, naive, atol=1e-6)


def test_rate_zero_is_the_deterministic_output(net):
    with torch.no_grad():
        expected = net(CLIP)
    for sample in sample_clip(net, CLIP, 3, rate=0.0):
        assert torch.allclose(sample, expected, atol=1e-6)


def test_higher_rates_spread_more(net):
    low, high = (sample_clip(net, CLIP, 20, rate=r).var(dim=0).mean() for r in (0.05, 0.5))
    assert 0 < low < high


def test_seeds(net):
    first = sample_clip(net, CLIP, 3, seed=1, clip_index=2)
    assert torch.equal(first, sample_clip(net, CLIP, 5, seed=1, clip_index=2)[:3])
    assert not torch.equal(first, sample_clip(net, CLIP, 3, seed=2, clip_index=2))
    assert not torch.equal(first, sample_clip(net, CLIP, 3, seed=1, clip_index=3))
    seeds = {_seed(a, b, c) for a in range(20) for b in range(20) for c in range(20)}
    assert len(seeds) == 8000


def test_the_model_and_the_global_generator_are_left_as_they_were(net):
    torch.manual_seed(5)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    sample_clip(net, CLIP, 2, rate=0.9)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(1))
    assert not net.training
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.25, 0.25, 0.25, 0.5]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_batch_norm_stays_frozen():
    net = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.0))
    net.eval()
    x = torch.randn(8, 4) + 100
    assert torch.allclose(sample_clip(net, x, 1)[0], net(x))
