"""Conformal intervals keep their promise, by subject; too few subjects give an infinite one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.errors import DataError
from streamnet_plugin.uncertainty.conformal import (
    FLOOR_BPM,
    LEVELS,
    Calibrator,
    calibrate,
    cross_calibrators,
    subjects_needed,
)

REPETITIONS = 1000


def simulated(rng, n_subjects, windows):
    """Heteroscedastic errors of exchangeable people: some are much harder to read than others."""
    n = windows(n_subjects, rng)
    subject = np.repeat(np.arange(n_subjects), n)
    hardness = np.exp(rng.normal(0, 1, n_subjects))[subject]
    spread = np.exp(rng.normal(0, 0.7, len(subject)))
    error = np.abs(hardness * (spread + 0.3) * rng.standard_t(3, len(subject)))
    return error, spread, subject


def one_each(n_subjects, rng):
    return np.ones(n_subjects, dtype=int)


def some_each(n_subjects, rng):
    return rng.integers(1, 8, n_subjects)


def empirical(n_calibration, windows, levels, seed):
    """Share of repetitions in which a random window of one more person is covered, per level."""
    rng = np.random.default_rng(seed)
    hits = np.zeros((REPETITIONS, len(levels)))
    for i in range(REPETITIONS):
        error, spread, subject = simulated(rng, n_calibration + 1, windows)
        new = subject == n_calibration
        calibrator = calibrate(error[~new], spread[~new], subject[~new].tolist())
        pick = rng.choice(np.flatnonzero(new))
        for j, level in enumerate(levels):
            hits[i, j] = error[pick] <= calibrator.half_width(spread[pick], level)
    return hits.mean(axis=0)


def monte_carlo_error(level):
    """Three standard errors of a share over the repetitions."""
    return 3 * math.sqrt(level * (1 - level) / REPETITIONS)


@pytest.mark.parametrize("n_calibration", [19, 39])
def test_coverage_is_nominal_with_one_window_each(n_calibration):
    """With 19 and 39 subjects all levels are whole ranks, so that coverage is exact."""
    found = empirical(n_calibration, one_each, LEVELS, seed=n_calibration)
    for level, share in zip(LEVELS, found, strict=True):
        assert abs(share - level) <= monte_carlo_error(level), (level, share)


def test_coverage_is_kept_with_many_windows_each():
    """Never below nominal; above it by no more than the mass at infinity and the ties' share."""
    k = 30
    found = empirical(k, some_each, LEVELS, seed=1)
    for level, share in zip(LEVELS, found, strict=True):
        assert share >= level - monte_carlo_error(level), (level, share)
        assert share <= level + 2 / (k + 1) + monte_carlo_error(level), (level, share)


def test_windows_as_the_unit_would_not_keep_it():
    """Why subjects are the unit: one person with many easy windows must not speak for all."""
    rng = np.random.default_rng(0)
    naive, ours = [], []
    for _ in range(400):
        hard = rng.random(12) < 0.5  # half of the people are read well, and have most windows
        n = np.where(hard, 2, 40)
        subject = np.repeat(np.arange(12), n)
        error = np.where(hard[subject], 20.0, 1.0) * rng.random(len(subject))
        spread = np.ones(len(subject))
        new = subject == 11
        pick = error[new][0]
        ours.append(
            pick <= calibrate(error[~new], spread[~new], subject[~new].tolist()).half_width(1, 0.8)
        )
        alone = [f"{i}" for i in range(np.count_nonzero(~new))]
        naive.append(pick <= calibrate(error[~new], spread[~new], alone).half_width(1, 0.8))
    assert np.mean(ours) > 0.78
    assert np.mean(naive) < 0.7


def test_cross_conformal_covers_too():
    rng = np.random.default_rng(5)
    hits = {None: [], 5: []}
    for _ in range(200):
        error, spread, subject = simulated(rng, 21, one_each)
        for folds, found in hits.items():
            calibrators = cross_calibrators(error, spread, subject.tolist(), folds=folds)
            found.append(
                np.mean([
                    e <= calibrators[str(s)].half_width(u, 0.8)
                    for e, u, s in zip(error, spread, subject, strict=True)
                ])
            )  # fmt: skip
    for found in hits.values():
        assert 0.78 <= np.mean(found) <= 0.8 + 2 / 17 + 0.02


