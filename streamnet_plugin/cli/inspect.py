"""Commands that look at protocols, methods and speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamnet_plugin.cli.base import EXIT_ERROR, EXIT_FAILED, app, config_app
from streamnet_plugin.cli.options import CropSize, DataRoot, Overrides, Protocol, ProtocolOrDemo
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.wording import count


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


@config_app.command("show")
def config_show(
    config: ProtocolOrDemo = "benchmark/demo",
    overrides: Overrides = None,
    size: CropSize = None,
) -> None:
    """Print the resolved configuration, every default visible.

    Example:

        streamnet config show benchmark/ubfc TEST.DATA.FS=25
    """
    from streamnet_plugin.config import dump_config, load_config, size_keys

    typer.echo(dump_config(load_config(config, (*size_keys(size), *(overrides or ())))), nl=False)


@config_app.command("check")
def config_check(
    config: Protocol,
    overrides: Overrides = None,
    data_root: DataRoot = None,
    size: CropSize = None,
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
    from streamnet_plugin.config import size_keys
    from streamnet_plugin.data_root import parse_data_roots

    if backend not in ("both", "builtin", "toolbox"):
        raise ConfigError(
            f"no backend is named {backend!r}", remedy="use both, builtin or toolbox."
        )
    keys = (*size_keys(size), *(overrides or ()))
    found = check_file(config, keys, parse_data_roots(data_root or ()), backend)  # type: ignore[arg-type]
    for finding in found:
        typer.echo(f"- {'note: ' * finding.note}{finding.text}")
    problems = sum(not finding.note for finding in found)
    if problems:
        typer.echo(f"{config}: {count(problems, 'problem')}.")
        raise typer.Exit(EXIT_ERROR)
    typer.echo(f"{config}: no problem found.")


@app.command()
def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer rounds, shorter videos: some minutes.")
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
        Path | None, typer.Option("--save", help="JSON file, for --against and --from later.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Measure nothing: write the page of an earlier --save. Only with -o."
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            help="An earlier --save: exit 1 if anything became slower, or could not be compared.",
        ),
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

        streamnet bench --from before.json -o before.md
    """
    from streamnet_plugin.speed.run import bench as run
    from streamnet_plugin.speed.run import page_from

    if source is not None:
        others = quick, slow, keyword, toolbox, save, against, force, collect_only
        if any(others):
            raise ConfigError(
                "--from measures nothing", remedy="give no other option with it, but --output."
            )
        typer.echo(f"Written: {page_from(source, output)}")
        return
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
    if not done.passed or (done.guard and not done.guard.passed):
        raise typer.Exit(EXIT_FAILED)
