"""Commands that train and test the network, one by one or by a protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamnet_plugin.cli.base import app, progress_bars, protocol_app, report_failures, show_run
from streamnet_plugin.cli.options import (
    AllowFailures,
    CropSize,
    DataRoot,
    Jobs,
    Markdown,
    NetworkWeights,
    Output,
    Overrides,
    Plots,
    Protocol,
    Report,
    Weights,
)

Force = Annotated[
    bool, typer.Option("--force", help="Go on even if settings or data have changed.")
]


@app.command()
def train(
    config: Protocol,
    overrides: Overrides = None,
    data_root: DataRoot = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the run; default: LOG.PATH/MODEL_FILE_NAME"),
    ] = None,
    size: CropSize = None,
    jobs: Jobs = 2,
    force: Force = False,
    allow_failures: AllowFailures = False,
) -> None:
    """Train STREAM-Net by a protocol; run it again to go on where it was stopped.

    Examples:

        streamnet train train/ubfc-intra --data-root /data/UBFC-rPPG

        streamnet train my.yaml TRAIN.EPOCHS=10 TRAINING.PRECISION=bfloat16 -o runs/short

        torchrun --nproc_per_node 2 -m streamnet_plugin train my.yaml
    """
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.training.fabric import is_first
    from streamnet_plugin.training.run import train as run

    with progress_bars() as bars:
        done = run(
            config,
            overrides=overrides or (),
            size=size,
            data_root=parse_data_roots(data_root or ()),
            output=output,
            jobs=jobs,
            force=force,
            progress=bars,
        )
    if is_first():
        typer.echo(done.describe())
        report_failures(list(done.failures), allow_failures)


@app.command("test")
def run_test(
    config: Protocol,
    overrides: Overrides = None,
    weights: Weights = None,
    data_root: DataRoot = None,
    size: CropSize = None,
    output: Output = Path("streamnet-results"),
    jobs: Jobs = 2,
    plots: Plots = True,
    report: Report = None,
    allow_failures: AllowFailures = False,
) -> None:
    """Test what `streamnet train` trained, or other weights, on the protocol's test data.

    Examples:

        streamnet test train/ubfc-intra --data-root /data/UBFC-rPPG

        streamnet test train/ubfc-intra --weights best.safetensors --data-root /data/UBFC-rPPG
    """
    from streamnet_plugin.data_root import parse_data_roots
    from streamnet_plugin.training.run import run_test as run

    with progress_bars() as bars:
        done = run(
            config,
            weights=weights,
            overrides=overrides or (),
            size=size,
            data_root=parse_data_roots(data_root or ()),
            output=output,
            jobs=jobs,
            plots=plots,
            report=report,
            progress=bars,
        )
    show_run(done, allow_failures)


@app.command()
def export(
    output: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    weights: NetworkWeights = None,
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
        int,
        typer.Option(
            "--folds", min=0, help="Test every subject, in K folds, 3 or more; 0: one split."
        ),
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
    force: Force = False,
    plots: Plots = True,
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
            force=force,
            plots=plots,
            progress=bars,
        )
    if done is not None:
        notes = done.run.results.notes
        said = [line for line in summary_lines(done.summary) if line not in notes]
        show_run(done.run, allow_failures, said)


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
