"""Local group invariance (Pilz et al., CVPRW 2018): the main colour projected out."""

import numpy as np

from unsupervised_methods.methods.utils import mean_colour


def LGI(frames):
    rgb = mean_colour(frames).T  # (3, T)
    u, _, _ = np.linalg.svd(rgb)
    main = u[:, :1]
    return ((np.eye(3) - main @ main.T) @ rgb)[1]
