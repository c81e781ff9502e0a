"""Scoring what was saved before: our results, a CSV, or a foreign toolbox's outputs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from streamnet_plugin.comparison import (
    BenchmarkRun,
    Scoring,
    check_calibrator,
    nothing_usable,
    report_pairs,
)
from streamnet_plugin.data.pure import NAME as PURE
from streamnet_plugin.data.pure import own_names
from streamnet_plugin.data.ubfc import NAME as UBFC
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import HrMethod
from streamnet_plugin.paths import distinguishing
from streamnet_plugin.people import (
    NO_TABLE,
    SUBJECT,
    SubjectTable,
    agreed,
    identified,
    people_notes,
    read_subjects,
)
from streamnet_plugin.progress import Reporter
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.report.results import CSV_DATASET, UNNAMED_DATASETS, FailureRow
from streamnet_plugin.report.writer import check_writable
from streamnet_plugin.scoring import WaveformPair, load_pairs
from streamnet_plugin.signal.filters import min_samples
from streamnet_plugin.uncertainty.calibration import Wanted
from streamnet_plugin.wording import count

GROUP = "rppg.outputs"
"""Entry points: file ending without its dot -> reader (path) -> iterable of WaveformPair, and of
FailureRow where a video cannot be used. What does not know its subjects says `subject_assumed`."""
DEFAULT_FS = 30.0
CSV = ".csv"
VIDEO = "video"
"""Column of a CSV."""
Item = TypeVar("Item", WaveformPair, FailureRow)
DATASETS = {"ubfc": UBFC, **{name.lower(): name for name in (UBFC, PURE)}}
"""Small letters -> the name that our readers and published results have."""


def rescore(
    *sources: str | Path,
    convention: str = "toolbox-2025",
    window_s: float | None = None,
    hr_method: str = "FFT",
    fs: float | None = None,
    differential: bool = False,
    subjects: str | Path | None = None,
    dataset: str | None = None,
    output: str | Path | None = None,
    plots: bool = True,
    report: bool | None = None,
    uncertainty: Wanted | None = None,
    baseline: str | None = None,
    progress: Reporter | None = None,
) -> BenchmarkRun:
    """Metrics of saved waveforms, several sources in one table.

    Args:
        sources: results folders; CSVs with columns pred, label and optionally video and subject;
            or files that a registered reader knows, such as rPPG-Toolbox output pickles. Each is a
            method (a results folder: as many as it has); equal names get the part of the path that
            tells their sources apart. What is given twice is counted once, with a note.
        convention: the HR band.
        window_s: s; None is the whole video.
        hr_method: "FFT" or "Peak", in any capitals.
        fs: Hz, of a CSV (30 if not given); other sources know theirs.
        differential: a CSV's waveforms are normalised first differences.
        subjects: a CSV with the columns recording and subject, for sources that do not know whom
            they show; its other columns are groups. Without it, and where names like those of PURE
            and UBFC-rPPG do not tell, each recording counts as a subject, with a note.
        dataset: what sources that do not know it were read from, e.g. "UBFC-rPPG" or "PURE": they
            are then compared with results on it, recording by recording, and with published ones.
        output: results folder; None writes nothing.
        plots: whether to draw files of their own.
        report: whether to write report.html; None if plots are drawn.
        uncertainty: how intervals are calibrated and windows withheld.
        baseline: compare each method with this one; None compares every pair.
        progress: hears of every step.

    Raises:
        DataError: a source or the table of subjects cannot be read, or holds no video; a recording
            whose subject is unknown is not in that table, or has another subject elsewhere.
        ConfigError: an unknown convention or HR method; a frame rate or window that is none; a
            window longer than every recording, or with too few samples; `fs`, `differential` or
            `dataset` with a source, for `dataset` all of them, that knows its own.
        OutputError: the results cannot be written.
    """
    paths = [Path(source) for source in sources]
    scoring = Scoring(
        get_convention(convention),
        _hr_method(hr_method),
        _window(window_s),
        uncertainty or Wanted(),
        baseline,
    )
    check_calibrator(scoring)
    _check_given(paths, fs, differential)
    table = NO_TABLE if subjects is None else read_subjects(subjects)
    if output is not None:
        check_writable(output)
    found = [(path, _read_source(path, fs, differential)) for path in paths]
    if dataset is not None:
        _check_dataset(dataset, [item for _, items in found for item in items])
    failures: list[FailureRow] = []
    read = []
    for path, items in found:
        usable, failed = _usable(path, items, table, dataset)
        read.append((path.resolve(), usable))
        failures += failed
    _check_window(window_s, [pair for _, pairs in read for pair in pairs])
    once, copies = _each_once(read)
    pairs = agreed(_distinct(once))
    run = report_pairs(
        pairs,
        title=", ".join(dict.fromkeys(p.dataset for p in pairs)) or "nothing",
        scoring=scoring,
        failures=tuple(dict.fromkeys(failures)),
        provenance=provenance(
            {"sources": [str(s) for s in sources]}
            | ({} if subjects is None else {"subjects": str(subjects)})
            | ({} if dataset is None else {"dataset": dataset}),
            0,
            pairs_fingerprint(pairs),
            {},
        ),
        notes=(
            *copies,
            *people_notes(pairs),
            *table.unused(item.recording for _, items in found for item in items),
            *_notes(pairs),
        ),
        output=output,
        plots=plots,
        report=report,
        progress=progress,
    )
    return run


def _hr_method(name: str) -> HrMethod:
    methods: dict[str, HrMethod] = {"fft": "FFT", "peak": "Peak", "peak detection": "Peak"}
    if name.lower() not in methods:
        raise ConfigError(f"no HR method is named {name!r}", remedy="use FFT or Peak.")
    return methods[name.lower()]


def _window(seconds: float | None) -> float | None:
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise ConfigError(
            f"a window of {seconds:g} s", remedy="give a length in s, or none for whole videos."
        )
    return seconds


def _check_window(seconds: float | None, pairs: Sequence[WaveformPair]) -> None:
    """`ConfigError` where no recording has so long a window, or one holds too few samples."""
    if seconds is None:
        return
    fs, needed = min(pair.fs for pair in pairs), min_samples()
    longest = max(len(pair.label) / pair.fs for pair in pairs)
    if round(seconds * fs) < needed:
        raise ConfigError(
            f"a window of {seconds:g} s has {count(round(seconds * fs), 'sample')} at {fs:g} Hz; "
            f"at least {needed} are needed",
            remedy=f"use a window of {math.ceil(10 * needed / fs) / 10:g} s or more.",
        )
    if seconds > longest:
        raise ConfigError(
            f"a window of {seconds:g} s is longer than every recording: the longest has "
            f"{longest:.1f} s",
            remedy="use a shorter one, or none for whole videos.",
        )


def _check_given(sources: Sequence[Path], fs: float | None, differential: bool) -> None:
    """`ConfigError` where `fs` is no frame rate, or a source knows what was given for it."""
    if fs is not None and not (math.isfinite(fs) and fs > 0):
        raise ConfigError(f"a frame rate of {fs:g} Hz", remedy="give e.g. --fs 30.")
    given = ["--fs"] * (fs is not None) + ["--differential"] * differential
    knowing = [source for source in sources if source.suffix != CSV or source.is_dir()]
    if given and knowing:
        raise ConfigError(
            f"{' and '.join(given)} is given, and this source knows it better",
            path=knowing[0],
            remedy="leave it out; it is for CSVs.",
        )


def _check_dataset(name: str, found: Sequence[WaveformPair | FailureRow]) -> None:
    """`ConfigError` where the name is none, or every source knows its dataset."""
    if not name.strip():
        raise ConfigError("the name of the dataset is empty", remedy=f"give e.g. {UBFC}.")
    if not any(item.dataset in UNNAMED_DATASETS for item in found):
        raise ConfigError(
            "--dataset is given, and every source knows its own",
            remedy="leave it out; it is for CSVs and outputs of the rPPG-Toolbox.",
        )


def _on_dataset(
    name: str, pairs: Sequence[WaveformPair], failures: Sequence[FailureRow]
) -> tuple[list[WaveformPair], list[FailureRow]]:
    """What does not know its dataset, as of this one; PURE's recordings under their own names."""
    name = DATASETS.get(name.lower(), name)
    items: list[WaveformPair | FailureRow] = [*pairs, *failures]
    unnamed = [item.recording for item in items if item.dataset in UNNAMED_DATASETS]
    called = own_names(unnamed) if name == PURE else {}

    def named(item: Item) -> Item:
        if item.dataset not in UNNAMED_DATASETS:
            return item
        own = called.get(item.recording, item.recording)
        return replace(item, dataset=name, recording=own)

    return [named(pair) for pair in pairs], [named(failure) for failure in failures]


