"""What pytest-benchmark saved, as our suites fill it.

Beside pytest-benchmark's own, a benchmark's `extra_info` holds: `seconds`, every round's time as
it was taken beside the work itself (what pytest-benchmark times holds the way there and back too,
which for a millisecond of work is most of it); `ratios`; `figures`, which are compared with earlier
runs, and `shown`, which are not; `parts`, by name: the same of what was timed in the same turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.speed.machine import Machine

FORMAT = 3
"""Of the file: 1 had no inner times and no speed of the machine, 2 did not tell what failed."""


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
        seconds: of every round.
        ratios, figures: what was measured beside its time.
        shown: figures that no later run is compared with, e.g. the other side's.
    """

    name: str
    group: str
    seconds: tuple[float, ...]
    ratios: tuple[Ratio, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    shown: dict[str, float] = field(default_factory=dict)

    @property
    def rounds(self) -> int:
        return len(self.seconds)

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def iqr(self) -> float:
        low, high = np.quantile(self.seconds, [0.25, 0.75])
        return float(high - low)


@dataclass(frozen=True)
class Saved:
    """A run of the suites.

    Attributes:
        timings: by name.
        machine: what `Machine` names.
        skipped, failed: test -> reason.
        options: of `streamnet bench`, e.g. ("--slow",).
        deselected: names of benchmarks that -k left out.
        quick: whether it ran with --quick, on shorter videos.
    """

    timings: dict[str, Timing]
    machine: dict[str, Any]
    skipped: dict[str, str]
    quick: bool
    deselected: frozenset[str] = frozenset()
    failed: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def date(self) -> str:
        """When it began, to the minute."""
        return str(self.machine["date"])

    @property
    def commit(self) -> str:
        """Of our code."""
        return str(self.machine["commit"] or "unknown")

    @property
    def failures(self) -> dict[str, str]:
        """Name of a benchmark that failed -> reason."""
        return {test.rsplit("::")[-1]: why for test, why in self.failed.items()}

    def why_skipped(self, name: str) -> str:
        """Why a benchmark, or a part of one, was skipped; "" if it was not."""
        return _reason(self.skipped, name)

    def why_failed(self, name: str) -> str:
        """The same, of one that failed: nothing that it measured counts."""
        return _reason(self.failed, name)

    def asked_for(self, name: str) -> bool:
        """Whether -k left it in."""
        return not any(_is_of(name, other) for other in self.deselected)


def _reason(reasons: Mapping[str, str], name: str) -> str:
    found = (why for test, why in reasons.items() if _is_of(name, test.rsplit("::")[-1]))
    return next(found, "")


def _is_of(name: str, benchmark: str) -> bool:
    """Parts are called after their benchmark, with a comma."""
    return name == benchmark or name.startswith(f"{benchmark}, ")


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
        if ours.get("format") != FORMAT:
            raise ConfigError(
                "another version saved it, which timed otherwise", path=path, remedy="measure anew."
            )
        timings = [timing for entry in tree["benchmarks"] for timing in _timings(entry)]
        return Saved(
            {t.name: t for t in timings},
            {key: ours["machine"][key] for key in Machine.__annotations__},
            dict(ours["skipped"]),
            ours["quick"],
            frozenset(ours["deselected"]),
            dict(ours["failed"]),
            tuple(ours["options"]),
        )
    except OSError as error:
        raise ConfigError(f"it cannot be read: {error}", path=path, remedy=remedy) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"these are no saved measurements: {type(error).__name__} {error}",
            path=path,
            remedy=remedy,
        ) from error


def _timings(entry: Mapping[str, Any]) -> Iterator[Timing]:
    """Of a benchmark, and of its parts."""
    name, group, extra = entry["name"], entry["group"] or "", entry["extra_info"]
    yield _timing(name, group, extra, extra.get("seconds") or entry["stats"]["data"])
    for part, more in extra.get("parts", {}).items():
        yield _timing(f"{name}, {part}", group, more, more["seconds"])


def _timing(name: str, group: str, extra: Mapping[str, Any], seconds: Sequence[float]) -> Timing:
    if not seconds or not min(seconds) > 0:
        raise ValueError(f"{name} took {seconds} s")
    return Timing(
        name=name,
        group=group,
        seconds=tuple(seconds),
        ratios=tuple(Ratio(**r) for r in extra.get("ratios", ())),
        figures=dict(extra.get("figures", {})),
        shown=dict(extra.get("shown", {})),
    )
