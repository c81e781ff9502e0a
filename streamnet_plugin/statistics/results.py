"""What the statistics find, as plain data that JSON can hold.

Everywhere None stands for what is not defined, with a reason beside it: never a number that looks
like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    Attributes:
        value: the estimate.
        low, high: ends of its interval; None where there is none, then `reason` says why.
        method: how the interval was made, e.g. "BCa".
        reason: why something is missing.
        missing: "dataset/recording" of the videos that have no value and are left out.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str = ""
    reason: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of read and true HR with repeated measures per subject, bpm.

    Attributes:
        bias: mean of read - true; lower, upper: the limits of agreement, each with its interval.
        sd_within, sd_between: standard deviations within a subject and between subjects.
        n_subjects, n_windows: what it rests on.
    """

    bias: Interval
    lower: Interval
    upper: Interval
    sd_within: float | None
    sd_between: float | None
    n_subjects: int
    n_windows: int


@dataclass(frozen=True)
class Coverage:
    """Calibrated intervals of one nominal level against the truth.

    Attributes:
        level: nominal coverage, 0..1.
        picp: prediction interval coverage probability over windows, with its interval;
            by_subject: the same with every subject's windows weighing as much as another's. The
            promise is of a window of a new person, so that it is this that must not fall short.
        mean_width: bpm, over the finite intervals; winkler: mean interval score, bpm.
        n_windows: windows with an interval; n_infinite: of these, so many are infinite: too few
            subjects calibrate this level.
    """

    level: float
    picp: Interval
    mean_width: float | None
    winkler: float | None
    n_windows: int
    n_infinite: int
    by_subject: Interval | None = None

    @property
    def promised(self) -> Interval:
        """The coverage that the promise is about: by subject, or by window in older results."""
        return self.by_subject or self.picp

    @property
    def too_narrow(self) -> bool:
        """The coverage that was promised is below nominal by more than its interval."""
        high = self.promised.high
        return high is not None and high < self.level


@dataclass(frozen=True)
class UncertaintyQuality:
    """How well a method's uncertainty tells its errors.

    Attributes:
        levels: one per nominal coverage.
        calibration_error: mean absolute difference of nominal and empirical coverage.
        spearman: rank correlation of spread and absolute error.
        crps: continuous ranked probability score of the HR samples, bpm; None without samples.
        risk_coverage: (share of windows kept, their MAE in bpm), the surest first.
        aurc, excess_aurc: area under that curve, and above that of a perfect order, bpm.
    """

    levels: tuple[Coverage, ...]
    calibration_error: float | None
    spearman: Interval
    crps: float | None
    risk_coverage: tuple[tuple[float, float], ...]
    aurc: float | None
    excess_aurc: float | None


@dataclass(frozen=True)
class Repeatability:
    """Agreement of a method with itself, bpm (ICC has no unit).

    Attributes:
        what: what was repeated, e.g. "windows of a recording" or "mean of 10 Monte Carlo samples".
        within_sd: within-subject standard deviation; coefficient: repeatability coefficient,
            1.96 * sqrt(2) * within_sd; icc: intraclass correlation.
        n_subjects, n_measurements: what it rests on.
    """

    what: str
    within_sd: Interval
    coefficient: Interval
    icc: Interval
    n_subjects: int
    n_measurements: int


@dataclass(frozen=True)
class MethodAnalysis:
    """One method.

    Attributes:
        metrics: by name; those of the table, "within 3 bpm" (% of windows) and the like, and
            waveform metrics such as "IBI error (ms)".
        n_withheld: windows that the harness would withhold; kept_mae: MAE of the others, bpm.
        withheld_reasons: reason -> number of windows.
    """

    method: str
    n_subjects: int
    n_windows: int
    metrics: Mapping[str, Interval]
    bland_altman: BlandAltman | None = None
    uncertainty: UncertaintyQuality | None = None
    repeatability: tuple[Repeatability, ...] = ()
    n_withheld: int = 0
    kept_mae: Interval | None = None
    withheld_reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PairTest:
    """Two methods on the same subjects.

    Attributes:
        difference: Hodges-Lehmann estimate over subjects of MAE(a) - MAE(b), bpm: below 0 where a
            is better. Its interval holds what the test below does not reject, so that it leaves
            out 0 where p is below 5 %, and only there.
        p, p_holm: two-sided, and corrected for the number of pairs; None where not defined.
        effect: matched-pairs rank-biserial correlation, -1 (a always better) to 1.
        test: which test, e.g. "Wilcoxon, exact".
        reason: why there is no test.
        mean: of the differences, bpm.
        n_other_truth: common windows that are not compared, since the true HR or the time is not
            the same.
    """

    a: str
    b: str
    n_subjects: int
    difference: Interval
    p: float | None
    p_holm: float | None
    effect: Interval
    test: str = ""
    reason: str = ""
    mean: float | None = None
    n_other_truth: int = 0


@dataclass(frozen=True)
class RankTest:
    """All methods at once: Friedman's test, and Nemenyi's afterwards.

    Attributes:
        ranks: mean rank of each method's error over subjects, 1 the best.
        critical_difference: of mean ranks, at 5 %.
        cliques: groups of methods that are not significantly different.
        nemenyi: (a, b, p) for every pair.
    """

    n_subjects: int
    statistic: float | None
    p: float | None
    ranks: Mapping[str, float]
    critical_difference: float | None
    cliques: tuple[tuple[str, ...], ...] = ()
    nemenyi: tuple[tuple[str, str, float], ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class GroupRow:
    """One method on one group of windows, e.g. group "setup", value "talking".

    Attributes:
        mae: bpm; coverage: of the 90 % intervals, every subject weighing the same; warning: says
            so where that is too low, by more than chance among all groups of the method.
    """

    group: str
    value: str
    method: str
    n_subjects: int
    n_windows: int
    mae: Interval
    coverage: Interval | None = None
    warning: str = ""


@dataclass(frozen=True)
class LengthRow:
    """One method at one window length in s; None is the whole video."""

    seconds: float | None
    method: str
    n_subjects: int
    n_windows: int
    n_no_result: int
    mae: Interval


@dataclass(frozen=True)
class Analysis:
    """Everything; `notes` say what could not be done, and why."""

    level: float
    methods: tuple[MethodAnalysis, ...]
    pairs: tuple[PairTest, ...] = ()
    ranks: RankTest | None = None
    groups: tuple[GroupRow, ...] = ()
    lengths: tuple[LengthRow, ...] = ()
    notes: tuple[str, ...] = ()
