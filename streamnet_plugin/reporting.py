"""Results saved before: reported again, several together, compared with each other, calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamnet_plugin.analysis import analyse_run
from streamnet_plugin.comparison import BenchmarkRun
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.evaluation.conventions import Convention, get_convention
from streamnet_plugin.progress import Reporter, Silent
from streamnet_plugin.report.diff import ResultsDiff, diff
from streamnet_plugin.report.merge import merge, merged_names, refuse_mixed
from streamnet_plugin.report.results import BenchmarkResults, WindowRow
from streamnet_plugin.report.writer import (
    RESULTS,
    check_writable,
    n_files,
    read_results,
    write_results,
)
from streamnet_plugin.scoring import PAIRS_FILE, WaveformPair, load_pairs, plot_waveform, save_pairs
from streamnet_plugin.uncertainty.calibration import (
    CalibratorFile,
    id_of,
    make_calibrators,
    save_calibrators,
)

NO_WAVEFORMS = "has no waveforms: nothing is said of beats, window lengths and Monte Carlo samples."


def report(
    *folders: str | Path,
    output: str | Path = "streamnet-report",
    plots: bool = True,
    baseline: str | None = None,
    progress: Reporter | None = None,
) -> BenchmarkRun:
    """Conclude from saved results again, those of several runs together, and write the report.

    Args:
        folders: results folders, all scored alike. A method that several of them have carries its
            folder's name too.
        output: the new results folder; an older one is not touched.
        plots: whether to draw files of their own, too.
        baseline: compare each method with this one; None compares every pair.
        progress: hears of every step.

    Raises:
        DataError: results cannot be read.
        ConfigError: no folder, or results of different conventions, HR methods or windows.
        OutputError: the report cannot be written.
    """
    progress = progress or Silent()
    sources = [(Path(folder), read_results(folder)) for folder in folders]
    check_writable(output)
    progress.start("Merging", 2)
    merged = merge(sources)
    pairs, without = _pairs(sources)
    progress.step("results read")
    convention = convention_of(merged)
    merged = replace(
        merged,
        analysis=analyse_run(
            pairs,
            merged.rows,
            convention,
            "Peak" if merged.hr_method == "Peak" else "FFT",
            baseline=baseline,
            seed=_seed_of([results for _, results in sources]),
        ),
        notes=(*merged.notes, *(f"{path} {NO_WAVEFORMS}" for path in without)),
    )
    progress.step("analysed")
    progress.start("Report", n_files(merged, plots, True))
    folder = write_results(
        merged,
        output,
        [w for pair in pairs if (w := plot_waveform(pair, convention)) is not None],
        plots,
        report=True,
        extra=lambda place: save_pairs(place, pairs),
        progress=progress.step,
    )
    return BenchmarkRun(merged, folder)


def convention_of(results: BenchmarkResults) -> Convention:
    """The convention that results name, e.g. "toolbox-2025 (0.6-3.3 Hz)"."""
    return get_convention(results.convention.partition(" ")[0])


def _seed_of(runs: Sequence[BenchmarkResults]) -> int:
    """The seed that all runs were analysed with, so that the same intervals come out; else 0."""
    seeds = {_analysed_with(results.provenance) for results in runs}
    return seeds.pop() if len(seeds) == 1 else 0


def _analysed_with(provenance: Mapping[str, Any]) -> int:
    config = provenance.get("config")
    keys = config.get("UNCERTAINTY") if isinstance(config, Mapping) else None
    seed = keys.get("SEED") if isinstance(keys, Mapping) else provenance.get("seed")
    return seed if isinstance(seed, int) else 0


def _pairs(
    sources: Sequence[tuple[Path, BenchmarkResults]],
) -> tuple[list[WaveformPair], list[Path]]:
    """The waveforms of all sources under their names in the merged table; who has none."""
    names = merged_names(sources)
    found: dict[tuple[str, str, str], WaveformPair] = {}
    without = []
    for number, (path, _) in enumerate(sources):
        folder = path.parent if path.name == RESULTS else path
        if not (folder / PAIRS_FILE).is_file():
            without.append(path)
            continue
        for pair in load_pairs(folder):
            name = names.get((number, pair.method))
            if name is not None:
                key = (name, pair.dataset, pair.recording)
                found.setdefault(key, replace(pair, method=name))
    return list(found.values()), without


def difference(a: str | Path, b: str | Path) -> ResultsDiff:
    """What changed between two results folders, and whether by more than noise.

    Raises:
        DataError: results cannot be read.
        ConfigError: they were not scored alike.
    """
    return diff(read_results(a), read_results(b), (str(a), str(b)))


def make_calibrator(*folders: str | Path, output: str | Path = "calibrator.json") -> CalibratorFile:
    """Calibrate every method on all subjects of results, for data that are not among them.

    An older file is not touched: then it is `calibrator-2.json`; `path` says which. `left_out` are
    the methods without a single window to calibrate on.

    Raises:
        DataError: results cannot be read, or have no window to calibrate on.
        ConfigError: no folder, results that were not scored alike, or two that read the same
            windows otherwise.
        OutputError: the file cannot be written.
    """
    if not folders:
        raise ConfigError("there are no results to calibrate on", remedy="name a results folder.")
    read = [(str(folder), read_results(folder)) for folder in folders]
    refuse_mixed(read)
    rows = _each_once(read)
    first = read[0][1]
    try:
        methods = make_calibrators(rows)
    except DataError as error:
        raise DataError(error.what, path=Path(folders[0]), remedy=error.remedy) from error
    made = CalibratorFile(
        methods=methods,
        convention=first.convention,
        window=first.window,
        left_out=tuple(m for m in dict.fromkeys(r.method for r in rows) if m not in methods),
        sampled=frozenset(row.method for row in rows if row.hr_mc_std is not None),
        source={
            name: {
                "title": results.title,
                "data_fingerprint": results.provenance.get("data_fingerprint"),
                "git_commit": results.provenance.get("git_commit"),
            }
            for name, results in read
        },
    )
    return replace(made, path=save_calibrators(made, output))


def _each_once(read: Sequence[tuple[str, BenchmarkResults]]) -> list[WindowRow]:
    """The windows of all results, those in several of them once; `ConfigError` if they differ."""
    found: dict[tuple[str, str, str, int], tuple[str, WindowRow]] = {}
    for name, results in read:
        for row in results.rows:
            other, same = found.setdefault(id_of(row), (name, row))
            if _learnt(same) != _learnt(row):
                raise ConfigError(
                    f"{other} and {name} differ in {row.method}, {row.dataset} {row.recording}",
                    remedy="give one of them, or results of different recordings.",
                )
    return [row for _, row in found.values()]


def _learnt(row: WindowRow) -> tuple[float | None, ...]:
    """What calibration learns from."""
    return row.spread, row.hr_pred_refined, row.hr_label_refined
