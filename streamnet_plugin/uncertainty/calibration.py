"""From spreads to intervals and withheld windows, for the rows of a benchmark; calibrator files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.atomic import write_new_text
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.statistics.windows import by_method, known
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.abstention import (
    UNSURE,
    threshold_for_coverage,
    threshold_for_error,
)
from streamnet_plugin.uncertainty.conformal import (
    LEVELS,
    Calibrator,
    calibrate,
    cross_calibrators,
    percent,
    subjects_needed,
)
from streamnet_plugin.wording import count

FORMAT = "streamnet-calibrator"
VERSION = 1
ONLY_THIS_RUN = "its calibrator was made without Monte Carlo samples, this run has some"
ONLY_THE_FILE = "its calibrator was made with Monte Carlo samples, this run has none"


@dataclass(frozen=True)
class CalibratorFile:
    """Calibrators of several methods, and what they hold for.

    Attributes:
        methods: by name.
        convention, window: of the results they were made from, as those say it.
        source: where they come from: data, fingerprint, commit, ...
        sampled: the methods whose spreads were made with Monte Carlo samples; one without samples
            is another number.
        left_out: methods of these results without any window to calibrate on; not in the file.
        path: where it was written, if it was just made.
    """

    methods: Mapping[str, Calibrator]
    convention: str
    window: str
    source: Mapping[str, Any] = field(default_factory=dict)
    sampled: frozenset[str] = frozenset()
    left_out: tuple[str, ...] = ()
    path: Path | None = None

    def of_method(self, method: str, sampled: bool, *, path: Path, reader: str) -> Calibrator:
        """A method's calibrator, for readings of one video.

        Args:
            method: its name.
            sampled: whether its spreads have Monte Carlo samples in them.
            path: of this file, and `reader`: who asks, for the error.

        Raises:
            ConfigError: it does not know the method, or knows it with samples and this is without,
                or the reverse.
        """
        if method not in self.methods:
            raise ConfigError(
                f"this calibrator does not know {method}",
                path=path,
                remedy=f"it knows {', '.join(self.methods)}.",
            )
        if (method in self.sampled) != sampled:
            raise ConfigError(
                f"this calibrator was made {'without' if sampled else 'with'} Monte Carlo samples "
                f"of {method}, {reader} does it the other way",
                path=path,
                remedy="make one from results with UNCERTAINTY.MC_SAMPLES "
                + ("of 2 or more." if sampled else "of 0."),
            )
        return self.methods[method]


@dataclass(frozen=True)
class Wanted:
    """What to do about uncertainty.

    Attributes:
        calibrators: of other data; None calibrates on the subjects at hand, each on the others.
        folds: of that; None leaves one subject out at a time.
        target_mae: withhold windows until the others have this MAE, bpm.
        keep: withhold the most unsure windows until this share is left, 0..1.
        seed: of the folds.
    """

    calibrators: CalibratorFile | None = None
    folds: int | None = None
    target_mae: float | None = None
    keep: float | None = None
    seed: int = 0


def with_uncertainty(
    rows: Sequence[WindowRow], wanted: Wanted
) -> tuple[tuple[WindowRow, ...], tuple[str, ...]]:
    """The rows of all methods with `half_widths`, and `withheld` by target; and notes on both.

    A threshold on the spread is chosen for every subject on the other subjects alone, so that the
    error of what is kept is not flattered.
    """
    done: list[WindowRow] = []
    notes: dict[str, list[str]] = {}
    methods = by_method(rows)
    for method, mine in methods.items():
        mine, said = _calibrated(method, mine, wanted)
        for note in said:
            notes.setdefault(note, []).append(method)
        done += _withheld(mine, wanted)
    order = {id_of(row): place for place, row in enumerate(rows)}
    done.sort(key=lambda row: order[id_of(row)])
    return tuple(done), tuple(
        f"{'all methods' if 1 < len(of) == len(methods) else ', '.join(of)}: {note}"
        for note, of in notes.items()
    )


def id_of(row: WindowRow) -> tuple[str, str, str, int]:
    """What tells rows apart."""
    return row.method, row.dataset, row.recording, row.window


def usable(row: WindowRow) -> bool:
    """Whether the row has an error and a spread that calibration can learn from."""
    return not row.reason and all(
        known(x) for x in (row.spread, row.hr_pred_refined, row.hr_label_refined)
    )


def errors_of(rows: Sequence[WindowRow]) -> tuple[FloatArray, FloatArray, list[str]]:
    """|read - true| refined HR, spread (both bpm) and subjects of usable rows."""
    error = [abs(_known(r.hr_pred_refined) - _known(r.hr_label_refined)) for r in rows]
    return np.array(error), np.array([_known(r.spread) for r in rows]), [r.person for r in rows]


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _calibrated(
    method: str, rows: list[WindowRow], wanted: Wanted
) -> tuple[list[WindowRow], list[str]]:
    """One method's rows with half widths, and why some are infinite or missing."""
    good = [row for row in rows if usable(row)]
    if not good:
        return rows, []
    if wanted.calibrators is not None:
        given = wanted.calibrators.methods.get(method)
        if given is None:
            return rows, ["the calibrator file has no calibrator for it: no intervals."]
        sampled = any(row.hr_mc_std is not None for row in good)
        if sampled != (method in wanted.calibrators.sampled):
            return rows, [f"no intervals, {ONLY_THIS_RUN if sampled else ONLY_THE_FILE}."]
        return [_with_widths(row, given) for row in rows], []
    error, spread, subjects = errors_of(good)
    by_subject = cross_calibrators(error, spread, subjects, folds=wanted.folds, seed=wanted.seed)
    fewest = min((c.n_subjects for c in by_subject.values() if c is not None), default=0)
    lacking = [percent(level) for level in LEVELS if subjects_needed(level) > fewest]
    notes = []
    if lacking:
        need = subjects_needed(LEVELS[-1])
        notes.append(
            f"intervals of {', '.join(lacking)} % are infinite where only "
            f"{count(fewest, 'other subject')} can calibrate them (95 % needs {need})."
        )
    return [_with_widths(row, by_subject.get(row.person)) for row in rows], notes


