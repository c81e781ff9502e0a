"""How Monte Carlo dropout depends on its rate: the table and the figure of `streamnet uncertainty`.

The paper reports a mean variance of the network's output between 0.0049 and 0.0113 over its
dropout rates (Usman, Sobotka, Ruminski, Knowledge-Based Systems, 2025).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np

from streamnet_plugin.comparison import make_method, predict_all, prepare, scoring_of
from streamnet_plugin.config import Config, load_config
from streamnet_plugin.data.datasets import dataset_fingerprint
from streamnet_plugin.data_root import DataRoot, with_data_root
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.progress import Reporter, Silent
from streamnet_plugin.report.cells import Cell, Grid, interval_cell, number_cell
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.report.render import markdown
from streamnet_plugin.report.results import FailureRow, WindowRow
from streamnet_plugin.report.writer import check_writable, in_new_folder
from streamnet_plugin.scoring import score
from streamnet_plugin.statistics.results import Interval
from streamnet_plugin.types import Method
from streamnet_plugin.uncertainty.mc_dropout import Sampled, cannot_be_sampled
from streamnet_plugin.uncertainty.quality import spread_error_correlation

PAPER_VARIANCE = (0.0049, 0.0113)
"""Mean variance over the rates that the paper tried."""
RATES = (0.1, 0.2, 0.3, 0.4, 0.5)
TRAINED = "trained"
ROUNDING_BPM = 1e-6
"""Samples whose heart rates differ by less are the same: without it, rounding errors at rate 0
would be ranked and correlated."""


NO_WINDOW = Interval(None, reason="no window has a result")


@dataclass(frozen=True)
class RateRow:
    """One dropout rate.

    Attributes:
        rate: None stands for the trained rates, another one for each layer.
        variance: of the network's output over the samples, mean over frames and windows (the
            normalised first difference of the BVP, no unit).
        hr_sd: of HR over the samples, mean over windows, bpm.
        mae: of the samples' mean HR against the true refined HR, bpm.
        crps: continuous ranked probability score of the samples' HR, bpm.
        spearman: of `hr_sd` and the absolute error, over windows.
        n_windows, n_subjects: what it rests on.
    """

    rate: float | None
    variance: float | None
    hr_sd: float | None
    mae: float | None
    crps: float | None
    spearman: Interval
    n_windows: int
    n_subjects: int


@dataclass(frozen=True)
class RateRun:
    """All rates, what failed on the way, and the folder written.

    Attributes:
        unsampled: layers whose dropout the samples are without, see `mc_dropout.unsampled_layers`.
    """

    method: str
    rows: tuple[RateRow, ...]
    failures: tuple[FailureRow, ...]
    folder: Path | None
    unsampled: tuple[str, ...] = ()


def uncertainty_by_rate(
    config: str | Path | Config = "benchmark/demo",
    rates: Sequence[float] = RATES,
    *,
    overrides: Sequence[str] = (),
    data_root: DataRoot | None = None,
    output: str | Path | None = "streamnet-uncertainty",
    jobs: int = 2,
    progress: Reporter | None = None,
) -> RateRun:
    """Sample the network of a protocol at every rate, and at the trained ones.

    Args:
        config: a YAML, the name of a shipped one, or a parsed one; its MODEL.NAME is sampled.
        rates: each for all dropout layers, 0 to 1.
        overrides, data_root, jobs: see `streamnet_plugin.benchmark`.
        output: folder for rates.csv, rates.md and the figure; None writes nothing.
        progress: hears of every step.

    Raises:
        ConfigError: a rate that is none, no samples, or a method without dropout of its own layers.
        DataError: no video could be used.
        OutputError: the folder cannot be written.
    """
    progress = progress or Silent()
    wrong = [rate for rate in rates if not 0 <= rate < 1]
    if wrong:
        raise ConfigError(f"a dropout rate of {wrong[0]:g}", remedy="give rates from 0 to below 1.")
    parsed = config if isinstance(config, Config) else load_config(config, overrides)
    parsed = with_data_root(parsed, data_root)
    if parsed.UNCERTAINTY.MC_SAMPLES < 2:
        raise ConfigError("fewer than 2 samples", remedy="set UNCERTAINTY.MC_SAMPLES, e.g. 30.")
    if output is not None:
        check_writable(output)
    prepared = prepare(parsed, jobs=jobs, progress=progress)
    rows, failures, unsampled = [], list(prepared.failures), []
    for rate in (None, *dict.fromkeys(rates)):
        changed = parsed.UNCERTAINTY.model_copy(update={"MC_RATE": rate})
        at_rate = parsed.model_copy(update={"UNCERTAINTY": changed})
        method = make_method(parsed.MODEL.NAME, at_rate)
        pairs, failed, _ = predict_all([method], prepared.videos, at_rate, progress, _named(rate))
        failures += [f for f in failed if f not in failures]
        read = [pair for pair in pairs if len(pair.pred)]
        if read and all(pair.samples is None for pair in read):
            raise _nothing_to_sample(method)
        unsampled = cannot_be_sampled(method) if isinstance(method, Sampled) else []
        scoring = scoring_of(at_rate)
        windows, _ = score(pairs, scoring.convention, scoring.window_s, scoring.hr_method)
        rows.append(_row(rate, windows))
    if not any(row.n_windows for row in rows):
        why = f"; the first reason: {failures[0].reason}" if failures else ""
        raise DataError(f"no window has a result at any rate{why}")
    source = provenance(
        parsed.model_dump(mode="json"),
        parsed.UNCERTAINTY.SEED,
        dataset_fingerprint(prepared.videos),
        {parsed.MODEL.NAME: {"rates": list(rates)}},
    )
    done = RateRun(parsed.MODEL.NAME, tuple(rows), tuple(failures), None, tuple(unsampled))
    if output is None:
        return done
    folder = in_new_folder(output, lambda place: _write(done, source, place))
    return replace(done, folder=folder)


def _nothing_to_sample(method: Method) -> ConfigError:
    layers = cannot_be_sampled(method)
    if not layers:
        return ConfigError(
            f"{method.name} has no dropout to sample", remedy="set MODEL.NAME: STREAMNet."
        )
    return ConfigError(
        f"{method.name} has dropout only inside {', '.join(layers)}, which cannot be switched on "
        "alone",
        remedy="put nn.Dropout between such layers, or let predict give Prediction.samples.",
    )


def _named(rate: float | None) -> str:
    return f"rate {TRAINED if rate is None else f'{rate:g}'}"


def _row(rate: float | None, windows: Sequence[WindowRow]) -> RateRow:
    good = [w for w in windows if w.hr_mc_std is not None and w.hr_label_refined is not None]
    truth = np.array([w.hr_label_refined for w in good], dtype=np.float64)
    mean = np.array([w.hr_mc_mean for w in good], dtype=np.float64)
    sd = np.array([w.hr_mc_std for w in good], dtype=np.float64)
    sd[sd < ROUNDING_BPM] = 0.0
    people = [w.person for w in good]
    error = np.abs(mean - truth)
    return RateRow(
        rate=rate,
        variance=_mean([w.bvp_mc_var for w in good]),
        hr_sd=_mean(sd.tolist()),
        mae=_mean(error.tolist()),
        crps=_mean([w.hr_mc_crps for w in good]),
        spearman=spread_error_correlation(sd, error, people) if good else NO_WINDOW,
        n_windows=len(good),
        n_subjects=len(set(people)),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def rates_table(run: RateRun) -> Grid:
    """One row per rate, the trained ones first."""
    low, high = PAPER_VARIANCE
    first = run.rows[0]
    return Grid(
        name="rates",
        caption=(
            f"Monte Carlo dropout of {run.method} by rate: {first.n_subjects} subjects, "
            f"{first.n_windows} windows. Variance: of the normalised first difference of the BVP, "
            f"mean over frames; the paper reports {low}-{high} over its rates, on other data. "
            "MAE: of the samples' mean HR (refined). Spearman: of HR SD and absolute error."
            + (f" Without the dropout inside {', '.join(run.unsampled)}." if run.unsampled else "")
        ),
        columns=("Rate", "Variance", "HR SD (bpm)", "MAE (bpm)", "CRPS (bpm)", "Spearman"),
        rows=tuple(
            (
                Cell(TRAINED if row.rate is None else f"{row.rate:g}", row.rate),
                number_cell(row.variance, 4),
                number_cell(row.hr_sd),
                number_cell(row.mae),
                number_cell(row.crps),
                interval_cell(row.spearman),
            )
            for row in run.rows
        ),
        n_text=1,
    )


def _write(run: RateRun, source: dict[str, object], folder: Path) -> None:
    from streamnet_plugin.report.rate_figure import save_rate_figure  # matplotlib is slow to import

    grid = rates_table(run)
    (folder / "rates.md").write_text(f"{grid.caption}\n\n{markdown(grid)}\n", encoding="utf-8")
    (folder / "rates.csv").write_text(_csv(run.rows), encoding="utf-8")
    (folder / "provenance.json").write_text(
        json.dumps(source, indent=1, default=str) + "\n", encoding="utf-8"
    )
    save_rate_figure(run, folder)


def _csv(rows: Sequence[RateRow]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    plain = [f.name for f in fields(RateRow) if f.name != "spearman"]
    writer.writerow([*plain, "spearman", "spearman_low", "spearman_high"])
    for row in rows:
        tree = asdict(row)
        values = [tree[name] for name in plain]
        values[0] = TRAINED if row.rate is None else row.rate
        r = row.spearman
        writer.writerow(["" if v is None else v for v in (*values, r.value, r.low, r.high)])
    return out.getvalue()
