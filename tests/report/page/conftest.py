"""Made-up results of a comparison, with everything that an analysis can hold."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from streamnet_plugin.report.results import (
    BenchmarkResults,
    FailureRow,
    MethodSummary,
    Waveform,
    WindowRow,
)
from streamnet_plugin.statistics.results import (
    Analysis,
    BlandAltman,
    Coverage,
    GroupRow,
    Interval,
    LengthRow,
    MethodAnalysis,
    PairTest,
    RankTest,
    Repeatability,
    UncertaintyQuality,
)

METHODS = ("STREAMNet", "POS", "GREEN")
ERRORS = {"STREAMNet": 1.5, "POS": 3.0, "GREEN": 9.0}
"""Typical absolute errors, bpm."""
WINDOW_S = 10.0


@pytest.fixture(scope="session")
def analysed():
    """3 methods, 6 subjects, 3 windows each; the third is withheld for POS, one has no result."""
    return made_up()


@pytest.fixture(scope="session")
def waves(analysed):
    return made_up_waveforms(analysed)


@pytest.fixture(scope="session")
def make_results():
    return made_up


@pytest.fixture(scope="session")
def make_waveforms():
    return made_up_waveforms


def made_up(methods=METHODS, n_subjects=6, n_windows=3, names=None):
    """Results whose errors grow from method to method; `names` of the recordings."""
    rng = np.random.default_rng(0)
    typical = {m: ERRORS.get(m, 2.0 + i) for i, m in enumerate(methods)}
    names = names or [f"subject{i + 1}" for i in range(n_subjects)]
    rows = tuple(
        _row(m, names[s], f"s{s + 1}", w, typical[m], rng, setup=("steady", "talking")[s % 2])
        for m in methods
        for s in range(len(names))
        for w in range(n_windows)
    )
    return BenchmarkResults(
        title="Synthetic demo, UBFC-rPPG",
        convention="toolbox-2025 (0.6-3.3 Hz)",
        hr_method="FFT",
        window=f"{WINDOW_S:g} s windows",
        summaries=tuple(_summary(m, rows) for m in methods),
        rows=rows,
        failures=(
            FailureRow("subject9", "/data/subject9/vid.avi", "the video is cut", "copy it again."),
            FailureRow("subject2", "/data/subject2/vid.avi", "the waveform is constant",
                       "look at the recording.", "GREEN"),
        ),
        provenance={
            "created": "2025-11-02T10:00:00+00:00", "command": "streamnet benchmark", "seed": 7,
            "data_fingerprint": "abc123", "git_commit": "0123456789abcdef",
            "versions": {"python": "3.11.7", "numpy": "2.0.0"}, "config": {"TOOLBOX_MODE": "x"},
        },
        notes=("Synthetic faces: no figure here says how a method does on people.",),
        analysis=_analysis(methods, rows, len(names), typical, rng),
    )  # fmt: skip


def _row(method, recording, subject, window, typical, rng, setup):
    label = 60.0 + (11 * int(subject[1:]) + 3 * window) % 30
    error = typical * rng.standard_normal()
    lost = method == "GREEN" and recording == "subject2"
    pred = None if lost else label + error
    return WindowRow(
        method=method, dataset="UBFC-rPPG", recording=recording, subject=subject, window=window,
        start_s=window * WINDOW_S, end_s=(window + 1) * WINDOW_S, hr_label=label, hr_pred=pred,
        abs_error=None if lost else abs(error), hr_label_refined=label, hr_pred_refined=pred,
        snr_db=None if lost else 3.0, macc=None if lost else 0.7, hr_mc_mean=None, hr_mc_std=None,
        hr_mc_q05=None, hr_mc_q95=None, status="no result" if lost else "ok",
        reason="the waveform is constant" if lost else "", groups={"setup": setup},
        spread=None if lost else 1.0,
        half_widths={} if lost else {
            "90": 1.6 * typical * (1 + 0.3 * rng.random()),
            "95": None if window == 1 else 3 * typical,
        },
        withheld="the peak is weak" if method == "POS" and window == 2 else "",
    )  # fmt: skip


def _known(method, rows):
    return [r for r in rows if r.method == method and r.abs_error is not None]


def _summary(method, rows):
    mine = [r for r in rows if r.method == method]
    errors = np.array([r.abs_error for r in _known(method, rows)])
    values = {
        "MAE": (float(errors.mean()), float(errors.std() / np.sqrt(len(errors)))),
        "RMSE": (float(np.sqrt((errors**2).mean())), 0.3),
        "Pearson": (float(1 / (1 + errors.mean() / 10)), 0.05),
        "SNR": (3.0 - float(errors.mean()), 0.4),
    }
    variant = "network" if method == "STREAMNet" else "toolbox"
    return MethodSummary(
        method, variant, values, len(errors), len(mine) - len(errors), 6, 6,
        0.8 if variant == "network" else None, 1.5,
    )  # fmt: skip


def _around(value, part=0.3):
    return Interval(value, value - part * abs(value), value + part * abs(value), "BCa")


def _analysis(methods, rows, n_subjects, typical, rng):
    maes = {m: float(np.mean([r.abs_error for r in _known(m, rows)])) for m in methods}
    order = sorted(methods, key=maes.get)
    pairs = tuple(
        PairTest(
            a, b, n_subjects, _around(maes[a] - maes[b]), 0.01, 0.03 if j > i + 1 else 0.21,
            Interval(-0.8, -1.0, -0.2), "Wilcoxon, exact",
        )
        for i, a in enumerate(order) for j, b in enumerate(order) if i < j
    )  # fmt: skip
    cliques = tuple(itertools.pairwise(order))
    return Analysis(
        level=0.95,
        methods=tuple(_method(m, rows, n_subjects, maes[m], rng) for m in methods),
        pairs=pairs,
        ranks=RankTest(
            n_subjects, 9.0, 0.011, {m: 1.2 + 0.85 * i for i, m in enumerate(order)}, 1.35, cliques,
            tuple((p.a, p.b, 0.04) for p in pairs),
        ),
        groups=tuple(
            GroupRow(
                "setup", v, m, 6, 9, _around(maes[m] * k),
                Interval(0.53, 0.48, 0.58) if v == "talking" else Interval(0.93, 0.85, 0.97),
                "the 90 % intervals cover 53 % (48-58 %)" if v == "talking" else "",
            )
            for v, k in (("steady", 0.8), ("talking", 1.2)) for m in methods
        ),
        lengths=tuple(
            LengthRow(s, m, n_subjects, 18, 0, _around(maes[m] * k))
            for s, k in ((5.0, 1.6), (10.0, 1.0), (None, 0.6)) for m in methods
        ),
        notes=("Skin tone is not known of these recordings.",),
    )  # fmt: skip


def _method(m, rows, n_subjects, mae, rng):
    known = _known(m, rows)
    curve = tuple((i / 18, mae * (0.5 + i / 36)) for i in range(1, 19))
    levels = tuple(
        Coverage(v, Interval(v - 0.02, v - 0.1, min(1.0, v + 0.05), "BCa"), 4 * mae * v, 5 * mae,
                 len(known), 6 if v == 0.95 else 0)
        for v in (0.5, 0.8, 0.9, 0.95)
    )  # fmt: skip
    withheld = sum(bool(r.withheld) for r in known)
    return MethodAnalysis(
        method=m, n_subjects=n_subjects, n_windows=len(known),
        metrics={"MAE": _around(mae), "RMSE": _around(1.3 * mae), "within 3 bpm": _around(60.0)},
        bland_altman=BlandAltman(_around(0.2), _around(-2 * mae), _around(2 * mae), mae, mae / 2,
                                 n_subjects, len(known)),
        uncertainty=UncertaintyQuality(
            levels, 0.02, _around(0.5), None, curve, 0.7 * mae, 0.2 * mae
        ),
        repeatability=(
            Repeatability(
                "windows of a recording", _around(mae), _around(2.77 * mae), _around(0.8),
                n_subjects, len(known),
            ),
        ),
        n_withheld=withheld,
        kept_mae=_around(0.8 * mae) if withheld else None,
        withheld_reasons={"the peak is weak": withheld} if withheld else {},
    )  # fmt: skip


def made_up_waveforms(results, fs=30.0):
    """A sine at each video's read and true HR; the first method has a Monte Carlo band."""
    waveforms, seen = [], set()
    first = results.rows[0].method
    last = max(r.end_s for r in results.rows)
    t = np.arange(round(last * fs)) / fs
    for r in results.rows:
        if (r.method, *r.recording_key) in seen or r.hr_pred is None:
            continue
        seen.add((r.method, *r.recording_key))
        pred, label = (1.4 * np.sin(2 * np.pi * hr / 60 * t) for hr in (r.hr_pred, r.hr_label))
        band = (pred - 0.3, pred + 0.3) if r.method == first else None
        waveforms.append(Waveform(r.method, r.dataset, r.recording, t, pred, label, band))
    return waveforms
