"""Where a protocol is run: our own harness, or a foreign one that another package joins.

Entry points of the group `rppg.backends` name a function that runs a protocol inside a foreign
toolbox and hands back the waveforms it read there, scored by us:

    (config, *, checkout, overrides, data_root, output, plots, report, progress) -> BenchmarkRun
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from streamnet_plugin.errors import ConfigError

GROUP = "rppg.backends"
BUILTIN = "builtin"


def foreign_backend(name: str) -> Callable[..., Any]:
    """The function that runs a protocol elsewhere; `ConfigError` lists the known names."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    if name not in known:
        near = difflib.get_close_matches(name, [BUILTIN, *known], n=1, cutoff=0.0)
        raise ConfigError(
            f"no backend is named {name!r}",
            remedy=f"did you mean {near[0]}? Known: {', '.join([BUILTIN, *known])}.",
        )
    run: Callable[..., Any] = known[name].load()
    return run
