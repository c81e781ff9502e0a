"""The command `streamnet`. Heavy modules are imported inside the commands that need them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streamnet_plugin import __version__
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.wording import count

# Threads of torch that have nothing to do sleep instead of spinning: beside other work on the
# machine, spinning doubles the time a network takes. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

EXIT_FAILED = 1  # some videos gave no result, the others are in the results; bench: one got slower
EXIT_ERROR = 2  # wrong usage, configuration or input: nothing was computed
EXIT_UNTRUSTED = 3  # predict, live: a waveform was read, but its pulse is not to be trusted
EXIT_INTERRUPTED = 130

EPILOG = (
    "Exit codes: 0 all went well; 1 some videos gave no result (named at the end); 2 wrong usage, "
    "configuration or input; 3 predict or live read a waveform whose pulse is not to be trusted; "
    "130 interrupted."
)

SUMMARY_LENGTH = 200


class Group(TyperGroup):
    """Help as plain text, which rich's takes twice the time to show; summaries are not cut off."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        names = self.list_commands(ctx)
        found = [(name, self.get_command(ctx, name)) for name in names]
        rows = [(n, c.get_short_help_str(SUMMARY_LENGTH)) for n, c in found if c is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


PLAIN: dict[str, Any] = {"cls": Group, "no_args_is_help": True, "rich_markup_mode": None}

app = typer.Typer(
    **PLAIN,
    name="streamnet",
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 100},
    epilog=EPILOG,
    help=(
        "Heart rate and blood volume pulse from face video: STREAM-Net and the classical methods "
        "in one comparison.\n\n"
        "Start with `streamnet benchmark` (makes its own demo data), then "
        "`streamnet predict me.mp4`."
    ),
)
config_app = typer.Typer(**PLAIN, help="Look at protocol files, or check them.")
synth_app = typer.Typer(**PLAIN, help="Write synthetic recordings in the datasets' real formats.")
app.add_typer(config_app, name="config")
protocol_app = typer.Typer(
    **PLAIN,
    help="Train and test by a protocol, from recordings to one table.",
)
app.add_typer(synth_app, name="synth")
app.add_typer(protocol_app, name="protocol")


def _version(show: bool) -> None:
    if show:
        typer.echo(f"streamnet-rppg {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s: %(message)s"
    )


@contextmanager
def progress_bars() -> Iterator[Any]:
    """Progress on standard error."""
    from rich.console import Console

    from streamnet_plugin.progress import Bars

    with Bars(Console(stderr=True)) as bars:
        yield bars


def report_failures(failures: list[Any], allow: bool) -> None:
    """Name every failed video on standard error; exit 1 unless that is allowed."""
    for failure in failures:
        remedy = f" Remedy: {failure.remedy}" if failure.remedy else ""
        who = f" [{failure.method}]" if failure.method else ""
        where = f" ({failure.path})" if failure.path else ""
        typer.echo(f"FAILED {failure.recording}{who}{where}: {failure.reason}{remedy}", err=True)
    if failures and not allow:
        raise typer.Exit(EXIT_FAILED)


def show_run(run: Any, allow_failures: bool, lines: Sequence[str] = ()) -> None:
    """Print the table of a run, these lines and its folder; then as `report_failures`."""
    from rich.console import Console

    from streamnet_plugin.report.tables import to_rich

    Console().print(to_rich(run.results))
    for line in (*lines, *([] if run.folder is None else [f"Results: {run.folder}"])):
        typer.echo(line)
    report_failures(list(run.results.failures), allow_failures)


AllowFailures = Annotated[
    bool, typer.Option("--allow-failures", help="Exit 0 even if some videos failed.")
]
DataRoot = Annotated[
    list[str] | None,
    typer.Option(
        "--data-root",
        metavar="[NAME=]PATH",
        help="Dataset folder; overrides DATA_PATH. With several datasets: NAME=PATH for each "
        "(repeatable), or the folder that holds one folder per dataset.",
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="KEY=VALUE, e.g. EVALUATION.CONVENTION=neurips-2023")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Results folder; never overwritten.")]
Report = Annotated[
    bool | None,
    typer.Option(help="Write report.html, which opens offline; default: if plots are drawn."),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="Test every method against this one; default: every pair."),
]
CalibratorPath = Annotated[
    Path | None,
    typer.Option(
        "--calibrator",
        help="Intervals from a file of `streamnet calibrate`; default: every subject's from the "
        "other subjects.",
    ),
]
TargetMae = Annotated[
    float | None,
    typer.Option("--target-mae", help="Withhold windows until the others have this MAE, bpm."),
]
Keep = Annotated[
    float | None,
    typer.Option("--keep", help="Withhold the most unsure windows until this share is left, 0-1."),
]
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask",
        metavar="ADDRESS",
        help="Work on this Dask scheduler's cluster; default: $DASK_SCHEDULER_ADDRESS, or here.",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        help="What computes STREAM-Net: torch, compile (torch.compile), onnxruntime or openvino "
        "(extras onnx, openvino). Default: torch.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Of STREAM-Net: float32, bfloat16, or auto (bfloat16 where it is fast). Default: "
        "float32.",
    ),
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Videos preprocessed at a time.")]


