"""The blood volume signature (de Haan & van Leest, Physiol. Meas. 35(9), 2014), from the clip.

NumPy 2 takes the right-hand side (1, 3) as a matrix, not as a stack of vectors.
"""

import numpy as np

from unsupervised_methods.methods.utils import mean_colour


def PBV(frames):
    rgb = mean_colour(frames).T  # (3, T)
    c = np.ascontiguousarray(rgb / rgb.mean(axis=1, keepdims=True))
    signature = c.std(axis=1) / np.sqrt(c.var(axis=1).sum())
    weights = np.linalg.solve((c @ c.T)[None], signature[None])  # (1, 3)
    return (c.T @ weights[0]) / (signature @ weights[0])
