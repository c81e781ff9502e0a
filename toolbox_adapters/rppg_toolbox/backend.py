"""`streamnet benchmark --backend toolbox`: the protocol inside the toolbox, the table ours."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from streamnet_plugin.checks import TOOLBOX_CHECKOUT
from streamnet_plugin.comparison import BenchmarkRun
from streamnet_plugin.data_root import DataRoot
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.progress import Reporter


def named_checkout(path: str | Path | None = None) -> Path:
    """The checkout that was given, or that the environment names; `ConfigError` if neither."""
    path = path or os.environ.get(TOOLBOX_CHECKOUT)
    if not path:
        raise ConfigError(
            "no rPPG-Toolbox checkout is named", remedy=f"give --path, or set ${TOOLBOX_CHECKOUT}."
        )
    return Path(path)


def benchmark(
    config: str | Path,
    *,
    checkout: str | Path | None = None,
    overrides: Sequence[str] = (),
    data_root: DataRoot | None = None,
    output: str | Path | None = None,
    plots: bool = True,
    report: bool | None = None,
    progress: Reporter | None = None,
) -> BenchmarkRun:
    """Run a protocol inside the toolbox; failures are the videos that its loaders lost.

    Raises:
        ConfigError: no checkout, a protocol it cannot run, or a model that hands out no waveforms.
    """
    from toolbox_adapters.rppg_toolbox.launcher import run_toolbox

    done = run_toolbox(
        named_checkout(checkout),
        config,
        overrides=overrides,
        data_root=data_root,
        output=output,
        plots=plots,
        report=report,
        progress=progress,
    )
    if done.run is None:
        raise ConfigError(
            "the model of this protocol hands out no waveforms to compare",
            path=config,
            remedy="see the toolbox's own printout.",
        )
    return done.run
