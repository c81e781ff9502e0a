"""Whether anything became slower than before, by more than noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.speed.saved import Saved, Timing
from streamnet_plugin.wording import count

MARGIN = 0.10
"""A change of a tenth is never more than noise, between two runs on one machine."""
ERRORS = 3.0
"""Nor is one of so many standard errors."""
MIN_ROUNDS = 3
"""Fewer show no spread."""
SAME = ("cpu", "cores", "instructions", "memory_gb", "system")
"""Of the machine: with another, times are not comparable."""


@dataclass(frozen=True)
class Change:
    """A benchmark in both runs: its median over the earlier one, and from where on it is slower."""

    name: str
    ratio: float
    bound: float


@dataclass(frozen=True)
class Guard:
    """What a comparison came to.

    Attributes:
        slower: by more than noise.
        within: all others that could be compared.
        unclear: too few rounds, in either run, to know their noise.
        gone, new: in the earlier run only, and in this one only.
    """

    slower: tuple[Change, ...]
    within: tuple[Change, ...]
    unclear: tuple[str, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]

    def lines(self) -> list[str]:
        """In words."""
        compared = len(self.slower) + len(self.within)
        said = [f"{count(compared, 'benchmark')} compared, {len(self.slower)} slower than noise."]
        said += [
            f"SLOWER {c.name}: {c.ratio:.2f} times as long; noise would be up to {c.bound:.2f}."
            for c in self.slower
        ]
        for names, why in (
            (self.unclear, f"not compared, fewer than {MIN_ROUNDS} rounds"),
            (self.gone, "missing in this run"),
            (self.new, "not in the earlier run"),
        ):
            if names:
                said.append(f"{why}: {', '.join(names)}")
        return said


def differences(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """In what two machines differ, so that times on them are not comparable."""
    return [
        f"{key} is {now.get(key)}, was {before.get(key)}"
        for key in SAME
        if now.get(key) != before.get(key)
    ]


def check_comparable(machine: dict[str, Any], quick: bool, before: Saved) -> None:
    """`ConfigError` unless the earlier run was on such a machine, of the same inputs."""
    found = differences(machine, before.machine)
    if quick != before.quick:
        found.append(f"--quick {'is' if quick else 'is not'} given, was {before.quick}")
    if found:
        raise ConfigError(
            f"the earlier run cannot be compared with: {'; '.join(found)}",
            remedy="measure both on one machine in one way, or give --force.",
        )


def compare(now: Saved, before: Saved) -> Guard:
    """This run beside an earlier one, benchmark by benchmark."""
    slower: list[Change] = []
    within: list[Change] = []
    unclear: list[str] = []
    for name in now.timings:
        if name not in before.timings:
            continue
        new, old = now.timings[name], before.timings[name]
        if min(new.rounds, old.rounds) < MIN_ROUNDS:
            unclear.append(name)
            continue
        change = Change(name, new.median / old.median, _bound(new, old))
        (slower if change.ratio > change.bound else within).append(change)
    return Guard(
        slower=tuple(slower),
        within=tuple(within),
        unclear=tuple(unclear),
        gone=tuple(name for name in before.timings if name not in now.timings),
        new=tuple(name for name in now.timings if name not in before.timings),
    )


def _bound(new: Timing, old: Timing) -> float:
    """Up to this ratio of medians it may be noise."""
    return 1 + max(MARGIN, ERRORS * math.hypot(new.relative_error, old.relative_error))
