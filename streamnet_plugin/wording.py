"""Words around numbers."""

from __future__ import annotations


def count(n: int, noun: str, plural: str = "") -> str:
    """`count(1, "frame")` is "1 frame", `count(2, "frame")` "2 frames"."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"
