"""Inside a toolbox on a GPU: training, testing, and the builtin backend's numbers."""

from __future__ import annotations

import pytest
import torch

from streamnet_plugin.comparison import benchmark

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA here"),
    pytest.mark.usefixtures("inline"),
]
ON_GPU = {"DEVICE": "cuda:0", "NUM_OF_GPU_TRAIN": 1, "UNCERTAINTY": {"MC_SAMPLES": 3}}


@pytest.mark.parametrize("model", ["STREAMNet", "Tscan"])
def test_a_model_is_trained_and_tested(toolbox, launch, toolbox_yaml, splits, tmp_path, model):
    config = toolbox_yaml(
        tmp_path,
        "train_and_test",
        **splits,
        model=model,
        changes=ON_GPU,
    )
    done = launch(toolbox, config)
    assert "FFT MAE (FFT Label)" in done.stdout
    assert len(done.files("*_Epoch1.pth")) == 1
    if model == "STREAMNet":
        assert {row.recording for row in done.run.results.rows} == {"01-01", "02-01", "03-01"}


def test_both_backends_read_the_same(
    toolbox, launch, toolbox_yaml, twin_ubfc, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    config = toolbox_yaml(
        tmp_path, "only_test", test=("UBFC-rPPG", twin_ubfc, 0.0, 1.0), model="STREAMNet",
        changes=ON_GPU,
    )  # fmt: skip
    inside = launch(toolbox, config).run.results
    ours = benchmark(config, output=tmp_path / "ours", plots=False).results
    hr = [{(r.recording, r.window): r.hr_pred for r in results.rows if r.method == "STREAMNet"}
          for results in (inside, ours)]  # fmt: skip
    assert len(hr[0]) == 5
    assert hr[0] == pytest.approx(hr[1], abs=1e-6)
