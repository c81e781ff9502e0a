"""Methods by name, fed by the packaging entry-point group `rppg.methods`.

An entry point names either an object with `name` and `predict(video)` (see
`streamnet_plugin.types.Method`), or a class or factory that returns one and takes its
options as keyword arguments. Our own methods register the same way a third party's do.
"""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from streamnet_plugin.errors import StreamnetError, UnknownMethodError
from streamnet_plugin.types import Method

GROUP = "rppg.methods"


@dataclass(frozen=True)
class MethodInfo:
    """A registered method, not yet imported.

    Attributes:
        name: what `--method` and a YAML call it.
        target: "module:object" that provides it.
        distribution: "package version" that registered it.
    """

    name: str
    target: str
    distribution: str


def _entry_points() -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.get(point.name)
        # The same distribution can be seen twice (an editable install and its build folder).
        if other is not None and other.value != point.value:
            raise StreamnetError(
                f"two packages register the method {point.name!r}: "
                f"{_distribution(other)} and {_distribution(point)}",
                remedy="uninstall one of them, or ask its author to rename the method.",
            )
        found[point.name] = point
    return found


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"


def list_methods() -> list[MethodInfo]:
    """All registered methods, sorted by name; imports none of them."""
    points = _entry_points()
    return [
        MethodInfo(name, points[name].value, _distribution(points[name])) for name in sorted(points)
    ]


def get_method(name: str, **options: Any) -> Method:
    """The method registered under `name`.

    Args:
        name: as in `list_methods`; capitals do not matter.
        options: passed to a factory (a network takes `checkpoint`, `mc_samples`, ...);
            options a factory has no parameter for are an error, ready-made objects take none.

    Raises:
        UnknownMethodError: nothing of that name is registered; names the nearest ones.
        StreamnetError: two packages claim the name, or the package cannot be imported.
    """
    points = _entry_points()
    by_lower = {known.lower(): known for known in points}
    known = by_lower.get(name.lower())
    if known is None:
        nearest = difflib.get_close_matches(name.lower(), by_lower, n=len(by_lower), cutoff=0.0)
        raise UnknownMethodError(
            f"no method {name!r} is registered",
            remedy="use one of " + ", ".join(by_lower[lower] for lower in nearest) + ".",
        )
    try:
        target = points[known].load()
    except (ImportError, AttributeError) as error:
        raise StreamnetError(
            f"the method {known!r} of {_distribution(points[known])} cannot be imported: {error}",
            remedy="reinstall that package with its dependencies.",
        ) from error
    is_factory = inspect.isclass(target) or not hasattr(target, "predict")
    method = target(**options) if is_factory else target
    if not isinstance(method, Method):
        raise StreamnetError(
            f"{points[known].value} of {_distribution(points[known])} is no method: "
            "it lacks `name` or `predict(video)`",
            remedy="see streamnet_plugin.types.Method for what a method must provide.",
        )
    return method


def takes_option(name: str, option: str) -> bool:
    """Whether the factory registered under `name` has a parameter `option`."""
    points = _entry_points()
    known = {k.lower(): k for k in points}.get(name.lower())
    if known is None:
        return False
    target = points[known].load()
    if not inspect.isclass(target) and hasattr(target, "predict"):
        return False
    return option in inspect.signature(target).parameters
