"""Several results in one: the methods of all of them, as far as they compare."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.report.results import (
    BenchmarkResults,
    FailureRow,
    MethodSummary,
    WindowKey,
    WindowRow,
)
from streamnet_plugin.report.writer import RESULTS, read_results
from streamnet_plugin.statistics.results import Analysis
from streamnet_plugin.wording import count

SOURCES = "sources"
"""Key of the provenance of merged results: a list of {source, path, title, provenance}."""
Analyse = Callable[[BenchmarkResults], Analysis | None]


@dataclass(frozen=True)
class _Part:
    """What one source says of one method."""

    source: str
    summary: MethodSummary
    rows: Mapping[WindowKey, WindowRow]


def read_and_merge(paths: Sequence[str | Path], analyse: Analyse | None = None) -> BenchmarkResults:
    """`merge` of saved results; raises also `DataError` if one cannot be read."""
    return merge([(Path(path), read_results(path)) for path in paths], analyse)


def merge(
    sources: Sequence[tuple[Path, BenchmarkResults]], analyse: Analyse | None = None
) -> BenchmarkResults:
    """The methods of all sources in one table, each in the windows that it was scored in.

    A method that several sources have carries its source's name too, unless their rows are the
    same: then it is there once. Failures, notes and provenance of all are kept.

    Args:
        sources: where results came from, and the results.
        analyse: concludes from the whole; None concludes nothing, but leaves one source as it is.

    Raises:
        ConfigError: no source, or different conventions, HR methods or windows.
    """
    if not sources:
        raise ConfigError("there are no results to report", remedy="name a results folder.")
    if len(sources) == 1:
        merged = sources[0][1]
        return merged if analyse is None else replace(merged, analysis=analyse(merged))
    labels = source_labels([path for path, _ in sources])
    named = list(zip(labels, (results for _, results in sources), strict=True))
    refuse_mixed(named)
    kept, copies = _without_copies(_parts(named))
    names = _names(kept, copies)
    parts = [_renamed(part, names[_who(part)]) for part in kept]
    first = named[0][1]
    merged = BenchmarkResults(
        title=", ".join(dict.fromkeys(results.title for _, results in named)),
        convention=first.convention,
        hr_method=first.hr_method,
        window=first.window,
        summaries=tuple(part.summary for part in parts),
        rows=tuple(row for part in parts for row in part.rows.values()),
        failures=_failures(named, names),
        provenance={SOURCES: list(_provenances(sources, labels))},
        notes=(*shared_notes(named), *_copied(copies), *_differences(parts, named)),
    )
    return merged if analyse is None else replace(merged, analysis=analyse(merged))


def merged_names(sources: Sequence[tuple[Path, BenchmarkResults]]) -> dict[tuple[int, str], str]:
    """(number of the source, method) -> what `merge` calls it; without those counted elsewhere."""
    if len(sources) == 1:
        return {(0, s.method): s.method for s in sources[0][1].summaries}
    labels = source_labels([path for path, _ in sources])
    kept, copies = _without_copies(
        _parts(list(zip(labels, (results for _, results in sources), strict=True)))
    )
    names = _names(kept, copies)
    return {(labels.index(part.source), part.summary.method): names[_who(part)] for part in kept}


def source_labels(paths: Sequence[Path]) -> list[str]:
    """`parent/folder` of each path, with as many parents more as tell them apart."""
    folders = [p.parent if p.name == RESULTS else p for p in (path.resolve() for path in paths)]
    parts = [folder.parts[1:] or folder.parts for folder in folders]
    depth = next(
        n
        for n in range(2, 3 + max(map(len, parts), default=0))
        if len({p[-n:] for p in parts}) == len(set(parts)) or n > max(map(len, parts))
    )
    return ["/".join(p[-depth:]) for p in parts]


def refuse_mixed(named: Sequence[tuple[str, BenchmarkResults]]) -> None:
    """`ConfigError` where results are not of one convention, HR method and window."""
    problems = []
    for what, name in (
        ("convention", "convention"), ("HR method", "hr_method"), ("window", "window")
    ):  # fmt: skip
        owners: dict[str, list[str]] = {}
        for label, results in named:
            owners.setdefault(getattr(results, name), []).append(label)
        if len(owners) > 1:
            which = ", ".join(f"{value} in {' and '.join(at)}" for value, at in owners.items())
            problems.append(f"{what}: {which}")
    if problems:
        raise ConfigError(
            f"these results do not compare; {'; '.join(problems)}",
            remedy="score them alike: streamnet compare takes the folders with one --convention, "
            "--hr and --window.",
        )


def _parts(named: Sequence[tuple[str, BenchmarkResults]]) -> list[_Part]:
    parts = []
    for label, results in named:
        rows: dict[str, dict[WindowKey, WindowRow]] = {}
        for row in results.rows:
            rows.setdefault(row.method, {})[row.key] = row
        parts += [_Part(label, s, rows.get(s.method, {})) for s in results.summaries]
    return parts


def _who(part: _Part) -> tuple[str, str]:
    return part.source, part.summary.method


def _without_copies(parts: Sequence[_Part]) -> tuple[list[_Part], list[tuple[_Part, _Part]]]:
    """Parts without those whose rows another has too, and each of these with that other."""
    kept: list[_Part] = []
    copies: list[tuple[_Part, _Part]] = []
    for part in sorted(parts, key=lambda p: -len(p.rows)):  # stable: the larger one first
        whole = next((other for other in kept if _is_copy(part, other)), None)
        if whole is None:
            kept.append(part)
        else:
            copies.append((part, whole))
    order = {id(part): i for i, part in enumerate(parts)}
    return sorted(kept, key=lambda p: order[id(p)]), copies


def _copied(copies: Sequence[tuple[_Part, _Part]]) -> Iterator[str]:
    for part, whole in copies:
        yield (
            f"{part.summary.method}: {count(len(part.rows), 'row')} of {part.source} are in "
            f"{whole.source} too; counted once."
        )


def _is_copy(part: _Part, whole: _Part) -> bool:
    if part.summary.method != whole.summary.method:
        return False
    if not part.rows:
        return not whole.rows and part.summary.values == whole.summary.values
    return all(whole.rows.get(key) == row for key, row in part.rows.items())


def _names(
    kept: Sequence[_Part], copies: Sequence[tuple[_Part, _Part]]
) -> dict[tuple[str, str], str]:
    """(source, method) -> its name in the merged table."""
    owners: dict[str, set[str]] = {}
    for part in kept:
        owners.setdefault(part.summary.method, set()).add(part.source)
    names = {
        (source, method): f"{method} ({source})" if len(owners[method]) > 1 else method
        for source, method in map(_who, kept)
    }
    return {_who(part): names[_who(whole)] for part, whole in copies} | names


def _renamed(part: _Part, name: str) -> _Part:
    rows = {key: replace(row, method=name) for key, row in part.rows.items()}
    return _Part(part.source, replace(part.summary, method=name), rows)


def _failures(
    named: Sequence[tuple[str, BenchmarkResults]], names: Mapping[tuple[str, str], str]
) -> tuple[FailureRow, ...]:
    """All failures, those of all sources alike once; the others say in which source."""
    found: dict[tuple[str, ...], FailureRow] = {}
    where: dict[tuple[str, ...], list[str]] = {}
    for label, results in named:
        for f in results.failures:
            method = names.get((label, f.method), f.method)
            key: tuple[str, ...] = (method, f.dataset, f.recording, f.reason)
            found.setdefault(key, replace(f, method=method))
            where.setdefault(key, []).append(label)
    for key, labels in where.items():
        if not key[0] and len(labels) < len(named):
            found[key] = replace(found[key], reason=f"{found[key].reason} (in {', '.join(labels)})")
    return tuple(found.values())


def shared_notes(named: Sequence[tuple[str, BenchmarkResults]]) -> list[str]:
    """Notes of all, each once, with its sources where not all have it."""
    owners: dict[str, list[str]] = {}
    for label, results in named:
        for note in dict.fromkeys(results.notes):
            owners.setdefault(note, []).append(label)
    return [
        note if len(labels) == len(named) else f"{', '.join(labels)}: {note}"
        for note, labels in owners.items()
    ]


def _differences(
    parts: Sequence[_Part], named: Sequence[tuple[str, BenchmarkResults]]
) -> Iterator[str]:
    """Where the methods were not measured on the same: other videos, data or true HRs."""
    videos = {part.summary.method: {key[:2] for key in part.rows} for part in parts}
    common = set.intersection(*videos.values()) if videos else set()
    if any(own != common for own in videos.values()):
        yield (
            f"Not the same videos: {len(common)} are common to all methods, "
            + ", ".join(f"{method} has {len(own)}" for method, own in videos.items())
            + ". Rows over different videos do not compare."
        )
    prints = {
        label: results.provenance["data_fingerprint"]
        for label, results in named
        if "data_fingerprint" in results.provenance and not _rescored(results)
    }
    if len(set(prints.values())) > 1:
        each = ", ".join(f"{print_} in {label}" for label, print_ in prints.items())
        yield f"Data fingerprints differ: {each}."
    labels: dict[WindowKey, dict[str, set[float]]] = {}
    for part in parts:
        for key, row in part.rows.items():
            if row.hr_label is not None:
                labels.setdefault(key, {}).setdefault(part.source, set()).add(row.hr_label)
    other = [
        [hr for known in by_source.values() for hr in known]
        for by_source in labels.values()
        if not set.intersection(*by_source.values())
    ]
    if other:
        largest = max(max(hrs) - min(hrs) for hrs in other)
        yield (
            f"The sources have different true HRs in {count(len(other), 'window')}, by up to "
            f"{largest:.2f} bpm: labels, alignment or recordings differ."
        )


def _rescored(results: BenchmarkResults) -> bool:
    """Made of saved waveforms: the fingerprint is then of those, not of the videos."""
    config = results.provenance.get("config")
    return isinstance(config, Mapping) and SOURCES in config


def _provenances(
    sources: Sequence[tuple[Path, BenchmarkResults]], labels: Sequence[str]
) -> Iterator[Mapping[str, Any]]:
    """One entry per source; what was merged before keeps its own entries."""
    for (path, results), label in zip(sources, labels, strict=True):
        if own := merged_sources(results.provenance):
            yield from own
        else:
            yield {
                "source": label,
                "path": str(path),
                "title": results.title,
                "provenance": dict(results.provenance),
            }


def merged_sources(provenance: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The entries of merged results' provenance; none where something else has that name."""
    entries = provenance.get(SOURCES)
    if isinstance(entries, list) and all(
        isinstance(e, Mapping) and isinstance(e.get("provenance"), Mapping) for e in entries
    ):
        return entries
    return []
