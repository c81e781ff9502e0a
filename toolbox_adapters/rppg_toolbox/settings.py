"""Between the toolbox's yacs configuration and ours."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from streamnet_plugin.comparison import with_data_root
from streamnet_plugin.config import (
    Config,
    Evaluation,
    Model,
    StreamNet,
    Uncertainty,
    _apply_override,
    _expand,
    _Yaml12Loader,
    parse_config,
)
from streamnet_plugin.errors import ConfigError

PATHS = frozenset(
    {
        "DATA_PATH",
        "CACHED_PATH",
        "FILE_LIST_PATH",
        "FOLD_PATH",
        "MODEL_PATH",
        "MODEL_DIR",
        "OUTPUT_SAVE_DIR",
        "PATH",
    }
)
"""Keys whose values are paths, once the toolbox has derived its own from them."""

YACS_DEFAULTS: dict[str, Any] = {
    "MODEL": {"STREAMNET": StreamNet().model_dump()},
    "EVALUATION": Evaluation().model_dump(),
    "UNCERTAINTY": Uncertainty().model_dump(),
    "NUM_WORKERS": Config.model_fields["NUM_WORKERS"].default,
}
"""Keys of our own and their defaults, as the toolbox's yacs tree gets them."""


def plain(node: Any) -> Any:
    """A yacs tree as nested dictionaries and lists."""
    if isinstance(node, Mapping):
        return {key: plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    return node


def config_of(node: Any) -> Config:
    """Our configuration of a yacs tree; keys that only other plugins know are left out.

    Raises:
        ConfigError: a value of our own keys that cannot be.
    """
    tree = {key: value for key, value in plain(node).items() if key in Config.model_fields}
    tree["MODEL"] = {key: v for key, v in tree["MODEL"].items() if key in Model.model_fields}
    return parse_config(tree)


def absolute_paths(node: Any, folder: Path) -> None:
    """Make the relative paths of a yacs tree absolute, from `folder`, in place.

    Raises:
        ConfigError: a path holds an environment variable that is not set.
    """
    for key, value in node.items():
        if isinstance(value, Mapping):
            absolute_paths(value, folder)
        elif key in PATHS and isinstance(value, str) and value:
            node[key] = str(folder / Path(value).expanduser())


def check_paths(node: Any, sections: tuple[str, ...]) -> None:
    """`ConfigError` for a path in these sections that names an unset environment variable."""
    for section in sections:
        for key, value in node[section].DATA.items():
            if key in PATHS and "$" in str(value):
                raise ConfigError(
                    f"{section}.DATA.{key} is {Path(value).name!r}: an environment variable in it "
                    "is not set",
                    remedy="set it, or give --data-root.",
                )


def read_tree(path: Path) -> dict[str, Any]:
    """A YAML as the toolbox reads it; `ConfigError` if it holds no mapping."""
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is not valid YAML: {error}", path=path) from error
    if not isinstance(tree, dict):
        raise ConfigError("the file does not hold a mapping of keys", path=path)
    return tree


def filled_in(
    tree: Mapping[str, Any], path: Path, overrides: Sequence[str], data_root: str | Path | None
) -> dict[str, Any]:
    """The tree of the YAML at `path` with overrides, environment variables and data folders."""
    filled = copy.deepcopy(dict(tree))
    for override in overrides:
        _apply_override(filled, override)
    filled = _expand(filled)
    if data_root is not None:
        config = with_data_root(config_of(filled), data_root)
        for section in ("TRAIN", "VALID", "TEST", "UNSUPERVISED"):
            if section in filled:
                data = getattr(config, section).DATA
                filled[section].setdefault("DATA", {})["DATA_PATH"] = data.DATA_PATH
    if filled != tree and any(filled.get("BASE") or ()):
        filled["BASE"] = [str(path.parent / base) for base in filled["BASE"] if base]
    return filled