def _distinct(read: Sequence[tuple[Path, list[WaveformPair]]]) -> list[WaveformPair]:
    """All pairs; a method of several sources carries what tells these apart, too."""
    owners: dict[str, dict[Path, None]] = {}
    for source, pairs in read:
        for pair in pairs:
            owners.setdefault(pair.method, {})[source] = None
    if all(len(sources) == 1 for sources in owners.values()):
        return [pair for _, pairs in read for pair in pairs]
    labels = {
        (method, source): label
        for method, sources in owners.items()
        for source, label in zip(sources, distinguishing(list(sources)), strict=True)
    }

    def named(pair: WaveformPair, source: Path) -> WaveformPair:
        if len(owners[pair.method]) == 1:
            return pair
        return replace(pair, method=f"{pair.method} ({labels[pair.method, source]})")

    # Once more, in case that a third source has a method of such a name.
    return _distinct([(source, [named(p, source) for p in pairs]) for source, pairs in read])


def _each_once(
    read: Sequence[tuple[Path, list[WaveformPair]]],
) -> tuple[list[tuple[Path, list[WaveformPair]]], list[str]]:
    """The sources without methods that an earlier one has alike, and a note on each of these."""
    first: dict[Hashable, Path] = {}
    kept, notes = [], []
    for source, pairs in read:
        mine: list[WaveformPair] = []
        for method in dict.fromkeys(pair.method for pair in pairs):
            own = [pair for pair in pairs if pair.method == method]
            key = (
                method,
                tuple((pair.dataset, pair.fs, pair.differential) for pair in own),
                pairs_fingerprint(own),
            )
            if key in first:
                where = "is given twice" if first[key] == source else f"is in {first[key]} too"
                notes.append(f"{source}: {method} {where}, with the same waveforms; counted once.")
            else:
                first[key] = source
                mine += own
        if mine:
            kept.append((source, mine))
    return kept, notes


