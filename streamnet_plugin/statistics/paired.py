"""Two methods on the same subjects, and all methods at once.

The unit is the subject: one mean absolute error each, over the windows that all compared methods
have. Small samples and ties are the rule (heart rates lie on the FFT's grid), so p values are
exact, given the ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.statistics.bootstrap import bootstrap_intervals, min_subjects, too_few
from streamnet_plugin.statistics.results import Interval, PairTest, RankTest
from streamnet_plugin.statistics.windows import ErrorTable
from streamnet_plugin.types import FloatArray
from streamnet_plugin.wording import count

ALPHA = 0.05
"""Significance level of the tests and of the critical difference."""
TIE_DECIMALS = 9
"""Errors that agree to so many decimals (bpm) are ties: the rest is rounding."""
WILCOXON, WITH_TIES = "Wilcoxon, exact", "Wilcoxon, exact given ties"
LARGE = 200
"""Above so many subjects the normal approximation is used: the exact one grows with n^3."""
SHIFTS = "Hodges-Lehmann, the test inverted"
SIGNS = "Clopper-Pearson bound from the signs"


def signed_ranks(differences: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ranks of |difference| (n,), ties sharing their mean, and signs (n,).

    Zeros keep their ranks (Pratt, JASA 54, 1959): two methods that agree on most subjects are not
    made to look different by the few on which they do not.
    """
    from scipy.stats import rankdata

    rounded = np.round(differences, TIE_DECIMALS)
    return rankdata(np.abs(rounded)), np.sign(rounded)


def signed_rank_test(differences: FloatArray) -> tuple[float, str]:
    """Two-sided p of Wilcoxon's signed-rank test of n differences, and the name of the test.

    Exact: without ties and zeros by scipy's `wilcoxon`; with them by the distribution of the rank
    sum over all 2^n sign flips of the ranks as they are (the shift algorithm of Streitberg &
    Roehmel, Statistical Software Newsletter 12, 1986), for which no table and no sampling is
    needed. The plain exact distribution would be wrong there, the normal approximation crude.
    """
    from scipy.stats import wilcoxon

    rounded = np.round(differences, TIE_DECIMALS)
    ranks, signs = signed_ranks(differences)
    if len(rounded) > LARGE:
        p = wilcoxon(rounded, zero_method="pratt", method="asymptotic").pvalue
        return float(p), "Wilcoxon, normal approximation"
    if np.all(signs) and len(np.unique(ranks)) == len(ranks):
        return float(wilcoxon(rounded, method="exact").pvalue), WILCOXON
    return _sign_flip_p(ranks, signs), WITH_TIES


def _sign_flip_p(ranks: FloatArray, signs: FloatArray) -> float:
    """min(1, 2 * the smaller tail) of the positive rank sum, every sign being a fair coin."""
    doubled = np.rint(2 * ranks[signs != 0]).astype(int)  # mean ranks are whole or half
    chance = np.zeros(doubled.sum() + 1)
    chance[0] = 1.0
    for rank in doubled:
        chance[rank:] = (chance[rank:] + chance[:-rank]) / 2
        chance[:rank] /= 2
    positive = int(np.rint(2 * ranks[signs > 0].sum()))
    tail = min(chance[: positive + 1].sum(), chance[positive:].sum())
    return float(min(1.0, 2 * tail))


def rank_biserial(differences: FloatArray) -> float:
    """Matched-pairs rank-biserial correlation, -1 (all below 0) to 1; 0 if all are 0.

    (R+ - R-) / (sum of all ranks), King & Minium, Statistical Reasoning (2003); zeros count in the
    denominator.
    """
    ranks, signs = signed_ranks(differences)
    return float((ranks * signs).sum() / ranks.sum())


def _resampled_rank_biserial(differences: FloatArray, times: FloatArray) -> FloatArray:
    """`rank_biserial` of resamples, each subject being there `times` (..., n) times.

    Subjects with the same |difference| share a rank: the mean of the places that they take up.
    """
    rounded = np.round(differences, TIE_DECIMALS)
    sizes, group = np.unique(np.abs(rounded), return_inverse=True)
    member = np.eye(len(sizes))[group]  # (n, G)
    n = times @ member  # (..., G) how many of each size
    rank = np.cumsum(n, axis=-1) - (n - 1) / 2
    signed = times @ (member * np.sign(rounded)[:, None])
    return np.asarray((rank * signed).sum(-1) / (rank * n).sum(-1))


