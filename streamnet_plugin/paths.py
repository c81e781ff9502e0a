"""Where files of ours lie when the user names no place."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from platformdirs import user_cache_path


def cache_root() -> Path:
    """Folder for demo data and face-crop caches: `$STREAMNET_CACHE`, else the user's cache."""
    named = os.environ.get("STREAMNET_CACHE")
    return Path(named).expanduser() if named else user_cache_path("streamnet-rppg")


def distinguishing(paths: Sequence[Path]) -> list[str]:
    """The shortest part of each path that tells it from the others; all are absolute and differ.

    What they have in common at their end is left out: `a/out/x` and `b/out/x` are `a` and `b`.
    """
    parts = [path.parts for path in paths]
    while len({p[-1] for p in parts}) == 1 and all(len(p) > 1 for p in parts):
        parts = [p[:-1] for p in parts]
    depth = 1
    while len({p[-depth:] for p in parts}) < len(parts):
        depth += 1
    return ["/".join(p[-depth:]) for p in parts]