def _notes(pairs: Sequence[WaveformPair]) -> tuple[str, ...]:
    """Says so where the methods were not read from the same videos: their rows do not compare."""
    videos: dict[str, set[tuple[str, str]]] = {}
    for pair in pairs:
        videos.setdefault(pair.method, set()).add((pair.dataset, pair.recording))
    common = set.intersection(*videos.values()) if videos else set()
    other = [name for name, own in videos.items() if own != common]
    if not other:
        return ()
    return (
        f"Not the same videos: {len(common)} are common to all methods, "
        + ", ".join(f"{name} has {len(videos[name])}" for name in videos)
        + ". Rows over different videos do not compare.",
    )


def _usable(
    source: Path,
    found: Sequence[WaveformPair | FailureRow],
    table: SubjectTable,
    dataset: str | None,
) -> tuple[list[WaveformPair], list[FailureRow]]:
    """Waveforms of what a source holds, at least one, with their subjects; and its other videos."""
    pairs = identified([item for item in found if isinstance(item, WaveformPair)], table)
    failures = [item for item in found if isinstance(item, FailureRow)]
    if dataset is not None:
        pairs, failures = _on_dataset(dataset, pairs, failures)
    if not pairs and failures:
        raise nothing_usable(failures)
    if not pairs:
        raise DataError(
            "there is no video in it", path=source, remedy="leave it out, or predict again."
        )
    return pairs, failures


def _read_source(
    source: Path, fs: float | None, differential: bool
) -> Sequence[WaveformPair | FailureRow]:
    if not source.exists():
        raise DataError("there is no such file or folder", path=source, remedy="correct the path.")
    if source.is_dir():
        return load_pairs(source)
    if source.suffix == CSV:
        return _read_csv(source, DEFAULT_FS if fs is None else fs, differential)
    readers = {p.name: p for p in entry_points(group=GROUP)}
    reader = readers.get(source.suffix.lstrip("."))
    if reader is None:
        known = ", ".join(["a results folder", CSV, *(f".{name}" for name in readers)])
        raise DataError("files of this kind cannot be read", path=source, remedy=f"give {known}.")
    return list(reader.load()(source))


def _read_csv(path: Path, fs: float, differential: bool) -> list[WaveformPair]:
    try:
        table = pd.read_csv(path)
        # Names as they stand there: 01 is another one than 1, and NA is one.
        names = pd.read_csv(path, dtype=str, keep_default_na=False)
        pred = pd.to_numeric(table["pred"]).to_numpy(dtype=np.float64)
        label = pd.to_numeric(table["label"]).to_numpy(dtype=np.float64)
    except KeyError as error:
        raise DataError(
            f"there is no column {error}", path=path, remedy="name the columns video, pred, label."
        ) from error
    except (ValueError, TypeError, OSError) as error:
        raise DataError(
            f"this cannot be read as numbers: {error}",
            path=path,
            remedy="give a CSV with the columns video, pred, label.",
        ) from error
    if not len(table):
        raise DataError(
            "there is no row below the header", path=path, remedy="give one row per frame."
        )
    told = SUBJECT in names
    videos = names[VIDEO].to_numpy() if VIDEO in names else np.full(len(names), path.stem)
    return [
        WaveformPair(
            method=path.stem,
            dataset=CSV_DATASET,
            recording=video,
            subject=_subject(names[SUBJECT][videos == video], video, path) if told else video,
            fs=fs,
            pred=pred[videos == video],
            label=label[videos == video],
            differential=differential,
            path=str(path),
            subject_assumed=not told,
        )
        for video in dict.fromkeys(videos.tolist())
    ]


def _subject(names: pd.Series[str], video: str, path: Path) -> str:
    """The one subject of a video's frames; `DataError` where they have several, or none."""
    subjects = [str(name) for name in names.unique()]
    if len(subjects) > 1 or not subjects[0]:
        what = f"the subjects {', '.join(map(repr, subjects))}" if any(subjects) else "no subject"
        raise DataError(
            f"the video {video!r} has {what}",
            path=path,
            remedy="name one subject in all rows of a video, or leave out the column subject.",
        )
    return subjects[0]


def pairs_fingerprint(pairs: Sequence[WaveformPair]) -> str:
    """One short hash over waveforms and labels."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.recording.encode() + pair.pred.tobytes() + pair.label.tobytes())
    return digest.hexdigest()[:16]
