"""Where the datasets of a protocol lie: `--data-root PATH`, or `--data-root NAME=PATH` for each."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamnet_plugin.config import Config
from streamnet_plugin.data.datasets import FINDERS
from streamnet_plugin.errors import ConfigError

DataRoot = str | Path | Mapping[str, str | Path]
"""One folder, or one for each dataset by name."""


def with_data_root(config: Config, root: DataRoot | None) -> Config:
    """The configuration with DATA_PATH replaced in every section that the mode names.

    Args:
        config: whose TRAIN, VALID and TEST, or UNSUPERVISED, say which datasets are used.
        root: one folder for the only dataset, or one that holds a folder per dataset, named like
            it; or a mapping from dataset names (capitals do not matter) to folders. Datasets that
            a mapping leaves out keep their DATA_PATH; known ones that are not used are ignored.

    Raises:
        ConfigError: one folder for several datasets that does not hold one of each; or a name
            that is no dataset's.
    """
    if root is None:
        return config
    used = list(dict.fromkeys(data.DATASET for data in config.sections.values()))
    if isinstance(root, Mapping):
        roots = _by_dataset(root, used)
    elif len(used) == 1:
        roots = {used[0]: root}
    else:
        roots = _below(Path(root), used)
    for section, data in config.sections.items():
        if data.DATASET in roots:
            # Absolute, so that a folder named demo is not taken for the embedded demo.
            config = _with_path(config, section, str(Path(roots[data.DATASET]).absolute()))
    return config


def parse_data_roots(options: Sequence[str]) -> DataRoot | None:
    """The values of a repeated `--data-root`: none, one PATH, or one NAME=PATH for each dataset.

    A text that is the name of something on disk is a path, whatever signs are in it.

    Raises:
        ConfigError: several values that are not all NAME=PATH, or a name given twice.
    """
    if not options:
        return None
    pairs = [_named(option) for option in options]
    if len(options) == 1 and pairs[0] is None:
        return Path(options[0]).expanduser()
    roots: dict[str, Path] = {}
    for option, pair in zip(options, pairs, strict=True):
        if pair is None:
            raise ConfigError(
                f"--data-root {option} is one of several, and does not say of which dataset it is",
                remedy="give --data-root NAME=PATH for each, e.g. UBFC-rPPG=/data/UBFC-rPPG.",
            )
        name, path = pair
        if not path:
            raise ConfigError(f"--data-root {option} names no folder", remedy="give NAME=PATH.")
        if name in roots:
            raise ConfigError(f"--data-root gives {name} twice", remedy="give it once.")
        roots[name] = Path(path).expanduser()
    return roots


def _named(option: str) -> tuple[str, str] | None:
    name, separator, path = option.partition("=")
    is_path = os.sep in name or "/" in name or Path(option).exists()
    return None if is_path or not separator or not name else (name, path)


def _by_dataset(roots: Mapping[str, str | Path], used: Sequence[str]) -> dict[str, str | Path]:
    known = {name.lower(): name for name in (*FINDERS, *used) if name}
    found: dict[str, str | Path] = {}
    for name, path in roots.items():
        if name.lower() not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)
            raise ConfigError(
                f"the data root {name}={path} is of no dataset that is known or used here",
                remedy=f"use a name of DATASET, e.g. {known[near[0]]}={path}.",
            )
        found[known[name.lower()]] = path
    return found


def _below(root: Path, used: Sequence[str]) -> dict[str, str | Path]:
    lacking = [name for name in used if not name or not (root / name).is_dir()]
    if lacking:
        named = [name for name in used if name]
        raise ConfigError(
            f"the configuration uses {len(named)} datasets ({', '.join(named)}), and this folder "
            f"has no folder named {' or '.join(name or '(DATASET is empty)' for name in lacking)}",
            path=root,
            remedy="give one folder for each: "
            + " ".join(f"--data-root {name}=PATH" for name in named)
            + ".",
        )
    return {name: root / name for name in used}


def _with_path(config: Config, section: str, path: str) -> Config:
    part = getattr(config, section)
    data = part.DATA.model_copy(update={"DATA_PATH": path})
    return config.model_copy(update={section: part.model_copy(update={"DATA": data})})
