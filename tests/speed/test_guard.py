"""Runs compared with earlier ones: noise is none, a slow-down is named."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from streamnet_plugin.errors import ConfigError
from streamnet_plugin.speed.guard import check_comparable, compare, differences
from streamnet_plugin.speed.saved import read_saved


def names(changes):
    return [change.name for change in changes]


def test_the_same_run_is_not_slower_than_itself(saved):
    guard = compare(saved(a=1.0, b=2.0), saved(a=1.0, b=2.0))
    assert guard.slower == ()
    assert names(guard.within) == ["a", "b"]
    assert guard.passed
    assert guard.lines() == ["2 measurements compared: 0 slower, 0 worse than noise."]


@pytest.mark.parametrize(("now", "slower"), [(1.09, []), (1.2, ["a"]), (0.5, [])])
def test_a_tenth_is_noise_where_rounds_agree(saved, now, slower):
    guard = compare(saved(a=now), saved(a=1.0))
    assert names(guard.slower) == slower
    assert guard.within == () or guard.within[0].ratio == now


@pytest.mark.parametrize(("rounds", "slower"), [(5, []), (500, ["a"])])
def test_noisy_rounds_need_more_of_a_change(saved, rounds, slower):
    """SD 0.25: of 5 rounds the median is sure to 0.14, of 500 to 0.014."""
    noisy = {"noise": 0.25, "rounds": rounds}
    assert names(compare(saved(a=1.3, **noisy), saved(a=1.0, **noisy)).slower) == slower


def test_noise_that_hides_a_slow_down_is_no_comparison(saved):
    noisy = compare(saved(a=1.3, b=1.0, noise=0.5), saved(a=1.0, b=0.1, noise=0.5))
    assert names(noisy.slower) == ["b"]  # which shows all the same
    assert names(noisy.noisy) == ["a"]
    assert noisy.compared == 1
    assert not noisy.passed
    assert "NOT COMPARED, of such noise that little would show: a (up to 1.62" in noisy.lines()[2]


def rounds_of(saved, seconds):
    return saved(a=1.0, extra_info={"seconds": [float(s) for s in seconds]})


@pytest.mark.parametrize(
    ("before", "now"),
    [([1, 1, 3], [2, 2, 9]), ([1, 1.1, 3], [2, 2.2, 9]), ([9, 1, 1], [2.1, 2.1, 2])],
)
def test_a_slow_round_hides_no_slow_down(saved, before, now):
    assert names(compare(rounds_of(saved, now), rounds_of(saved, before)).slower) == ["a"]
    assert compare(rounds_of(saved, before), rounds_of(saved, before)).passed


@pytest.mark.parametrize("rounds", [3, 5, 7, 15])
def test_noise_of_a_tenth_is_seldom_a_slow_down_and_hides_none(saved, rounds):
    rng = np.random.default_rng(rounds)
    template = saved(a=1.0)

    def passes(factor):
        now, before = (
            replace(template, timings={"a": replace(template.timings["a"], seconds=tuple(s))})
            for s in (factor * rng.normal(1, 0.1, rounds), rng.normal(1, 0.1, rounds))
        )
        return compare(now, before).passed

    assert np.mean([passes(1) for _ in range(500)]) >= 0.95
    assert np.mean([passes(1.5) for _ in range(500)]) <= 0.05
    assert not any(passes(2) for _ in range(500))


def test_what_failed_in_this_run_is_not_compared(saved):
    failures = {"test_x.py::a": "AssertionError: unequal", "test_x.py::c": "RuntimeError"}
    guard = compare(
        replace(saved(**{"a": 1.0, "a, bfloat16": 1.0, "b": 1.0}), failed=failures),
        saved(**{"a": 1.0, "a, bfloat16": 1.0, "b": 1.0}),
    )
    assert names(guard.within) == ["b"]
    assert not guard.passed
    assert guard.lines()[1] == (
        "NOT COMPARED, failed: c (RuntimeError), a (AssertionError: unequal), "
        "a, bfloat16 (AssertionError: unequal)"
    )


def test_an_earlier_run_that_failed_is_refused(saved):
    before = replace(saved(a=1.0, b=1.0), failed={"test_x.py::a": "AssertionError"})
    with pytest.raises(ConfigError, match="1 benchmark of it failed"):
        check_comparable(before.machine, False, before)
    forced = compare(saved(a=9.0, b=1.0), before)
    assert forced.failed == ("a (AssertionError)",)
    assert not forced.passed


def test_one_round_says_nothing_about_noise(saved):
    guard = compare(saved(a=5.0, rounds=1), saved(a=1.0))
    assert guard.slower == ()
    assert guard.unclear == ("a",)
    assert not guard.passed
    assert "fewer than 3 rounds: a" in guard.lines()[1]
    assert "NOTHING could be compared" in guard.lines()[2]


def test_benchmarks_of_one_run_only_are_named(saved):
    guard = compare(saved(a=1.0, c=1.0), saved(a=1.0, b=9.0))
    assert (guard.gone, guard.new) == (("b",), ("c",))
    assert not guard.passed
    assert guard.lines()[1:] == [
        "NOT COMPARED, missing in this run: b", "not in the earlier run: c"
    ]  # fmt: skip


def test_a_new_benchmark_is_no_failure(saved):
    assert compare(saved(a=1.0, c=1.0), saved(a=1.0)).passed


def test_what_was_not_asked_for_is_not_missed(saved):
    now = replace(saved(a=1.0), deselected=frozenset({"b"}))
    guard = compare(now, saved(**{"a": 1.0, "b": 9.0, "b, bfloat16": 5.0}))
    assert guard.passed
    assert "2 benchmarks of the earlier run left out" in guard.lines()[1]


def test_two_runs_of_different_parts_are_no_comparison(saved):
    guard = compare(replace(saved(a=1.0), deselected=frozenset({"b"})), saved(b=9.0))
    assert guard.gone == guard.unclear == ()
    assert not guard.passed
    assert guard.lines()[-1] == "NOTHING could be compared: the guard has seen nothing."


def test_a_skipped_benchmark_says_why(saved):
    now = replace(saved(a=1.0), skipped={"test_x.py::b": "takes minutes"})
    assert compare(now, saved(a=1.0, b=9.0)).gone == ("b (takes minutes)",)


@pytest.mark.parametrize(
    ("figure", "before", "now", "worse"),
    [
        ("ours, peak RSS of the largest process, MB", 100.0, 109.0, False),
        ("ours, peak RSS of the largest process, MB", 100.0, 120.0, True),
        ("ours, peak RSS of the largest process, MB", 120.0, 60.0, False),
        ("ours, cached bytes per frame", 15_564.0, 31_000.0, True),
        ("ours, MMAC/frame", 53.0, 106.0, True),
        ("latency", 0.1, 0.2, True),
        ("latency median, ms", 80.0, 90.0, False),
        ("latency 95 %, ms", 80.0, 160.0, True),
        ("latency max, ms", 80.0, 800.0, False),  # of one frame
        ("10 recordings, CPU s", 30.0, 60.0, True),
        ("frames/s", 30.0, 15.0, True),
        ("frames/s", 30.0, 60.0, False),
        ("frames lost, %", 0.0, 0.0, False),
        ("frames lost, %", 0.0, 0.13, False),  # one of them
        ("frames lost, %", 0.0, 1.3, True),
        ("frames lost, %", 2.0, 4.0, True),
        ("frames lost, %", 0.0, math.nan, True),
        ("HR error, bpm", 0.5, 5.0, True),
        ("ours, MB", 100.0, math.nan, True),
        ("updates", 24.0, 12.0, False),
    ],
)
def test_figures_are_compared_by_their_units(saved, figure, before, now, worse):
    """Where one round says nothing about the time's noise, too."""
    now, before = (
        saved(a=t, rounds=1, extra_info={"figures": {figure: value, "other, MB": 1.0}})
        for t, value in ((9.0, now), (1.0, before))
    )
    guard = compare(now, before)
    assert names(guard.worse) == [f"a: {figure}"] * worse
    assert guard.passed != worse
    assert guard.slower == guard.unclear == ()
    assert ("WORSE a: " in "".join(guard.lines())) == worse


