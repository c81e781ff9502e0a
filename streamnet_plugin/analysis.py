"""What a run says about its methods: statistics, uncertainty, and the waveforms behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from streamnet_plugin.errors import StreamnetError
from streamnet_plugin.evaluation.conventions import Convention
from streamnet_plugin.evaluation.windows import HrMethod, clean_waveform
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.scoring import WaveformPair, score_pair
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.statistics.analysis import analyse, joined
from streamnet_plugin.statistics.groups import length_rows
from streamnet_plugin.statistics.results import Analysis, Interval, LengthRow, Repeatability
from streamnet_plugin.statistics.waveform import BeatErrors, beat_errors, waveform_metrics
from streamnet_plugin.statistics.windows import by_method, column
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.assess import assess
from streamnet_plugin.uncertainty.repeatability import (
    repetition_repeatability,
    retest_repeatability,
)
from streamnet_plugin.wording import count

LENGTHS_S = (5.0, 10.0, 15.0, 30.0)
"""Window lengths that are tried beside the whole video."""
LABELS_APART_BPM = 10.0
"""A label's two readings are farther apart than the FFT's grid makes them: 7 bpm in 5 s, 30 Hz."""
MC_GROUPS = 3
"""The Monte Carlo samples are split into so many independent draws of the mean waveform."""


def analyse_run(
    pairs: Sequence[WaveformPair],
    rows: Sequence[WindowRow],
    convention: Convention,
    hr_method: HrMethod,
    *,
    baseline: str | None = None,
    seed: int = 0,
) -> Analysis:
    """Everything that can be concluded from `rows`, which were scored from `pairs`.

    Args:
        pairs: waveforms of all methods.
        rows: their windows, with spreads and intervals.
        convention, hr_method: as `rows` were scored.
        baseline: compare each method with this one; None compares every pair of methods.
        seed: of every bootstrap.

    Raises:
        ConfigError: `baseline` is none of the methods.
    """
    rows_of = by_method(rows)
    quality = {
        method: assess(mine, [row.hr_mc_crps for row in mine], seed)
        for method, mine in rows_of.items()
    }
    return joined(
        analyse(rows, baseline=baseline, seed=seed),
        uncertainty={method: q for method, q in quality.items() if q is not None},
        repeatability={
            method: _repeatability(mine, [p for p in pairs if p.method == method], convention)
            for method, mine in rows_of.items()
        },
        waveform=_waveforms(pairs, convention, seed),
        lengths=_lengths(pairs, convention, hr_method, seed),
        notes=(*_too_short(pairs), *_doubtful_labels(rows, hr_method)),
    )


def _repeatability(
    rows: Sequence[WindowRow], pairs: Sequence[WaveformPair], convention: Convention
) -> tuple[Repeatability, ...]:
    good = [row for row in rows if row.hr_pred_refined is not None and not row.reason]
    found = []
    if len({(row.dataset, row.recording) for row in good}) < len(good):
        error = column(good, "hr_pred_refined") - column(good, "hr_label_refined")
        found.append(
            retest_repeatability(
                error, [f"{r.dataset}/{r.recording}" for r in good], [r.person for r in good]
            )
        )
    sampled = [pair for pair in pairs if pair.samples is not None]
    if sampled and all(len(_samples(p)) >= 2 * MC_GROUPS for p in sampled):
        hr, people = _repeated_draws(rows, sampled, convention)
        if len(hr):
            n = min(len(_samples(p)) for p in sampled) // MC_GROUPS
            what = f"mean of {n} Monte Carlo samples"
            found.append(repetition_repeatability(hr, people, what))
    return tuple(found)


def _repeated_draws(
    rows: Sequence[WindowRow], pairs: Sequence[WaveformPair], convention: Convention
) -> tuple[FloatArray, list[str]]:
    """HR in bpm (windows, MC_GROUPS) of the mean waveform of each part of the samples."""
    by_recording = {(p.dataset, p.recording): p for p in pairs}
    hr, people = [], []
    for row in rows:
        pair = by_recording.get((row.dataset, row.recording))
        if pair is None or row.reason:
            continue
        end = round(row.end_s * pair.fs)
        part = slice(round(row.start_s * pair.fs), min(end, pair.covered or end))
        draws = [group.mean(axis=0) for group in np.array_split(_samples(pair)[:, part], MC_GROUPS)]
        clean = clean_bvp(np.array(draws), pair.fs, *convention.band, pair.differential)
        hr.append([refined_hr(x, pair.fs, convention.band) for x in clean])
        people.append(row.person)
    return np.array(hr), people


def _samples(pair: WaveformPair) -> FloatArray:
    assert pair.samples is not None
    return pair.samples


def _waveforms(
    pairs: Sequence[WaveformPair], convention: Convention, seed: int
) -> Mapping[str, Mapping[str, Interval]]:
    """Beats and heart-rate variability of every method's waveforms."""
    found = {}
    for method in dict.fromkeys(pair.method for pair in pairs):
        mine = [pair for pair in pairs if pair.method == method]
        found[method] = waveform_metrics(
            [_beats(pair, convention) for pair in mine],
            [f"{pair.dataset}/{pair.subject}" for pair in mine],
            [f"{pair.dataset}/{pair.recording}" for pair in mine],
            seed=seed,
        )
    return found


