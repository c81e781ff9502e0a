"""Figures of a benchmark, as PNG. Colours are Okabe and Ito's, told apart by the colour-blind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streamnet_plugin.report.results import BenchmarkResults, Waveform, WindowRow
from streamnet_plugin.wording import count

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
DPI = 150


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)


def overview(results: BenchmarkResults, path: Path) -> None:
    """MAE of every method with its standard error, the best on top."""
    known = [(s, s.values["MAE"]) for s in results.summaries if s.values["MAE"][0] is not None]
    known.sort(key=lambda item: -(item[1][0] or 0.0))
    figure = _figure(7, 1.2 + 0.4 * max(1, len(known)))
    axes = figure.add_subplot()
    for y, (s, (value, error)) in enumerate(known):
        colour = ORANGE if s.variant == "network" else BLUE
        axes.errorbar(value or 0.0, y, xerr=error or 0.0, fmt="o", color=colour, capsize=3)
        axes.annotate(f"{value:.2f}", (value or 0.0, y), (0, 6), textcoords="offset points",
                      ha="center", fontsize=8)  # fmt: skip
    axes.set_yticks(range(len(known)), [s.method for s, _ in known])
    axes.set_xlabel("MAE of HR (bpm), ± standard error")
    axes.set_xlim(left=0)
    axes.set_title(f"{results.title}, {results.convention}, {results.window}", fontsize=9)
    _plain(axes)
    figure.savefig(path, dpi=DPI)


def agreement(rows: Sequence[WindowRow], method: str, path: Path) -> None:
    """Bland-Altman plot and scatter of one method, side by side; says so if there is nothing."""
    good = [
        (r.hr_label, r.hr_pred) for r in rows if r.hr_label is not None and r.hr_pred is not None
    ]
    figure = _figure(9, 4.2)
    left, right = figure.subplots(1, 2)
    figure.suptitle(f"{method}: {count(len(good), 'window')}")
    if not good:
        for axes in (left, right):
            axes.text(0.5, 0.5, "no window has a result", ha="center", transform=axes.transAxes)
            axes.set_axis_off()
        figure.savefig(path, dpi=DPI)
        return
    label, pred = np.array(good, dtype=float).T
    difference, mean = pred - label, (pred + label) / 2
    left.scatter(mean, difference, s=18, color=BLUE, alpha=0.7)
    bias = difference.mean()
    left.axhline(bias, color=ORANGE, label=f"bias {bias:.2f}")
    if len(good) > 1:
        limit = 1.96 * difference.std(ddof=1)
        for y in (bias - limit, bias + limit):
            left.axhline(y, color=ORANGE, linestyle="--")
        left.plot([], [], color=ORANGE, linestyle="--", label=f"± 1.96 SD = {limit:.2f}")
    left.set_xlabel("mean of true and read HR (bpm)")
    left.set_ylabel("read - true HR (bpm)")
    left.legend(fontsize=8)
    right.scatter(label, pred, s=18, color=BLUE, alpha=0.7)
    ends = [min(label.min(), pred.min()) - 3, max(label.max(), pred.max()) + 3]
    right.plot(ends, ends, color=GREY, linewidth=1)
    right.set_xlabel("true HR (bpm)")
    right.set_ylabel("read HR (bpm)")
    for axes in (left, right):
        _plain(axes)
    figure.savefig(path, dpi=DPI)


def waveforms(items: Sequence[Waveform], path: Path, seconds: float = 10.0) -> None:
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
    figure.suptitle(items[0].recording, fontsize=10)
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
