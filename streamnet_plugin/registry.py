"""Methods by name, fed by packaging entry points.

`rppg.methods` names either an object with `name` and `predict(video)` (see
`streamnet_plugin.types.Method`), or a class or factory that returns one and takes its options as
keyword arguments. `rppg.method_families` names a `streamnet_plugin.types.MethodFamily` under a
prefix: its members, known only where it is installed, are the methods `prefix:member`. Our own
methods register the same way a third party's do.
"""

from __future__ import annotations

import difflib
import inspect
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from streamnet_plugin.errors import StreamnetError, UnknownMethodError
from streamnet_plugin.types import Method, MethodFamily

log = logging.getLogger(__name__)
GROUP = "rppg.methods"
FAMILIES = "rppg.method_families"


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


@dataclass(frozen=True)
class AbsentFamily:
    """A family of methods whose package is not installed.

    Attributes:
        prefix: what its methods' names begin with.
        install: what to do to have them.
    """

    prefix: str
    install: str


def points_by_name(group: str = GROUP, what: str = "method") -> dict[str, EntryPoint]:
    """The entry points of a group, unimported.

    Raises:
        StreamnetError: two packages claim one name; names both.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.get(point.name)
        # The same distribution can be seen twice (an editable install and its build folder).
        if other is not None and _claim(other) != _claim(point):
            raise StreamnetError(
                f"two packages register the {what} {point.name!r}: "
                f"{distribution_of(other)} and {distribution_of(point)}",
                remedy=f"uninstall one of them, or ask its author to rename the {what}.",
            )
        found[point.name] = point
    return found


def _claim(point: EntryPoint) -> tuple[str, str]:
    """Who names what: the distribution, spelled as all spellings of it are, and its target."""
    name = point.dist.name if point.dist else ""
    return re.sub(r"[-_.]+", "-", name).lower(), point.value


def distribution_of(point: EntryPoint) -> str:
    """Package and version that registered an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "unknown package"


def _families() -> dict[str, EntryPoint]:
    return points_by_name(FAMILIES, "method family")


def load_point(
    point: EntryPoint, what: str = "method", kind: type[StreamnetError] = StreamnetError
) -> Any:
    """What an entry point names; an error of that kind, whatever its package raises meanwhile."""
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # e.g. OSError: a shared library is missing
        raise kind(
            f"the {what} {point.name!r} of {distribution_of(point)} cannot be imported: "
            f"{type(error).__name__}: {error}",
            remedy="reinstall that package with its dependencies.",
        ) from error


def _family(point: EntryPoint) -> MethodFamily:
    family = load_point(point, "method family")
    if not isinstance(family, MethodFamily):
        raise StreamnetError(
            f"{point.value} of {distribution_of(point)} is no family of methods: "
            "it lacks `install`, `names()` or `make(name)`",
            remedy="see streamnet_plugin.types.MethodFamily for what it must provide.",
        )
    return family


def _usable_families() -> Iterator[tuple[EntryPoint, MethodFamily]]:
    """All families but those of broken packages, of which is warned."""
    for point in _families().values():
        try:
            yield point, _family(point)
        except StreamnetError as error:
            log.warning("%s", error)


def list_methods() -> list[MethodInfo]:
    """All methods that can be used, sorted by name; imports none of them."""
    infos = [
        MethodInfo(name, point.value, distribution_of(point))
        for name, point in points_by_name().items()
    ]
    for point, family in _usable_families():
        infos += [
            MethodInfo(f"{point.name}:{member}", point.value, distribution_of(point))
            for member in family.names()
        ]
    return sorted(infos, key=lambda info: info.name)


def absent_families() -> list[AbsentFamily]:
    """Families that have no methods here because their package is not installed."""
    usable = sorted(_usable_families(), key=lambda item: item[0].name)
    return [AbsentFamily(point.name, f.install) for point, f in usable if not f.names()]


def registered_name(name: str) -> str:
    """A method's name as it is registered, whatever its capitals; raises as `get_method` does."""
    point, member = _find(name)
    return point.name if member is None else f"{point.name}:{member}"


def check_method(name: str) -> None:
    """Nothing if a method of that name can be had, else the error that `get_method` raises."""
    _find(name)


def get_method(name: str, **options: Any) -> Method:
    """The method registered under `name`.

    Args:
        name: as in `list_methods`; capitals do not matter.
        options: passed to a factory (a network takes `checkpoint`, `mc_samples`, ...);
            options a factory has no parameter for are an error, ready-made objects take none.

    Raises:
        UnknownMethodError: nothing of that name is registered; names the nearest ones.
        StreamnetError: two packages claim the name, or the package is missing or cannot be
            imported.
    """
    point, member = _find(name)
    target = _target(point, member)
    method = target(**options) if _is_factory(target) else target
    if not isinstance(method, Method):
        raise StreamnetError(
            f"{point.value} of {distribution_of(point)} is no method: "
            "it lacks `name` or `predict(video)`",
            remedy="see streamnet_plugin.types.Method for what a method must provide.",
        )
    return method


def takes_option(name: str, option: str) -> bool:
    """Whether the factory registered under `name` has a parameter `option`."""
    try:
        target = _target(*_find(name))
    except UnknownMethodError:
        return False
    return _is_factory(target) and option in inspect.signature(target).parameters


def _find(name: str) -> tuple[EntryPoint, str | None]:
    """The entry point of that name; or a family's, with the member of it that is meant."""
    points = points_by_name()
    known = _same(name, points)
    if known is not None:
        return points[known], None
    prefix, _, member = name.partition(":")
    families = _families()
    family_name = _same(prefix, families)
    if family_name is None:
        everything = [info.name for info in list_methods()]
        raise _unknown(f"no method {name!r} is registered", name, everything)
    family = _family(families[family_name])
    names = family.names()
    if not names:
        raise StreamnetError(
            f"{name!r} needs a package that is not installed", remedy=f"{family.install}."
        )
    known = _same(member, names)
    if known is None:
        nearest = [f"{family_name}:{other}" for other in names]
        wanted = f"{family_name}:{member}"
        raise _unknown(f"{family_name} has no method {member!r}", wanted, nearest)
    return families[family_name], known


def _same(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs from `name` in capitals at most."""
    return {k.lower(): k for k in known}.get(name.lower())


def nearest_first(name: str, known: Iterable[str]) -> list[str]:
    """The known names, those most like `name` first, whatever their capitals."""
    by_lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=max(1, len(by_lower)), cutoff=0.0)
    return [by_lower[lower] for lower in near]


def _unknown(what: str, name: str, known: Iterable[str]) -> UnknownMethodError:
    return UnknownMethodError(
        what, remedy="use one of " + ", ".join(nearest_first(name, known)) + "."
    )


def _target(point: EntryPoint, member: str | None) -> Any:
    """A method, or what makes one."""
    if member is None:
        return load_point(point)
    make: Callable[..., Method] = _family(point).make
    return partial(make, member)


def _is_factory(target: Any) -> bool:
    return inspect.isclass(target) or not hasattr(target, "predict")
