"""The figure of Monte Carlo dropout by rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streamnet_plugin.report.figures import DOUBLE, DPI, FORMATS, MUTED, PALETTE, STYLE

if TYPE_CHECKING:
    from streamnet_plugin.rates import RateRun


@rc_context(STYLE)
def save_rate_figure(run: RateRun, folder: Path) -> None:
    """Variance, HR SD and error over the rate, as rates.png, .pdf and .svg in `folder`."""
    from streamnet_plugin.rates import PAPER_VARIANCE

    figure = Figure(figsize=(DOUBLE, 2.4), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 3)
    shown = sorted((r for r in run.rows if r.rate is not None), key=lambda r: r.rate or 0.0)
    trained = next((r for r in run.rows if r.rate is None), None)
    labels = {"variance": "variance of the output", "hr_sd": "HR SD (bpm)", "mae": "MAE (bpm)"}
    for axes, (name, label) in zip(panels, labels.items(), strict=True):
        points = [(r.rate, getattr(r, name)) for r in shown if getattr(r, name) is not None]
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, "o-", color=PALETTE[0])
        usual = None if trained is None else getattr(trained, name)
        if usual is not None:
            axes.axhline(usual, color=PALETTE[1], linestyle="--", label="trained rates")
        if name == "variance":
            axes.axhspan(*PAPER_VARIANCE, color=MUTED, alpha=0.2, linewidth=0, label="paper")
        axes.set_xlabel("dropout rate")
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
    panels[0].legend()
    for kind in FORMATS:
        figure.savefig(folder / f"rates.{kind}")
