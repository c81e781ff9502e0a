"""Where files of ours lie when the user names no place."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path


def cache_root() -> Path:
    """Folder for demo data and face-crop caches: `$STREAMNET_CACHE`, else the user's cache."""
    named = os.environ.get("STREAMNET_CACHE")
    return Path(named).expanduser() if named else user_cache_path("streamnet-rppg")