def _with_widths(row: WindowRow, calibrator: Calibrator | None) -> WindowRow:
    if row.reason or not known(row.spread):
        return row
    if calibrator is None:
        return replace(row, half_widths={percent(level): None for level in LEVELS})
    return replace(row, half_widths=calibrator.half_widths(row.spread))


def _withheld(rows: list[WindowRow], wanted: Wanted) -> list[WindowRow]:
    """Also those whose spread is beyond what the target allows; the doubts there are stay.

    A target error is one of the windows that are kept, so that windows with a doubt do not count
    towards it; a share to keep is one of all windows.
    """
    if wanted.target_mae is None and wanted.keep is None:
        return rows
    good = [row for row in rows if usable(row)]
    limits = {
        subject: _limit([row for row in good if row.person != subject], wanted)
        for subject in {row.person for row in good}
    }
    return [
        replace(row, withheld=UNSURE)
        if usable(row) and not row.withheld and _known(row.spread) > limits[row.person]
        else row
        for row in rows
    ]


def _limit(others: list[WindowRow], wanted: Wanted) -> float:
    clear = [row for row in others if not row.withheld]
    if not clear:
        return float("-inf")  # nobody speaks for this subject
    limits = []
    if wanted.target_mae is not None:
        limits.append(threshold_for_error(*errors_of(clear), wanted.target_mae))
    if wanted.keep is not None:
        _, spread, subjects = errors_of(others)
        limits.append(threshold_for_coverage(spread, subjects, wanted.keep))
    return min(limits)


def make_calibrators(rows: Sequence[WindowRow]) -> dict[str, Calibrator]:
    """One per method, of all subjects.

    Raises:
        DataError: no method has a window with an error and a spread.
    """
    found = {}
    for method, mine in by_method(rows).items():
        good = [row for row in mine if usable(row)]
        if good:
            found[method] = calibrate(*errors_of(good))
    if not found:
        raise DataError(
            "no window has a result with a spread: nothing can be calibrated",
            remedy="give results that streamnet benchmark wrote.",
        )
    return found


def save_calibrators(calibrators: CalibratorFile, path: str | Path) -> Path:
    """Write a JSON file, whole or not at all; `OutputError` if it cannot be written.

    An older file is not touched: the name is `path`, or `x-2.json`, ... if that is taken.
    """
    tree = {
        "format": FORMAT,
        "version": VERSION,
        "convention": calibrators.convention,
        "window": calibrators.window,
        "methods": {name: c.to_dict() for name, c in calibrators.methods.items()},
        "sampled": sorted(calibrators.sampled),
        "source": dict(calibrators.source),
    }
    text = json.dumps(tree, indent=1, allow_nan=False) + "\n"
    return write_new_text(Path(path), text, "the calibrator")


def load_calibrators(path: str | Path) -> CalibratorFile:
    """What `save_calibrators` wrote; `DataError` if it is something else or damaged."""
    path = Path(path)
    remedy = "make one with streamnet calibrate RESULTS."
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["format"] != FORMAT or tree["version"] != VERSION:
            raise ValueError(f"format {tree['format']!r}, version {tree['version']!r}")
        return CalibratorFile(
            methods={name: Calibrator.from_dict(c) for name, c in tree["methods"].items()},
            convention=str(tree["convention"]),
            window=str(tree["window"]),
            source=dict(tree["source"]),
            sampled=frozenset(map(str, tree["sampled"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, DataError) as error:
        raise DataError(f"this is no calibrator file: {error}", path=path, remedy=remedy) from error


def check_fits(calibrators: CalibratorFile, convention: str, window: str) -> None:
    """`ConfigError` where they were made from windows or in a convention other than these."""
    for what, theirs, ours in (
        ("convention", calibrators.convention, convention),
        ("windows", calibrators.window, window),
    ):
        if theirs != ours:
            raise ConfigError(
                f"the calibrator was made with {what} {theirs!r}, this run has {ours!r}",
                remedy="score both alike, e.g. by EVALUATION.CONVENTION and "
                "INFERENCE.EVALUATION_WINDOW.",
            )
