"""Commands that compare: methods on a dataset, saved waveforms, saved results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from streamnet_plugin.cli.base import app, progress_bars, report_failures, show_run
from streamnet_plugin.cli.options import (
    AllowFailures,
    Baseline,
    CalibratorPath,
    ConventionName,
    Dask,
    DataRoot,
    DatasetName,
    Engine,
    Folders,
    HrBy,
    Jobs,
    Keep,
    Markdown,
    Output,
    Overrides,
    Plots,
    Precision,
    Protocol,
    ProtocolOrDemo,
    Report,
    ScoredWindow,
    Subjects,
    TargetMae,
)
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.wording import count


@app.command()
def benchmark(
    config: ProtocolOrDemo = "benchmark/demo",
    overrides: Overrides = None,
    data_root: DataRoot = None,
    output: Output = Path("streamnet-results"),
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Only these methods (repeatable).")
    ] = None,
    jobs: Jobs = 2,
    plots: Plots = True,
    report: Report = None,
    backend: Annotated[
        str, typer.Option(help="builtin, or toolbox: inside an rPPG-Toolbox checkout.")
    ] = "builtin",
    path: Annotated[
        Path | None,
        typer.Option("--path", help="The checkout for --backend toolbox; default: $RPPG_TOOLBOX."),
    ] = None,
    dask: Dask = None,
    engine: Engine = None,
    precision: Precision = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Compare methods on one dataset; print one table and write a results folder.

    Examples:

        streamnet benchmark

        streamnet benchmark my.yaml --data-root /data/UBFC-rPPG

        streamnet benchmark benchmark/demo -m POS -m CHROM:paper

        streamnet benchmark benchmark/demo EVALUATION.CONVENTION=neurips-2023

        streamnet benchmark my.yaml UNCERTAINTY.CALIBRATOR=calibrator.json

        streamnet benchmark my.yaml UNCERTAINTY.TARGET_MAE=3

        streamnet benchmark infer/pure-unsupervised --backend toolbox --path rPPG-Toolbox
    """
    from streamnet_plugin.cluster import cluster
    from streamnet_plugin.comparison import benchmark as run
    from streamnet_plugin.data_root import parse_data_roots

    with cluster(dask), progress_bars() as bars:
        done = run(
            config,
            overrides=(*(overrides or ()), *network_keys(engine, precision)),
            data_root=parse_data_roots(data_root or ()),
            output=output,
            methods=method,
            jobs=jobs,
            plots=plots,
            report=report,
            backend=backend,
            checkout=path,
            progress=bars,
        )
    show_run(done, allow_failures)


def network_keys(engine: str | None, precision: str | None) -> list[str]:
    """The options as overrides of a protocol."""
    asked = {"ENGINE": engine, "PRECISION": precision}
    return [f"MODEL.STREAMNET.{key}={value}" for key, value in asked.items() if value is not None]


