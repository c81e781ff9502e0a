"""Runs one classical method over a dataset and prints its metrics."""

import numpy as np
from evaluation.metrics import TAIL, print_metrics, window_frames
from evaluation.post_process import calculate_metric_per_video

from unsupervised_methods.methods.CHROM import CHROM as CHROME_DEHAAN
from unsupervised_methods.methods.GREEN import GREEN
from unsupervised_methods.methods.LGI import LGI
from unsupervised_methods.methods.OMIT import OMIT
from unsupervised_methods.methods.PBV import PBV
from unsupervised_methods.methods.POS import POS as POS_WANG


def unsupervised_predict(config, data_loader, method_name):
    """`data_loader["unsupervised"]` gives videos (1, T, H, W, 3) and their labels (1, T)."""
    if data_loader["unsupervised"] is None:
        raise ValueError("No data for unsupervised method")
    print(f"==== Unsupervised method {method_name} ====")
    data = config.UNSUPERVISED.DATA
    hr_method = {"FFT": "FFT", "peak detection": "Peak"}[config.INFERENCE.EVALUATION_METHOD]
    rows = []
    for batch in data_loader["unsupervised"]:
        for i in range(len(batch[0])):
            frames, label = batch[0][i].numpy()[..., :3], batch[1][i].numpy()
            bvp = np.asarray(predict(frames, data.FS, method_name))
            step = window_frames(config, data, len(frames))
            for start in range(0, len(frames), step):
                p, g = bvp[start : start + step], label[start : start + step]
                if len(p) >= TAIL:
                    rows.append(
                        calculate_metric_per_video(
                            p, g, data.FS, diff_flag=False, hr_method=hr_method
                        )
                    )
    print_metrics(rows, config.UNSUPERVISED.METRICS, hr_method, config, data, method_name)


def predict(frames, fs, method_name):
    """The waveform that a method reads from frames (T, H, W, 3)."""
    if method_name == "GREEN":
        return GREEN(frames)
    elif method_name == "CHROM":
        return CHROME_DEHAAN(frames, fs)
    elif method_name == "POS":
        return POS_WANG(frames, fs)
    elif method_name == "PBV":
        return PBV(frames)
    elif method_name == "LGI":
        return LGI(frames)
    elif method_name == "OMIT":
        return OMIT(frames)
    raise ValueError("This unsupervised method is not supported!")
