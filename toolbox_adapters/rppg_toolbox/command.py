"""The command `streamnet toolbox`. Heavy modules are imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from streamnet_plugin.cli import AllowFailures, DataRoot, Overrides, progress_bars, report_failures


def toolbox(
    config_file: Annotated[
        str,
        typer.Option(
            "--config_file",
            "--config-file",
            help="A YAML in the toolbox's schema, or a shipped one.",
        ),
    ],
    overrides: Overrides = None,
    path: Annotated[
        Path | None,
        typer.Option("--path", help="The rPPG-Toolbox checkout; default: $RPPG_TOOLBOX."),
    ] = None,
    data_root: DataRoot = None,
    fast_loader: Annotated[
        bool,
        typer.Option("--fast-loader", help="Read UBFC-rPPG and PURE through our cache of crops."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Results folder; never overwritten.")
    ] = None,
    plots: Annotated[bool, typer.Option(help="Draw the plots of our results folder.")] = True,
    report: Annotated[
        bool | None, typer.Option(help="Write report.html there; default: if plots are drawn.")
    ] = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Run an unmodified rPPG-Toolbox checkout, with STREAM-Net and other plugins by name.

    Does what `python main.py --config_file X.yaml` does there, for the toolbox's own models too.
    Relative paths in the YAML start from the current folder; folds and weights that are not there
    are looked for in the checkout. Nothing is written to the checkout.

    Examples:

        streamnet toolbox --path rPPG-Toolbox --config_file my.yaml

        RPPG_TOOLBOX=rPPG-Toolbox streamnet toolbox --config_file my.yaml TRAIN.EPOCHS=5
    """
    from rich.console import Console

    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.report.tables import to_rich
    from toolbox_adapters.rppg_toolbox.backend import named_checkout
    from toolbox_adapters.rppg_toolbox.launcher import run_toolbox

    with progress_bars() as bars:
        done = run_toolbox(
            named_checkout(path),
            config_file,
            overrides=overrides or (),
            data_root=parse_data_roots(data_root or ()),
            fast_loader=fast_loader,
            output=output,
            plots=plots,
            report=report,
            progress=bars,
        )
    sys.stdout.flush()
    if done.run is not None:
        Console().print(to_rich(done.run.results))
        typer.echo(f"Results: {done.run.folder}")
    lost = [video.failure for video in done.lost]
    report_failures(lost if done.run is None else list(done.run.results.failures), allow_failures)
