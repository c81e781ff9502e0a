"""Where a result came from."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("streamnet-rppg", "torch", "numpy", "scipy", "opencv-python", "pandas", "scikit-learn")


def provenance(
    config: dict[str, Any], seed: int, fingerprint: str, methods: dict[str, Any]
) -> dict[str, Any]:
    """Configuration, seed, data fingerprint, versions, machine, commit, command and time."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seed": seed,
        "data_fingerprint": fingerprint,
        "git_commit": git_commit(),
        "code_sha256": code_hash(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{platform.system()} {platform.machine()}",
        "methods": methods,
        "config": config,
    }


def git_commit() -> str | None:
    """Commit of the source tree this package runs from, or was built from, `-dirty` if changed.

    None where neither is known.
    """
    here = Path(__file__).resolve().parent
    built = here.parent / "COMMIT"
    if built.is_file():
        return built.read_text().strip()
    try:
        tracked = _git(here, "ls-files", "--error-unmatch", Path(__file__).name)
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return (commit + ("-dirty" if changed else "")) if tracked else None


@cache
def code_hash() -> str:
    """Of this package's modules: the commit does not tell one changed working tree from another."""
    root, digest = Path(__file__).resolve().parent.parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return done.stdout.strip()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
