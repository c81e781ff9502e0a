"""Metrics over all videos or windows, printed."""

import os

import numpy as np
from evaluation.BlandAltmanPy import BlandAltman
from evaluation.post_process import calculate_metric_per_video

TAIL = 9
"""A window of fewer frames is left out."""


def _join(chunks):
    """One waveform from the chunks of a video, in their order."""
    return np.concatenate([np.asarray(chunks[k]).reshape(-1) for k in sorted(chunks)])


def window_frames(config, data, length):
    """Frames of an evaluation window in a waveform of `length`; `data` is its section DATA."""
    window = config.INFERENCE.EVALUATION_WINDOW
    return min(length, window.WINDOW_SIZE * data.FS) if window.USE_SMALLER_WINDOW else length


def calculate_metrics(predictions, labels, config):
    """Print the metrics in TEST.METRICS of predictions[video][chunk] against labels."""
    data = config.TEST.DATA
    differential = data.PREPROCESS.LABEL_TYPE == "DiffNormalized"
    method = {"FFT": "FFT", "peak detection": "Peak"}.get(config.INFERENCE.EVALUATION_METHOD)
    rows = []
    for video in predictions:
        pred, label = _join(predictions[video]), _join(labels[video])
        step = window_frames(config, data, len(pred))
        for i in range(0, len(pred), step):
            p, g = pred[i : i + step], label[i : i + step]
            if len(p) < TAIL:
                print(f"{video}: the last {len(p)} frames are no window")
                continue
            rows.append(calculate_metric_per_video(p, g, data.FS, differential, hr_method=method))
    if config.TOOLBOX_MODE == "train_and_test":
        name = config.TRAIN.MODEL_FILE_NAME
    else:
        name = os.path.basename(config.INFERENCE.MODEL_PATH).removesuffix(".pth")
    print_metrics(rows, config.TEST.METRICS, method, config, data, name)


def print_metrics(rows, names, method, config, data, file_name):
    """Print metrics of rows (label HR, predicted HR, SNR, MACC), one line each."""
    label, pred, snr, macc = np.array(rows).T
    error, n = np.abs(pred - label), len(rows)
    for name in names:
        unit = ""
        if name == "MAE":
            value, se = np.mean(error), np.std(error) / np.sqrt(n)
        elif name == "RMSE":
            value, se = np.sqrt(np.mean(error**2)), np.sqrt(np.std(error**2) / np.sqrt(n))
        elif name == "MAPE":
            share = error / label
            value, se = 100 * np.mean(share), 100 * np.std(share) / np.sqrt(n)
        elif name == "Pearson":
            value = np.corrcoef(pred, label)[0, 1]
            se = np.sqrt((1 - value**2) / (n - 2))
        elif name == "SNR":
            value, se, unit = np.mean(snr), np.std(snr) / np.sqrt(n), " (dB)"
        elif name == "MACC":
            value, se = np.mean(macc), np.std(macc) / np.sqrt(n)
        elif name == "BA":
            BlandAltman(label, pred, config, data.EXP_DATA_NAME).plot(f"{file_name}_{method}_BA")
            continue
        else:
            raise ValueError(f"Unknown metric {name}!")
        print(f"{method} {name} ({method} Label): {value} +/- {se}{unit}")