@app.command()
def benchmark(
    config: Annotated[str, typer.Argument(help="A YAML, or a shipped one.")] = "benchmark/demo",
    overrides: Overrides = None,
    data_root: DataRoot = None,
    output: Output = Path("streamnet-results"),
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help="Only these methods (repeatable).")
    ] = None,
    jobs: Jobs = 2,
    plots: Annotated[bool, typer.Option(help="Draw the plots.")] = True,
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
def export(
    output: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Network weights; default: the shipped ones.")
    ] = None,
) -> None:
    """Write STREAM-Net as an ONNX file, for other programs and devices (extra onnx).

    Example:

        streamnet export streamnet.onnx
    """
    from streamnet_plugin.model.checkpoint import load_checkpoint
    from streamnet_plugin.model.engines import export_onnx

    model, _ = load_checkpoint(weights)
    path = export_onnx(model, output)
    c = model.config
    typer.echo(
        f"{path}: frames (n, 6, {c.height}, {c.width}) float32, difference-normalised RGB, then "
        f"standardised RGB; n a multiple of {c.segment_length}."
    )


@app.command()
def predict(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of images.")],
    method: Annotated[str, typer.Option("--method", "-m", help="See `streamnet methods`.")] = (
        "STREAMNet"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the BVP and the plot.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option("--fps", help="Frame rate, where the file does not say it.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Network weights; default: the shipped ones.")
    ] = None,
    calibrator: Annotated[
        Path | None,
        typer.Option(
            "--calibrator", help="File of `streamnet calibrate`: gives a calibrated 90 % interval."
        ),
    ] = None,
    engine: Engine = None,
    precision: Precision = None,
) -> None:
    """Read the heart rate of your own video, with its spread; write the BVP and a plot.

    Examples:

        streamnet predict me.mp4

        streamnet predict me.mp4 --method POS -o me-pos

        streamnet predict me.mp4 --precision auto

        streamnet predict frames/ --fps 30
    """
    from streamnet_plugin.prediction import predict as run

    with progress_bars() as bars:
        reading = run(
            video,
            method=method,
            output=output or True,
            fps=fps,
            weights=weights,
            calibrator=calibrator,
            engine=engine,
            precision=precision,
            progress=bars,
        )
    typer.echo(reading.describe())
    if not reading.trusted:
        raise typer.Exit(EXIT_UNTRUSTED)


Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]
CropSize = Annotated[
    int | None,
    typer.Option("--size", min=1, help="Crops of so many px in all sections; default: the YAML's."),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Weights to test; default: those of the protocol's training."),
]


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML, or the name of a shipped one.")],
    overrides: Overrides = None,
    data_root: DataRoot = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run; default: LOG.PATH/MODEL_FILE_NAME"),
    ] = None,
    size: CropSize = None,
    jobs: Jobs = 2,
    force: Annotated[
        bool, typer.Option("--force", help="Go on even if settings or data have changed.")
    ] = False,
    allow_failures: AllowFailures = False,
) -> None:
    """Train STREAM-Net by a protocol; run it again to go on where it was stopped.

    Examples:

        streamnet train train/ubfc-intra --data-root /data/UBFC-rPPG

        streamnet train my.yaml TRAIN.EPOCHS=10 TRAINING.PRECISION=bfloat16 -o runs/short

        torchrun --nproc_per_node 2 -m streamnet_plugin train my.yaml
    """
    from streamnet_plugin.config import size_keys
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.training.run import train as run

    with progress_bars() as bars:
        done = run(
            config,
            overrides=(*size_keys(size), *(overrides or ())),
            data_root=parse_data_roots(data_root or ()),
            output=output,
            jobs=jobs,
            force=force,
            progress=bars,
        )
    if int(os.environ.get("RANK", "0")) == 0:
        typer.echo(done.describe())
        report_failures(list(done.failures), allow_failures)


