import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.statistics.paired import (
    WILCOXON,
    WITH_TIES,
    _resampled_rank_biserial,
    cliques,
    critical_difference,
    holm,
    nemenyi_p,
    pair_tests,
    paired_test,
    rank_biserial,
    rank_test,
    shift_interval,
    signed_rank_test,
)
from streamnet_plugin.statistics.windows import error_table


def every_flip(d):
    """p of the signed rank sum by going through all sign patterns."""
    ranks = scipy.stats.rankdata(np.abs(d))
    ranks, signs = ranks[d != 0], np.sign(d[d != 0])
    observed = abs((ranks * signs).sum())
    sums = [abs((ranks * f).sum()) for f in itertools.product((-1, 1), repeat=len(ranks))]
    return np.mean(np.array(sums) >= observed - 1e-9)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9).filter(any))
@settings(max_examples=60, deadline=None)
def test_ties_and_zeros_are_exact(d):
    p, _ = signed_rank_test(np.array(d) * 3.515625)
    assert p == pytest.approx(every_flip(np.array(d)))


def test_without_ties_it_is_scipys():
    d = np.random.default_rng(0).normal(0.4, 1, 25)
    assert signed_rank_test(d) == (scipy.stats.wilcoxon(d, method="exact").pvalue, WILCOXON)


def test_rounding_does_not_hide_a_tie():
    d = np.array([0.1 + 0.2, 0.3, -0.3, 0.7, 1.1, 0.9, -0.2])
    assert signed_rank_test(d) == (pytest.approx(every_flip(np.round(d, 9))), WITH_TIES)


def test_many_subjects_use_the_normal_approximation():
    d = np.random.default_rng(0).normal(0.1, 1, 600)
    p, test = signed_rank_test(d)
    assert "normal approximation" in test
    assert p == pytest.approx(scipy.stats.wilcoxon(d).pvalue, rel=1e-3)


def test_false_alarms_stay_below_five_per_cent_on_a_grid_of_heart_rates():
    rng = np.random.default_rng(1)
    p = [signed_rank_test(rng.integers(-3, 4, 12) * 3.5)[0] for _ in range(1500)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 1500)
    assert np.mean(np.array(p) <= 0.5) > 0.4  # it is no test that never rejects


def test_effect_is_pingouins():
    pingouin = pytest.importorskip("pingouin")
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=20), rng.normal(0.5, 1, 20)
    found = pingouin.wilcoxon(a, b)["RBC"].iloc[0]
    assert rank_biserial(a - b) == pytest.approx(float(found))


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=8).filter(
        lambda pairs: any(times for _, times in pairs)
    )
)
@settings(deadline=None)
def test_effect_of_a_resample_is_that_of_its_subjects(pairs):
    d, times = np.array(pairs).T
    expected = rank_biserial(np.repeat(d, times).astype(float))
    assert _resampled_rank_biserial(d, times.astype(float)) == pytest.approx(expected)


def test_two_methods():
    rng = np.random.default_rng(3)
    b = rng.gamma(2, 2, 16)
    a = b - rng.normal(1, 1, 16)
    found = paired_test("A", "B", a, b, seed=4)
    walsh = np.sort([(x + y) / 2 for x, y in itertools.combinations_with_replacement(a - b, 2)])
    assert found.mean == pytest.approx((a - b).mean())
    assert found.difference.value == pytest.approx(np.median(walsh))
    assert found.difference.value < 0  # A is better
    # The 30th of the 136 Walsh averages from either end: 29 is the table's value of Wilcoxon's
    # rank sum for n = 16 at 5 % (Hollander, Wolfe, Chicken 2014, table A.4).
    assert (found.difference.low, found.difference.high) == pytest.approx((walsh[29], walsh[-30]))
    assert found.p == scipy.stats.wilcoxon(a, b, method="exact").pvalue
    assert found.effect.value == pytest.approx(rank_biserial(a - b))
    assert -1 <= found.effect.low < found.effect.value < found.effect.high < 0
    back = paired_test("B", "A", b, a)
    assert back.effect.value == pytest.approx(-found.effect.value)
    assert back.p == found.p


def test_always_better_has_a_bound_from_the_signs():
    n = 12
    d = -np.arange(1.0, n + 1)
    effect = paired_test("A", "B", d, np.zeros(n)).effect
    q = scipy.stats.binomtest(n, n).proportion_ci(0.95).low
    assert (effect.value, effect.low) == (-1, -1)
    assert effect.high == pytest.approx(1 - 2 * q**2)
    assert paired_test("B", "A", np.zeros(n), d).effect.low == pytest.approx(2 * q**2 - 1)


@pytest.mark.parametrize(
    ("d", "reason"),
    [
        ([1.0, 2, 3, 4, 5], "5 subjects: p cannot fall below 0.062, at least 6 are needed"),
        ([1.0, 2, 3] + [0.0] * 9, "12 subjects, 3 of them with a difference: p cannot fall below"),
        ([0.0] * 9, "9 subjects: the same error in every one"),
        ([], "no window has a result of both methods"),
    ],
)
def test_no_p_without_a_chance_of_one(d, reason):
    found = paired_test("A", "B", np.array(d), np.zeros(len(d)))
    assert found.p is None
    assert found.reason.startswith(reason)


