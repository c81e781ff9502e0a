"""The green channel (Verkruysse et al., Optics Express 2008)."""

from unsupervised_methods.methods.utils import mean_colour


def GREEN(frames):
    return mean_colour(frames)[:, 1]
