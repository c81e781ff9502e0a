"""Commands that read the heart rate of a video, or of a camera."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from streamnet_plugin.cli.base import EXIT_UNTRUSTED, app, progress_bars
from streamnet_plugin.cli.options import Engine, FileRate, MethodName, NetworkWeights, Precision
from streamnet_plugin.errors import ConfigError


@app.command()
def predict(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of images.")],
    method: MethodName = "STREAMNet",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the BVP and the plot.")
    ] = None,
    fps: FileRate = None,
    weights: NetworkWeights = None,
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


@app.command()
def live(
    camera: Annotated[
        int | None, typer.Option("--camera", min=0, help="Number of the camera; default: 0.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option("--video", help="A file instead, played at its own rate.")
    ] = None,
    method: MethodName = "STREAMNet",
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
    fps: FileRate = None,
    weights: NetworkWeights = None,
    samples: Annotated[
        int | None,
        typer.Option(
            "--samples",
            min=0,
            help="Monte Carlo samples; default: 8 if the calibrator was made with some, else 0.",
        ),
    ] = None,
    engine: Engine = None,
    precision: Precision = None,
) -> None:
    """Read the heart rate of a camera, or of a file that plays like one, every second.

    Ctrl-C ends it with a summary, and so do SIGTERM and SIGHUP, which give exit codes 143 and 129
    then. No heart rate is shown without a face, and one that is not to be trusted is
    marked as withheld, with the reason.

    Examples:

        streamnet live

        streamnet live --camera 1 --show --calibrator windows-of-10-s.json

        streamnet live --video me.mp4 --method POS --duration 30

        streamnet live --precision auto
    """
    if video is None and (fast or fps is not None):
        raise ConfigError("--fast and --fps are for files", remedy="give --video FILE.")
    if video is not None and camera is not None:
        raise ConfigError("both --camera and --video are given", remedy="leave one of them out.")
    from rich.console import Console

    from streamnet_plugin.live.run import LiveSettings, LiveSummary
    from streamnet_plugin.live.run import live as run
    from streamnet_plugin.live.view import Lines, Terminal, View, Window

    console = Console()
    views: list[View] = [Terminal(console) if console.is_terminal else Lines(typer.echo)]
    if show:
        views.append(Window())
    settings = LiveSettings(
        video, camera or 0, method, window, duration, fast, fps, weights, samples, calibrator,
        output, engine=engine, precision=precision,
    )  # fmt: skip

    def tell(summary: LiveSummary) -> None:
        try:
            typer.echo(summary.describe())
        except OSError:
            if not summary.signal:  # otherwise it came with the end of its terminal
                raise

    summary = run(settings, views, tell)
    if summary.signal not in (0, signal.SIGINT):
        raise typer.Exit(128 + summary.signal)
    if not summary.interrupted and not summary.trusted:
        raise typer.Exit(EXIT_UNTRUSTED)