def test_six_clear_subjects_are_enough():
    found = paired_test("A", "B", np.arange(1.0, 7), np.zeros(6))
    assert found.p == pytest.approx(2 / 64)
    assert found.difference.low > 0


@given(st.lists(st.integers(-3, 3), min_size=6, max_size=12))
@settings(max_examples=40, deadline=None)
def test_the_interval_leaves_out_0_where_the_test_rejects_and_only_there(d):
    found = paired_test("A", "B", 3.5 * np.array(d), np.zeros(len(d)))
    low, high = found.difference.low, found.difference.high
    if low is None:
        assert found.difference.reason
        assert found.p is None or len(set(d)) == 1
    else:
        assert low <= found.difference.value <= high
        assert (low > 0 or high < 0) == (found.p < 0.05)
        assert (
            found.p < 0.05 or found.effect.low is None or found.effect.low <= 0 <= found.effect.high
        )


# Odd and even hundredths: no difference is 0 before or after the shift, where ties would decide.
HUNDREDTHS = st.integers(-400, 400).map(lambda i: (2 * i + 1) / 100)


@given(st.lists(HUNDREDTHS, min_size=6, max_size=10, unique=True), st.integers(-250, 250))
@settings(max_examples=40, deadline=None)
def test_the_interval_moves_with_the_differences_and_turns_with_their_sign(d, steps):
    shift = steps / 50
    there = shift_interval(np.array(d))
    moved, turned = shift_interval(np.array(d) + shift), shift_interval(-np.array(d))
    assert (turned.low, turned.high) == pytest.approx((-there.high, -there.low), abs=1e-6)
    ends = np.array([there.low, there.high]) + shift
    assert (moved.low, moved.high) == pytest.approx(tuple(ends), abs=1e-6)


@pytest.mark.parametrize("n", [6, 7, 10, 20])
@pytest.mark.parametrize("errors", ["heavy tails", "ties"])
def test_under_the_null_the_interval_leaves_out_0_in_five_per_cent_at_most(n, errors):
    rng, times = np.random.default_rng(n), 200
    outside = 0
    for _ in range(times):
        d = rng.standard_t(2, n) if errors == "heavy tails" else 3.5 * rng.integers(-3, 4, n)
        found = shift_interval(np.asarray(d, dtype=float))
        outside += found.low is not None and not found.low <= 0 <= found.high
    assert outside / times <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / times)


def test_of_many_subjects_the_interval_is_that_of_the_normal_approximation():
    d = np.random.default_rng(1).normal(0.2, 1, 300)
    found = shift_interval(d)
    walsh = np.sort(((d[:, None] + d) / 2)[np.triu_indices(300)])
    k = round(len(walsh) / 2 - 1.96 * np.sqrt(300 * 301 * 601 / 24))
    assert (found.low, found.high) == pytest.approx((walsh[k], walsh[-k - 1]), abs=2e-3)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=9))
@settings(max_examples=30, deadline=None)
def test_holm_is_statsmodels(p):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    known = [x for x in p if x is not None]
    found = holm(p)
    assert [x is None for x in found] == [x is None for x in p]
    if known:
        expected = multitest.multipletests(known, method="holm")[1]
        assert [x for x in found if x is not None] == pytest.approx(expected)


def test_pairs_are_compared_on_the_windows_both_have(row):
    rows = []
    for s in range(8):
        rows += [row("A", f"s{s}", 0, 70, 71 + s / 8), row("B", f"s{s}", 0, 70, 73)]
        rows += [row("A", f"s{s}", 1, 70, 150), row("B", f"s{s}", 1, read=None)]  # B gives up
    rows += [row("A", "only-A", 0, 70, 170)]
    (found,) = pair_tests(error_table(rows))
    assert found.n_subjects == 8
    assert found.mean == pytest.approx(np.mean([1 + s / 8 - 3 for s in range(8)]))
    assert found.p == found.p_holm == pytest.approx(2 / 2**8)


def test_subjects_count_alike_whatever_their_windows(row):
    rows = [row(m, f"s{s}", 0, 70, 70 + e) for m, e in (("A", 1), ("B", 2)) for s in range(5)]
    rows += [row(m, "s5", w, 70, 70 + e) for m, e in (("A", 13), ("B", 2)) for w in range(50)]
    assert pair_tests(error_table(rows))[0].mean == pytest.approx((-5 + 11) / 6)


