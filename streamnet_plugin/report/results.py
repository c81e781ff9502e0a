"""What a benchmark finds, as plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter

from streamnet_plugin.statistics.results import Analysis
from streamnet_plugin.types import FloatArray
from streamnet_plugin.uncertainty.conformal import interval_around

SCHEMA = 2
HIGHER_IS_BETTER = frozenset({"Pearson", "SNR", "MACC", "beat F1 (%)"})

WindowKey = tuple[str, str, int]
"""(dataset, recording, number of the window)."""


RecordingKey = tuple[str, str]
"""(dataset, recording)."""

CSV_DATASET, TOOLBOX_DATASET = "CSV", "toolbox outputs"
UNNAMED_DATASETS = frozenset({CSV_DATASET, TOOLBOX_DATASET})
"""What stands for the dataset of saved waveforms that do not say what they were read from; the same
for all of a kind, so that methods in several files are compared video by video."""


def shown_names(recordings: Iterable[RecordingKey]) -> dict[RecordingKey, str]:
    """What to call each recording, once: with its dataset where there are several of these."""
    once = dict.fromkeys(recordings)
    several = len({dataset for dataset, _ in once}) > 1
    return {(d, name): f"{d}/{name}" if several else name for d, name in once}


def higher_is_better(metric: str) -> bool:
    """The one rule of every table; "within 3 bpm" and the like are shares of good windows."""
    return metric in HIGHER_IS_BETTER or metric.startswith("within ")


@dataclass(frozen=True)
class WindowRow:
    """One method on one window of one video; HR in bpm, None where there is no result.

    Attributes:
        hr_pred, hr_label: by the benchmark's HR method; `_refined`: interpolated spectral peak.
        hr_mc_mean, hr_mc_std, hr_mc_q05, hr_mc_q95: over Monte Carlo samples (refined HR).
        bvp_mc_var: variance of the network's output over the samples, mean over frames.
        hr_mc_crps: continuous ranked probability score of the samples' HR, bpm.
        spread: the method's uncertainty about its refined HR before calibration, bpm.
        half_widths: nominal coverage in % ("50", "80", "90", "95") -> half width of the calibrated
            interval around `hr_pred_refined`, bpm; None where it is infinite. Empty without
            calibration.
        hr_range: the convention's HR band, bpm, beyond which no HR is sought.
        withheld: why the window is better withheld; empty where it is not.
        status: "ok" or "no result", with the reason.
    """

    method: str
    dataset: str
    recording: str
    subject: str
    window: int
    start_s: float
    end_s: float
    hr_label: float | None
    hr_pred: float | None
    abs_error: float | None
    hr_label_refined: float | None
    hr_pred_refined: float | None
    snr_db: float | None
    macc: float | None
    hr_mc_mean: float | None
    hr_mc_std: float | None
    hr_mc_q05: float | None
    hr_mc_q95: float | None
    status: str
    reason: str
    groups: Mapping[str, str] = field(default_factory=dict)
    bvp_mc_var: float | None = None
    hr_mc_crps: float | None = None
    spread: float | None = None
    half_widths: Mapping[str, float | None] = field(default_factory=dict)
    withheld: str = ""
    hr_range: tuple[float, float] | None = None

    @property
    def person(self) -> str:
        """Who it is; datasets number their subjects alike."""
        return f"{self.dataset}/{self.subject}"

    @property
    def key(self) -> WindowKey:
        """Which window it is, whoever read it."""
        return self.dataset, self.recording, self.window

    @property
    def recording_key(self) -> RecordingKey:
        return self.dataset, self.recording

    def interval(self, nominal: str) -> tuple[float, float] | None:
        """The calibrated interval of that coverage ("90", %), bpm; None without one.

        See `interval_around`.
        """
        if self.hr_pred_refined is None or nominal not in self.half_widths:
            return None
        return interval_around(self.hr_pred_refined, self.half_widths[nominal], self.hr_range)


@dataclass(frozen=True)
class MethodSummary:
    """One row of the table.

    Attributes:
        values: metric -> (value, standard error), None where undefined.
        n_windows, n_no_result: windows with and without a result.
        n_videos, n_subjects: with at least one result.
        hr_mc_std: mean over windows of the Monte Carlo standard deviation of HR, bpm.
        seconds: time the method took.
    """

    method: str
    variant: str
    values: Mapping[str, tuple[float | None, float | None]]
    n_windows: int
    n_no_result: int
    n_videos: int
    n_subjects: int
    hr_mc_std: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class FailureRow:
    """A recording, or a method on a recording, that gave nothing; `dataset` may be unknown."""

    recording: str
    path: str
    reason: str
    remedy: str
    method: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class Waveform:
    """A clean BVP for plotting, all (T,): time in s, read, true, and 5-95 % of the samples."""

    method: str
    dataset: str
    recording: str
    t: FloatArray
    pred: FloatArray
    label: FloatArray
    band: tuple[FloatArray, FloatArray] | None = None

    @property
    def recording_key(self) -> RecordingKey:
        return self.dataset, self.recording


@dataclass(frozen=True)
class BenchmarkResults:
    """Everything a benchmark found and where it came from (waveforms are kept apart).

    `analysis` is what can be concluded from it; None in results of older versions.
    """

    title: str
    convention: str
    hr_method: str
    window: str
    summaries: tuple[MethodSummary, ...]
    rows: tuple[WindowRow, ...]
    failures: tuple[FailureRow, ...]
    provenance: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    analysis: Analysis | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **asdict(self)}

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> BenchmarkResults:
        """The inverse of `to_dict` after a round trip through JSON."""
        if not isinstance(tree, Mapping):
            raise ValueError(f"expected a mapping, found {type(tree).__name__}")
        results: BenchmarkResults = TypeAdapter(cls).validate_python(
            {key: value for key, value in tree.items() if key != "schema"}
        )
        return results
