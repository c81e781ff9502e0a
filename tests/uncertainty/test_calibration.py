"""Calibrated rows: nobody's interval or threshold knows his own errors; files say what they are."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamnet_plugin.errors import ConfigError, DataError, OutputError
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.uncertainty.abstention import NO_PULSE, UNSURE
from streamnet_plugin.uncertainty.calibration import (
    CalibratorFile,
    Wanted,
    check_fits,
    load_calibrators,
    make_calibrators,
    save_calibrators,
    usable,
    with_uncertainty,
)
from streamnet_plugin.uncertainty.conformal import FLOOR_BPM, LEVELS, percent

TRUE = 70.0
WINDOW, CONVENTION = "10 s windows", "toolbox-2025 (0.6-3.3 Hz)"


def row(subject, window, error, spread, method="POS", dataset="UBFC-rPPG", **changes):
    lost = error is None
    read = None if lost else TRUE + error
    made = WindowRow(
        method=method, dataset=dataset, recording=f"{subject}-1", subject=subject, window=window,
        start_s=10.0 * window, end_s=10.0 * window + 10, hr_label=TRUE, hr_pred=read,
        abs_error=None if lost else abs(error), hr_label_refined=TRUE, hr_pred_refined=read,
        snr_db=1.0, macc=0.5, hr_mc_mean=None, hr_mc_std=None, hr_mc_q05=None, hr_mc_q95=None,
        status="no result" if lost else "ok", reason="constant" if lost else "",
        spread=None if lost else spread,
    )  # fmt: skip
    return replace(made, **changes)


def simulated(n=12, windows=4, seed=0, **where):
    """Errors that are normal with the spread as their standard deviation."""
    rng = np.random.default_rng(seed)
    return [
        row(f"s{s}", w, spread * rng.normal(), spread, **where)
        for s in range(n)
        for w, spread in enumerate(rng.gamma(2, 2, windows))
    ]


def worse(rows, person, factor=1000.0):
    """The same rows, with larger errors of one person and the same spreads."""
    return [
        replace(r, hr_pred_refined=TRUE + factor * (r.hr_pred_refined - TRUE))
        if r.person == person and r.hr_pred_refined is not None
        else r
        for r in rows
    ]


def calibrated(rows, **wanted):
    return with_uncertainty(rows, Wanted(**wanted))[0]


def changed_people(before, after):
    """Whose half widths differ."""
    return {a.person for a, b in zip(before, after, strict=True) if a.half_widths != b.half_widths}


def file_of(rows, **changes):
    made = CalibratorFile(make_calibrators(rows), CONVENTION, WINDOW, {"a": {"title": "UBFC"}})
    return replace(made, **changes)


def test_no_interval_knows_its_own_subject_and_every_other_one_does():
    rows = simulated()
    before = calibrated(rows)
    everyone = {r.person for r in rows}
    for person in everyone:
        assert changed_people(before, calibrated(worse(rows, person))) == everyone - {person}


def test_half_widths_are_the_quantile_of_the_other_subjects_scores():
    """Counted out: each of K others weighs 1 / (K + 1), its windows alike."""
    rows = [*simulated(n=10, windows=3), *(row("s10", w, 1.0 + w, 2.0) for w in range(7))]
    for r in calibrated(rows):
        scores, mass = [], []
        for other in rows:
            if other.person != r.person:
                n = sum(o.person == other.person for o in rows)
                scores.append(abs(other.hr_pred_refined - TRUE) / (other.spread + FLOOR_BPM))
                mass.append(1 / (11 * n))
        for level in LEVELS:
            reached = [
                q for q in scores
                if sum(m for s, m in zip(scores, mass, strict=True) if s <= q) >= level - 1e-9
            ]  # fmt: skip
            half = r.half_widths[percent(level)]
            if reached:
                assert half == pytest.approx(min(reached) * (r.spread + FLOOR_BPM))
            else:
                assert half is None
        assert r.half_widths["90"] is not None
        assert r.half_widths["95"] is None


def test_folds_calibrate_whole_parts_on_the_rest():
    """Who is not moved by a subject is in its fold: four folds of three are a partition."""
    rows = simulated()
    everyone = {r.person for r in rows}

    def partition(seed):
        before = calibrated(rows, folds=4, seed=seed)
        return {
            p: frozenset(
                everyone - changed_people(before, calibrated(worse(rows, p), folds=4, seed=seed))
            )
            for p in everyone
        }

    parts = partition(0)
    assert all(person in part for person, part in parts.items())
    assert Counter(map(len, set(parts.values()))) == {3: 4}
    assert partition(1) != parts


def test_no_threshold_knows_its_own_subject():
    rows = simulated(n=15, windows=8)
    before = calibrated(rows, target_mae=2.0)
    after = calibrated(worse(rows, "UBFC-rPPG/s3", 5.0), target_mae=2.0)
    assert any(b.withheld and a.person.endswith("/s3") for a, b in zip(rows, before, strict=True))
    moved = {a.person for a, b in zip(before, after, strict=True) if a.withheld != b.withheld}
    assert len(moved) > 5
    assert "UBFC-rPPG/s3" not in moved


def test_subjects_of_the_same_name_in_two_datasets_are_two_people():
    rows = [*simulated(n=6), *simulated(n=6, seed=1, dataset="PURE")]
    assert make_calibrators(rows)["POS"].n_subjects == 12
    moved = changed_people(calibrated(rows), calibrated(worse(rows, "PURE/s0")))
    assert moved == {r.person for r in rows} - {"PURE/s0"}


def test_methods_are_calibrated_apart_and_rows_keep_their_order():
    a, b = simulated(method="POS"), simulated(method="GREEN", seed=1)
    mixed = [r for pair in zip(a, b, strict=True) for r in pair]
    done = calibrated(mixed)
    assert [(r.method, r.key) for r in done] == [(r.method, r.key) for r in mixed]
    assert done[0::2] == calibrated(a)
    assert done[1::2] == calibrated(b)


def test_a_calibrator_of_other_data_overrides_the_subjects_at_hand():
    theirs = file_of(simulated(n=20, seed=5))
    rows = simulated(n=3)
    done, notes = with_uncertainty(rows, Wanted(calibrators=theirs))
    assert notes == ()
    for r in done:
        assert r.half_widths == theirs.methods["POS"].half_widths(r.spread)
        assert r.half_widths["95"] is not None
    terrible = with_uncertainty(worse(rows, "UBFC-rPPG/s1"), Wanted(calibrators=theirs))[0]
    assert [r.half_widths for r in terrible] == [r.half_widths for r in done]


def test_a_method_that_the_file_does_not_know_gets_a_note_and_no_interval():
    rows = [*simulated(n=3), *simulated(n=3, method="net")]
    done, notes = with_uncertainty(rows, Wanted(calibrators=file_of(simulated(n=20))))
    assert notes == ("net: the calibrator file has no calibrator for it: no intervals.",)
    assert {r.method for r in done if r.half_widths} == {"POS"}


@pytest.mark.parametrize(
    ("n", "lacking"), [(1, "50, 80, 90, 95"), (2, "80, 90, 95"), (6, "90, 95"), (10, "95")]
)
def test_too_few_subjects_make_infinite_intervals_and_say_so(n, lacking):
    done, notes = with_uncertainty(simulated(n=n), Wanted())
    (note,) = notes
    assert note.startswith(
        f"POS: intervals of {lacking} % are infinite where only {n - 1} other subj"
    )
    assert "(95 % needs 19)" in note
    for r in done:
        assert {k for k, v in r.half_widths.items() if v is None} == set(lacking.split(", "))
    assert with_uncertainty(simulated(n=20), Wanted())[1] == ()
    for_all = with_uncertainty([*simulated(n=n), *simulated(n=n, method="net")], Wanted())[1]
    assert for_all == (note.replace("POS", "all methods"),)


def test_nothing_to_calibrate_stays_as_it_is():
    assert with_uncertainty([], Wanted()) == ((), ())
    lost = [row(f"s{i}", 0, None, None) for i in range(3)]
    assert with_uncertainty(lost, Wanted(target_mae=1.0, keep=0.5)) == (tuple(lost), ())


@pytest.mark.parametrize(
    "changes",
    [
        {"spread": float("nan")}, {"spread": float("inf")}, {"spread": None},
        {"hr_label_refined": None}, {"hr_pred_refined": float("nan")},
    ],
)  # fmt: skip
def test_a_window_without_a_number_teaches_nothing(changes):
    rows = simulated()
    bad = replace(row("new", 0, 3.0, 2.0), **changes)
    assert not usable(bad)
    done = calibrated([*rows, bad], target_mae=2.0)
    assert done[:-1] == calibrated(rows, target_mae=2.0)
    assert not done[-1].withheld
    if "spread" in changes:
        assert done[-1].half_widths == {}


def error_of(rows):
    return float(np.mean([abs(r.hr_pred_refined - TRUE) for r in rows]))


def test_kept_windows_reach_the_target_error():
    """On average over new subjects, within Monte Carlo error; and they are the surest ones."""
    kept, shares = [], []
    for seed in range(25):
        rows = simulated(n=40, windows=10, seed=seed)
        assert error_of(rows) > 2.4
        done = calibrated(rows, target_mae=2.0)
        stay = [r for r in done if not r.withheld]
        kept.append(error_of(stay))
        shares.append(len(stay) / len(done))
        assert {r.withheld for r in done} == {"", UNSURE}
        assert np.mean([r.spread for r in stay]) < np.mean([r.spread for r in done]) - 0.5
    assert np.mean(kept) == pytest.approx(2.0, abs=3 * np.std(kept) / np.sqrt(25) + 0.02)
    assert np.mean(shares) > 0.4


@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_the_share_to_keep_is_kept(share):
    done = calibrated(simulated(n=40, windows=10), keep=share)
    assert np.mean([not r.withheld for r in done]) == pytest.approx(share, abs=0.03)


def test_both_targets_hold_together():
    rows = simulated(n=20, windows=6)
    a, b, both = (
        {r.key for r in calibrated(rows, **wanted) if not r.withheld}
        for wanted in (
            {"target_mae": 2.0}, {"keep": 0.5}, {"target_mae": 2.0, "keep": 0.5}
        )
    )  # fmt: skip
    assert both == a & b


def test_doubts_stay_and_do_not_count_towards_the_target():
    """Windows that are withheld anyway are not among those whose error is to reach the target."""
    rows = simulated(n=20, windows=5)
    doubted = [row(f"s{s}", 9, 80.0, 0.01, withheld=NO_PULSE) for s in range(20)]
    alone, done = calibrated(rows, target_mae=2.0), calibrated([*rows, *doubted], target_mae=2.0)
    assert [r.withheld for r in done] == [*(r.withheld for r in alone), *[NO_PULSE] * 20]
    assert "" in {r.withheld for r in alone}


@pytest.mark.parametrize("n", [1, 12])
def test_a_target_out_of_reach_withholds_everything(n):
    rows = [row(f"s{s}", w, 9.0, 1.0) for s in range(n) for w in range(2)]
    done = calibrated(rows, target_mae=1.0)
    assert [r.withheld for r in done] == [UNSURE] * len(rows)
    assert all(r.half_widths for r in done)


WINDOWS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.none() | st.floats(-200, 200),
        st.none() | st.just(float("nan")) | st.floats(0, 99),
        st.sampled_from(["", NO_PULSE]),
    ),
    max_size=15,
)


@settings(max_examples=60, deadline=None)
@given(WINDOWS, st.integers(0, 6), st.none() | st.floats(0.01, 50), st.none() | st.floats(0.01, 1))
def test_whatever_the_rows_only_widths_and_withheld_change(windows, folds, target, keep):
    rows = [
        row(subject, i, error, spread, withheld="" if error is None else doubt)
        for i, (subject, error, spread, doubt) in enumerate(windows)
    ]
    done = calibrated(rows, folds=folds or None, target_mae=target, keep=keep)
    for before, after in zip(rows, done, strict=True):
        assert repr(replace(after, half_widths={}, withheld=before.withheld)) == repr(before)
        assert after.withheld == before.withheld or (not before.withheld and usable(before))
        widths = [np.inf if w is None else w for w in after.half_widths.values()]
        assert widths == sorted(widths)
        assert not np.isnan(widths).any()


def test_a_file_gives_the_same_half_widths_again(tmp_path):
    made = file_of([*simulated(n=20), *simulated(n=4, method="STREAMNet")])
    save_calibrators(made, tmp_path / "c.json")
    read = load_calibrators(str(tmp_path / "c.json"))
    assert (read.convention, read.window, read.source) == (CONVENTION, WINDOW, made.source)
    assert list(read.methods) == ["POS", "STREAMNet"]
    for name, calibrator in made.methods.items():
        assert read.methods[name].n_subjects == calibrator.n_subjects
        for spread in (0.0, 0.3, 17.0):
            assert read.methods[name].half_widths(spread) == calibrator.half_widths(spread)


def saved(tmp_path, change=lambda tree: tree):
    path = tmp_path / "c.json"
    save_calibrators(file_of(simulated()), path)
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    return path


def _negative(tree):
    tree["methods"]["POS"]["scores"][0] = -1.0
    return tree


def _heavier(tree):
    tree["methods"]["POS"]["masses"][0] *= 3
    return tree


def _without(*keys):
    return lambda tree: {k: v for k, v in tree.items() if k not in keys}


@pytest.mark.parametrize(
    "change",
    [
        _negative, _heavier, _without("methods"), _without("window"), _without("format"),
        lambda tree: [tree], lambda tree: "text", lambda tree: None,
        lambda tree: {**tree, "version": 2}, lambda tree: {**tree, "format": "pickle"},
        lambda tree: {**tree, "methods": []}, lambda tree: {**tree, "methods": {"POS": {}}},
        lambda tree: {"schema": 2, "title": "results of a benchmark"},
    ],
)  # fmt: skip
def test_another_or_a_damaged_file_is_refused_by_name(tmp_path, change):
    path = saved(tmp_path, change)
    with pytest.raises(DataError, match=r"no calibrator file.*streamnet calibrate") as error:
        load_calibrators(path)
    assert error.value.path == path


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"{"])
def test_what_is_no_json_is_refused(tmp_path, content):
    whole = saved(tmp_path)
    for damaged in (content, whole.read_bytes()[:-20]):
        whole.write_bytes(damaged)
        with pytest.raises(DataError, match="no calibrator file"):
            load_calibrators(whole)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_is_not_there(tmp_path, name):
    with pytest.raises(DataError, match="no calibrator file"):
        load_calibrators(tmp_path / name)


def test_an_unwritable_place_is_told_and_nothing_is_left(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="the calibrator cannot be written"):
        save_calibrators(file_of(simulated()), tmp_path / "file" / "c.json")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(DataError, match="nothing can be calibrated"):
        make_calibrators([row("s", 0, None, None)])
    lost = [row("s", 0, None, None, method="dead")]
    assert list(make_calibrators([*lost, *simulated()])) == ["POS"]


@pytest.mark.parametrize(
    ("convention", "window", "says"),
    [
        ("neurips-2023 (0.75-2.5 Hz)", WINDOW, r"convention 'toolbox-2025.*has 'neurips-2023"),
        (CONVENTION, "whole videos", "windows '10 s windows', this run has 'whole videos'"),
    ],
)
def test_a_calibrator_of_other_windows_is_refused(convention, window, says):
    made = file_of(simulated())
    check_fits(made, CONVENTION, WINDOW)
    with pytest.raises(ConfigError, match=says):
        check_fits(made, convention, window)


def test_the_intervals_hold_on_new_people_as_promised(tmp_path):
    """Saved on one half of the people, read again for the other half, 100 times."""
    inside = []
    path = Path(tmp_path / "c.json")
    for seed in range(100):
        rows = simulated(n=20, windows=3, seed=seed)
        learnt = [r for r in rows if int(r.subject[1:]) < 10]
        save_calibrators(file_of(learnt), path)
        tested = calibrated(rows[len(learnt) :], calibrators=load_calibrators(path))
        inside += [abs(r.hr_pred_refined - TRUE) <= r.half_widths["90"] for r in tested]
    assert 0.89 < np.mean(inside) < 0.99  # at least 90 %, at most by 1 / 11 more, 3000 windows


@pytest.mark.parametrize("sampled", [True, False])
def test_a_calibrator_of_other_spreads_gives_no_interval(sampled):
    """With samples a spread is another number: its quantile would be wrong without a word."""
    rows = [replace(r, hr_mc_std=1.0 if sampled else None) for r in simulated()]
    fits = file_of(simulated(), sampled=frozenset({"POS"} if sampled else ()))
    other = replace(fits, sampled=frozenset(() if sampled else {"POS"}))
    assert all(r.half_widths for r in calibrated(rows, calibrators=fits))
    done, notes = with_uncertainty(rows, Wanted(calibrators=other))
    assert not any(r.half_widths for r in done)
    (note,) = notes
    assert note.startswith("POS: no intervals")
    assert "Monte Carlo samples" in note