@app.command("test")
def run_test(
    config: Annotated[str, typer.Argument(help="A YAML, or the name of a shipped one.")],
    overrides: Overrides = None,
    weights: Weights = None,
    data_root: DataRoot = None,
    size: CropSize = None,
    output: Output = Path("streamnet-results"),
    jobs: Jobs = 2,
    plots: Annotated[bool, typer.Option(help="Draw the plots.")] = True,
    report: Report = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Test what `streamnet train` trained, or other weights, on the protocol's test data.

    Examples:

        streamnet test train/ubfc-intra --data-root /data/UBFC-rPPG

        streamnet test train/ubfc-intra --weights best.safetensors --data-root /data/UBFC-rPPG
    """
    from streamnet_plugin.config import size_keys
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.training.run import run_test as run

    with progress_bars() as bars:
        done = run(
            config,
            weights=weights,
            overrides=(*size_keys(size), *(overrides or ())),
            data_root=parse_data_roots(data_root or ()),
            output=output,
            jobs=jobs,
            plots=plots,
            report=report,
            progress=bars,
        )
    show_run(done, allow_failures)


@protocol_app.command("list")
def list_protocols() -> None:
    """Name the protocols and the networks that they can train."""
    from streamnet_plugin.protocols import NETWORKS, PROTOCOLS

    for name, config in PROTOCOLS.items():
        typer.echo(f"{name:<14} {config}.yaml")
    for name, changes in NETWORKS.items():
        keys = " ".join(f"MODEL.STREAMNET.{key}={value}" for key, value in changes.items())
        typer.echo(f"network {name}: {keys or 'as the paper has it'}")


@protocol_app.command("run")
def run_protocol(
    name: Annotated[str, typer.Argument(help="See `streamnet protocol list`.")],
    overrides: Overrides = None,
    folds: Annotated[
        int, typer.Option("--folds", min=0, help="Test every subject, in K folds; 0: one split.")
    ] = 0,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings from N starts.")] = 1,
    network: Annotated[
        list[str] | None,
        typer.Option("--network", "-n", help="What to train (repeatable); default: STREAMNet."),
    ] = None,
    data_root: DataRoot = None,
    size: CropSize = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="On synthetic twins of both datasets.")
    ] = False,
    ubfc_subjects: Annotated[
        int, typer.Option("--ubfc-subjects", min=1, help="Of the synthetic twin.")
    ] = 10,
    pure_subjects: Annotated[
        int, typer.Option("--pure-subjects", min=1, help="Of the twin; each in six setups.")
    ] = 5,
    seconds: Annotated[float, typer.Option("--seconds", help="Of a synthetic recording.")] = 15.0,
    twin_seed: Annotated[int, typer.Option("--twin-seed", help="Of the synthetic twins.")] = 7000,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder; default: protocols/NAME.")
    ] = None,
    jobs: Jobs = 2,
    plots: Annotated[bool, typer.Option(help="Draw the plots.")] = True,
    allow_failures: AllowFailures = False,
) -> None:
    """Preprocess, train, test and compare by a protocol; run it again to go on.

    Examples:

        streamnet protocol run ubfc-intra --folds 5 --seeds 3 --data-root /data/UBFC-rPPG

        streamnet protocol run pure-to-ubfc --data-root PURE=/P --data-root UBFC-rPPG=/U

        streamnet protocol run ubfc-to-pure --synthetic --size 36 -n STREAMNet -n TS-CAN
    """
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.protocols import Twins, summary_lines
    from streamnet_plugin.protocols import run_protocol as run

    twins = Twins(ubfc_subjects, pure_subjects, seconds, seed=twin_seed) if synthetic else None
    with progress_bars() as bars:
        done = run(
            name,
            folds=folds,
            seeds=seeds,
            networks=network or ("STREAMNet",),
            twins=twins,
            data_root=parse_data_roots(data_root or ()),
            size=size,
            overrides=overrides or (),
            output=output,
            jobs=jobs,
            plots=plots,
            progress=bars,
        )
    show_run(done.run, allow_failures, summary_lines(done.summary))


@protocol_app.command("table")
def protocol_table(
    folders: Annotated[list[Path], typer.Argument(help="Of `streamnet protocol run`.")],
    metric: Annotated[str, typer.Option("--metric", help="MAE, RMSE or MAPE.")] = "MAE",
    markdown: Markdown = False,
) -> None:
    """Put protocols that were run into one table: methods by protocols.

    Example:

        streamnet protocol table protocols/pure-to-ubfc protocols/ubfc-to-pure --markdown
    """
    from streamnet_plugin.report.protocol_table import (
        protocol_grid,
        read_protocol,
        to_markdown,
        to_text,
    )

    grid = protocol_grid([read_protocol(folder) for folder in folders], metric)
    typer.echo(to_markdown(grid) if markdown else to_text(grid))


@app.command()
def live(
    camera: Annotated[
        int | None, typer.Option("--camera", min=0, help="Number of the camera; default: 0.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", help="A file instead, played at its own rate.")
    ] = None,
    method: Annotated[str, typer.Option("--method", "-m", help="See `streamnet methods`.")] = (
        "STREAMNet"
    ),
    window: Annotated[
        float, typer.Option("--window", help="Length of the window that is read, s.")
    ] = 10.0,
    calibrator: Annotated[
        Path | None,
        typer.Option(
            "--calibrator",
            help="File of `streamnet calibrate`, made of windows of the same length: gives a 90 % "
            "interval.",
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="CSV of all updates; never overwritten.")
    ] = Path("streamnet-live.csv"),
    duration: Annotated[
        float | None, typer.Option("--duration", help="Stop after so many seconds.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Show the picture, too.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read the file as fast as possible; drop no frame.")
    ] = False,
    fps: Annotated[
        float | None, typer.Option("--fps", help="Frame rate, where the file does not say it.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Network weights; default: the shipped ones.")
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            min=0,
            help="Monte Carlo samples; default: 8 if the calibrator was made with some, else 0.",
        ),
    ] = None,
) -> None:
    """Read the heart rate of a camera, or of a file that plays like one, every second.

    Ctrl-C ends it. No heart rate is shown without a face, and one that is not to be trusted is
    marked as withheld, with the reason.

    Examples:

        streamnet live

        streamnet live --camera 1 --show --calibrator windows-of-10-s.json

        streamnet live --video me.mp4 --method POS --duration 30
    """
    if video is None and (fast or fps is not None):
        raise ConfigError("--fast and --fps are for files", remedy="give --video FILE.")
    if video is not None and camera is not None:
        raise ConfigError("both --camera and --video are given", remedy="leave one of them out.")
    from rich.console import Console

    from streamnet_plugin.live.run import LiveSettings
    from streamnet_plugin.live.run import live as run
    from streamnet_plugin.live.view import Lines, Terminal, View, Window

    console = Console()
    views: list[View] = [Terminal(console) if console.is_terminal else Lines(typer.echo)]
    if show:
        views.append(Window())
    settings = LiveSettings(
        video, camera or 0, method, window, duration, fast, fps, weights, samples, calibrator,
        output,
    )  # fmt: skip
    summary = run(settings, views)
    typer.echo(summary.describe())
    if not summary.interrupted and not summary.trusted:
        raise typer.Exit(EXIT_UNTRUSTED)


@app.command()
def preprocess(
    config: Annotated[str, typer.Argument(help="A YAML, or the name of a shipped one.")],
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
            help="A results folder, a CSV with columns video,pred,label, or a toolbox pickle."
        ),
    ],
    fs: Annotated[
        float | None, typer.Option("--fs", help="Frame rate in Hz, for a CSV (30 if not given).")
    ] = None,
    convention: Annotated[
        str, typer.Option("--convention", help="HR band: toolbox-2025 or neurips-2023.")
    ] = "toolbox-2025",
    window: Annotated[
        float | None, typer.Option("--window", help="Window length in s; default: whole video.")
    ] = None,
    hr_method: Annotated[str, typer.Option("--hr", help="FFT or Peak.")] = "FFT",
    differential: Annotated[
        bool, typer.Option("--differential", help="A CSV's waveforms are first differences.")
    ] = False,
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
    convention: Annotated[
        str, typer.Option("--convention", help="HR band: toolbox-2025 or neurips-2023.")
    ] = "toolbox-2025",
    window: Annotated[
        float | None, typer.Option("--window", help="Window length in s; default: whole video.")
    ] = None,
    hr_method: Annotated[str, typer.Option("--hr", help="FFT or Peak.")] = "FFT",
    output: Output = Path("streamnet-comparison"),
    plots: Annotated[bool, typer.Option(help="Draw the plots.")] = True,
    report: Report = None,
    calibrator: CalibratorPath = None,
    target_mae: TargetMae = None,
    keep: Keep = None,
    baseline: Baseline = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Put saved outputs of any models into one table: every file is a method.

    Pickles are read through an allow-list: one that would run code is refused.

    Example:

        streamnet compare runs/exp/*/saved_test_outputs/*.pickle streamnet-results
    """
    from streamnet_plugin.rescoring import rescore

    with progress_bars() as bars:
        done = rescore(
            *sources,
            convention=convention,
            window_s=window,
            hr_method=hr_method,
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


Folders = Annotated[
    list[Path], typer.Argument(metavar="RESULTS...", help="Results folders, scored alike.")
]


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
    config: Annotated[str, typer.Argument(help="A YAML, or a shipped one.")] = "benchmark/demo",
    overrides: Overrides = None,
    rates: Annotated[
        str, typer.Option(help="Dropout rates, each for all layers, separated by commas.")
    ] = "0.1,0.2,0.3,0.4,0.5",
    data_root: DataRoot = None,
    output: Output = Path("streamnet-uncertainty"),
    jobs: Jobs = 2,
    allow_failures: AllowFailures = False,
) -> None:
    """Sample the network at several dropout rates: table and figure of its uncertainty.

    Examples:

        streamnet uncertainty --rates 0.1,0.2,0.3

        streamnet uncertainty benchmark/ubfc --data-root /data/UBFC UNCERTAINTY.MC_SAMPLES=50
    """
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.rates import rates_table, uncertainty_by_rate
    from streamnet_plugin.report.render import text

    try:
        chosen = [float(part) for part in rates.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"the rates {rates!r} are no numbers", remedy="give e.g. --rates 0.1,0.2."
        ) from error
    with progress_bars() as bars:
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


@app.command()
def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds, shorter videos: about 4 minutes.")
    ] = False,
    slow: Annotated[
        bool, typer.Option("--slow", help="Also torch.compile, and the scale of whole runs.")
    ] = False,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Only these, as pytest's -k.")
    ] = None,
    toolbox: Annotated[
        Path | None,
        typer.Option("--toolbox", help="Checkout to measure beside; default: $RPPG_TOOLBOX."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Page to write; default: benchmarks/RESULTS.md, none with -k."
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="JSON file, for --against later.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", help="An earlier --save: exit 1 if anything became slower."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare even with another machine's.")
    ] = False,
    collect_only: Annotated[
        bool, typer.Option("--collect-only", help="Only name what would run.")
    ] = False,
) -> None:
    """Measure speed and memory, beside the rPPG-Toolbox if there is one (source checkout only).

    Examples:

        streamnet bench --toolbox rPPG-Toolbox

        streamnet bench --quick -k "network and not training" --save before.json

        streamnet bench --quick -k "network and not training" --against before.json
    """
    from streamnet_plugin.speed.run import bench as run

    done = run(
        quick=quick,
        slow=slow,
        keyword=keyword,
        toolbox=toolbox,
        output=output,
        save=save,
        against=against,
        force=force,
        collect_only=collect_only,
    )
    for path in done.written:
        typer.echo(f"Written: {path}")
    for line in done.guard.lines() if done.guard else ():
        typer.echo(line)
    if not done.passed or (done.guard and done.guard.slower):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def methods() -> None:
    """List the registered methods and the package each comes from.

    Example:

        streamnet methods
    """
    from rich.console import Console
    from rich.table import Column, Table

    from streamnet_plugin.registry import absent_families, list_methods

    table = Table(Column("Method", no_wrap=True), "From", "Object")
    for info in list_methods():
        table.add_row(info.name, info.distribution, info.target)
    Console().print(table)
    for family in absent_families():
        typer.echo(f"Not installed: {family.prefix}:... ({family.install})")


