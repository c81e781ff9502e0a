"""Scoring what was saved before: our results, a CSV, or a foreign toolbox's outputs."""

from __future__ import annotations

import hashlib
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pandas as pd

from streamnet_plugin.errors import DataError
from streamnet_plugin.evaluation.conventions import get_convention
from streamnet_plugin.evaluation.windows import HrMethod
from streamnet_plugin.report.provenance import provenance
from streamnet_plugin.report.results import BenchmarkResults
from streamnet_plugin.scoring import WaveformPair, load_pairs, score

GROUP = "rppg.outputs"
"""Entry points: file ending without its dot -> reader (path) -> iterable of WaveformPair."""
DEFAULT_FS = 30.0


def rescore(
    source: str | Path,
    *,
    convention: str = "toolbox-2025",
    window_s: float | None = None,
    hr_method: str = "FFT",
    fs: float | None = None,
    differential: bool = False,
) -> BenchmarkResults:
    """Metrics of saved waveforms.

    Args:
        source: a results folder; a CSV with columns pred, label and optionally video; or a file
            that a registered reader knows, such as an rPPG-Toolbox output pickle.
        convention: the HR band.
        window_s: s; None is the whole video.
        hr_method: "FFT" or "Peak".
        fs: Hz, of a CSV (30 if not given); other sources know theirs.
        differential: a CSV's waveforms are normalised first differences.

    Raises:
        DataError: the source cannot be read.
        ConfigError: unknown convention.
    """
    source = Path(source)
    pairs = read_pairs(source, fs, differential)
    band = get_convention(convention)
    method: HrMethod = "Peak" if hr_method.lower().startswith("peak") else "FFT"
    rows, summaries = score(pairs, band, window_s, method)
    return BenchmarkResults(
        title=source.name,
        convention=str(band),
        hr_method=method,
        window="whole videos" if window_s is None else f"{window_s:g} s windows",
        summaries=summaries,
        rows=rows,
        failures=(),
        provenance=provenance({"source": str(source)}, 0, _fingerprint(pairs), {}),
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


def _fingerprint(pairs: list[WaveformPair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.recording.encode() + pair.pred.tobytes() + pair.label.tobytes())
    return digest.hexdigest()[:16]
