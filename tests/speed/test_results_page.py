"""`benchmarks/RESULTS.md`, from made-up measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from streamnet_plugin.speed.results_page import duration, results_page
from streamnet_plugin.speed.targets import TARGETS


def ratio(target, median, theirs=8.0):
    return {
        "what": "beside it", "median": median, "low": median - 0.5, "high": median + 0.5,
        "rounds": 5, "ours": 2.0, "theirs": theirs, "unit": "ms", "target": target,
    }  # fmt: skip


def row_of(page, start):
    return next(line for line in page.splitlines() if line.startswith(f"| {start}"))


@pytest.mark.parametrize(
    ("target", "median", "verdict"),
    [
        ("POS", 50.0, "met"),
        ("POS", 49.0, "**not met**"),
        ("mc-dropout", 18.0, "met"),
        ("mc-dropout", 18.5, "**not met**"),
        ("POS", math.nan, "**not met**"),
    ],
)
def test_verdicts_follow_the_bound(saved, target, median, verdict):
    run = saved(a=1.0, extra_info={"ratios": [ratio(target, median)]})
    row = row_of(results_page(run), TARGETS[target].what)
    assert row.endswith(f"| {verdict} |")
    assert TARGETS[target].wanted in row


def test_every_target_has_a_row_and_says_when_it_was_not_measured(saved):
    page = results_page(saved(a=1.0))
    for target in TARGETS.values():
        assert row_of(page, target.what).endswith("| not measured |")


def test_a_skipped_target_says_why(saved):
    skipped = {"test_inference[72-1], bfloat16": "no such instructions"}
    page = results_page(replace(saved(a=1.0), skipped=skipped))
    assert "(no such instructions) |  | not measured" in row_of(page, "STREAM-Net in bfloat16")
    assert "| `test_inference[72-1], bfloat16` | no such instructions |" in page
    assert "(no such" not in row_of(page, "STREAM-Net in float32")


def test_a_part_of_a_skipped_benchmark_says_why(saved):
    skipped = {"test_network.py::test_inference[72-1]": "left out by --quick"}
    page = results_page(replace(saved(a=1.0), skipped=skipped))
    for precision in ("bfloat16", "float32"):
        assert "(left out by --quick)" in row_of(page, f"STREAM-Net in {precision}")


def test_machine_versions_and_command(saved):
    page = results_page(replace(saved(a=1.0), quick=True, options=("--quick",)))
    for said in (
        "`streamnet bench --toolbox rPPG-Toolbox --quick` (quick: fewer rounds, shorter videos)",
        "Made-up 9, 2 cores",
        "avx2", "90 GFLOP/s", "23.5 GB", "0.1, 0.2, 0.3", "Python 3.11.7, torch 2.13.0",
        "commit abc",        "commit d807b0174d", "2026-01-01",
    ):  # fmt: skip
        assert said in page


def test_a_run_without_a_toolbox_says_so(saved):
    run = saved(a=1.0)
    page = results_page(replace(run, machine={**run.machine, "toolbox_commit": None}))
    assert row_of(page, "rPPG-Toolbox") == "| rPPG-Toolbox | not measured |"


def test_a_suite_is_a_table_with_ratios_both_sides_and_figures(saved):
    extra = {"ratios": [ratio(None, 4.0)], "figures": {"memory, MB": 12345.6}, "shown": {"x": 1}}
    run = saved(**{"test_x[a|b]": 0.0023}, noise=0.01, group="a suite", extra_info=extra)
    page = results_page(run)
    assert "## A suite" in page
    assert row_of(page, "`x[a\\|b]`") == (
        "| `x[a\\|b]` | 2.3 ms (24.1 us) | 5 | beside it: 4 [3.5, 4.5] (2 and 8 ms) "
        "| memory, MB: 12,346<br>x: 1 |"
    )


def test_one_round_has_no_spread_and_other_rounds_are_told(saved):
    once = ratio("POS", 963.0) | {"rounds": 1}
    page = results_page(saved(a=1.0, extra_info={"ratios": [once]}))
    assert "beside it: 963 (2 and 8 ms; 1 round)" in row_of(page, "`a`")
    assert "| 963 | 1 | met |" in row_of(page, TARGETS["POS"].what)
    assert row_of(results_page(saved(a=1.0, rounds=1)), "`a`").startswith("| `a` | 1 s | 1 |")


def test_what_failed_is_never_met(saved):
    run = saved(**{"test_method[POS-1800]": 1.0}, extra_info={"ratios": [ratio("POS", 99.0)]})
    failed = {
        "test_classical.py::test_method[POS-1800]": "AssertionError: not equal",
        "test_network.py::test_inference[72-1]": "RuntimeError: none",
    }
    page = results_page(replace(run, failed=failed))
    for target in ("POS", "network-float32", "network-bfloat16"):
        row = row_of(page, TARGETS[target].what)
        assert row.endswith("|  |  | **FAILED** |")
    assert row_of(page, "`method[POS-1800]`").startswith("| `method[POS-1800]` **FAILED** |")
    assert "| `test_method[POS-1800]` | AssertionError: not equal |" in page
    assert "## Failed" in page
    assert "## Failed" not in results_page(run)


def test_a_ratio_without_another_side_names_none(saved):
    run = saved(a=1.0, extra_info={"ratios": [ratio("help", 0.3, theirs=math.nan)]})
    assert "beside it: 0.3 [-0.2, 0.8] |" in row_of(results_page(run), "`a`")


@pytest.mark.parametrize(
    ("seconds", "said"), [(12.34, "12.3 s"), (0.0123, "12.3 ms"), (3e-7, "0.3 us"), (0.0, "0 us")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said