Seed = Annotated[int, typer.Option(help="Of everything random; the same gives the same data.")]
Seconds = Annotated[float, typer.Option(help="Length of each recording in s.")]
Fps = Annotated[float, typer.Option("--fps", help="Frame rate, Hz.")]
Motion = Annotated[str, typer.Option(help="steady, talking, slow_translation, ...")]
MotionScale = Annotated[float, typer.Option(help="1 moves as in PURE, 0 not at all.")]
Tone = Annotated[int | None, typer.Option(help="Fitzpatrick type 1-6; default: drawn.")]
Light = Annotated[float, typer.Option(help="1 is good light, 0.4 weak.")]
Drift = Annotated[float, typer.Option(help="Relative size of slow changes of the light.")]
Flicker = Annotated[float, typer.Option(help="Relative size of fast changes of the light.")]
FlickerHz = Annotated[float, typer.Option(help="Rate of that flicker; 0: at random.")]
Noise = Annotated[float, typer.Option(help="Sensor noise, 8-bit levels.")]
Pulse = Annotated[float, typer.Option(help="Strength of the pulse; 1 is normal, 0 a doll.")]
HeartRate = Annotated[float | None, typer.Option("--hr", help="Mean HR; default: drawn 45-150.")]
Size = Annotated[str, typer.Option(help="WIDTHxHEIGHT in px.")]