def paired_test(
    a: str,
    b: str,
    errors_a: FloatArray,
    errors_b: FloatArray,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> PairTest:
    """Two methods from their subjects' mean absolute errors (n,) in bpm, the same subjects.

    `p_holm` is None: see `holm_corrected`. No p value and no interval where even the clearest
    outcome would not reach 5 %. The effect's interval is a bootstrap's, widened to 0 where the test
    finds none.
    """
    d = np.asarray(errors_a, dtype=np.float64) - errors_b
    n = len(d)
    if n == 0:
        reason = "no window has a result of both methods"
        nothing = Interval(None, reason=reason)
        return PairTest(a, b, 0, nothing, None, None, nothing, reason=reason)
    mean, estimate = float(d.mean()), hodges_lehmann(d)
    reason = _untestable(d)
    if reason:
        found, effect = Interval(estimate, reason=reason), Interval(rank_biserial(d), reason=reason)
        return PairTest(a, b, n, found, None, None, effect, reason=reason, mean=mean)
    p, test = signed_rank_test(d)
    return PairTest(
        a, b, n, shift_interval(d, level), p, None, _effect(d, p, level, seed), test=test, mean=mean
    )  # fmt: skip


def _walsh(differences: FloatArray) -> FloatArray:
    """The means of all n (n + 1) / 2 pairs of differences, each with itself too, ascending."""
    i, j = np.triu_indices(len(differences))
    return np.sort((differences[i] + differences[j]) / 2)


def hodges_lehmann(differences: FloatArray) -> float:
    """Median of the Walsh averages, bpm (Hodges & Lehmann, Ann. Math. Statist. 34, 1963)."""
    return float(np.median(_walsh(differences)))


def shift_interval(differences: FloatArray, level: float = 0.95) -> Interval:
    """Hodges & Lehmann's estimate with every shift that `signed_rank_test` does not reject.

    The test changes only at Walsh averages, so that it is tried at these and between them (Bauer,
    JASA 67, 1972, with the exact test given ties instead of its table). It leaves out 0 where p is
    below 1 - level, and only there. Under the null it did so in 1.2-5.3 % of 2,000 simulations each
    of 6, 7, 10 and 20 subjects with normal errors, heavy tails (t with 2 degrees of freedom) and
    ties (a grid of 3.5 bpm), where the bootstrap of the mean does in 15-21 %.
    """
    d = np.round(differences, TIE_DECIMALS)
    alpha, estimate = 1 - level, hodges_lehmann(d)
    if reason := too_few(int(np.count_nonzero(d)), level):
        return Interval(estimate, reason=reason)
    if np.ptp(d) == 0:
        return Interval(estimate, reason="the same difference in every subject: no variance")
    ends = np.unique(np.round(_walsh(d), TIE_DECIMALS + 1))
    # 0, 2, 4, ... are the gaps before, between and after the ends; 1, 3, 5, ... the ends.
    tried = np.empty(2 * len(ends) + 1)
    tried[1::2], tried[2:-1:2] = ends, (ends[:-1] + ends[1:]) / 2
    tried[0], tried[-1] = ends[0] - 1, ends[-1] + 1

    def accepted(place: int) -> bool:
        return _shifted_p(d, tried[place]) >= alpha

    middle = int(np.argmin(np.abs(tried - estimate)))
    low = ends[max(0, _boundary(accepted, 0, middle) - 1) // 2]
    high = ends[min(len(ends) - 1, _boundary(accepted, len(tried) - 1, middle) // 2)]
    low, high = min(low, estimate), max(high, estimate)
    if _shifted_p(d, 0) >= alpha:
        return Interval(estimate, float(min(low, 0.0)), float(max(high, 0.0)), SHIFTS)
    return _beside_0(estimate, low, high, rank_biserial(d) > 0)


def _shifted_p(d: FloatArray, shift: float) -> float:
    moved = d - shift
    if len(d) > LARGE:
        return signed_rank_test(moved)[0]
    return _sign_flip_p(*signed_ranks(moved))


def _boundary(accepted: Callable[[int], bool], outside: int, inside: int) -> int:
    """The accepted place next to a rejected one, between `outside` and `inside`, by bisection."""
    while abs(inside - outside) > 1:
        between = (inside + outside) // 2
        if accepted(between):
            inside = between
        else:
            outside = between
    return inside


def _beside_0(estimate: float, low: float, high: float, above: bool) -> Interval:
    """The interval of shifts where 0 is rejected: on one side of it.

    With ties at 0 the p of 0 is not that of shifts beside it. An end at 0, itself rejected, is
    moved by the rounding of errors.
    """
    sign = 1.0 if above else -1.0

    def beside(x: float) -> float:
        return sign * max(sign * float(x), 10.0**-TIE_DECIMALS)

    return Interval(beside(estimate), beside(low), beside(high), SHIFTS)


def _effect(d: FloatArray, p: float, level: float, seed: int) -> Interval:
    (found,) = bootstrap_intervals(
        lambda times: _resampled_rank_biserial(d, times)[None], len(d), level=level, seed=seed
    )
    found = _effect_at_one(found, len(d), level)
    if p < 1 - level or found.low is None or found.high is None:
        return found
    return replace(found, low=min(found.low, 0.0), high=max(found.high, 0.0))


def _untestable(differences: FloatArray) -> str:
    """Why no p value below 5 % is possible; empty if one is.

    Subjects without a difference say nothing: p is at best 2 / 2^m of the m that have one.
    """
    n, differing = len(differences), int(np.count_nonzero(signed_ranks(differences)[1]))
    least = min_subjects(1 - ALPHA)
    if differing >= least:
        return ""
    if differing == 0:
        return f"{count(n, 'subject')}: the same error in every one"
    few = count(n, "subject")
    if differing < n:
        few += f", {differing} of them with a difference"
    return f"{few}: p cannot fall below {2.0 ** (1 - differing):.2g}, at least {least} are needed"


def _effect_at_one(effect: Interval, n: int, level: float) -> Interval:
    """The effect's interval where every subject has the same sign, so that resamples are alike.

    The effect estimates 2 P(d1 + d2 > 0) - 1 of two subjects (Newcombe, Statistics in Medicine
    2006). P is at least q^2, q the probability of that sign, and q at least its Clopper-Pearson
    bound for n of n.
    """
    if effect.value is None or abs(effect.value) < 1 - 1e-12 or too_few(n, level):
        return effect
    inner = 2 * ((1 - level) / 2) ** (2 / n) - 1
    if effect.value > 0:
        return Interval(1.0, inner, 1.0, SIGNS)
    return Interval(-1.0, -1.0, -inner, SIGNS)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (Scand. J. Statist. 6, 1979) of those that are not None."""
    found = sorted((value, i) for i, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    worst = 0.0
    for place, (value, i) in enumerate(found):
        worst = max(worst, min(1.0, (len(found) - place) * value))
        corrected[i] = worst
    return corrected


def holm_corrected(tests: Sequence[PairTest]) -> tuple[PairTest, ...]:
    """The tests with `p_holm`, corrected among themselves."""
    corrected = holm([test.p for test in tests])
    return tuple(replace(t, p_holm=p) for t, p in zip(tests, corrected, strict=True))


def pair_tests(
    table: ErrorTable, *, baseline: str | None = None, level: float = 0.95, seed: int = 0
) -> tuple[PairTest, ...]:
    """Every pair, or each method against `baseline` (then `b`), Holm-corrected among themselves.

    Raises:
        ConfigError: `baseline` is none of the methods.
    """
    if baseline is not None and baseline not in table.methods:
        raise ConfigError(
            f"the baseline {baseline!r} is none of the methods",
            remedy="use one of " + ", ".join(table.methods) + ".",
        )
    pairs = list(combinations(table.methods, 2))
    if baseline is not None:
        pairs = [(method, baseline) for method in table.methods if method != baseline]
    tests = []
    for a, b in pairs:
        errors, _ = table.common([a, b])
        test = paired_test(a, b, errors[:, 0], errors[:, 1], level=level, seed=seed)
        tests.append(_with_truth(test, table.n_other_truth([a, b])))
    return holm_corrected(tests)


def _with_truth(test: PairTest, n_other: int) -> PairTest:
    """The test with the number of windows that were left out of it."""
    if not n_other or test.n_subjects:
        return replace(test, n_other_truth=n_other)
    reason = f"the true HR or the time is not the same in any of {count(n_other, 'common window')}"
    nothing = Interval(None, reason=reason)
    return replace(test, difference=nothing, effect=nothing, reason=reason, n_other_truth=n_other)


def rank_test(errors: FloatArray, methods: Sequence[str]) -> RankTest:
    """Friedman's test and Nemenyi's, from mean absolute errors (n, M) of n subjects.

    Friedman's p is that of the chi-squared distribution, with the correction for ties. Nemenyi's
    test follows only where Friedman's finds a difference (Demsar, JMLR 7, 2006); where it does
    not, all methods are one clique.

    Returns:
        mean ranks (1 the smallest error) even where there is no test; then `reason` says why.
    """
    from scipy.stats import friedmanchisquare, rankdata

    n, m = errors.shape
    rounded = np.round(errors, TIE_DECIMALS)
    ranks = rankdata(rounded, axis=1).mean(axis=0) if n else np.zeros(0)
    named = {method: float(r) for method, r in zip(methods, ranks, strict=False)}
    reason = _unrankable(rounded)
    if reason:
        return RankTest(n, None, None, named, None, reason=reason)
    statistic, p = friedmanchisquare(*rounded.T)
    distance = critical_difference(n, m)
    if p >= ALPHA:
        return RankTest(
            n, float(statistic), float(p), named, distance, (_ordered(named),),
            reason=f"Friedman's test finds no difference (p = {p:.2g}), so pairs are not tested",
        )  # fmt: skip
    nemenyi = nemenyi_p(rounded)
    pairs = tuple(
        (methods[i], methods[j], float(nemenyi[i, j])) for i, j in combinations(range(m), 2)
    )
    found = cliques(named, distance)
    return RankTest(n, float(statistic), float(p), named, distance, found, pairs)


def _unrankable(errors: FloatArray) -> str:
    n, m = errors.shape
    least = min_subjects(1 - ALPHA)
    if m < 3:
        return f"{count(m, 'method')}: Friedman's test is for 3 or more"
    if n < least:
        return (
            f"{count(n, 'subject')} with a result of all {m} methods: "
            f"Friedman's test needs at least {least}"
        )
    if np.all(errors == errors[:, :1]):
        return "all methods have the same error in every subject"
    return ""


def critical_difference(n: int, m: int) -> float:
    """Of the mean ranks of m methods on n subjects at 5 %: Demsar, JMLR 7 (2006), section 3.2.2."""
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - ALPHA, m, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(m * (m + 1) / (6 * n)))


def nemenyi_p(errors: FloatArray) -> NDArray[np.float64]:
    """Nemenyi's p of every pair (M, M) from errors (n, M), by scikit-posthocs."""
    from scikit_posthocs import posthoc_nemenyi_friedman  # type: ignore[import-untyped]

    return np.asarray(posthoc_nemenyi_friedman(errors), dtype=np.float64)


def cliques(ranks: Mapping[str, float], distance: float) -> tuple[tuple[str, ...], ...]:
    """Largest groups of two or more methods whose mean ranks span less than `distance`."""
    order = _ordered(ranks)
    spans: list[tuple[int, int]] = []
    for i, first in enumerate(order):
        last = max(j for j, name in enumerate(order) if ranks[name] - ranks[first] < distance)
        if last > i and (not spans or last > spans[-1][1]):
            spans.append((i, last))
    return tuple(order[i : j + 1] for i, j in spans)


def _ordered(ranks: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(sorted(ranks, key=lambda name: ranks[name]))
