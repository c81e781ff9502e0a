"""Waveforms as PNG. Colours are Okabe and Ito's, told apart by the colour-blind.

The figures of a comparison are in `figures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streamnet_plugin.report.results import Waveform

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"
DPI = 150


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)


def waveforms(items: Sequence[Waveform], title: str, path: Path, seconds: float = 10.0) -> None:
    """The first seconds of one video: the true BVP, and what each method read."""
    figure = _figure(9, 1.0 + 1.1 * len(items))
    panels = figure.subplots(len(items), 1, sharex=True, squeeze=False)[:, 0]
    for axes, item in zip(panels, items, strict=True):
        shown = item.t <= item.t[0] + seconds
        axes.plot(item.t[shown], item.label[shown], color=GREY, linewidth=1, label="true")
        axes.plot(item.t[shown], item.pred[shown], color=BLUE, linewidth=1.2, label="read")
        if item.band is not None:
            axes.fill_between(item.t[shown], item.band[0][shown], item.band[1][shown],
                              color=BLUE, alpha=0.25, label="5-95 % of MC samples")  # fmt: skip
            axes.legend(fontsize=7, loc="upper right", ncols=3)
        axes.set_ylabel(item.method, fontsize=8, rotation=0, ha="right", va="center")
        axes.set_yticks([])
        _plain(axes)
    panels[-1].set_xlabel("time (s)")
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=DPI)


def reading(
    t: np.ndarray, bvp: np.ndarray, f_bpm: np.ndarray, power: np.ndarray, hr: float, title: str,
    path: Path,
) -> None:  # fmt: skip
    """One's own video: waveform above, spectrum below with the read HR."""
    figure = _figure(9, 5)
    above, below = figure.subplots(2, 1)
    above.plot(t, bvp, color=BLUE, linewidth=1)
    above.set_xlabel("time (s)")
    above.set_ylabel("BVP (SD)")
    above.set_title(title, fontsize=10)
    below.plot(f_bpm, power / max(power.max(), np.finfo(float).tiny), color=BLUE)
    below.axvline(hr, color=ORANGE, linestyle="--", label=f"{hr:.1f} bpm")
    below.set_xlabel("frequency (bpm)")
    below.set_ylabel("power")
    below.legend()
    for axes in (above, below):
        _plain(axes)
    figure.savefig(path, dpi=DPI)