def _width_height(size: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in size.lower().split("x"))
    except ValueError as error:
        raise ConfigError(
            f"the size {size!r} is not of the form WIDTHxHEIGHT", remedy="use e.g. 640x480."
        ) from error
    return width, height


def _setups(text: str) -> tuple[int, ...]:
    from streamnet_plugin.data.synthetic.motion import SETUPS

    known = {str(setup): setup for setup in SETUPS}
    chosen = [part.strip() for part in text.split(",")]
    if not set(chosen) <= set(known):
        raise ConfigError(f"the setups {text!r} are not all among 1 to 6", remedy="give e.g. 1,3.")
    return tuple(dict.fromkeys(known[part] for part in chosen))


@synth_app.command("ubfc")
def synth_ubfc(
    out: Annotated[Path, typer.Argument(help="Folder for subject1, subject2, ...")],
    subjects: Annotated[int, typer.Option(min=1)] = 4,
    seed: Seed = 0,
    seconds: Seconds = 20.0,
    fps: Fps = 30.0,
    size: Size = "640x480",
    motion: Motion = "steady",
    motion_scale: MotionScale = 1.0,
    skin_tone: Tone = None,
    light: Light = 1.0,
    drift: Drift = 0.01,
    flicker: Flicker = 0.001,
    flicker_hz: FlickerHz = 0.0,
    noise: Noise = 1.5,
    pulse: Pulse = 1.0,
    hr: HeartRate = None,
    codec: Annotated[str, typer.Option(help="raw (as the real set) or mjpg (small).")] = "raw",
    quality: Annotated[int, typer.Option(help="JPEG quality of mjpg, 1-100.")] = 95,
    part: Annotated[int, typer.Option(min=1, max=2, help="DATASET_1 or DATASET_2.")] = 2,
) -> None:
    """Write recordings in the UBFC-rPPG format; those already there are kept.

    Examples:

        streamnet synth ubfc twin --subjects 10 --motion talking --codec mjpg

        streamnet synth ubfc bad-light --light 0.5 --drift 0.05 --codec mjpg --quality 60
    """
    from streamnet_plugin.data.synthetic.writers import write_ubfc_set

    if codec not in ("raw", "mjpg"):
        raise ConfigError(f"unknown codec {codec!r}", remedy="use raw or mjpg.")
    width, height = _width_height(size)
    with progress_bars() as bars:
        bars.start("Recordings", subjects)
        write_ubfc_set(
            out,
            subjects,
            seed,
            "raw" if codec == "raw" else "mjpg",
            part,
            bars.step,
            quality,
            duration_s=seconds,
            fs=fps,
            width=width,
            height=height,
            motion=motion,
            motion_scale=motion_scale,
            skin_tone=skin_tone,
            light=light,
            illumination_drift=drift,
            flicker=flicker,
            flicker_hz=flicker_hz,
            noise=noise,
            pulse=pulse,
            hr_bpm=hr,
        )
    typer.echo(f"{count(subjects, 'recording')} in {out}")