def test_cross_conformal_never_uses_a_subject_for_itself():
    error, spread = np.array([1.0, 2.0, 3.0, 99.0]), np.ones(4)
    calibrators = cross_calibrators(error, spread, ["a", "b", "b", "c"])
    assert calibrators["c"].scores.max() == 3.0 / (1 + FLOOR_BPM)
    assert calibrators["c"].n_subjects == 2
    alone = cross_calibrators(error[:2], spread[:2], ["a", "a"])
    assert alone == {"a": None}


@pytest.mark.parametrize(("level", "needed"), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_too_few_subjects_make_the_interval_infinite(level, needed):
    assert subjects_needed(level) == needed
    for k, finite in ((needed, True), (needed - 1, False)):
        if k:
            c = calibrate(np.arange(1.0, k + 1), np.ones(k), [str(i) for i in range(k)])
            assert math.isfinite(c.half_width(1.0, level)) == finite
            assert (c.half_widths(1.0)[f"{100 * level:g}"] is not None) == finite


def test_with_one_window_each_it_is_the_textbook_quantile():
    """ceil((K + 1) level)-th smallest score (Lei et al. 2018)."""
    rng = np.random.default_rng(2)
    error, spread = rng.random(33), rng.random(33)
    c = calibrate(error, spread, [str(i) for i in range(33)])
    scores = np.sort(error / (spread + FLOOR_BPM))
    for level in LEVELS:
        assert c.factor(level) == scores[math.ceil(34 * level - 1e-9) - 1]


def test_mapie_agrees_with_one_window_each():
    regression = pytest.importorskip("mapie.regression", reason="mapie is not installed")
    rng = np.random.default_rng(3)
    x, y = rng.random((40, 1)), rng.normal(0, 1, 40)

    class Zero:
        """A fitted model that predicts 0, so that the score is |y|."""

        def fit(self, x, y):
            return self

        def predict(self, x):
            return np.zeros(len(x))

        def __sklearn_is_fitted__(self):
            return True

    split = regression.SplitConformalRegressor(Zero(), confidence_level=0.9, prefit=True)
    split.conformalize(x, y)
    _, interval = split.predict_interval(x[:1])
    ours = calibrate(np.abs(y), np.zeros(40), [str(i) for i in range(40)])
    assert ours.half_width(0.0, 0.9) == pytest.approx(float(interval[0, 1, 0]))


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 50), st.sampled_from("abcdefghijkl")),
        min_size=1,
        max_size=40,
    )
)
def test_properties(windows):
    error, spread, subjects = (list(x) for x in zip(*windows, strict=True))
    c = calibrate(np.array(error), np.array(spread), subjects)
    k = len(set(subjects))
    assert c.n_subjects == k
    assert c.masses.sum() == pytest.approx(k / (k + 1))
    widths = [c.half_width(2.0, level) for level in LEVELS]
    assert widths == sorted(widths)
    again = Calibrator.from_dict(json.loads(json.dumps(c.to_dict())))
    assert [again.half_width(2.0, level) for level in LEVELS] == widths
    order = np.random.default_rng(0).permutation(len(error))
    mixed = calibrate(np.array(error)[order], np.array(spread)[order], [subjects[i] for i in order])
    assert [mixed.half_width(2.0, level) for level in LEVELS] == widths


@pytest.mark.parametrize(
    ("error", "spread", "subjects", "said"),
    [
        ([], [], [], "no window"),
        ([1.0], [1.0, 2.0], ["a"], "do not match"),
        ([np.nan], [1.0], ["a"], "not finite"),
        ([1.0], [np.inf], ["a"], "not finite"),
        ([-1.0], [1.0], ["a"], "negative"),
    ],
)
def test_bad_input(error, spread, subjects, said):
    with pytest.raises(DataError, match=said):
        calibrate(np.array(error), np.array(spread), subjects)


@pytest.mark.parametrize(
    "change",
    [
        {"scores": [2.0, 1.0]},
        {"scores": [1.0]},
        {"scores": "x"},
        {"masses": [0.5, 0.5]},
        {"n_subjects": 7},
        {"scores": None},
        {"scores": [1.0, float("nan")]},
    ],
)
def test_a_damaged_calibrator(change):
    tree = calibrate(np.array([1.0, 2.0]), np.ones(2), ["a", "b"]).to_dict()
    with pytest.raises(DataError, match="no calibrator"):
        Calibrator.from_dict({**tree, **change})


@pytest.mark.parametrize("level", [0.0, 1.0, 90, float("nan")])
def test_no_such_level(level):
    c = calibrate(np.array([1.0]), np.ones(1), ["a"])
    with pytest.raises(DataError, match="coverage"):
        c.factor(level)
