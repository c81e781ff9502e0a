"""Natural order: subject2 before subject10."""

from __future__ import annotations

import re


def natural_key(text: str) -> list[tuple[int, int | str]]:
    """Sort key that compares digits as numbers."""
    return [
        (0, int(part)) if part.isdigit() else (1, part.lower())
        for part in re.split(r"(\d+)", text)
        if part
    ]
