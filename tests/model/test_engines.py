"""Engines and fused kernels give what the plain network gives."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.model import STREAMNet, STREAMNetConfig, engines, fused, streamnet
from streamnet_plugin.model.engines import export_onnx, make_engine
from streamnet_plugin.model.fused import convolved
from streamnet_plugin.model.shift import _shift, _shift_of_graph

X = torch.randn(20, 6, 20, 16, generator=torch.Generator().manual_seed(0))


def network(**changes):
    """A small network in evaluation mode whose batch norms and biases are not those of birth."""
    torch.manual_seed(1)
    net = STREAMNet(STREAMNetConfig(height=20, width=16, segment_length=5, **changes)).train()
    for _ in range(3):
        net(torch.randn(20, 6, 20, 16))
    return net.eval()


def plainly(net, x):
    """With gradients, no kernel is fused."""
    return net(x).detach()


@pytest.mark.parametrize(
    "changes", [{}, {"shift": "zero", "third_conv": True}, {"shift": "none", "attention": False}]
)
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("by_sigmoid", [False, True])  # whatever processor the test runs on
def test_fused_kernels_change_nothing_but_rounding(changes, memory_format, by_sigmoid, monkeypatch):
    monkeypatch.setattr(fused, "_slow_tanh", lambda: by_sigmoid)
    net = network(**changes).to(memory_format=memory_format)
    with torch.no_grad():
        quick = net(X.to(memory_format=memory_format))
    plain = plainly(net, X)
    assert (quick - plain).abs().max() <= 1e-6 * plain.abs().max()


def test_a_convolution_with_a_bias_keeps_it_under_a_batch_norm():
    conv, norm, x = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.randn(2, 3, 8, 8)
    norm(conv(x))
    norm.eval()
    expected = norm(conv(x)).detach()
    with torch.no_grad():
        assert torch.allclose(convolved(conv, x, "none", norm), expected, atol=1e-6)


def test_a_training_batch_norm_sees_its_batch_even_without_gradients():
    net = network().train()
    before = net.ssfem.bn1.running_mean.clone()
    with torch.no_grad():
        net(X)
    assert not torch.equal(net.ssfem.bn1.running_mean, before)


@pytest.mark.parametrize("block_bytes", [1.0, 3 * 5 * 32 * 20 * 16 * 4, 1e9])
def test_blocks_change_nothing_but_rounding(monkeypatch, block_bytes):
    net = network()
    with torch.no_grad():
        whole = net(X)
        monkeypatch.setattr(streamnet, "BLOCK_BYTES", block_bytes)
        blocks = net.blocks(X)
        parts = net(X)
    assert all(len(block) % 5 == 0 for block in blocks)
    assert sum(len(block) for block in blocks) == 20
    assert len(blocks) == {1.0: 4, 1e9: 1}.get(block_bytes, 2)
    assert torch.allclose(whole, parts, rtol=0, atol=1e-6 * whole.abs().max())
    assert len(net.train().blocks(X)) == 1


@pytest.mark.parametrize("wrap", [True, False])
@pytest.mark.parametrize("channels", [3, 8])
def test_the_shift_of_a_graph_is_the_shift(wrap, channels):
    x = torch.randn(12, channels, 3, 2)
    assert torch.equal(_shift_of_graph(x, 4, wrap), _shift(x, 4, wrap))


@pytest.mark.parametrize("wrap", [True, False])
def test_gradients_go_back_through_the_shift(wrap):
    x = torch.randn(12, 5, 2, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: _shift(x, 4, wrap), x)
    assert torch.autograd.gradgradcheck(lambda x: _shift(x, 4, wrap), x)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_other_engines_agree_on_any_number_of_segments(name):
    pytest.importorskip(name)
    net = network()
    engine = make_engine(name, net)
    for n in (5, 20):
        plain = plainly(net, X[:n])
        assert (engine(X[:n]) - plain).abs().max() <= 1e-3 * plain.abs().max()


def test_an_exported_file_is_the_network(tmp_path):
    ort, net = pytest.importorskip("onnxruntime"), network(shift="zero")
    path = export_onnx(net, tmp_path / "new" / "net.onnx")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (out,) = session.run(None, {"frames": X[:10].numpy()})
    assert np.allclose(out, plainly(net, X[:10]), atol=1e-5)
    assert [p.name for p in path.parent.iterdir()] == ["net.onnx"]


def test_without_a_compiler_it_says_so_and_computes(monkeypatch, caplog):
    def broken(model, **options):
        def fail(x):
            raise RuntimeError("no C++ compiler\nand a page of more")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    net = network()
    engine = make_engine("compile", net)
    with torch.no_grad():
        assert torch.equal(engine(X), net(X))
        engine(X)
    (said,) = caplog.messages
    assert said.endswith("computing without it: no C++ compiler")


def test_a_failure_after_the_first_success_is_an_error(monkeypatch):
    calls = []

    def once(model, **options):
        def compute(x):
            calls.append(x)
            if len(calls) > 1:
                raise RuntimeError("out of memory")
            return model(x)

        return compute

    monkeypatch.setattr(torch, "compile", once)
    engine = make_engine("compile", network())
    engine(X)
    with pytest.raises(RuntimeError, match="out of memory"):
        engine(X)


def test_what_cannot_be_had_is_refused(monkeypatch):
    net = network()
    with pytest.raises(ConfigError, match="torch, compile"):
        make_engine("tensorrt", net)
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install \"streamnet-rppg\[openvino\]"):
        make_engine("openvino", net)
    monkeypatch.setattr(engines, "find_spec", lambda name: sys)
    with pytest.raises(ConfigError, match="float32 on a CPU"):
        make_engine("onnxruntime", net, "bfloat16")
