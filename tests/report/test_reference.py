"""Published rows: right numbers, and only where they compare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamnet_plugin.evaluation.conventions import CONVENTIONS
from streamnet_plugin.report.reference import (
    NO_REFERENCES,
    PUBLISHED,
    references_for,
    references_of,
)

NEURIPS = str(CONVENTIONS["neurips-2023"])


def found(dataset, method, train=""):
    rows = references_for(dataset, NEURIPS).rows
    return next(r for r in rows if (r.method, r.train) == (method, train))


@pytest.mark.parametrize(
    ("dataset", "method", "train", "values"),
    [
        ("PURE", "CHROM", "", {"MAE": 5.77, "MAPE": 11.52}),
        ("UBFC-rPPG", "CHROM", "", {"MAE": 3.98, "MAPE": 3.78}),
        ("UBFC-rPPG", "GREEN", "", {"MAE": 19.81, "MAPE": 18.78}),
        ("PURE", "TS-CAN", "UBFC-rPPG", {"MAE": 3.69, "MAPE": 3.38}),
        ("UBFC-rPPG", "TS-CAN", "PURE", {"MAE": 1.29, "MAPE": 1.50}),
        ("UBFC-rPPG", "EfficientPhys", "SCAMPS", {"MAE": 12.64, "MAPE": 11.26}),
        ("PURE", "PhysNet", "SCAMPS", {"MAE": 20.08, "MAPE": 31.27}),
        ("UBFC-rPPG", "STREAM-Net", "PURE", {"MAE": 1.151, "RMSE": 2.715}),
        ("PURE", "STREAM-Net", "UBFC-rPPG", {"MAE": 1.318, "MAPE": 1.384}),
    ],
)
def test_numbers_are_those_of_the_papers(dataset, method, train, values):
    assert found(dataset, method, train).values == values


def test_every_row_has_a_source_and_was_tested_on_what_it_was_not_trained_on():
    assert len(PUBLISHED) == 2 * 6 + 4 * 4 + 2
    assert len({(r.method, r.train, r.test) for r in PUBLISHED}) == len(PUBLISHED)
    for row in PUBLISHED:
        assert "Table 2" in row.source or "abstract" in row.source
        assert row.train != row.test


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"convention": "toolbox-2025 (0.6-3.3 Hz)"}, "neurips-2023, here it is toolbox-2025"),
        ({"hr_method": "Peak"}, "HR by FFT, here it is Peak"),
        ({"window": "10 s windows"}, "whole videos, here it is 10 s windows"),
        ({"n_recordings": 12}, "all 42 recordings, here it is 12"),
    ],
)
def test_other_conditions_show_none_and_say_why(conditions, says):
    given = {"dataset": "UBFC-rPPG", "convention": NEURIPS, "n_recordings": 42} | conditions
    references = references_for(**given)
    assert references.rows == ()
    assert says in references.why_not


def test_other_datasets_have_none_and_need_no_reason():
    assert references_for("MMPD", NEURIPS) == NO_REFERENCES


def test_what_was_measured_decides(build):
    subjects = {f"{i:02d}": (1.0,) for i in range(59)}
    pure = build({"POS": subjects}, convention=NEURIPS, window="whole videos")
    rows = references_of(pure).rows
    assert {r.test for r in rows} == {"PURE"}
    toolbox = replace(pure, rows=tuple(replace(r, dataset="toolbox:PURE") for r in pure.rows))
    assert references_of(toolbox).rows == rows
    unknown = replace(pure, rows=tuple(replace(r, dataset="toolbox outputs") for r in pure.rows))
    assert references_of(unknown).rows == ()
    assert "nobody said which dataset" in references_of(unknown).why_not
    both = replace(pure, rows=(*pure.rows[1:], replace(pure.rows[0], dataset="CSV")))
    assert references_of(both) == references_of(unknown)
    two = replace(pure, rows=(*pure.rows[1:], replace(pure.rows[0], dataset="UBFC-rPPG")))
    assert references_of(two) == NO_REFERENCES
    part = replace(pure, rows=pure.rows[:-20])
    assert "all 59 recordings, here it is 39" in references_of(part).why_not
    assert references_of(replace(pure, rows=())) == NO_REFERENCES
