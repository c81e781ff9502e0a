import numpy as np


def mean_colour(frames):
    """(T, H, W, 3) -> (T, 3)."""
    return np.mean(np.float64(frames), axis=(1, 2))