def _beats(pair: WaveformPair, convention: Convention) -> BeatErrors:
    n = min(len(pair.pred), len(pair.label), pair.covered or len(pair.label))
    try:
        pred, label = (
            clean_waveform(what, x[:n], pair.fs, convention.band, pair.differential)
            for what, x in (("prediction", pair.pred), ("label", pair.label))
        )
    except (ValueError, StreamnetError) as error:
        return BeatErrors(reason=f"the waveform cannot be used: {error}")
    return beat_errors(-pred if pair.inverted else pred, label, pair.fs)


def _lengths(
    pairs: Sequence[WaveformPair], convention: Convention, hr_method: HrMethod, seed: int
) -> tuple[LengthRow, ...]:
    """Every method at every window length, in the recordings that are long enough for it."""
    plain = [replace(pair, samples=None, rgb=None) for pair in pairs]
    return length_rows(
        {
            seconds: [
                row
                for pair in plain
                for row in _whole_windows(pair, convention, seconds, hr_method)
            ]
            for seconds in (*_tried_lengths(pairs), None)
        },
        seed=seed,
    )


def _tried_lengths(pairs: Sequence[WaveformPair]) -> list[float]:
    """Those shorter than some recording."""
    longest = max((len(p.label) / p.fs for p in pairs), default=0.0)
    return [seconds for seconds in LENGTHS_S if seconds < longest]


def _whole_windows(
    pair: WaveformPair, convention: Convention, seconds: float | None, hr_method: HrMethod
) -> Iterator[WindowRow]:
    """Windows of that length: the rest at the end, which is scored too, is shorter, and harder."""
    for row, _ in score_pair(pair, convention, seconds, hr_method):
        if seconds is None or _fills(row.end_s - row.start_s, seconds, pair.fs):
            yield row


def _fills(span_s: float, length_s: float, fs: float) -> bool:
    """Whether so much is a window of that length: it is whole frames long."""
    return span_s >= length_s - 1.5 / fs


def _too_short(pairs: Sequence[WaveformPair]) -> Iterator[str]:
    """Which recordings are missing at some window length."""
    recordings = {(p.dataset, p.recording): p for p in pairs if len(p.label)}
    missing: dict[int, list[float]] = {}
    for length in _tried_lengths(pairs):
        n = sum(not _fills(len(p.label) / p.fs, length, p.fs) for p in recordings.values())
        if n:
            missing.setdefault(n, []).append(length)
    for n, lengths in missing.items():
        verb = "is" if n == 1 else "are"
        yield (
            f"windows of {' and '.join(f'{s:g}' for s in lengths)} s: {n} of "
            f"{count(len(recordings), 'recording')} {verb} shorter and not among them"
        )


def _doubtful_labels(rows: Sequence[WindowRow], hr_method: HrMethod) -> Iterator[str]:
    """Whose true heart rate is not clear: slow labels may be read doubled, as all slow pulses."""
    windows = {(row.dataset, row.recording, row.window): row for row in rows}.values()
    labelled = [
        (row, row.hr_label, row.hr_label_refined)
        for row in windows
        if row.hr_label is not None and row.hr_label_refined is not None
    ]
    apart = [w for w in labelled if abs(w[1] - w[2]) > LABELS_APART_BPM]
    if not apart:
        return
    row, read, refined = max(apart, key=lambda w: abs(w[1] - w[2]))
    what, verb = ("label", "is") if len(apart) == 1 else ("labels", "are")
    yield (
        f"the {what} of {len(apart)} of {count(len(labelled), 'window')} {verb} doubtful: in "
        f"{row.dataset} {row.recording} the {hr_method} reads {read:.0f} bpm from it, its refined "
        f"peak is at {refined:.0f}, and errors there may be the label's"
    )