def test_windows_of_another_truth_or_time_are_in_no_pair_and_counted(row):
    rows = []
    for s in range(7):
        rows += [row("A", f"s{s}", 0, 70, 71 + s / 8), row("B", f"s{s}", 0, 70, 73)]
        rows += [row("A", f"s{s}", 1, 70, 150), row("B", f"s{s}", 1, 90, 91)]
        rows += [row("A", f"s{s}", 2, 70, 150), row("B", f"s{s}", 2, 70, 70, start_s=25.0)]
        rows += [row("C", f"s{s}", 0, 80 + s, 80 + s)]
    ab, ac, bc = pair_tests(error_table(rows))
    assert (ab.n_subjects, ab.n_other_truth) == (7, 14)
    assert ab.mean == pytest.approx(np.mean([1 + s / 8 - 3 for s in range(7)]))
    for other in (ac, bc):
        assert (other.n_subjects, other.p) == (0, None)
        assert other.reason == (
            "the true HR or the time is not the same in any of 7 common windows"
        )


def test_all_pairs_or_one_baseline(study):
    table = error_table(study({"A": 1, "B": 2, "C": 4}))
    everything = pair_tests(table)
    assert [(t.a, t.b) for t in everything] == [("A", "B"), ("A", "C"), ("B", "C")]
    against = pair_tests(table, baseline="B")
    assert [(t.a, t.b) for t in against] == [("A", "B"), ("C", "B")]
    assert against[0].p == everything[0].p
    assert [t.p_holm for t in against] == pytest.approx(holm([t.p for t in against]))
    with pytest.raises(ConfigError, match="POS") as error:
        pair_tests(table, baseline="POS")
    assert "A, B, C" in error.value.remedy


def test_ranks_of_a_study_that_differs():
    rng = np.random.default_rng(0)
    names = ["good", "middle", "bad", "worst"]
    errors = rng.gamma(2, 1, (14, 1)) + rng.normal(0, 0.5, (14, 4)) + [0, 0.2, 2, 4]
    found = rank_test(errors, names)
    statistic, p = scipy.stats.friedmanchisquare(*errors.T)
    assert (found.statistic, found.p) == pytest.approx((statistic, p))
    ranks = scipy.stats.rankdata(errors, axis=1).mean(axis=0)
    assert found.ranks == pytest.approx(dict(zip(names, ranks, strict=True)))
    # Nemenyi's p by its formula (Demsar 2006); scikit-posthocs is what the code uses.
    step = np.sqrt(4 * 5 / (6 * 14))
    for a, b, p in found.nemenyi:
        q = abs(found.ranks[a] - found.ranks[b]) / step * np.sqrt(2)
        assert p == pytest.approx(scipy.stats.studentized_range.sf(q, 4, np.inf), abs=1e-9)
        together = any({a, b} <= set(clique) for clique in found.cliques)
        assert together == (p > 0.05)
    assert ("good", "middle") in [clique[:2] for clique in found.cliques]
    assert len(found.nemenyi) == 6


@pytest.mark.parametrize(("k", "q"), [(3, 2.343), (4, 2.569), (5, 2.728), (8, 3.031), (10, 3.164)])
def test_critical_difference_is_the_published_one(k, q):
    assert critical_difference(14, k) == pytest.approx(q * np.sqrt(k * (k + 1) / 84), abs=5e-4)


def test_nemenyi_p_at_the_critical_difference_is_five_per_cent():
    n, k = 40, 3
    ranks = np.array([nemenyi_p(np.tile([1.0, 2.0, 3.0], (m, 1)))[0, 1] for m in (6, 12)])
    assert ranks[0] > ranks[1]  # one rank apart: the more subjects the surer
    q = critical_difference(n, k) / np.sqrt(k * (k + 1) / (6 * n)) * np.sqrt(2)
    assert scipy.stats.studentized_range.sf(q, k, np.inf) == pytest.approx(0.05, abs=1e-6)


@given(st.lists(st.floats(1, 8), min_size=2, max_size=8), st.floats(0.1, 3))
def test_cliques_are_the_largest_sets_within_the_distance(values, distance):
    ranks = {f"m{i}": v for i, v in enumerate(values)}
    found = cliques(ranks, distance)
    for a, b in itertools.combinations(ranks, 2):
        together = any(a in c and b in c for c in found)
        assert together == (abs(ranks[a] - ranks[b]) < distance)
    assert not any(set(a) <= set(b) for a, b in itertools.permutations(found, 2))
    assert all(len(c) > 1 for c in found)


def test_no_difference_is_one_clique_and_no_pairs():
    errors = np.random.default_rng(1).gamma(2, 1, (20, 3))
    found = rank_test(errors, ["A", "B", "C"])
    assert found.p > 0.05
    assert found.nemenyi == ()
    assert set(found.cliques[0]) == {"A", "B", "C"}
    assert "finds no difference" in found.reason


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (np.ones((9, 3)), "all methods have the same error in every subject"),
        (np.random.default_rng(0).normal(size=(5, 3)), "5 subjects with a result of all 3 methods"),
        (np.zeros((0, 3)), "0 subjects with a result of all 3 methods"),
        (np.ones((9, 2)), "2 methods: Friedman's test is for 3 or more"),
    ],
)
def test_no_rank_test_says_why(errors, reason):
    found = rank_test(errors, ["A", "B", "C"][: errors.shape[1]])
    assert found.p is None
    assert found.critical_difference is None
    assert found.reason.startswith(reason)
