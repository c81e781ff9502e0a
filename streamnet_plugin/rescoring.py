"""Scoring what was saved before: our results, a CSV, or a foreign toolbox's outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pandas as pd

from streamnet_plugin.comparison import BenchmarkRun, Scoring, report_pairs
from streamnet_plugin.errors import DataError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import HrMethod
from streamnet_plugin.progress import Reporter
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.scoring import WaveformPair, load_pairs

GROUP = "rppg.outputs"
"""Entry points: file ending without its dot -> reader (path) -> iterable of WaveformPair."""
DEFAULT_FS = 30.0


def rescore(
    *sources: str | Path,
    convention: str = "toolbox-2025",
    window_s: float | None = None,
    hr_method: str = "FFT",
    fs: float | None = None,
    differential: bool = False,
    output: str | Path | None = None,
    plots: bool = True,
    progress: Reporter | None = None,
) -> BenchmarkRun:
    """Metrics of saved waveforms, several sources in one table.

    Args:
        sources: results folders; CSVs with columns pred, label and optionally video; or files
            that a registered reader knows, such as rPPG-Toolbox output pickles. Each is a method
            (a results folder: as many as it has); equal names get the source's folder.
        convention: the HR band.
        window_s: s; None is the whole video.
        hr_method: "FFT" or "Peak".
        fs: Hz, of a CSV (30 if not given); other sources know theirs.
        differential: a CSV's waveforms are normalised first differences.
        output: results folder; None writes nothing.
        plots: whether to draw.
        progress: hears of every step.

    Raises:
        DataError: a source cannot be read.
        ConfigError: unknown convention.
    """
    read = [(Path(s), read_pairs(Path(s), fs, differential)) for s in sources]
    pairs = _distinct(read)
    method: HrMethod = "Peak" if hr_method.lower().startswith("peak") else "FFT"
    run = report_pairs(
        pairs,
        title=", ".join(dict.fromkeys(p.dataset for p in pairs)) or "nothing",
        scoring=Scoring(get_convention(convention), method, window_s),
        failures=(),
        provenance=provenance(
            {"sources": [str(s) for s in sources]}, 0, pairs_fingerprint(pairs), {}
        ),
        notes=_notes(pairs),
        output=output,
        plots=plots,
        progress=progress,
    )
    return run


def _distinct(read: Sequence[tuple[Path, list[WaveformPair]]]) -> list[WaveformPair]:
    """All pairs; a method of two sources carries its source's name too."""
    owners: dict[str, set[Path]] = {}
    for source, pairs in read:
        for pair in pairs:
            owners.setdefault(pair.method, set()).add(source)
    return [
        replace(pair, method=f"{pair.method} ({source.resolve().parent.name}/{source.stem})")
        if len(owners[pair.method]) > 1
        else pair
        for source, pairs in read
        for pair in pairs
    ]


def _notes(pairs: Sequence[WaveformPair]) -> tuple[str, ...]:
    """Says so where the methods were not read from the same videos: their rows do not compare."""
    videos: dict[str, set[str]] = {}
    for pair in pairs:
        videos.setdefault(pair.method, set()).add(pair.recording)
    common = set.intersection(*videos.values()) if videos else set()
    other = [name for name, own in videos.items() if own != common]
    if not other:
        return ()
    return (
        f"Not the same videos: {len(common)} are common to all methods, "
        + ", ".join(f"{name} has {len(videos[name])}" for name in videos)
        + ". Rows over different videos do not compare.",
    )


def read_pairs(source: Path, fs: float | None, differential: bool) -> list[WaveformPair]:
    """Waveforms from whatever `source` is; see `rescore`."""
    if not source.exists():
        raise DataError("there is no such file or folder", path=source, remedy="correct the path.")
    if source.is_dir():
        return load_pairs(source)
    if source.suffix == ".csv":
        return _read_csv(source, fs or DEFAULT_FS, differential)
    readers = {p.name: p for p in entry_points(group=GROUP)}
    reader = readers.get(source.suffix.lstrip("."))
    if reader is None:
        known = ", ".join(["a results folder", ".csv", *(f".{name}" for name in readers)])
        raise DataError("files of this kind cannot be read", path=source, remedy=f"give {known}.")
    return list(reader.load()(source))


def _read_csv(path: Path, fs: float, differential: bool) -> list[WaveformPair]:
    try:
        table = pd.read_csv(path)
        pred = pd.to_numeric(table["pred"]).to_numpy(dtype=np.float64)
        label = pd.to_numeric(table["label"]).to_numpy(dtype=np.float64)
    except KeyError as error:
        raise DataError(
            f"there is no column {error}", path=path, remedy="name the columns video, pred, label."
        ) from error
    except (ValueError, TypeError, OSError) as error:
        raise DataError(f"this cannot be read as numbers: {error}", path=path) from error
    videos = (
        table["video"].astype(str).to_numpy()
        if "video" in table.columns
        else np.full(len(table), path.stem)
    )
    return [
        WaveformPair(
            method=path.stem,
            dataset=path.name,
            recording=video,
            subject=video,
            fs=fs,
            pred=pred[videos == video],
            label=label[videos == video],
            differential=differential,
        )
        for video in dict.fromkeys(videos.tolist())
    ]


def pairs_fingerprint(pairs: Sequence[WaveformPair]) -> str:
    """One short hash over waveforms and labels."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.recording.encode() + pair.pred.tobytes() + pair.label.tobytes())
    return digest.hexdigest()[:16]
