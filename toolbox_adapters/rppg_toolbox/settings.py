"""Between the toolbox's yacs configuration and ours."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamnet_plugin.config import (
    Config,
    Evaluation,
    Model,
    StreamNet,
    Training,
    Uncertainty,
    expand_paths,
    parse_config,
    read_tree,
)
from streamnet_plugin.data_root import DataRoot, with_data_root
from streamnet_plugin.errors import ConfigError, DataError

PATHS = frozenset(
    {
        "DATA_PATH",
        "CACHED_PATH",
        "FILE_LIST_PATH",
        "FOLD_PATH",
        "MODEL_PATH",
        "CALIBRATOR",
        "MODEL_DIR",
        "OUTPUT_SAVE_DIR",
        "PATH",
    }
)
"""Keys whose values are paths, once the toolbox has derived its own from them."""

SHIPPED = frozenset({"FOLD_PATH", "MODEL_PATH"})
"""Those of them that the toolbox's own YAMLs set to files of its checkout."""

YACS_DEFAULTS: dict[str, Any] = {
    "MODEL": {"STREAMNET": StreamNet().model_dump()},
    "TRAINING": Training().model_dump(),
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
    known = {key: value for key, value in node.items() if key in Config.model_fields}
    tree = _stated(plain(known))
    model = tree.get("MODEL") or {}
    tree["MODEL"] = {key: value for key, value in model.items() if key in Model.model_fields}
    return parse_config(tree)


def _stated(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Without the keys that are None, which is how the toolbox leaves out a dataset."""
    return {
        key: _stated(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if value is not None
    }


def unknown_keys(tree: Mapping[str, Any], node: Any, above: str = "") -> Iterator[str]:
    """The keys of a YAML's tree that a yacs tree does not have, each beside the nearest it has."""
    for key, value in tree.items():
        if key not in node and not node.is_new_allowed():
            known = {k.upper(): k for k in node}
            near = difflib.get_close_matches(key.upper(), known, n=1, cutoff=0.0)
            yield f"unknown key {above}{key}" + (
                f" (nearest known key: {known[near[0]]})" if near else ""
            )
        elif isinstance(value, Mapping) and isinstance(node.get(key), Mapping):
            yield from unknown_keys(value, node[key], f"{above}{key}.")


def absolute_paths(node: Any, folder: Path, checkout: Path) -> None:
    """Make the relative paths of a yacs tree absolute, from `folder`, in place.

    Folds and weights that are not there are the checkout's, if it has them.
    """
    for key, value in node.items():
        if isinstance(value, Mapping):
            absolute_paths(value, folder, checkout)
        elif key in PATHS and isinstance(value, str) and value:
            path = folder / Path(value).expanduser()
            shipped = checkout / value
            if key in SHIPPED and not path.exists() and shipped.is_file():
                path = shipped
            node[key] = str(path)


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


def sections_of(node: Any) -> tuple[str, ...]:
    """Of the protocol, those that its mode looks at."""
    modes = {"train_and_test": ("TRAIN", "VALID", "TEST"), "only_test": ("TEST",)}
    return modes.get(node.TOOLBOX_MODE, ("UNSUPERVISED",))


def data_that_is_read(node: Any) -> dict[str, Any]:
    """The sections' DATA, by name, that the toolbox reads."""
    return {
        f"{section}.DATA": node[section].DATA
        for section in sections_of(node)
        if node[section].DATA.DATA_PATH and not (section == "VALID" and node.TEST.USE_LAST_EPOCH)
    }


def check_folders(node: Any) -> None:
    """`DataError` for recordings to preprocess in a folder that is not there."""
    for section, data in data_that_is_read(node).items():
        if data.DO_PREPROCESS and not Path(data.DATA_PATH).is_dir():
            raise DataError(
                f"{section}.DATA_PATH: there is no such folder",
                path=data.DATA_PATH,
                remedy=f"set it to the folder of {data.DATASET}, or give --data-root.",
            )


def check_cache(node: Any, fast_loader: bool) -> None:
    """`ConfigError` where clips, or the fast loader's crops, are to be kept in a folder that cannot
    be made or written: all would be lost."""
    for section, data in data_that_is_read(node).items():
        if not (data.DO_PREPROCESS or fast_loader):
            continue
        cache = Path(data.CACHED_PATH)
        there = next(p for p in (cache, *cache.parents) if os.path.exists(p))
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise ConfigError(
                f"the clips of {section} are to be kept there, but {there} is no folder that "
                "can be written",
                path=cache,
                remedy=f"set {section}.CACHED_PATH to one of yours.",
            )


def not_preprocessed(node: Any) -> dict[str, str]:
    """Sections whose clips are to be there already -> the folder that is not."""
    return {
        section: str(data.CACHED_PATH)
        for section, data in data_that_is_read(node).items()
        if not data.DO_PREPROCESS and not Path(data.CACHED_PATH).exists()
    }


def filled_in(path: Path, overrides: Sequence[str], data_root: DataRoot | None) -> dict[str, Any]:
    """The tree of a YAML over its bases, with overrides, environment variables and data folders.

    Raises:
        ConfigError: see `read_tree` and `with_data_root`.
    """
    tree: dict[str, Any] = expand_paths(read_tree(path, overrides)[1])
    if data_root is not None:
        for section, data in with_data_root(config_of(tree), data_root).sections.items():
            tree[section].setdefault("DATA", {})["DATA_PATH"] = data.DATA_PATH
    tree.pop("BASE", None)  # their keys are in the tree now
    return tree
