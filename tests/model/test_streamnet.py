"""The network: parameters, segments, ablations, and values that stay finite."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.model.shift import no_shift, wrapping_shift, zero_shift
from streamnet_plugin.model.ssfem import SSFEM
from streamnet_plugin.model.stlam import lateral_attention
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def network(**changes):
    torch.manual_seed(0)
    return STREAMNet(STREAMNetConfig(**changes)).eval()


@pytest.mark.parametrize(
    ("size", "changes", "count"),
    [
        (36, {}, 542_375),
        (72, {}, 2_238_119),
        (36, {"ssfem": False}, 532_899),
        (72, {"ssfem": False}, 2_228_643),
        (36, {"third_conv": True}, 579_303),
        (72, {"third_conv": True}, 2_275_047),
    ],
)
def test_parameter_counts(size, changes, count):
    assert parameters(STREAMNet(STREAMNetConfig(size, size, **changes))) == count


def test_ssfem_has_the_papers_size():
    assert parameters(SSFEM(64)) == 9_476


@given(st.integers(16, 50), st.integers(16, 50), st.sampled_from([2, 5, 10]))
@settings(max_examples=10, deadline=None)
def test_any_size_and_segment(height, width, segment):
    net = network(height=height, width=width, segment_length=segment)
    with torch.no_grad():
        out = net(torch.randn(2, 2 * segment, 6, height, width))
    assert out.shape == (2, 2 * segment)
    assert torch.isfinite(out).all()


def test_clips_and_frames_in_a_row_are_the_same():
    net, x = network(height=20, width=16), torch.randn(3, 20, 6, 20, 16)
    with torch.no_grad():
        clips, frames = net(x), net(x.flatten(0, 1))
    assert frames.shape == (60, 1)
    assert torch.allclose(clips.flatten(), frames.flatten(), atol=1e-6)


@pytest.mark.parametrize("shift", ["wrap", "zero"])
def test_segments_see_themselves_only(shift):
    net, x = network(height=16, width=16, shift=shift), torch.randn(2, 20, 6, 16, 16)
    changed = x.clone()
    changed[0, 10:] += 1
    with torch.no_grad():
        before, after = net(x), net(changed)
    assert torch.allclose(before[0, :10], after[0, :10], atol=1e-6)
    assert torch.allclose(before[1], after[1], atol=1e-6)
    assert not torch.allclose(before[0, 10:], after[0, 10:], atol=1e-3)


def test_without_shift_frames_are_independent():
    net, x = network(height=16, width=16, shift="none"), torch.randn(1, 10, 6, 16, 16)
    changed = x.clone()
    changed[0, 4] += 1
    with torch.no_grad():
        same = torch.isclose(net(x), net(changed), atol=1e-6)[0]
    assert same.sum() == 9
    assert not same[4]


def numbered(frames=6, channels=6):
    """(frames, channels, 1, 1) with the frame's number everywhere."""
    return torch.arange(1.0, frames + 1).view(-1, 1, 1, 1).expand(-1, channels, 1, 1).contiguous()


def test_shift_by_thirds():
    wrapped = wrapping_shift(numbered(), 3)[:, :, 0, 0]
    assert wrapped[:, 0].tolist() == [2, 3, 1, 5, 6, 4]  # from the next frame
    assert wrapped[:, 2].tolist() == [3, 1, 2, 6, 4, 5]  # from the previous one
    assert wrapped[:, 4].tolist() == [1, 2, 3, 4, 5, 6]
    zeros = zero_shift(numbered(), 3)[:, :, 0, 0]
    assert zeros[:, 0].tolist() == [2, 3, 0, 5, 6, 0]
    assert zeros[:, 2].tolist() == [0, 1, 2, 0, 4, 5]
    assert torch.equal(no_shift(numbered(), 3), numbered())


@settings(max_examples=12, deadline=None)
@given(
    shift=st.sampled_from(["wrap", "zero", "none"]),
    segment=st.integers(2, 7),
    segments=st.integers(0, 3),  # a process may have no clips of a batch
    size=st.sampled_from([16, 21, 36]),
    memory=st.sampled_from([torch.contiguous_format, torch.channels_last]),
)
def test_the_fast_way_without_gradients_computes_the_same(shift, segment, segments, size, memory):
    net = network(height=size, width=size, segment_length=segment, shift=shift)
    torch.manual_seed(1)
    for norm in (m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)  # else they do nothing
    frames = torch.randn(segment * segments, 6, size, size).to(memory_format=memory)
    clips = frames.unflatten(0, (segments, segment))
    with torch.no_grad():
        fast = net(clips)
    torch.testing.assert_close(fast, net(clips).detach(), rtol=1e-4, atol=1e-5)


def test_attention_has_a_mean_of_one_half_and_survives_a_closed_gate():
    gate = torch.nn.Conv2d(4, 1, 1)
    mask = lateral_attention(torch.randn(3, 4, 5, 7), gate)
    assert mask.shape == (3, 1, 5, 7)
    assert torch.allclose(mask.mean(dim=(1, 2, 3)), torch.full((3,), 0.5))
    with torch.no_grad():
        gate.bias.fill_(-1e4)
        gate.weight.zero_()
    assert not lateral_attention(torch.randn(1, 4, 5, 7), gate).any()


@pytest.mark.parametrize("changes", [{}, {"attention": False}, {"ssfem": False}])
def test_constant_frames_give_finite_output(changes):
    net = network(height=16, width=16, **changes)
    for value in (0.0, 5.0):
        with torch.no_grad():
            assert torch.isfinite(net(torch.full((1, 10, 6, 16, 16), value))).all()


def test_modules_change_the_output():
    x, outputs = torch.randn(1, 10, 6, 16, 16), []
    for changes in ({}, {"shift": "zero"}, {"shift": "none"}, {"attention": False},
                    {"ssfem": False}):  # fmt: skip
        net = network(height=16, width=16, **changes)
        net.load_state_dict(network(height=16, width=16).state_dict(), strict=False)
        with torch.no_grad():
            outputs.append(net(x))
    for i, one in enumerate(outputs):
        for other in outputs[i + 1 :]:
            assert not torch.allclose(one, other, rtol=0, atol=1e-6)


def test_wrong_shapes_say_what_fits():
    net = network(height=16, width=16)
    with pytest.raises(ConfigError, match="multiple of the segment length 10"):
        net(torch.zeros(1, 15, 6, 16, 16))
    with pytest.raises(ConfigError, match=r"\(1, 10, 3, 16, 16\)"):
        net(torch.zeros(1, 10, 3, 16, 16))
    with pytest.raises(ConfigError, match="16 x 16"):
        STREAMNetConfig(height=12, width=40)


def test_all_parameters_learn():
    net = network(height=16, width=16).train()
    net(torch.randn(1, 10, 6, 16, 16)).square().mean().backward()
    dead = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


@pytest.mark.parametrize("width", [17, 36])  # of SS-FEM's maps, at 36 and 72 px
def test_gradients_in_bfloat16_are_those_of_float32(width):
    torch.manual_seed(0)
    block = SSFEM(64).train().to(memory_format=torch.channels_last)
    x = torch.randn(4, 64, width, width).to(memory_format=torch.channels_last)
    weights = torch.randn(4, 64, width, width)

    def gradients(mixed):
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            out = block(x)
        (out.float() * weights).sum().backward()
        return [conv.weight.grad.flatten() for conv in block.conv2]

    for exact, fast in zip(gradients(False), gradients(True), strict=True):
        assert torch.nn.functional.cosine_similarity(exact, fast, 0) > 0.98
        assert fast.norm() == pytest.approx(float(exact.norm()), rel=0.1)