@app.command()
def preprocess(
    config: Protocol,
    overrides: Overrides = None,
    data_root: DataRoot = None,
    jobs: Jobs = 2,
    dask: Dask = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Decode, crop and cache the videos of a protocol; finished ones are not done again.

    Example:

        streamnet preprocess benchmark/ubfc --data-root /data/UBFC-rPPG -j 4

        streamnet preprocess benchmark/ubfc --data-root /shared/UBFC-rPPG --dask tcp://host:8786
    """
    from streamnet_plugin.cluster import cluster
    from streamnet_plugin.comparison import prepare
    from streamnet_plugin.config import load_config
    from streamnet_plugin.data_root import parse_data_roots

    with cluster(dask), progress_bars() as bars:
        prepared = prepare(
            load_config(config, overrides or ()),
            data_root=parse_data_roots(data_root or ()),
            jobs=jobs,
            progress=bars,
        )
    frames = sum(len(video.frames) for video in prepared.videos)
    videos = count(len(prepared.videos), "video")
    typer.echo(f"{videos}, {count(frames, 'frame')} in {prepared.cache}")
    report_failures(list(prepared.failures), allow_failures)


@app.command()
def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="A results folder, a CSV with columns video,pred,label (and subject), or a "
            "toolbox pickle."
        ),
    ],
    fs: Annotated[
        float | None, typer.Option("--fs", help="Frame rate in Hz, for a CSV (30 if not given).")
    ] = None,
    convention: ConventionName = "toolbox-2025",
    window: ScoredWindow = None,
    hr_method: HrBy = "FFT",
    differential: Annotated[
        bool, typer.Option("--differential", help="A CSV's waveforms are first differences.")
    ] = False,
    subjects: Subjects = None,
    dataset: DatasetName = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write a results folder.")
    ] = None,
    calibrator: CalibratorPath = None,
    target_mae: TargetMae = None,
    keep: Keep = None,
    baseline: Baseline = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Score saved waveforms: HR errors, SNR and MACC as the rPPG-Toolbox computes them.

    Examples:

        streamnet evaluate streamnet-results --convention neurips-2023 --window 10

        streamnet evaluate runs/exp/.../saved_test_outputs/model_outputs.pickle
    """
    from streamnet_plugin.rescoring import rescore

    with progress_bars() as bars:
        done = rescore(
            predictions,
            fs=fs,
            convention=convention,
            window_s=window,
            hr_method=hr_method,
            differential=differential,
            subjects=subjects,
            dataset=dataset,
            output=output,
            uncertainty=wanted_uncertainty(calibrator, target_mae, keep),
            baseline=baseline,
            progress=bars,
        )
    show_run(done, allow_failures)


@app.command()
def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Output pickles of the rPPG-Toolbox, results folders, or CSVs."),
    ],
    convention: ConventionName = "toolbox-2025",
    window: ScoredWindow = None,
    hr_method: HrBy = "FFT",
    subjects: Subjects = None,
    dataset: DatasetName = None,
    output: Output = Path("streamnet-comparison"),
    plots: Plots = True,
    report: Report = None,
    calibrator: CalibratorPath = None,
    target_mae: TargetMae = None,
    keep: Keep = None,
    baseline: Baseline = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Put saved outputs of any models into one table: every file is a method.

    Pickles are read through an allow-list: one that would run code is refused.

    Examples:

        streamnet compare runs/exp/*/saved_test_outputs/*.pickle streamnet-results

        streamnet compare A_outputs.pickle --dataset PURE --convention neurips-2023
    """
    from streamnet_plugin.rescoring import rescore

    with progress_bars() as bars:
        done = rescore(
            *sources,
            convention=convention,
            window_s=window,
            hr_method=hr_method,
            subjects=subjects,
            dataset=dataset,
            output=output,
            plots=plots,
            report=report,
            uncertainty=wanted_uncertainty(calibrator, target_mae, keep),
            baseline=baseline,
            progress=bars,
        )
    show_run(done, allow_failures)


def wanted_uncertainty(
    calibrator: Path | None, target_mae: float | None, keep: float | None
) -> Any:
    """The options as a `Wanted`; `ConfigError` for a target that is none."""
    from streamnet_plugin.uncertainty.calibration import Wanted, load_calibrators

    if target_mae is not None and not 0 < target_mae < float("inf"):
        raise ConfigError(f"a target MAE of {target_mae:g} bpm", remedy="give e.g. 3.")
    if keep is not None and not 0 < keep <= 1:
        raise ConfigError(f"a share of {keep:g} to keep", remedy="give a number up to 1, e.g. 0.8.")
    calibrators = None if calibrator is None else load_calibrators(calibrator)
    return Wanted(calibrators=calibrators, target_mae=target_mae, keep=keep)


@app.command()
def report(
    results: Folders,
    output: Output = Path("streamnet-report"),
    plots: Annotated[bool, typer.Option(help="Draw files of the figures, too.")] = True,
    baseline: Baseline = None,
) -> None:
    """Write the report of saved results again, or one report of several runs.

    Examples:

        streamnet report streamnet-results

        streamnet report run-a run-b -o together --baseline POS
    """
    from rich.console import Console

    from streamnet_plugin.report.tables import to_rich
    from streamnet_plugin.report.writer import REPORT
    from streamnet_plugin.reporting import report as run

    with progress_bars() as bars:
        done = run(*results, output=output, plots=plots, baseline=baseline, progress=bars)
    Console().print(to_rich(done.results))
    assert done.folder is not None
    typer.echo(f"Report: {done.folder / REPORT}")


@app.command()
def diff(
    a: Annotated[Path, typer.Argument(help="A results folder.")],
    b: Annotated[Path, typer.Argument(help="Another one, scored alike.")],
    markdown: Markdown = False,
) -> None:
    """Say what changed between two results, and whether by more than noise.

    Example:

        streamnet diff streamnet-results streamnet-results-2
    """
    from streamnet_plugin.report.diff_text import to_markdown, to_text
    from streamnet_plugin.reporting import difference

    found = difference(a, b)
    typer.echo(to_markdown(found) if markdown else to_text(found))


@app.command()
def calibrate(
    results: Folders,
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path(
        "calibrator.json"
    ),
) -> None:
    """Calibrate the intervals of all methods on these results, for use on other data.

    Examples:

        streamnet calibrate results-pure -o pure.json

        streamnet benchmark benchmark/ubfc UNCERTAINTY.CALIBRATOR=pure.json
    """
    from streamnet_plugin.reporting import make_calibrator
    from streamnet_plugin.uncertainty.conformal import LEVELS, percent, subjects_needed

    made = make_calibrator(*results, output=output)
    for name, calibrator in made.methods.items():
        lacking = [
            f"{percent(level)} % needs {subjects_needed(level)}"
            for level in LEVELS
            if subjects_needed(level) > calibrator.n_subjects
        ]
        note = f"; infinite intervals where {', '.join(lacking)}" if lacking else ""
        typer.echo(f"{name}: {count(calibrator.n_subjects, 'subject')}{note}")
    for name in made.left_out:
        typer.echo(f"{name}: left out, no window has a result with a spread")
    typer.echo(f"Written: {made.path}")


@app.command()
def uncertainty(
    config: ProtocolOrDemo = "benchmark/demo",
    overrides: Overrides = None,
    rates: Annotated[
        str, typer.Option(help="Dropout rates, each for all layers, separated by commas.")
    ] = "0.1,0.2,0.3,0.4,0.5",
    data_root: DataRoot = None,
    output: Output = Path("streamnet-uncertainty"),
    jobs: Jobs = 2,
    dask: Dask = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Sample the network at several dropout rates: table and figure of its uncertainty.

    Examples:

        streamnet uncertainty --rates 0.1,0.2,0.3

        streamnet uncertainty benchmark/ubfc --data-root /data/UBFC UNCERTAINTY.MC_SAMPLES=50
    """
    from streamnet_plugin.cluster import cluster
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.rates import rates_table, uncertainty_by_rate
    from streamnet_plugin.report.render import text

    try:
        chosen = [float(part) for part in rates.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"the rates {rates!r} are no numbers", remedy="give e.g. --rates 0.1,0.2."
        ) from error
    with cluster(dask), progress_bars() as bars:
        done = uncertainty_by_rate(
            config,
            chosen,
            overrides=overrides or (),
            data_root=parse_data_roots(data_root or ()),
            output=output,
            jobs=jobs,
            progress=bars,
        )
    grid = rates_table(done)
    typer.echo(f"{grid.caption}\n\n{text(grid)}")
    typer.echo(f"Results: {done.folder}")
    report_failures(list(done.failures), allow_failures)
