"""Values that parse here and that the toolbox's own parser refuses."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from streamnet_plugin.config import Config, submodel


def strict_types(
    tree: Mapping[str, Any], node: type[BaseModel] = Config, parents: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Values that parse here and that the toolbox's parser (yacs) refuses, by key.

    It takes a value only of its default's own type: 1 is no float, and no boolean. Texts that
    read as Python literals it reads as such, so that a name "10" is a number to it.
    """
    for key, value in tree.items():
        if key not in node.model_fields:
            continue
        where, child = (*parents, key), submodel(node, key)
        if child is not None:
            if isinstance(value, Mapping):
                yield from strict_types(value, child, where)
            continue
        default = node.model_fields[key].default
        kind, found = _yacs_type(default), _literal(value)
        if kind in _FIXES and found is not None and _yacs_type(found) is not kind:
            yield (
                where,
                f"{'.'.join(where)} is {value!r}, and the toolbox's parser takes only "
                f"{_FIXES[kind][0]} there: {_FIXES[kind][1](found)}.",
            )


def _yacs_type(value: Any) -> type:
    return tuple if isinstance(value, list) else type(value)


def _literal(value: Any) -> Any:
    """What yacs makes of a value: a text that is a Python literal becomes that."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def _write_float(found: Any) -> str:
    return f"write {float(found)}" if type(found) is int else "write a number such as 1.0"


def _write_int(found: Any) -> str:
    return f"write {round(found)}" if type(found) is float else "write a whole number"


_FIXES: dict[type, tuple[str, Callable[[Any], str]]] = {
    float: ("a number with a decimal point", _write_float),
    int: ("a whole number", _write_int),
    bool: ("True or False", lambda found: "write True or False"),
    str: ("text", lambda found: "use a name that does not read as a number or a list"),
    tuple: ("a list", lambda found: "write it as [a, b]"),
}
