"""Whether anything became slower or larger than before, by more than noise."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.speed.saved import Saved, Timing
from streamnet_plugin.wording import count

MARGIN = 0.10
"""A change of a tenth is never more than noise, between two runs on one machine."""
ERRORS = 2.0
"""Nor is one of so many standard errors: 2 % of all benchmarks would be called slower by chance."""
MEDIAN_SE = 1.2533
"""Standard error of a median, in standard deviations over the root of the sample; of a normal
distribution, as the next."""
MAD_PER_SD = 0.6745
LEAST_NOISE = 0.10
"""Standard deviation of a round that is taken for the least: a few agree by luck, and from run to
run a machine changes more than within one. A bound then is 1.20 of 3 rounds, 1.13 of 7."""
ONE_TIME = 0.30
"""Margin of a time that was taken once, and of its rate: its noise is not known."""
MIN_ROUNDS = 3
"""Fewer show no spread."""
SAME = ("cpu", "cores", "instructions", "memory_gb", "system")
"""Of the machine: with another, times are not comparable."""
SAME_SPEED = 0.15
"""Nor are they where the machine's own speed differs by more."""

BLIND = 1.5
"""Beyond such a bound nothing is compared: the noise hides too much."""

EXTREME = re.compile(r"\bmax\b")
"""The worst of many frames says more about the machine's other work than about ours."""
RATE = re.compile(r"/s$")
ONCE = re.compile(r"latency|error|cores used|\b[mu]?s$")
SIZE = re.compile(r"memory|bytes|\b[kMG]B\b|MAC\b|MAC/")
LOST = re.compile(r"\blost, %$")
LOST_SLACK = 1.0
"""Percent of the frames: one lost where there was none says nothing."""


@dataclass(frozen=True)
class Change:
    """A benchmark, or a figure of one, in both runs.

    Attributes:
        name: e.g. "test_memory" or "test_memory: ours, MB".
        before, now: what was measured.
        ratio: now over before, of a rate the other way round: above 1 is worse.
        bound: noise would be up to here.
        slack: or up to so much more.
    """

    name: str
    before: float
    now: float
    ratio: float
    bound: float
    slack: float = 0.0

    @property
    def worse(self) -> bool:
        if self.slack and self.now <= self.before + self.slack:
            return False
        return not self.ratio <= self.bound  # so that NaN is

    @property
    def blind(self) -> bool:
        """It may be worse, and would not show."""
        return not self.worse and self.bound > BLIND


@dataclass(frozen=True)
class Guard:
    """What a comparison came to.

    Attributes:
        slower: times that grew by more than noise.
        worse: figures that did, or rates that fell.
        within: all others that could be compared.
        noisy: times of such noise that little would show.
        unclear: no figure, and too few rounds in either run to know their noise.
        failed: in either run, with the reason: what they measured counts for nothing.
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
    noisy: tuple[Change, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def compared(self) -> int:
        return len(self.slower) + len(self.worse) + len(self.within)

    @property
    def passed(self) -> bool:
        """Something was compared, all that was asked for was, and nothing became worse."""
        bad = self.slower, self.worse, self.noisy, self.unclear, self.failed, self.gone
        return bool(self.compared) and not any(bad)

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
            f"{f'{c.slack:g} more' if c.slack else f'{c.bound - 1:.0%}'}."
            for c in self.worse
        ]
        noisy = tuple(f"{c.name} (up to {c.bound:.2f})" for c in self.noisy)
        for names, why in (
            (self.failed, "NOT COMPARED, failed"),
            (noisy, "NOT COMPARED, of such noise that little would show"),
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
    if before.failed:
        found.append(f"{count(len(before.failed), 'benchmark')} of it failed")
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
    failed = [f"{name} ({why})" for name, why in now.failures.items() if name not in before.timings]
    left_out = 0
    for name, old in before.timings.items():
        if not now.asked_for(name):
            left_out += 1
            continue
        if why := now.why_failed(name) or before.why_failed(name):
            failed.append(f"{name} ({why})")
            continue
        new = now.timings.get(name)
        if new is None:
            why = now.why_skipped(name)
            gone.append(f"{name} ({why})" if why else name)
            continue
        timed = min(new.rounds, old.rounds) >= MIN_ROUNDS
        if timed:
            ratio = new.median / old.median
            changes[False].append(Change(name, old.median, new.median, ratio, _bound(new, old)))
        watched = dict(_watched(old.figures))
        for figure, (margin, slack) in watched.items():
            if figure in new.figures:
                both = old.figures[figure], new.figures[figure]
                changes[True].append(_change(f"{name}: {figure}", *both, margin, slack))
            else:
                gone.append(f"{name}: {figure}")
        if not timed and not watched:
            unclear.append(name)
    return Guard(
        slower=tuple(c for c in changes[False] if c.worse),
        worse=tuple(c for c in changes[True] if c.worse),
        within=tuple(c for c in changes[False] + changes[True] if not c.worse and not c.blind),
        noisy=tuple(c for c in changes[False] if c.blind),
        failed=tuple(failed),
        unclear=tuple(unclear),
        gone=tuple(gone),
        new=tuple(name for name in now.timings if name not in before.timings),
        left_out=left_out,
    )


def _watched(figures: Mapping[str, float]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Figures of which more or less is better, by their names and units; margin and slack."""
    for name in figures:
        if EXTREME.search(name):
            continue
        if LOST.search(name):
            yield name, (MARGIN, LOST_SLACK)
        elif SIZE.search(name):
            yield name, (MARGIN, 0.0)
        elif ONCE.search(name) or RATE.search(name):
            yield name, (ONE_TIME, 0.0)


def _change(name: str, was: float, is_: float, margin: float, slack: float) -> Change:
    less, more = (is_, was) if RATE.search(name) else (was, is_)
    ratio = more / less if less else (1.0 if more == less else math.inf)
    return Change(name, was, is_, ratio, 1 + margin, slack)


def _bound(new: Timing, old: Timing) -> float:
    """Up to this ratio of medians it may be noise."""
    error = MEDIAN_SE * _noise(new, old) * math.sqrt(1 / new.rounds + 1 / old.rounds)
    return 1 + max(MARGIN, ERRORS * error)


def _noise(*timings: Timing) -> float:
    """Standard deviation of a round over the median, which single slow rounds do not change.

    From the median distance to the own run's median, of both runs together: of three rounds alone
    it is the shorter of two distances, which says little. The median's own distance of 0 is none.
    """
    distances = []
    for timing in timings:
        found = np.sort(np.abs(np.array(timing.seconds) / timing.median - 1))
        distances += list(found[timing.rounds % 2 :])
    middle = float(np.sort(distances)[(len(distances) - 1) // 2])
    return max(LEAST_NOISE, middle / MAD_PER_SD)
