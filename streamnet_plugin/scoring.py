"""From pairs of waveforms (read, true) to rows and summaries: the one scoring path.

`streamnet benchmark` scores what it has just predicted, `streamnet evaluate` what was saved
before, by us or by a foreign toolbox.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.errors import DataError, StreamnetError
from streamnet_plugin.evaluation.aggregate import aggregate
from streamnet_plugin.evaluation.conventions import Convention
from streamnet_plugin.evaluation.windows import (
    HrMethod,
    WindowResult,
    clean_waveform,
    evaluate_prediction,
)
from streamnet_plugin.report.results import FailureRow, MethodSummary, Waveform, WindowRow
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.types import FloatArray, Prediction
from streamnet_plugin.uncertainty.quality import crps
from streamnet_plugin.uncertainty.window import window_signs

PAIRS_FILE = "waveforms.npz"


@dataclass(frozen=True)
class WaveformPair:
    """What a method read from one recording, beside the truth.

    Attributes:
        method, dataset, recording, subject: who read what.
        fs: frame rate in Hz.
        pred: (T,) waveform as the method gave it; empty where it gave none.
        label: (T,) true waveform in the same domain as `pred`.
        differential: both are normalised first differences of the BVP.
        variant: "toolbox", "paper", "network", ...
        samples: (S, T) Monte Carlo samples of `pred`, None if there are none.
        groups: what is known of the recording, e.g. {"setup": "steady"}.
        covered, inverted: see `Prediction`.
        rgb: (T, 3) mean colour of the frames, None if that is not known.
        path: of the video, or of the file that holds the waveforms; empty if that is not known.
        subject_assumed: nobody said who it shows; the recording stands for a subject of its own.
    """

    method: str
    dataset: str
    recording: str
    subject: str
    fs: float
    pred: FloatArray
    label: FloatArray
    differential: bool
    variant: str = ""
    samples: FloatArray | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    covered: int | None = None
    inverted: bool = False
    path: str = ""
    rgb: FloatArray | None = None
    subject_assumed: bool = False


def score_pair(
    pair: WaveformPair, convention: Convention, window_s: float | None, hr_method: HrMethod
) -> list[tuple[WindowRow, WindowResult]]:
    """The windows of one pair; a missing prediction has windows too, all without a result."""
    if len(pair.pred):
        prediction = Prediction(
            pair.pred, pair.differential, pair.samples, pair.covered, pair.inverted
        )
    else:
        prediction = Prediction(np.full(len(pair.label), np.nan), pair.differential)
    scored = evaluate_prediction(
        prediction, pair.label, pair.fs, convention, window_s=window_s, hr_method=hr_method
    )
    return [
        (_row(pair, number, part, result, convention), result)
        for number, (part, result) in enumerate(scored)
    ]


def _row(
    pair: WaveformPair, number: int, part: slice, r: WindowResult, convention: Convention
) -> WindowRow:
    row = WindowRow(
        method=pair.method,
        dataset=pair.dataset,
        recording=pair.recording,
        subject=pair.subject,
        window=number,
        start_s=part.start / pair.fs,
        end_s=part.stop / pair.fs,
        hr_label=_known(r.hr_label),
        hr_pred=_known(r.hr_pred),
        abs_error=_known(abs(r.hr_pred - r.hr_label)),
        hr_label_refined=_known(r.hr_label_refined),
        hr_pred_refined=_known(r.hr_pred_refined),
        snr_db=_known(r.snr_db),
        macc=_known(r.macc),
        hr_mc_mean=r.mc.mean if r.mc else None,
        hr_mc_std=r.mc.std if r.mc else None,
        hr_mc_q05=r.mc.q05 if r.mc else None,
        hr_mc_q95=r.mc.q95 if r.mc else None,
        status=r.status,
        reason=r.reason or "",
        groups=dict(pair.groups),
        hr_range=convention.hr_range,
    )
    return _unsure(row, pair, part, r, convention.band) if r.ok else row


def _unsure(
    row: WindowRow, pair: WaveformPair, part: slice, r: WindowResult, band: tuple[float, float]
) -> WindowRow:
    """The row of a window that has a result, with what speaks for and against that."""
    part = slice(part.start, min(part.stop, pair.covered or part.stop))
    bvp = clean_bvp(pair.pred[part], pair.fs, *band, pair.differential)
    signs = window_signs(
        bvp,
        pair.fs,
        r.hr_pred_refined,
        band,
        mc_sd_bpm=None if r.mc is None else r.mc.std,
        rgb=None if pair.rgb is None else pair.rgb[part],
    )
    samples = None if pair.samples is None else pair.samples[:, part]
    score = None
    if r.mc is not None:
        score = _known(float(crps(r.mc.hrs[None], np.array([r.hr_label_refined]))[0]))
    return replace(
        row,
        spread=signs.spread_bpm,
        withheld=signs.withheld,
        hr_mc_crps=score,
        bvp_mc_var=None if samples is None else _known(float(samples.var(axis=0, ddof=1).mean())),
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def score(
    pairs: Sequence[WaveformPair],
    convention: Convention,
    window_s: float | None,
    hr_method: HrMethod,
    seconds: Mapping[str, float] | None = None,
) -> tuple[tuple[WindowRow, ...], tuple[MethodSummary, ...]]:
    """All windows, and one summary per method in order of first appearance."""
    rows: list[WindowRow] = []
    summaries = []
    for method in dict.fromkeys(pair.method for pair in pairs):
        mine = [pair for pair in pairs if pair.method == method]
        scored = [item for p in mine for item in score_pair(p, convention, window_s, hr_method)]
        method_rows = [row for row, _ in scored]
        rows += method_rows
        summary = aggregate(
            [result for _, result in scored],
            videos=[f"{row.dataset}/{row.recording}" for row in method_rows],
            subjects=[row.person for row in method_rows],
        )
        spreads = [row.hr_mc_std for row in method_rows if row.hr_mc_std is not None]
        summaries.append(
            MethodSummary(
                method=method,
                variant=mine[0].variant,
                values={m: (e.value, e.standard_error) for m, e in summary.items()},
                n_windows=summary.n_windows,
                n_no_result=summary.n_no_result,
                n_videos=summary.n_videos or 0,
                n_subjects=summary.n_subjects or 0,
                hr_mc_std=float(np.mean(spreads)) if spreads else None,
                seconds=(seconds or {}).get(method),
            )
        )
    return tuple(rows), tuple(summaries)


def nothing_read(pairs: Sequence[WaveformPair], rows: Sequence[WindowRow]) -> Iterator[FailureRow]:
    """The recordings in which a method has a result in no window, each with its first reason."""
    reasons: dict[tuple[str, str, str], str] = {}
    for row in rows:
        if row.reason:
            reasons.setdefault((row.method, row.dataset, row.recording), row.reason)
    read = {(row.method, row.dataset, row.recording) for row in rows if not row.reason}
    paths = {(p.method, p.dataset, p.recording): p.path for p in pairs}
    for key, reason in reasons.items():
        if key not in read:
            method, dataset, recording = key
            remedy = "look at the recording, or read it by another method."
            yield FailureRow(recording, paths.get(key, ""), reason, remedy, method, dataset)


def plot_waveform(pair: WaveformPair, convention: Convention) -> Waveform | None:
    """Clean waveforms of unit variance for a plot; None where there is nothing to draw."""
    try:
        pred, label = (
            clean_waveform(what, x, pair.fs, convention.band, pair.differential)
            for what, x in (("prediction", pair.pred), ("label", pair.label))
        )
    except (ValueError, StreamnetError):
        return None
    scale = pred.std()
    if not (scale > 0 and label.std() > 0):
        return None
    band = None
    if pair.samples is not None and len(pair.samples) > 1:
        clean = clean_bvp(pair.samples, pair.fs, *convention.band, pair.differential)
        low, high = np.quantile(clean, [0.05, 0.95], axis=0)
        band = (low / scale, high / scale)
    t = np.arange(len(pred)) / pair.fs
    return Waveform(
        pair.method, pair.dataset, pair.recording, t, pred / scale, label / label.std(), band
    )


def save_pairs(folder: Path, pairs: Sequence[WaveformPair]) -> None:
    """Keep waveforms, samples (float32) and colours, so that they can be scored again otherwise."""
    index: list[dict[str, Any]] = []
    arrays: dict[str, FloatArray] = {}
    for i, p in enumerate(pairs):
        arrays[f"{i}.pred"], arrays[f"{i}.label"] = p.pred, p.label
        if p.samples is not None:
            arrays[f"{i}.samples"] = p.samples.astype(np.float32)
        if p.rgb is not None:
            arrays[f"{i}.rgb"] = p.rgb
        index.append(
            {
                name: getattr(p, name)
                for name in ("method", "dataset", "recording", "subject", "fs", "differential",
                             "variant", "covered", "inverted", "path", "subject_assumed")
            }
            | {"groups": dict(p.groups)}
        )  # fmt: skip
    np.savez_compressed(
        folder / PAIRS_FILE, allow_pickle=False, index=np.array(json.dumps(index)), **arrays
    )


def load_pairs(folder: str | Path) -> list[WaveformPair]:
    """The waveforms of a results folder; `DataError` if they are not there or damaged."""
    path = Path(folder) / PAIRS_FILE
    try:
        with np.load(path, allow_pickle=False) as file:
            index = json.loads(str(file["index"]))
            return [
                WaveformPair(
                    pred=file[f"{i}.pred"],
                    label=file[f"{i}.label"],
                    samples=file.get(f"{i}.samples"),
                    rgb=file.get(f"{i}.rgb"),
                    **entry,
                )
                for i, entry in enumerate(index)
            ]
    except Exception as error:  # of zipfile, zlib, tokenize, ...: a damaged file raises anything
        raise DataError(
            f"the waveforms cannot be read: {error}",
            path=path,
            remedy="give a folder written by streamnet benchmark.",
        ) from error
