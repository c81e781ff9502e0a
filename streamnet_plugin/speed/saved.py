"""What pytest-benchmark saved, as our suites fill it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamnet_plugin.errors import ConfigError

IQR_PER_SD = 1.349
"""Of a normal distribution; so is the next."""
MEDIAN_SE = 1.2533
"""Standard error of a median, in standard deviations over the root of the sample."""


@dataclass(frozen=True)
class Ratio:
    """One ratio over the rounds of a benchmark: median and quartiles.

    Attributes:
        what: is compared.
        ours, theirs: medians of what it is a ratio of, in `unit`.
        target: key in `TARGETS`, None if no target is about it.
    """

    what: str
    median: float
    low: float
    high: float
    rounds: int
    ours: float
    theirs: float
    unit: str
    target: str | None = None


@dataclass(frozen=True)
class Timing:
    """One benchmark.

    Attributes:
        name: unique in a run, e.g. "test_method[POS-1800]".
        group: the suite.
        median, iqr, sd: of the rounds, s.
        ratios, figures: what was measured beside its time.
    """

    name: str
    group: str
    median: float
    iqr: float
    sd: float
    rounds: int
    ratios: tuple[Ratio, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def relative_error(self) -> float:
        """Standard error of the median over the median, robust against single slow rounds."""
        sd = self.iqr / IQR_PER_SD if self.iqr > 0 else self.sd
        return MEDIAN_SE * sd / math.sqrt(self.rounds) / self.median


@dataclass(frozen=True)
class Saved:
    """A run of the suites.

    Attributes:
        timings: by name.
        machine: see `machine.describe`.
        skipped: test -> reason.
        quick: whether it ran with --quick, on shorter videos.
    """

    timings: dict[str, Timing]
    machine: dict[str, Any]
    skipped: dict[str, str]
    quick: bool


def read_saved(path: str | Path) -> Saved:
    """A run from its JSON file.

    Raises:
        ConfigError: no such file, or not one that `streamnet bench --save` wrote.
    """
    path = Path(path)
    remedy = "give a file that `streamnet bench --save` wrote."
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        ours = tree["streamnet"]
        timings = [_timing(entry) for entry in tree["benchmarks"]]
        return Saved({t.name: t for t in timings}, ours["machine"], ours["skipped"], ours["quick"])
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error}", path=path, remedy=remedy) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"these are no saved measurements: {type(error).__name__} {error}",
            path=path,
            remedy=remedy,
        ) from error


def _timing(entry: dict[str, Any]) -> Timing:
    stats, extra = entry["stats"], entry["extra_info"]
    if not stats["median"] > 0:
        raise ValueError(f"{entry['name']} took {stats['median']} s")
    return Timing(
        name=entry["name"],
        group=entry["group"] or "",
        median=stats["median"],
        iqr=stats["iqr"],
        sd=stats["stddev"],
        rounds=stats["rounds"],
        ratios=tuple(Ratio(**r) for r in extra.get("ratios", ())),
        figures=dict(extra.get("figures", {})),
    )
