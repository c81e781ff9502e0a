"""Whether anything became slower or larger than before, by more than noise."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.speed.saved import Saved, Timing
from streamnet_plugin.wording import count

MARGIN = 0.10
"""A change of a tenth is never more than noise, between two runs on one machine."""
ERRORS = 3.0
"""Nor is one of so many standard errors."""
ONE_TIME = 0.30
"""Margin of a time that was taken once, and of its rate: its noise is not known."""
MIN_ROUNDS = 3
"""Fewer show no spread."""
SAME = ("cpu", "cores", "instructions", "memory_gb", "system")
"""Of the machine: with another, times are not comparable."""
SAME_SPEED = 0.15
"""Nor are they where the machine's own speed differs by more."""

BLIND = 1.5
"""A bound beyond this is said: such noise hides much."""

EXTREME = re.compile(r"\bmax\b")
"""The worst of many frames says more about the machine's other work than about ours."""
RATE = re.compile(r"/s$")
ONCE = re.compile(r"latency|error|cores used|\b[mu]?s$")
SIZE = re.compile(r"memory|bytes|\b[kMG]B\b|MAC\b|MAC/|\blost$")


@dataclass(frozen=True)
class Change:
    """A benchmark, or a figure of one, in both runs.

    Attributes:
        name: e.g. "test_memory" or "test_memory: ours, MB".
        before, now: what was measured.
        ratio: now over before, of a rate the other way round: above 1 is worse.
        bound: noise would be up to here.
    """

    name: str
    before: float
    now: float
    ratio: float
    bound: float

    @property
    def worse(self) -> bool:
        return not self.ratio <= self.bound  # so that NaN is


@dataclass(frozen=True)
class Guard:
    """What a comparison came to.

    Attributes:
        slower: times that grew by more than noise.
        worse: figures that did, or rates that fell.
        within: all others that could be compared.
        unclear: no figure, and too few rounds in either run to know their noise.
        gone: benchmarks and figures of the earlier run only, with the reason if there is one.
        new: of this run only.
        left_out: benchmarks of the earlier run that were not asked for.
    """

    slower: tuple[Change, ...]
    worse: tuple[Change, ...]
    within: tuple[Change, ...]
    unclear: tuple[str, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]
    left_out: int = 0

    @property
    def compared(self) -> int:
        return len(self.slower) + len(self.worse) + len(self.within)

    @property
    def passed(self) -> bool:
        """Something was compared, all that was asked for was, and nothing became worse."""
        failed = self.slower or self.worse or self.unclear or self.gone
        return bool(self.compared) and not failed

    def lines(self) -> list[str]:
        """In words."""
        said = [
            f"{count(self.compared, 'measurement')} compared: {len(self.slower)} slower, "
            f"{len(self.worse)} worse than noise."
        ]
        said += [
            f"SLOWER {c.name}: {c.ratio:.2f} times as long; noise would be up to {c.bound:.2f}."
            for c in self.slower
        ]
        said += [
            f"WORSE {c.name}: {c.now:.4g}, was {c.before:.4g}; noise would be up to "
            f"{c.bound - 1:.0%}."
            for c in self.worse
        ]
        noisy = tuple(f"{c.name} (up to {c.bound:.2f})" for c in self.within if c.bound > BLIND)
        for names, why in (
            (noisy, "compared, but of such noise that little would show"),
            (self.unclear, f"NOT COMPARED, fewer than {MIN_ROUNDS} rounds"),
            (self.gone, "NOT COMPARED, missing in this run"),
            (self.new, "not in the earlier run"),
        ):
            if names:
                said.append(f"{why}: {', '.join(names)}")
        if self.left_out:
            said.append(f"{count(self.left_out, 'benchmark')} of the earlier run left out by -k.")
        if not self.compared:
            said.append("NOTHING could be compared: the guard has seen nothing.")
        return said


def differences(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """In what two machines differ, so that times on them are not comparable."""
    found = [
        f"{key} is {now.get(key)}, was {before.get(key)}"
        for key in SAME
        if now.get(key) != before.get(key)
    ]
    fast, was = now["gflops"], before["gflops"]
    if max(fast, was) > (1 + SAME_SPEED) * min(fast, was):
        found.append(
            f"a matrix product runs at {fast:g} GFLOP/s, ran at {was:g}: the machine is busy, or "
            "another of that name"
        )
    return found


def check_comparable(machine: Mapping[str, Any], quick: bool, before: Saved) -> None:
    """`ConfigError` unless the earlier run was on such a machine, of the same inputs."""
    found = differences(machine, before.machine)
    if quick != before.quick:
        found.append(f"--quick {'is' if quick else 'is not'} given, was {before.quick}")
    # In the toolbox's turns caches and memory fill with its data, which ours then waits for.
    with_toolbox, had = (m["toolbox_commit"] is not None for m in (machine, before.machine))
    if with_toolbox != had:
        found.append(f"the toolbox is {'' if with_toolbox else 'not '}measured beside, was {had}")
    if found:
        raise ConfigError(
            f"the earlier run cannot be compared with: {'; '.join(found)}",
            remedy="measure both in one way, on one machine that does nothing else, the earlier "
            "one anew from the earlier code; or give --force.",
        )


def compare(now: Saved, before: Saved) -> Guard:
    """This run beside an earlier one, benchmark by benchmark."""
    changes: dict[bool, list[Change]] = {True: [], False: []}  # of figures or not
    unclear: list[str] = []
    gone: list[str] = []
    left_out = 0
    for name, old in before.timings.items():
        new = now.timings.get(name)
        if new is None:
            if now.asked_for(name):
                why = now.why_skipped(name)
                gone.append(f"{name} ({why})" if why else name)
            else:
                left_out += 1
            continue
        timed = min(new.rounds, old.rounds) >= MIN_ROUNDS
        if timed:
            ratio = new.median / old.median
            changes[False].append(Change(name, old.median, new.median, ratio, _bound(new, old)))
        watched = dict(_watched(old.figures))
        for figure, margin in watched.items():
            if figure in new.figures:
                changes[True].append(_change(name, figure, old.figures, new.figures, margin))
            else:
                gone.append(f"{name}: {figure}")
        if not timed and not watched:
            unclear.append(name)
    return Guard(
        slower=tuple(c for c in changes[False] if c.worse),
        worse=tuple(c for c in changes[True] if c.worse),
        within=tuple(c for c in changes[False] + changes[True] if not c.worse),
        unclear=tuple(unclear),
        gone=tuple(gone),
        new=tuple(name for name in now.timings if name not in before.timings),
        left_out=left_out,
    )


def _watched(figures: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Figures of which more or less is better, by their names and units, and their margins."""
    for name in figures:
        if EXTREME.search(name):
            continue
        if SIZE.search(name):
            yield name, MARGIN
        elif ONCE.search(name) or RATE.search(name):
            yield name, ONE_TIME


def _change(
    name: str, figure: str, old: Mapping[str, float], new: Mapping[str, float], margin: float
) -> Change:
    was, is_ = old[figure], new[figure]
    less, more = (is_, was) if RATE.search(figure) else (was, is_)
    ratio = more / less if less else (1.0 if more == less else math.inf)
    return Change(f"{name}: {figure}", was, is_, ratio, 1 + margin)


def _bound(new: Timing, old: Timing) -> float:
    """Up to this ratio of medians it may be noise."""
    return 1 + max(MARGIN, ERRORS * math.hypot(new.relative_error, old.relative_error))
