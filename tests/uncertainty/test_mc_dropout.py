"""Monte Carlo dropout: only dropout is random, and sampling the head alone is exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from streamnet_plugin.model import streamnet
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig
from streamnet_plugin.registry import get_method
from streamnet_plugin.types import FaceVideo, Prediction, Recording
from streamnet_plugin.uncertainty.mc_dropout import (
    MaskGenerator,
    Sampled,
    can_be_sampled,
    dropout_layers,
    sample_clip,
    unsampled_layers,
)

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


def test_blocks_of_frames_are_samples_like_others(net, monkeypatch):
    """Each frame has masks of its own, in every precision the same, however many are together."""
    monkeypatch.setattr(streamnet, "BLOCK_BYTES", 1.0)
    assert net.mc_block == 10
    alone = sample_clip(net, CLIP, 3, seed=5, memory_mb=0.001)
    together = sample_clip(net, CLIP, 3, seed=5, memory_mb=1000)
    assert alone.shape == (3, 20, 1)
    assert torch.allclose(alone, together, atol=1e-6)
    half = sample_clip(net, CLIP, 3, seed=5, precision="bfloat16")
    assert (half - alone).std() < 0.1 * alone.std()
    same = CLIP[:10].repeat(2, 1, 1, 1)
    first, second = sample_clip(net, same, 1)[0].chunk(2)
    assert not torch.allclose(first, second, atol=1e-3)


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
    cpu = torch.device("cpu")
    counters = [(a, b, c) for a in range(20) for b in range(20) for c in range(20)]
    assert len({tuple(MaskGenerator(cpu, *three).bits.random_raw(2)) for three in counters}) == 8000


@pytest.mark.parametrize("memory_mb", [0.001, 1.5, 1000])
def test_samples_do_not_depend_on_how_many_fit_into_memory(net, memory_mb):
    alone = sample_clip(net, CLIP, 7, seed=4, memory_mb=0.001)
    assert torch.allclose(sample_clip(net, CLIP, 7, seed=4, memory_mb=memory_mb), alone, atol=1e-6)


def test_memory_is_kept_to(net):
    """The stack grows with the memory that is allowed, and is one sample where that is little."""
    stacks = []
    net.final_dense_2.register_forward_pre_hook(lambda layer, given: stacks.append(len(given[0])))
    sample_clip(net, CLIP, 9, memory_mb=0.001)
    assert stacks == [20] * 9
    stacks.clear()
    sample_clip(net, CLIP, 9, memory_mb=1000)
    assert stacks == [20, 160]


@pytest.mark.parametrize(
    ("layer", "together"),
    [
        (nn.Dropout(0.4), False),
        (nn.Dropout2d(0.4), True),
        (nn.AlphaDropout(0.4), False),
        (nn.FeatureAlphaDropout(0.4), True),
    ],
    ids=lambda x: type(x).__name__,
)
def test_each_kind_of_dropout_is_torchs(layer, together):
    """Same expectation and variance as torch's own layer, whole channels together or not."""
    torch.manual_seed(0)
    x = 1 + torch.rand(8, 16, 6, 6)
    ours = sample_clip(nn.Sequential(layer).eval(), x, 400)
    layer.train()
    theirs = torch.stack([layer(x) for _ in range(400)])
    assert torch.allclose(ours.mean(dim=(0, 2, 3, 4)), theirs.mean(dim=(0, 2, 3, 4)), atol=0.08)
    assert torch.allclose(ours.var(dim=0).mean(), theirs.var(dim=0).mean(), rtol=0.05)
    dropped = (
        (ours == 0)
        if not isinstance(layer, (nn.AlphaDropout, nn.FeatureAlphaDropout))
        else (ours < 0)
    )
    whole = dropped.flatten(3).float().mean(dim=-1)
    assert bool(((whole == 0) | (whole == 1)).all()) == together


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d(0.4), (16, 9)), (nn.Dropout3d(0.4), (16, 3, 2, 2))]
)
@pytest.mark.parametrize("batched", [False, True])
def test_a_single_item_is_dropped_by_channel_as_a_batch_is(layer, shape, batched):
    """As torch has it, whose layers take (C, L) and (C, D, H, W), too."""
    x = torch.ones((3, *shape) if batched else shape)
    dropped = sample_clip(nn.Sequential(layer).eval(), x, 20) == 0
    whole = dropped.flatten(3 if batched else 2).float().mean(dim=-1)
    assert set(whole.unique().tolist()) == {0, 1}
    assert 0.3 < whole.mean() < 0.5


class Inside(nn.Module):
    """Dropout inside layers, with and without effect."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2, dropout=0.3)
        self.single = nn.GRU(4, 4, dropout=0.0)
        self.deep = nn.Sequential(nn.GRU(4, 4, num_layers=3, dropout=0.25), nn.LSTM(4, 4, 2))
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.1)
        self.sure = nn.MultiheadAttention(4, 2)


def test_layers_whose_own_dropout_cannot_be_sampled_are_named():
    assert unsampled_layers(Inside()) == [
        "rnn (LSTM, dropout=0.3)",
        "deep.0 (GRU, dropout=0.25)",
        "attention (MultiheadAttention, dropout=0.1)",
    ]
    assert unsampled_layers(nn.LSTM(3, 4, 2, dropout=0.5)) == ["the network (LSTM, dropout=0.5)"]
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        single = nn.LSTM(3, 4, dropout=0.5)  # nothing to drop between
    assert unsampled_layers(single) == []
    assert dropout_layers(Inside()) == []


def test_any_network_with_dropout(net):
    other = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1)).eval()
    x = torch.randn(12, 5)
    samples = sample_clip(other, x, 6, seed=1)
    assert samples.shape == (6, 12, 1)
    assert torch.equal(samples, sample_clip(other, x, 8, seed=1, memory_mb=0.0001)[:6])
    assert samples.var(dim=0).min() >= 0
    assert samples.var(dim=0).mean() > 0
    assert len(dropout_layers(other)) == 1


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


class OtherMethod:
    """A third party's: it sets its network to evaluation itself, clip by clip."""

    name = "Other"
    variant = "network"

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))

    def predict(self, video):
        self.model.eval()
        parts = torch.as_tensor(video.rgb, dtype=torch.float32).chunk(2)
        with torch.no_grad():
            return Prediction(torch.cat([self.model(p)[:, 0] for p in parts]).double().numpy())


def test_a_method_of_somebody_else_gets_samples(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (40, 4, 4, 3), dtype=np.uint8)
    video = FaceVideo(
        Recording("video", "me", "me", tmp_path), frames, 30.0, None, (0, 0, 4, 4), "f"
    )
    method = OtherMethod()
    assert can_be_sampled(method)
    sampled = Sampled(method, n_samples=40, seed=1)
    assert (sampled.name, sampled.variant) == ("Other", "network")
    found = sampled.predict(video)
    assert np.array_equal(found.bvp, method.predict(video).bvp)  # and the network is left as it was
    assert found.samples.shape == (40, 40)
    assert found.samples.std(axis=0).min() > 0
    few = Sampled(method, n_samples=3, seed=1).predict(video)
    assert np.array_equal(few.samples, found.samples[:3])
    other = Sampled(method, n_samples=3, seed=2).predict(video)
    assert not np.array_equal(other.samples, few.samples)
    at_zero = Sampled(method, n_samples=2, rate=0.0).predict(video)
    assert np.allclose(at_zero.samples, found.bvp)


def test_without_dropout_there_is_nothing_to_sample():
    method = OtherMethod()
    method.model = nn.Linear(3, 1)
    assert not can_be_sampled(method)
    assert not can_be_sampled(get_method("POS"))
