"""Models for the toolbox by name, fed by the packaging entry-point group `rppg_toolbox.models`.

An entry point names a trainer class or factory that is called as the toolbox calls its own:
`factory(config, data_loader_dict)`, and gives an object with `train(data_loader_dict)` and
`test(data_loader_dict)`. It may carry

    yacs_defaults   mapping of its own configuration keys to their defaults, nested as in a YAML,
                    e.g. {"MODEL": {"MYNET": {"DEPTH": 4}}}; without it such keys are unknown
    check_config    function (config) that raises before any data is read if it cannot work
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.registry import distribution_of, load_point, nearest_first, points_by_name

log = logging.getLogger(__name__)
GROUP = "rppg_toolbox.models"


def registered_models() -> dict[str, EntryPoint]:
    """Entry points by name, unimported; `StreamnetError` if two packages claim one name."""
    return points_by_name(GROUP, "model")


def load_model(name: str, toolbox_names: Iterable[str]) -> Any:
    """The factory registered under `name`.

    Raises:
        ConfigError: unknown name (the known ones, nearest first), a name that the toolbox itself
            uses, or a package that cannot be imported.
    """
    points = registered_models()
    own = set(toolbox_names)
    if name not in points:
        near = nearest_first(name, sorted({*points, *own}))
        raise ConfigError(
            f"no model is named {name!r}",
            remedy="set MODEL.NAME to one of " + ", ".join(near) + ".",
        )
    if name in own:
        raise ConfigError(
            f"{distribution_of(points[name])} provides a model {name!r}, a name that the toolbox "
            "itself uses",
            remedy="uninstall that package, or ask its author to rename the model.",
        )
    return load_point(points[name], "model", ConfigError)


def all_defaults(chosen: str, toolbox_names: Iterable[str]) -> dict[str, Any]:
    """The configuration keys of all plugins, merged; one that does not import is left out."""
    merged: dict[str, Any] = {}
    for name in registered_models():
        try:
            target = load_model(name, toolbox_names)
        except ConfigError as error:
            if name == chosen:
                raise
            log.warning("%s", error)
            continue
        _merge(merged, getattr(target, "yacs_defaults", {}))
    return merged


def _merge(into: dict[str, Any], tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            _merge(into.setdefault(key, {}), value)
        else:
            into[key] = value
