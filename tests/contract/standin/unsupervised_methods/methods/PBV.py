"""The blood volume signature (de Haan & van Leest, Physiol. Meas. 35(9), 2014), from the clip.

NumPy 2 takes the right-hand side (1, 3) as a matrix, not as a stack of vectors.
"""

import numpy as np

from unsupervised_methods.methods.utils import mean_colour


def PBV(frames):
    rgb = mean_colour(frames)[None]  # (1, T, 3)
    c = rgb / rgb.mean(axis=1, keepdims=True)
    signature = c.std(axis=1)
    signature /= np.linalg.norm(signature, axis=1, keepdims=True)  # (1, 3)
    weights = np.linalg.solve(np.swapaxes(c, 1, 2) @ c, signature)  # (1, 3)
    pulse = np.einsum("btc,bc->bt", c, weights)
    return (pulse / np.sum(weights * signature, axis=1, keepdims=True))[0]
