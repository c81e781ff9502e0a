"""STREAM-Net in the harness: reads a held-out synthetic pulse, all frames, any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from streamnet_plugin.data.datasets import find_recordings
from streamnet_plugin.data.preprocess import PreprocessSettings, preprocess_all
from streamnet_plugin.data.synthetic import SynthSettings, render_face_clip
from streamnet_plugin.data.synthetic.writers import write_demo
from streamnet_plugin.errors import ConfigError, NoResultError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import evaluate_video
from streamnet_plugin.model import STREAMNet, STREAMNetMethod, save_checkpoint
from streamnet_plugin.model.method import CLIP_FRAMES, _clips
from streamnet_plugin.types import FaceVideo, Recording


def face_video(frames, bvp=None):
    return FaceVideo(Recording("t", "v", "s", Path("v")), frames, 30.0, bvp, (0, 0, 0, 0), "f")


@pytest.fixture(scope="module")
def clips():
    """Four held-out people, 10 s each, every one another motion."""
    return [
        render_face_clip(
            SynthSettings(
                seed=3_000_000 + i, head=18 + i, skin_tone=i + 1, motion=motion, duration_s=10
            )
        )
        for i, motion in enumerate(["steady", "talking", "slow_translation", "small_rotation"])
    ]


def test_the_shipped_network_reads_people_it_never_saw(clips):
    method, convention = STREAMNetMethod(), get_convention("toolbox-2025")
    errors = []
    for frames, bvp in clips:
        (result,) = evaluate_video(method.predict(face_video(frames)), bvp, 30.0, convention)
        errors.append(abs(result.hr_pred_refined - result.hr_label_refined))
    assert np.mean(errors) < 3


@pytest.fixture(scope="module")
def demo(shared):
    """The packaged demo set as `streamnet benchmark` sees it."""
    data = shared("demo", write_demo)
    settings = PreprocessSettings(width=36, height=36)
    report = preprocess_all(
        find_recordings("UBFC-rPPG", data), settings, data.parent / "demo-crops"
    )
    assert not report.failures
    return report.videos


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bfloat16_does_not_move_the_demos_heart_rates(demo, engine):
    """By more than 0.1 bpm, half of what the error has as a last digit: of the whole recordings and
    of the protocol's windows of 10 s."""
    pytest.importorskip(engine)
    half, whole = STREAMNetMethod(precision="bfloat16", engine=engine), STREAMNetMethod()
    convention = get_convention("toolbox-2025")
    assert len(demo) == 10
    for video in demo:
        read = [method.predict(video) for method in (half, whole)]
        assert np.ptp(read[0].bvp - read[1].bvp) > 0  # it was another precision indeed
        for window_s in (None, 10.0):
            a, b = (
                evaluate_video(r, video.bvp, video.fs, convention, window_s=window_s) for r in read
            )
            for x, y in zip(a, b, strict=True):
                assert abs(x.hr_pred_refined - y.hr_pred_refined) <= 0.1


@pytest.mark.parametrize("n", [10, 17, 180, 187, 361])
def test_every_frame_gets_a_value(n):
    frames = np.random.default_rng(0).integers(0, 256, (n, 36, 36, 3), dtype=np.uint8)
    prediction = STREAMNetMethod().predict(face_video(frames))
    assert prediction.bvp.shape == (n,)
    assert np.isfinite(prediction.bvp).all()
    assert prediction.differential


@pytest.mark.parametrize("n", [10, 19, 180, 181, 1000])
def test_ranges_cover_the_video_in_whole_segments(n):
    seen = np.zeros(n, int)
    for start, stop in _clips(n, 10, 180):
        assert (stop - start) % 10 == 0
        assert stop - start <= CLIP_FRAMES
        seen[start:stop] += 1
    assert seen.min() == 1


def test_samples_are_seeded_and_do_not_depend_on_their_number(clips):
    frames = clips[0][0][:60]
    few = STREAMNetMethod(mc_samples=3, seed=1).predict(face_video(frames)).samples
    many = STREAMNetMethod(mc_samples=5, seed=1).predict(face_video(frames)).samples
    other = STREAMNetMethod(mc_samples=3, seed=2).predict(face_video(frames)).samples
    assert few.shape == (3, 60)
    assert np.allclose(few, many[:3])
    assert not np.allclose(few, other)
    assert few.std(axis=0).mean() > 0


def test_a_photograph_and_too_few_frames_have_no_result():
    with pytest.raises(NoResultError, match="still image"):
        STREAMNetMethod().predict(face_video(np.full((40, 36, 36, 3), 9, np.uint8)))
    with pytest.raises(NoResultError, match="one segment"):
        STREAMNetMethod().predict(face_video(np.zeros((9, 36, 36, 3), np.uint8)))


def test_crops_larger_are_resized_smaller_are_refused(clips):
    frames = clips[0][0][:30]
    large = frames.repeat(2, axis=1).repeat(2, axis=2)
    method = STREAMNetMethod()
    same = method.predict(face_video(large)).bvp
    assert np.allclose(same, method.predict(face_video(frames)).bvp, atol=1e-5)
    with pytest.raises(ConfigError, match="RESIZE"):
        method.predict(face_video(frames[:, :20, :20]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_without_cuda_is_refused():
    with pytest.raises(ConfigError, match="DEVICE: cpu"):
        STREAMNetMethod(device="cuda:0")


def test_own_weights(tmp_path):
    save_checkpoint(STREAMNet(), tmp_path / "w.safetensors", {"who": "me"})
    assert STREAMNetMethod(tmp_path / "w.safetensors").provenance["who"] == "me"