@synth_app.command("pure")
def synth_pure(
    out: Annotated[Path, typer.Argument(help="Folder for 01-01, 01-02, ...")],
    subjects: Annotated[int, typer.Option(min=1)] = 2,
    seed: Seed = 0,
    seconds: Seconds = 20.0,
    fps: Fps = 30.0,
    setups: Annotated[str, typer.Option(help="PURE's setups, e.g. 1,3.")] = "1,2,3,4,5,6",
    size: Size = "640x480",
    motion_scale: MotionScale = 1.0,
    skin_tone: Tone = None,
    light: Light = 1.0,
    drift: Drift = 0.01,
    flicker: Flicker = 0.001,
    flicker_hz: FlickerHz = 0.0,
    noise: Noise = 1.5,
    pulse: Pulse = 1.0,
    hr: HeartRate = None,
) -> None:
    """Write recordings in the PURE format, all six setups; those already there are kept.

    Example:

        streamnet synth pure twin --subjects 10 --setups 1,4
    """
    from streamnet_plugin.data.synthetic.writers import write_pure_set

    chosen = _setups(setups)
    width, height = _width_height(size)
    with progress_bars() as bars:
        bars.start("Recordings", subjects * len(chosen))
        write_pure_set(
            out,
            subjects,
            seed,
            chosen,
            bars.step,
            duration_s=seconds,
            fs=fps,
            width=width,
            height=height,
            motion_scale=motion_scale,
            skin_tone=skin_tone,
            light=light,
            illumination_drift=drift,
            flicker=flicker,
            flicker_hz=flicker_hz,
            noise=noise,
            pulse=pulse,
            hr_bpm=hr,
        )
    typer.echo(f"{count(subjects * len(chosen), 'recording')} in {out}")


