"""Build hook: writes the commit a wheel is built from into it, for the results' provenance."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # the source tree itself is asked then
            return
        try:
            self._git("ls-files", "--error-unmatch", "pyproject.toml")
            commit = self._git("rev-parse", "HEAD")
            changed = self._git("status", "--porcelain", "--untracked-files=no")
        except (OSError, subprocess.SubprocessError):
            return  # not built from a checkout: unknown
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "COMMIT"
        file.write_text(commit + ("-dirty" if changed else "") + "\n")
        build_data["force_include"][str(file)] = "streamnet_plugin/COMMIT"

    def _git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", self.root, *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
