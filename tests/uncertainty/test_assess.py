"""One method's rows -> how well its uncertainty tells its errors."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from streamnet_plugin.errors import DataError
from streamnet_plugin.report.results import WindowRow
from streamnet_plugin.uncertainty.assess import MAX_CURVE_POINTS, assess


def row(pred, label, spread, half_widths=None, *, subject="s1", dataset="UBFC-rPPG", status="ok"):
    numbers = dict.fromkeys(
        ["abs_error", "snr_db", "macc", "hr_mc_mean", "hr_mc_std", "hr_mc_q05", "hr_mc_q95"]
    )
    return WindowRow(
        method="POS",
        dataset=dataset,
        recording=subject,
        subject=subject,
        window=0,
        start_s=0,
        end_s=10,
        hr_label=-1.0,  # of the other HR method: not to be used
        hr_pred=-50.0,
        hr_label_refined=label,
        hr_pred_refined=pred,
        status=status,
        reason="",
        spread=spread,
        half_widths={} if half_widths is None else half_widths,
        **numbers,
    )


def four():
    """Errors 1, 2, 6, 8 of four subjects."""
    return [
        row(71, 70, 1, {"50": 1.0, "90": 3.0}, subject="a"),
        row(68, 70, 2, {"50": 1.0, "90": 4.0}, subject="b"),
        row(76, 70, 2, {"50": 2.0, "90": 5.0}, subject="c"),
        row(62, 70, 3, {"50": 2.0, "90": None}, subject="d"),
    ]


def test_the_calibration_error_is_of_the_coverage_by_subject():
    """Three windows of one person miss, one of another hits: half by subject, a quarter pooled."""
    rows = [
        row(90, 70, 1, {"50": 1.0}, subject="hard"),
        row(91, 70, 2, {"50": 1.0}, subject="hard"),
        row(92, 70, 2, {"50": 1.0}, subject="hard"),
        row(70, 70, 3, {"50": 1.0}, subject="easy"),
    ]
    found = assess(rows)
    assert found.levels[0].picp.value == 0.25
    assert found.calibration_error == 0


def test_worked_by_hand():
    found = assess(four())
    half, most = found.levels
    assert (half.level, most.level) == (0.5, 0.9)
    assert (half.picp.value, most.picp.value) == (0.25, 0.75)  # 1 inside; 1 and 2 and infinite
    assert (half.mean_width, half.n_windows, half.n_infinite) == (3.0, 4, 0)
    assert (most.mean_width, most.n_windows, most.n_infinite) == (8.0, 4, 1)
    # widths 2, 2, 4, 4 and 2 / alpha = 4 times 0, 1, 4, 6 outside
    assert half.winkler == pytest.approx((12 + 4 * 11) / 4)
    assert most.winkler is None
    assert found.calibration_error == pytest.approx((0.25 + 0.15) / 2)
    assert found.spearman.value == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1])
    assert found.crps is None
    assert np.array(found.risk_coverage) == pytest.approx(
        np.array([(0.25, 1), (0.5, 2.5), (0.75, 3), (1, 4.25)])
    )
    assert found.aurc == pytest.approx(10.75 / 4)
    assert found.excess_aurc == pytest.approx((10.75 - 1 - 1.5 - 3 - 4.25) / 4)


def test_order_of_rows_does_not_matter():
    first, second = assess(four()), assess(four()[::-1])
    assert second.levels == first.levels
    assert second.aurc == pytest.approx(first.aurc)
    assert second.spearman.value == pytest.approx(first.spearman.value)


def test_windows_that_do_not_count_are_left_out():
    lost = [
        row(90, 70, 1, {"50": 30.0}, status="no result"),
        row(None, 70, 1, {"50": 30.0}),
        row(90, None, 1, {"50": 30.0}),
        row(90, 70, None, {"50": 30.0}),
        row(float("nan"), 70, 1, {"50": 30.0}),
        row(90, 70, float("inf"), {"50": 30.0}),
    ]
    rows = [*lost, *four()]
    assert assess(rows) == assess(four())
    scores = [9.0] * len(lost) + [1.0, None, 3.0, float("nan")]
    assert assess(rows, scores).crps == 2.0
    assert assess(four(), [None] * 4).crps is None


def test_nothing_to_assess():
    assert assess([]) is None
    assert assess([row(70, 71, None), row(None, 71, 2)]) is None


def test_without_calibration():
    found = assess([row(70 + i, 70, i, subject=f"s{i}") for i in range(5)])
    assert found.levels == ()
    assert found.calibration_error is None
    assert found.spearman.value == 1
    assert found.excess_aurc == 0


def test_a_level_that_no_one_could_calibrate_says_so_and_is_no_error():
    rows = [row(70 + i, 70, i, {"50": 2.0, "95": None}, subject=f"s{i}") for i in range(4)]
    half, most = assess(rows).levels
    assert most.picp.value == 1
    assert most.picp.low is None
    assert "infinite" in most.picp.reason
    assert (most.mean_width, most.winkler, most.n_infinite) == (None, None, 4)
    assert half.picp.value == 0.75
    assert assess(rows).calibration_error == 0.25


def test_a_window_without_an_interval_of_a_level_does_not_count_there():
    rows = [*four(), row(99, 70, 9, {"90": float("nan")}), row(99, 70, 9, {"50": 1.0})]
    half, most = assess(rows).levels
    assert (half.n_windows, most.n_windows) == (5, 4)
    assert most == assess(four()).levels[1]


def test_subjects_of_two_datasets_are_two_persons():
    rows = [
        row(70 + i, 70, 1, {"90": 5.0}, subject="01", dataset=dataset)
        for i, dataset in enumerate(("PURE", "PURE", "UBFC-rPPG", "UBFC-rPPG"))
    ]
    assert assess(rows).levels[0].picp.low is not None
    one = assess(rows[:2]).levels[0].picp
    assert (one.value, one.low) == (1, None)
    assert "1 subject" in one.reason


def test_windows_of_a_subject_narrow_no_interval():
    few = [row(70 + 5 * (i % 3), 70, 1 + i, {"90": 7.0}, subject=f"s{i}") for i in range(8)]
    once, often = (assess(few * n).levels[0].picp for n in (1, 20))
    assert often.value == once.value
    assert often.high - often.low > 0.8 * (once.high - once.low)


def test_ties_everywhere_have_an_area_but_no_correlation():
    found = assess([row(72, 70, 1, {"90": 2.0}, subject=f"s{i}") for i in range(4)])
    assert found.spearman.value is None
    assert "spreads are equal" in found.spearman.reason
    assert found.aurc == pytest.approx(2)
    assert found.excess_aurc == pytest.approx(0)


def test_many_subjects_long_curve_and_json():
    rng = np.random.default_rng(0)
    rows = [
        row(80 + s * z, 80, s, {"90": 1.645 * s}, subject=f"s{i % 25}")
        for i, (s, z) in enumerate(zip(rng.uniform(1, 5, 500), rng.normal(size=500), strict=True))
    ]
    found = assess(rows, seed=1)
    assert found == assess(rows, seed=1)
    picp = found.levels[0].picp
    assert "Clopper-Pearson" in picp.method
    assert picp.low < 0.9 < picp.high
    assert found.spearman.low > 0
    assert len(found.risk_coverage) == MAX_CURVE_POINTS
    assert found.risk_coverage[0][0] == 1 / 500
    mae = np.mean([abs(r.hr_pred_refined - 80) for r in rows])
    assert found.risk_coverage[-1] == pytest.approx((1, mae))
    assert 0 < found.excess_aurc < found.aurc < mae
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["crps"] is None


def test_what_is_refused():
    with pytest.raises(DataError, match="CRPS of 1"):
        assess(four(), [1.0])
    for name in ("ninety", "0", "100"):
        with pytest.raises(DataError, match="nominal coverage"):
            assess([row(70, 70, 1, {name: 2.0})])
    with pytest.raises(DataError, match="no interval"):
        assess([row(70, 70, 1, {"90": -2.0})])


def test_an_interval_ends_with_the_band_and_covers_no_less():
    """Errors of 1 to 90 bpm with half widths of 300: 600 bpm wide, 162 of them in the band."""
    wide = [row(70 + e, 70, 9, {"90": 300.0}, subject=f"s{e}") for e in (1, 30, 90)]
    wide += [row(40, 70, 9, {"90": 10.0}, subject="low"), row(70, 70, 9, {"90": None}, subject="x")]
    clipped = [replace(r, hr_range=(36.0, 198.0)) for r in wide]
    assert clipped[0].interval("90") == (36.0, 198.0)
    assert clipped[3].interval("90") == (36.0, 50.0)
    assert clipped[4].interval("90") == (-np.inf, np.inf)
    assert (wide[3].interval("90"), wide[0].interval("50")) == ((30.0, 50.0), None)
    (before,), (after,) = assess(wide).levels, assess(clipped).levels
    assert (after.picp, after.by_subject, after.n_infinite) == (
        before.picp, before.by_subject, before.n_infinite
    )  # fmt: skip
    assert before.mean_width == pytest.approx((3 * 600 + 20) / 4)
    assert after.mean_width == pytest.approx((3 * 162 + 14) / 4)
