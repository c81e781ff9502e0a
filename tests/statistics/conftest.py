"""Window rows made from a few numbers."""

from __future__ import annotations

import numpy as np
import pytest

from streamnet_plugin.report.results import WindowRow


def make_row(method="A", subject="s0", window=0, true=70.0, read=72.0, **other):
    """A row with a result, unless `read` is None; the refined HR are the same."""
    lost = read is None
    fields = {
        "method": method,
        "dataset": "PURE",
        "recording": f"v-{subject}",
        "subject": subject,
        "window": window,
        "start_s": 10.0 * window,
        "end_s": 10.0 * window + 10,
        "hr_label": None if lost else true,
        "hr_pred": read,
        "abs_error": None if lost else abs(read - true),
        "hr_label_refined": None if lost else true,
        "hr_pred_refined": read,
        "snr_db": None if lost else 1.0,
        "macc": None if lost else 0.8,
        "hr_mc_mean": None,
        "hr_mc_std": None,
        "hr_mc_q05": None,
        "hr_mc_q95": None,
        "status": "no result" if lost else "ok",
        "reason": "the prediction is constant" if lost else "",
    }
    return WindowRow(**{**fields, **other})


def make_study(scales, n=12, windows=4, seed=0, **other):
    """Rows of several methods: method -> size of its errors, bpm; subjects differ in difficulty."""
    rng = np.random.default_rng(seed)
    hr, hard = rng.uniform(55, 110, n), rng.gamma(2, 0.5, n)
    return [
        make_row(
            method, f"s{s}", w, hr[s] + w, hr[s] + w + scale * hard[s] * rng.normal(),
            **{"snr_db": float(rng.normal(1, 4)), "macc": float(rng.uniform(0.4, 1)), **other},
        )
        for method, scale in scales.items()
        for s in range(n)
        for w in range(windows)
    ]  # fmt: skip


@pytest.fixture(scope="session")
def row():
    return make_row


@pytest.fixture(scope="session")
def study():
    return make_study
