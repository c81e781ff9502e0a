"""On a GPU the network, its samples and its readings are those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamnet_plugin.data.clips import resized
from streamnet_plugin.data.synthetic import easy, render_crops
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.model import STREAMNet, STREAMNetConfig
from streamnet_plugin.model.engines import make_engine
from streamnet_plugin.model.method import STREAMNetMethod
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.types import FaceVideo, Recording
from streamnet_plugin.uncertainty.mc_dropout import sample_clip

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here")
BAND = (0.6, 3.3)
X = torch.randn(40, 6, 36, 36, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Without TF32, whose products have 11 bits, what is left is rounding."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def network(**changes):
    """In evaluation mode, with batch norms that have seen something."""
    torch.manual_seed(1)
    net = STREAMNet(STREAMNetConfig(36, 36, **changes)).train()
    with torch.no_grad():
        net(X)
    return net.eval()


def far(a, b):
    """The largest difference, relative to the range of `b`."""
    return float((a.cpu() - b.cpu()).abs().max() / (b.max() - b.min()))


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"shift": "zero", "third_conv": True}])
def test_the_output_is_the_cpus(changes):
    expected = network(**changes)(X)
    net = network(**changes).cuda().to(memory_format=torch.channels_last)
    assert far(net(X.cuda()), expected) < 1e-4
    assert far(make_engine("torch", net, "bfloat16")(X.cuda()), expected) < 0.05
    assert far(make_engine("compile", net)(X.cuda()), expected) < 1e-3


def test_gradients_are_the_cpus():
    def gradients(device):
        net = network(dropout=(0.0, 0.0, 0.0)).to(device).train()
        net(X.to(device)).square().mean().backward()
        return {name: p.grad.cpu() for name, p in net.named_parameters()}

    expected = gradients("cpu")
    for name, found in gradients("cuda").items():
        assert torch.allclose(found, expected[name], rtol=1e-2, atol=1e-5), name


def test_an_engine_of_the_cpu_is_refused():
    pytest.importorskip("openvino")
    with pytest.raises(ConfigError, match="computes on a CPU here, not on cuda"):
        make_engine("openvino", network().cuda())


def test_samples_depend_on_the_seed_alone():
    net, x = network().cuda(), X.cuda()
    samples = sample_clip(net, x, 8, seed=3)
    assert far(sample_clip(net, x, 8, seed=3, memory_mb=0.001), samples) < 1e-4  # one at a time
    assert far(sample_clip(net, x, 3, seed=3), samples[:3]) < 1e-4
    assert far(sample_clip(net, x, 8, seed=4), samples) > 0.1
    assert not net.training


def test_samples_are_spread_as_the_cpus_are():
    """The random numbers are others, their distribution is the same."""
    on_cpu, on_gpu = (
        sample_clip(network().to(d), X.to(d), 400, seed=1).flatten(1).cpu() for d in ("cpu", "cuda")
    )
    spread = on_cpu.std(dim=0)
    assert ((on_gpu.mean(dim=0) - on_cpu.mean(dim=0)).abs() < 0.35 * spread).all()
    assert on_gpu.std(dim=0) == pytest.approx(spread, rel=0.25)


@pytest.fixture(scope="module")
def face():
    crops = render_crops(easy(3, width=320, height=240, duration_s=12.0, hr_bpm=84.0), [36])
    recording = Recording("synthetic", "a", "a", None)
    return FaceVideo(recording, crops.frames[0], 30.0, crops.bvp, crops.box, "a")


def test_a_face_is_read_as_on_the_cpu(face):
    def read(device, **options):
        method = STREAMNetMethod(device=device, mc_samples=20, **options)
        found = method.predict(face)
        hr = [refined_hr(clean_bvp(w, 30.0, *BAND, True), 30.0, BAND)
              for w in (found.bvp, *found.samples)]  # fmt: skip
        return found.bvp, hr[0], np.mean(hr[1:])

    bvp, hr, sampled = read("cpu", mc_precision="float32")
    same, hr_gpu, sampled_gpu = read("cuda:0", mc_precision="float32")
    assert np.abs(same - bvp).max() < 1e-3 * np.ptp(bvp)
    assert hr_gpu == pytest.approx(hr, abs=0.01)
    assert sampled_gpu == pytest.approx(sampled, abs=0.3)
    assert hr == pytest.approx(84, abs=1)
    _, hr_fast, sampled_fast = read("cuda:0", precision="auto")
    assert hr_fast == pytest.approx(hr, abs=0.1)
    assert sampled_fast == pytest.approx(sampled, abs=0.3)


def test_a_stream_is_read_as_on_the_cpu(face):
    def read(device):
        stream = STREAMNetMethod(device=device).stream(300)
        for crop in resized(face.frames, 36, 36):
            stream.push(crop, crop.mean(axis=(0, 1)))
        return stream.read(300).bvp

    expected = read("cpu")
    assert np.abs(read("cuda:0") - expected).max() < 1e-3 * np.ptp(expected)