@config_app.command("show")
def config_show(
    config: Annotated[str, typer.Argument(help="A YAML, or a shipped one.")] = "benchmark/demo",
    overrides: Overrides = None,
) -> None:
    """Print the resolved configuration, every default visible.

    Example:

        streamnet config show benchmark/ubfc TEST.DATA.FS=25
    """
    from streamnet_plugin.config import dump_config, load_config

    typer.echo(dump_config(load_config(config, overrides or ())), nl=False)


@config_app.command("check")
def config_check(
    config: Annotated[str, typer.Argument(help="A YAML, or the name of a shipped one.")],
    overrides: Overrides = None,
    data_root: DataRoot = None,
    backend: Annotated[
        str, typer.Option("--backend", help="What it is to run on: both, builtin or toolbox.")
    ] = "both",
) -> None:
    """Look for mistakes before a long run, and print a fix for each; exit code 2 if there is one.

    Unknown keys, types that a backend refuses, missing folders, subjects in two splits, clips that
    are not whole segments, weights of another image size, a device that is not there.

    Examples:

        streamnet config check train/ubfc-intra --data-root /data/UBFC-rPPG

        streamnet config check train/pure-to-ubfc --data-root PURE=/P --data-root UBFC-rPPG=/U
    """
    from streamnet_plugin.checks import check_file
    from streamnet_plugin.data_root import parse_data_roots

    if backend not in ("both", "builtin", "toolbox"):
        raise ConfigError(
            f"no backend is named {backend!r}", remedy="use both, builtin or toolbox."
        )
    found = check_file(config, overrides or (), parse_data_roots(data_root or ()), backend)  # type: ignore[arg-type]
    for finding in found:
        typer.echo(f"- {'note: ' * finding.note}{finding.text}")
    problems = sum(not finding.note for finding in found)
    if problems:
        typer.echo(f"{config}: {count(problems, 'problem')}.")
        raise typer.Exit(EXIT_ERROR)
    typer.echo(f"{config}: no problem found.")


COMMANDS = "streamnet.commands"
"""Entry points: name of a further command -> the function typer makes it of."""


def main() -> None:
    """Run the command line, with the commands that other packages add to it."""
    from importlib.metadata import entry_points

    for point in entry_points(group=COMMANDS):
        app.command(point.name)(point.load())
    run_app(app)


def run_app(command: typer.Typer | Callable[..., None]) -> None:
    """Run an app, or a single command; known errors become one line and an exit code."""
    if not isinstance(command, typer.Typer):
        single = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command()(command)
        command = single
    try:
        command(standalone_mode=True)
    except StreamnetError as error:
        kind = "configuration" if isinstance(error, ConfigError) else "error"
        typer.echo(f"{kind}: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as stop:  # typer itself turns Ctrl-C into this, without a word
        if stop.code == EXIT_INTERRUPTED:
            _say_interrupted()
        raise


def _say_interrupted() -> None:
    typer.echo("interrupted; finished videos stay cached, run the same command again.", err=True)


if __name__ == "__main__":
    main()
