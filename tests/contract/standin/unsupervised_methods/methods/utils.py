import numpy as np


def mean_colour(frames):
    """(T, H, W, 3) -> (T, 3), in the frames' precision: single, as the loader gives them."""
    return np.sum(frames, axis=(1, 2)) / (frames.shape[1] * frames.shape[2])
