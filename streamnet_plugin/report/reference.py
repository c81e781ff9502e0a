"""Published results, to be shown beside measured ones: reported, not measured.

All are HR errors over whole datasets, networks trained on another dataset than the tested one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamnet_plugin.evaluation.conventions import CONVENTIONS
from streamnet_plugin.report.results import UNNAMED_DATASETS, BenchmarkResults

UBFC, PURE, SCAMPS = "UBFC-rPPG", "PURE", "SCAMPS"
CONVENTION = CONVENTIONS["neurips-2023"].name
HR_METHOD = "FFT"
WINDOW = "whole videos"
WHOLE = {UBFC: (42,), PURE: (59, 60)}
"""Recordings of a whole dataset: UBFC-rPPG's DATASET_2, and PURE's 10 people in 6 setups, of which
one was never published."""

TOOLBOX_PAPER = "rPPG-Toolbox paper (Liu et al., NeurIPS 2023), Table 2"
STREAMNET_PAPER = (
    "STREAM-Net paper (Usman et al., Knowledge-Based Systems 2025, "
    "doi 10.1016/j.knosys.2025.114080), abstract, cross-dataset; the abstract names neither the HR "
    "band nor the training set: taken to be those of the authors' repository and the other dataset"
)

# Per method, from TOOLBOX_PAPER: PURE MAE, PURE MAPE, UBFC-rPPG MAE, UBFC-rPPG MAPE (bpm, %).
_CLASSICAL = {
    "GREEN": (10.09, 10.28, 19.81, 18.78),
    "ICA": (4.77, 4.47, 14.70, 14.34),
    "CHROM": (5.77, 11.52, 3.98, 3.78),
    "LGI": (4.61, 4.96, 15.80, 14.70),
    "PBV": (3.91, 4.82, 15.90, 15.17),
    "POS": (3.67, 7.25, 4.00, 3.86),
}
# From TOOLBOX_PAPER, (trained on, tested on): MAE, MAPE (bpm, %).
_NETWORKS = {
    "TS-CAN": {
        (UBFC, PURE): (3.69, 3.38),
        (SCAMPS, PURE): (4.66, 5.83),
        (PURE, UBFC): (1.29, 1.50),
        (SCAMPS, UBFC): (3.62, 3.53),
    },
    "PhysNet": {
        (UBFC, PURE): (9.36, 17.84),
        (SCAMPS, PURE): (20.08, 31.27),
        (PURE, UBFC): (1.63, 1.68),
        (SCAMPS, UBFC): (4.39, 4.39),
    },
    "DeepPhys": {
        (UBFC, PURE): (5.54, 5.32),
        (SCAMPS, PURE): (3.95, 4.25),
        (PURE, UBFC): (1.21, 1.42),
        (SCAMPS, UBFC): (3.10, 3.08),
    },
    "EfficientPhys": {
        (UBFC, PURE): (5.47, 5.39),
        (SCAMPS, PURE): (10.24, 11.70),
        (PURE, UBFC): (2.07, 2.10),
        (SCAMPS, UBFC): (12.64, 11.26),
    },
}


@dataclass(frozen=True)
class ReferenceRow:
    """One published row.

    Attributes:
        train: what the network was trained on; empty for a method that learns nothing.
        test: the dataset, all of it.
        convention: the HR band.
        values: metric -> value, with the names and units of our own.
        source: where it stands.
    """

    method: str
    train: str
    test: str
    convention: str
    values: Mapping[str, float]
    source: str


@dataclass(frozen=True)
class References:
    """Rows that compare with some results, or why there are none (empty if none are known)."""

    rows: tuple[ReferenceRow, ...] = ()
    why_not: str = ""


NO_REFERENCES = References()
UNNAMED = References(
    (),
    "Published results are not shown: nobody said which dataset saved waveforms are of. The option "
    f"--dataset of compare and evaluate names it, e.g. {UBFC} or {PURE}.",
)


def _published() -> Iterator[ReferenceRow]:
    for method, (pure_mae, pure_mape, ubfc_mae, ubfc_mape) in _CLASSICAL.items():
        yield _row(method, "", PURE, pure_mae, pure_mape)
        yield _row(method, "", UBFC, ubfc_mae, ubfc_mape)
    for method, cases in _NETWORKS.items():
        for (train, test), (mae, mape) in cases.items():
            yield _row(method, train, test, mae, mape)
    pure, ubfc = {"MAE": 1.318, "MAPE": 1.384}, {"MAE": 1.151, "RMSE": 2.715}
    yield ReferenceRow("STREAM-Net", UBFC, PURE, CONVENTION, pure, STREAMNET_PAPER)
    yield ReferenceRow("STREAM-Net", PURE, UBFC, CONVENTION, ubfc, STREAMNET_PAPER)


def _row(method: str, train: str, test: str, mae: float, mape: float) -> ReferenceRow:
    return ReferenceRow(method, train, test, CONVENTION, {"MAE": mae, "MAPE": mape}, TOOLBOX_PAPER)


PUBLISHED = tuple(_published())


def references_for(
    dataset: str,
    convention: str,
    hr_method: str = HR_METHOD,
    window: str = WINDOW,
    n_recordings: int | None = None,
) -> References:
    """Published rows that hold for the same dataset under the same conditions.

    Args:
        dataset: "UBFC-rPPG" or "PURE", also as the toolbox reads it ("toolbox:PURE").
        convention: its name, or as results carry it, "neurips-2023 (0.75-2.5 Hz)".
        hr_method, window: as results carry them.
        n_recordings: how many were tested; None does not ask.
    """
    name = dataset.removeprefix("toolbox:")
    rows = tuple(row for row in PUBLISHED if row.test == name)
    if not rows:
        return NO_REFERENCES
    whole = WHOLE[name]
    wrong = [
        f"{there}, here it is {here}"
        for there, here, same in (
            (CONVENTION, convention, convention.split(" ")[0] == CONVENTION),
            (f"HR by {HR_METHOD}", hr_method, hr_method == HR_METHOD),
            (WINDOW, window, window == WINDOW),
            (
                f"all {whole[0]} recordings",
                str(n_recordings),
                n_recordings is None or n_recordings in whole,
            ),
        )
        if not same
    ]
    if wrong:
        return References((), f"Published results on {name} do not compare: {'; '.join(wrong)}.")
    return References(rows)


def references_of(results: BenchmarkResults) -> References:
    """Published rows that compare with these results; none on more than one dataset."""
    datasets = {row.dataset for row in results.rows}
    if datasets & UNNAMED_DATASETS:
        return UNNAMED
    if len(datasets) != 1:
        return NO_REFERENCES
    tested = {r.recording for r in results.rows} | {f.recording for f in results.failures}
    return references_for(
        datasets.pop(),
        results.convention,
        results.hr_method,
        results.window,
        len(tested),
    )