def test_a_figure_that_is_gone_is_missed(saved):
    old = saved(a=1.0, extra_info={"figures": {"ours, MB": 1.0}})
    assert compare(saved(a=1.0), old).gone == ("a: ours, MB",)


def test_what_is_only_shown_is_not_compared(saved):
    runs = [saved(a=1.0, extra_info={"shown": {"TS-CAN, memory, MB": mb}}) for mb in (9.0, 1.0)]
    guard = compare(*runs)
    assert guard.passed
    assert guard.compared == 1


def test_times_are_those_beside_the_work(saved):
    """With 20 ms on the way to another process and back, six times 50 us would be nothing."""
    slow, fast = (
        saved(a=0.020 + s, extra_info={"seconds": [s, 1.01 * s, 0.99 * s]}) for s in (3e-4, 5e-5)
    )
    assert fast.timings["a"].median == 5e-5
    assert fast.timings["a"].rounds == 3
    assert fast.timings["a"].iqr == pytest.approx(5e-7)
    (change,) = compare(slow, fast).slower
    assert change.ratio == pytest.approx(6)


def test_what_was_timed_in_the_same_turns_is_compared_by_itself(saved):
    def run(seconds):
        part = {"seconds": [seconds] * 3, "figures": {"ours, MB": 5.0}}
        return saved(a=1.0, extra_info={"seconds": [1.0] * 3, "parts": {"bfloat16": part}})

    guard = compare(run(0.9), run(0.3))
    assert names(guard.slower) == ["a, bfloat16"]
    assert names(guard.within) == ["a", "a, bfloat16: ours, MB"]


