"""Made-up results: absolute errors by method and subject, and an analysis to go with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamnet_plugin.report.results import BenchmarkResults, MethodSummary, WindowRow
from streamnet_plugin.statistics.results import (
    Analysis,
    Coverage,
    GroupRow,
    Interval,
    LengthRow,
    MethodAnalysis,
    PairTest,
    RankTest,
    UncertaintyQuality,
)

LABEL = 70.0


def window(method, subject, number, error, dataset="PURE", **changes):
    known = error is not None
    pred = LABEL + error if known else None
    row = WindowRow(
        method=method, dataset=dataset, recording=f"{subject}-01", subject=subject, window=number,
        start_s=10.0 * number, end_s=10.0 * (number + 1), hr_label=LABEL, hr_pred=pred,
        abs_error=abs(error) if known else None, hr_label_refined=LABEL, hr_pred_refined=pred,
        snr_db=1.0 if known else None, macc=0.5 if known else None, hr_mc_mean=None,
        hr_mc_std=None, hr_mc_q05=None, hr_mc_q95=None, status="ok" if known else "no result",
        reason="" if known else "constant", spread=2.0 if known else None,
        half_widths={"90": 6.0} if known else {},
    )  # fmt: skip
    return replace(row, **changes)


def summarise(method, rows):
    errors = np.array([r.abs_error for r in rows if r.abs_error is not None])
    mae = float(errors.mean()) if len(errors) else None
    rmse = float(np.sqrt((errors**2).mean())) if len(errors) else None
    return MethodSummary(
        method, "toolbox", {"MAE": (mae, 0.1), "RMSE": (rmse, None), "Pearson": (None, None)},
        len(errors), len(rows) - len(errors), len({r.recording for r in rows}),
        len({r.subject for r in rows}), seconds=1.0,
    )  # fmt: skip


def build(errors, dataset="PURE", **changes):
    """`errors`: method -> subject -> errors of its windows in bpm, None without a result."""
    rows = [
        window(method, subject, number, error, dataset)
        for method, by_subject in errors.items()
        for subject, values in by_subject.items()
        for number, error in enumerate(values)
    ]
    made = BenchmarkResults(
        title=dataset, convention="toolbox-2025 (0.6-3.3 Hz)", hr_method="FFT",
        window="10 s windows",
        summaries=tuple(summarise(m, [r for r in rows if r.method == m]) for m in errors),
        rows=tuple(rows), failures=(), provenance={"seed": 1, "data_fingerprint": "f"},
    )  # fmt: skip
    return replace(made, **changes)


def conclude(method, mae, low, high, **changes):
    quality = UncertaintyQuality(
        levels=(
            Coverage(0.5, Interval(0.52, 0.40, 0.63), 4.0, 7.0, 20, 0),
            Coverage(0.9, Interval(0.88, 0.80, 0.95), 12.34, 15.0 + mae, 20, 0),
            Coverage(0.95, Interval(1.0, 1.0, 1.0), None, None, 20, 20),
        ),
        calibration_error=0.031,
        spearman=Interval(0.61, 0.40, 0.75),
        crps=None,
        risk_coverage=((0.5, 1.0), (1.0, mae)),
        aurc=mae / 2,
        excess_aurc=mae / 4,
    )
    base = MethodAnalysis(
        method, 10, 20,
        {
            "MAE": Interval(mae, low, high, "BCa"),
            "RMSE": Interval(2 * mae, reason="zero variance"),
            "within 5 bpm": Interval(85.0, 70.0, 95.0),
        },
        uncertainty=quality, n_withheld=5, kept_mae=Interval(mae / 2, mae / 4, mae),
    )  # fmt: skip
    return replace(base, **changes)


def analysis(**changes):
    base = Analysis(
        level=0.95,
        methods=(conclude("A_net", 1.0, 0.5, 1.75), conclude("B", 3.0, 2.0, 4.5)),
        pairs=(
            PairTest(
                "B", "A_net", 10, Interval(2.0, 0.5, 3.25, "BCa"), 0.01, 0.03,
                Interval(0.8, 0.2, 1.0), "Wilcoxon, exact",
            ),
        ),
        ranks=RankTest(10, 6.4, 0.0114, {"B": 1.9, "A_net": 1.1}, 0.62, (("B",), ("A_net",))),
        groups=(
            GroupRow("setup", "talking", "B", 10, 10, Interval(4.0, 3.0, 5.0),
                     Interval(0.7, 0.6, 0.8), "90 % intervals cover only 70 %"),
        ),
        lengths=(LengthRow(None, "B", 10, 10, 0, Interval(2.5, 2.0, 3.0)),
                 LengthRow(5.0, "B", 10, 40, 1, Interval(5.0, reason="few"))),
        notes=("what could not be done",),
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture(name="build")
def _build():
    return build


@pytest.fixture(name="conclude")
def _conclude():
    return conclude


@pytest.fixture(name="analysis")
def _analysis():
    return analysis


@pytest.fixture
def analysed():
    """Two methods, ten subjects with two windows each, MAE 1 and 3 bpm, and an analysis."""
    subjects = [f"{i:02d}" for i in range(10)]
    errors = {
        "A_net": dict.fromkeys(subjects, (0.5, -1.5)),
        "B": dict.fromkeys(subjects, (2.0, 4.0)),
    }
    return build(errors, analysis=analysis())
