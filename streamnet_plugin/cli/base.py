"""What all commands share: the app, exit codes, progress, and how a run is shown."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from streamnet_plugin import __version__
from streamnet_plugin.errors import ConfigError, StreamnetError

EXIT_FAILED = 1  # some videos gave no result, the others are in the results; bench: one got slower
EXIT_ERROR = 2  # wrong usage, configuration or input: nothing was computed
EXIT_UNTRUSTED = 3  # predict, live: a waveform was read, but its pulse is not to be trusted
EXIT_INTERRUPTED, EXIT_TERMINATED = 130, 143

EPILOG = (
    "Exit codes: 0 all went well; 1 some videos gave no result (named at the end); 2 wrong usage, "
    "configuration or input; 3 predict or live read a waveform whose pulse is not to be trusted; "
    "130 interrupted, 143 by SIGTERM (live: 129 by SIGHUP)."
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


def run_app(command: typer.Typer | Callable[..., None]) -> None:
    """Run an app, or a single command; known errors become one line and an exit code."""
    if not isinstance(command, typer.Typer):
        single = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
        single.command()(command)
        command = single
    try:
        with _sigterm_interrupts() as terminated:
            command(standalone_mode=True)
    except StreamnetError as error:
        kind = "configuration" if isinstance(error, ConfigError) else "error"
        typer.echo(f"{kind}: {error}", err=True)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        _say_interrupted()
        sys.exit(EXIT_TERMINATED if terminated else EXIT_INTERRUPTED)
    except SystemExit as stop:  # typer itself turns Ctrl-C into this, without a word
        if stop.code == EXIT_INTERRUPTED:
            _say_interrupted()
            if terminated:
                sys.exit(EXIT_TERMINATED)
        raise


@contextmanager
def _sigterm_interrupts() -> Iterator[list[int]]:
    """SIGTERM, as a cluster sends it at the end of a job's time, does what Ctrl-C does: worker
    processes end, too, and nothing unfinished is left. Has the signal once it came."""
    came: list[int] = []
    own, before = os.getpid(), signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before != signal.SIG_DFL:
        yield came
        return

    def handle(number: int, frame: object) -> None:
        if os.getpid() != own:  # a forked process ends as it always did
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, handle)
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _say_interrupted() -> None:
    typer.echo("interrupted; finished videos stay cached, run the same command again.", err=True)