def test_a_slower_one_is_said_with_its_bound(saved):
    lines = compare(saved(a=2.0), saved(a=1.0)).lines()
    assert lines[1] == "SLOWER a: 2.00 times as long; noise would be up to 1.16."


@pytest.mark.parametrize(
    ("key", "value"), [("cpu", "another"), ("cores", 64), ("instructions", []), ("memory_gb", 4.0)]
)
def test_another_machine_is_refused(saved, key, value):
    before = saved(a=1.0)
    now = {**before.machine, key: value}
    assert len(differences(now, before.machine)) == 1
    with pytest.raises(ConfigError, match=f"{key} is .*, was") as error:
        check_comparable(now, False, before)
    assert "--force" in str(error.value)


def test_the_same_machine_at_another_time_is_not_refused(saved):
    before = saved(a=1.0)
    check_comparable({**before.machine, "load": [9.0], "date": "later"}, False, before)


def test_shorter_inputs_are_refused(saved):
    with pytest.raises(ConfigError, match="--quick is given"):
        check_comparable(saved(a=1.0).machine, True, saved(a=1.0))


@pytest.mark.parametrize(("speed", "refused"), [(80.0, False), (100.0, False), (45.0, True)])
def test_a_machine_that_is_half_as_fast_is_refused(saved, speed, refused):
    before = saved(a=1.0)
    found = differences({**before.machine, "gflops": speed}, before.machine)
    assert ["the machine is busy" in text for text in found] == [True] * refused


def test_a_run_beside_the_toolbox_is_not_one_without(saved):
    before = saved(a=1.0)
    with pytest.raises(ConfigError, match="the toolbox is not measured beside, was True"):
        check_comparable({**before.machine, "toolbox_commit": None}, False, before)
    check_comparable({**before.machine, "toolbox_commit": "another"}, False, before)


@pytest.mark.parametrize("spoil", [{"format": 2}, {"format": None}])
def test_times_of_another_way_are_refused(measured, tmp_path, spoil):
    tree = measured(a=1.0)
    tree["streamnet"].update(spoil)
    path = tmp_path / "before.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match="another version"):
        read_saved(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.pop("streamnet"),
        lambda tree: tree.pop("benchmarks"),
        lambda tree: tree["streamnet"].pop("failed"),
        lambda tree: tree["benchmarks"][0]["stats"].pop("data"),
        lambda tree: tree["benchmarks"][0]["stats"].update(data=[]),
        lambda tree: tree["benchmarks"][0]["stats"].update(data=[1.0, 0.0]),
        lambda tree: tree["benchmarks"][0]["extra_info"].update(ratios=[{"what": "x"}]),
        lambda tree: tree["benchmarks"][0].update(extra_info=[]),
        lambda tree: tree.update(streamnet=[]),
        lambda tree: tree["streamnet"].update(machine={}),
        lambda tree: tree["streamnet"].update(failed=["test_it"]),
    ],
)
def test_files_that_are_no_measurements(measured, tmp_path, spoil):
    tree = measured(a=1.0)
    spoil(tree)
    path = tmp_path / "before.json"
    path.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match="no saved measurements") as error:
        read_saved(path)
    assert error.value.path == path


@pytest.mark.parametrize("content", ["", "{", "[]", "\xff"])
def test_files_that_are_no_json_or_another(tmp_path, content):
    path = tmp_path / "before.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="no saved measurements"):
        read_saved(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_saved(tmp_path / "none.json")
