import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.errors import DataError
from streamnet_plugin.evaluation.aggregate import METRICS, aggregate
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import WindowResult, evaluate_video
from streamnet_plugin.types import Prediction

TOOLBOX = get_convention("toolbox-2025")
LOST = WindowResult(*[float("nan")] * 6, reason="constant")


def window(label, pred, snr_db=1.0, macc=0.5):
    return WindowResult(label, pred, label, pred + 0.5, snr_db, macc)


def test_values_worked_by_hand():
    summary = aggregate([window(60, 62, 1, 0.5), window(80, 76, 3, 0.7), window(100, 100, 5, 0.9)])
    expected = {  # errors 2, 4, 0; squares 4, 16, 0; percent 10/3, 5, 0
        "MAE": (2, np.sqrt(8 / 3) / np.sqrt(3)),
        "RMSE": (np.sqrt(20 / 3), np.sqrt(np.std([4, 16, 0]) / np.sqrt(3))),
        "MAPE": (25 / 9, np.std([10 / 3, 5, 0]) / np.sqrt(3)),
        "SNR": (3, np.sqrt(8 / 3) / np.sqrt(3)),
        "MACC": (0.7, np.std([0.5, 0.7, 0.9]) / np.sqrt(3)),
        "MAE (refined)": (np.mean([2.5, 3.5, 0.5]), np.std([2.5, 3.5, 0.5]) / np.sqrt(3)),
    }
    for name, numbers in expected.items():
        assert (summary[name].value, summary[name].standard_error) == pytest.approx(numbers)
    r = summary["Pearson"].value
    assert r == pytest.approx(np.corrcoef([62, 76, 100], [60, 80, 100])[0, 1])
    assert summary["Pearson"].standard_error == pytest.approx(np.sqrt((1 - r**2) / 1))
    assert summary.notes == ()


@given(st.lists(st.tuples(st.floats(40, 190), st.floats(40, 190)), min_size=1, max_size=30))
def test_rmse_is_at_least_mae_and_none_is_nan(pairs):
    summary = aggregate([window(a, b) for a, b in pairs])
    assert summary["RMSE"].value >= summary["MAE"].value - 1e-9
    for estimate in summary.values():
        assert estimate.value is None or np.isfinite(estimate.value)
        assert estimate.standard_error is None or np.isfinite(estimate.standard_error)


def test_windows_without_a_result_are_excluded_and_counted():
    good = [window(60, 62), window(80, 76), window(100, 100)]
    summary = aggregate([LOST, *good, LOST])
    assert (summary.n_windows, summary.n_no_result) == (3, 2)
    assert summary["MAE"] == aggregate(good)["MAE"]


def test_one_video_gives_metrics_and_says_what_is_undefined():
    x = np.sin(np.arange(900) * 0.25)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = aggregate(evaluate_video(Prediction(bvp=x), x, 30, TOOLBOX))
    assert summary["MAE"].value == 0
    assert summary["MACC"].value == pytest.approx(1)
    assert summary["Pearson"].value is None
    assert summary["Pearson"].standard_error is None
    assert "Pearson" in summary.notes[0]


def test_pearson_of_one_heart_rate_is_undefined():
    summary = aggregate([window(60, p) for p in (60, 61, 62, 63)])
    assert summary["Pearson"].value is None


@pytest.mark.parametrize("windows", [[], [LOST, LOST]])
def test_nothing_at_all(windows):
    summary = aggregate(windows)
    assert set(summary) == set(METRICS)
    assert all(estimate.value is None for estimate in summary.values())
    assert summary.n_no_result == len(windows)
    assert summary.notes == ("no window has a result",)


def test_subjects_and_videos_are_counted_where_they_have_a_result():
    summary = aggregate(
        [window(60, 60), window(60, 61), LOST],
        videos=["01-01", "01-02", "02-01"],
        subjects=["01", "01", "02"],
    )
    assert (summary.n_videos, summary.n_subjects) == (2, 1)
    assert aggregate([LOST]).n_videos is None
    with pytest.raises(DataError, match="subjects"):
        aggregate([LOST], subjects=["a", "b"])


def test_infinite_snr_is_left_out_and_noted():
    summary = aggregate([window(60, 60, snr_db=4.0), window(60, 60, snr_db=-np.inf)])
    assert summary["SNR"].value == 4.0
    assert any("SNR leaves out 1" in note for note in summary.notes)


@pytest.mark.parametrize("method", ["FFT", "Peak"])
@pytest.mark.parametrize("window_s", [None, 10])
@pytest.mark.parametrize("differential", [False, True])
def test_table_equals_the_toolboxs(toolbox_metrics, capsys, method, window_s, differential):
    import torch

    rng = np.random.default_rng(5)
    predictions, labels, results = {}, {}, []
    for subject in range(6):
        t = np.arange(700) / 30
        bvp = np.sin(2 * np.pi * rng.uniform(0.9, 2.2) * t) + 0.2 * rng.normal(size=700)
        label = bvp
        if differential:
            label = np.append(np.diff(bvp) / np.std(np.diff(bvp)), 0.0)
        pred = label + 2 * rng.normal(size=700)
        chunks = {k: slice(350 * k, 350 * (k + 1)) for k in range(2)}
        predictions[f"s{subject}"] = {k: torch.tensor(pred[c]) for k, c in chunks.items()}
        labels[f"s{subject}"] = {k: torch.tensor(label[c]) for k, c in chunks.items()}
        results += evaluate_video(
            Prediction(bvp=pred, differential=differential),
            bvp,
            30,
            TOOLBOX,
            window_s=window_s,
            hr_method=method,
        )
    label_type = "DiffNormalized" if differential else "Raw"
    data = SimpleNamespace(FS=30, PREPROCESS=SimpleNamespace(LABEL_TYPE=label_type))
    config = SimpleNamespace(
        TOOLBOX_MODE="train_and_test",
        TRAIN=SimpleNamespace(MODEL_FILE_NAME="x"),
        TEST=SimpleNamespace(DATA=data, METRICS=["MAE", "RMSE", "MAPE", "Pearson", "SNR", "MACC"]),
        INFERENCE=SimpleNamespace(
            EVALUATION_METHOD="FFT" if method == "FFT" else "peak detection",
            EVALUATION_WINDOW=SimpleNamespace(
                USE_SMALLER_WINDOW=window_s is not None, WINDOW_SIZE=window_s
            ),
        ),
    )
    capsys.readouterr()
    toolbox_metrics.calculate_metrics(predictions, labels, config)
    printed = re.findall(r"(\w+) \(\w+ Label\): (\S+) \+/- (\S+)", capsys.readouterr().out)
    assert len(printed) == 6
    summary = aggregate(results)
    for name, value, error in printed:
        assert summary[name].value == pytest.approx(float(value), abs=1e-6), name
        assert summary[name].standard_error == pytest.approx(float(error), abs=1e-6), name
