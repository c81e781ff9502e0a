"""Words around numbers."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 5
"""So many are named where there may be hundreds."""


def some(names: Sequence[str]) -> str:
    """The names, of many the first: "a, b, c, d, e and 3 more"."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def count(n: int, noun: str, plural: str = "") -> str:
    """`count(1, "frame")` is "1 frame", `count(2, "frame")` "2 frames"."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"
