"""The network on a stream: every segment once, by the statistics of what is held."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamnet_plugin.data.clips import Normaliser
from streamnet_plugin.errors import NoResultError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.model import STREAMNetMethod
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp

NO_RGB = np.zeros(3)


def crops(n, size=36, seed=0):
    return np.random.default_rng(seed).integers(60, 200, (n, size, size, 3), dtype=np.uint8)


def fed(method, frames, window):
    stream = method.stream(window)
    for frame in frames:
        stream.push(frame, NO_RGB)
    return stream


def test_a_segment_is_computed_once_with_the_frame_behind_it():
    method, sizes = STREAMNetMethod(), []
    method.model.register_forward_pre_hook(lambda model, given: sizes.append(len(given[0])))
    frames = crops(31)
    stream = method.stream(20)
    ready = []
    for frame in frames:
        stream.push(frame, NO_RGB)
        ready.append(stream.ready)
    assert ready == [0] * 10 + [10] * 10 + [20] * 10 + [30]
    assert sizes == [10, 10, 10]


def test_the_statistics_are_those_of_the_frames_held_at_that_time():
    method, window = STREAMNetMethod(), 20
    frames = crops(91)
    stream = fed(method, frames, window)
    held = frames[-(window + 10 + 1) :]
    x = Normaliser.fit(held).network_input(held, 20, 30)
    with torch.no_grad():
        expected = method.model(torch.from_numpy(x)).ravel()
    assert stream.read(10).bvp == pytest.approx(expected.double().numpy(), abs=1e-5)


def test_samples_come_with_the_waveform():
    method = STREAMNetMethod(mc_samples=3, mc_precision="float32")
    samples = fed(method, crops(31), 30).read(20).samples
    assert samples.shape == (3, 20)
    assert np.all(samples.std(axis=0) > 0)
    assert fed(STREAMNetMethod(), crops(11), 30).read(10).samples is None


@pytest.mark.parametrize("options", [{"engine": "onnxruntime"}, {"precision": "bfloat16"}])
def test_the_engine_that_is_asked_for_computes(options):
    if "engine" in options:
        pytest.importorskip("onnxruntime")
    frames = crops(11)
    method = STREAMNetMethod(**options)
    x = Normaliser.fit(frames).network_input(frames, 0, 10)
    with torch.no_grad():
        expected = method.engine(torch.from_numpy(x)).double().numpy().ravel()
    got = fed(method, frames, 10).read(10).bvp
    assert np.array_equal(got, expected)
    plain = fed(STREAMNetMethod(), frames, 10).read(10).bvp
    assert got == pytest.approx(plain, abs=0.02)


def test_larger_crops_are_made_the_networks_size():
    prediction = fed(STREAMNetMethod(), crops(11, size=72), 30).read(10)
    assert prediction.differential
    assert np.isfinite(prediction.bvp).all()


def test_a_still_image_has_no_pulse_even_after_a_living_one():
    frames = np.concatenate([crops(11), np.full((60, 36, 36, 3), 90, np.uint8)])
    with pytest.raises(NoResultError, match="still image"):
        fed(STREAMNetMethod(), frames, 20).read(10)


def test_the_heart_rate_is_that_of_the_whole_video():
    """Brightness drifts and the pulse grows, which the whole video's statistics average."""
    t = np.arange(181) / 30
    wave = (0.01 + 0.001 * t) * np.sin(2 * np.pi * 1.3 * t)
    skin = np.array([180.0, 120, 90]) * np.random.default_rng(1).uniform(0.6, 1.2, (36, 36, 1))
    light = (1 + 0.1 * np.sin(2 * np.pi * t / 9))[:, None] * (1 + wave[:, None] * [0.4, 1, 0.7])
    noise = np.random.default_rng(2).normal(0, 1.5, (181, 36, 36, 3))
    frames = (skin * light[:, None, None, :] + noise).clip(0, 255).astype(np.uint8)
    method, band = STREAMNetMethod(), get_convention("toolbox-2025").band
    stream = fed(method, frames, 150)
    whole = method.predict(video(frames)).bvp[stream.ready - 150 : stream.ready]
    live, offline = (
        refined_hr(clean_bvp(x, 30.0, *band, True), 30.0, band)
        for x in (stream.read(150).bvp, whole)
    )
    assert live == pytest.approx(78, abs=1)
    assert live == pytest.approx(offline, abs=0.3)


def video(frames):
    from pathlib import Path

    from streamnet_plugin.types import FaceVideo, Recording

    return FaceVideo(Recording("t", "v", "s", Path("v")), frames, 30.0, None, (0, 0, 0, 0), "f")
