"""Orthogonal matrix image transformation (Casado & Lopez, 2023): QR instead of LGI's SVD."""

import numpy as np

from unsupervised_methods.methods.utils import mean_colour


def OMIT(frames):
    rgb = mean_colour(frames).T  # (3, T)
    q, _ = np.linalg.qr(rgb)
    first = q[:, :1]
    return ((np.eye(3) - first @ first.T) @ rgb)[1]
