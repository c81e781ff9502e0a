"""The command `streamnet`. Heavy modules are imported inside the commands that need them."""

from __future__ import annotations

import os

# Threads of torch that have nothing to do sleep instead of spinning: beside other work on the
# machine, spinning doubles the time a network takes. Read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Each of these modules adds its commands to the app.
from streamnet_plugin.cli import compare, inspect, read, synth, train  # noqa: F401
from streamnet_plugin.cli.base import (
    EXIT_ERROR,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_UNTRUSTED,
    app,
    progress_bars,
    report_failures,
    run_app,
)
from streamnet_plugin.cli.options import AllowFailures, DataRoot, Overrides

__all__ = [
    "EXIT_ERROR",
    "EXIT_FAILED",
    "EXIT_INTERRUPTED",
    "EXIT_UNTRUSTED",
    "AllowFailures",
    "DataRoot",
    "Overrides",
    "app",
    "main",
    "progress_bars",
    "report_failures",
    "run_app",
]

COMMANDS = "streamnet.commands"
"""Entry points: name of a further command -> the function typer makes it of."""


def main() -> None:
    """Run the command line, with the commands that other packages add to it."""
    from importlib.metadata import entry_points

    for point in entry_points(group=COMMANDS):
        app.command(point.name)(point.load())
    run_app(app)
