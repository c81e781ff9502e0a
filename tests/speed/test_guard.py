"""Runs compared with earlier ones: noise is none, a slow-down is named."""

from __future__ import annotations

import json

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
    assert guard.lines() == ["2 benchmarks compared, 0 slower than noise."]


@pytest.mark.parametrize(("now", "slower"), [(1.09, []), (1.2, ["a"]), (0.5, [])])
def test_a_tenth_is_noise_where_rounds_agree(saved, now, slower):
    guard = compare(saved(a=now), saved(a=1.0))
    assert names(guard.slower) == slower
    assert guard.within == () or guard.within[0].ratio == now


@pytest.mark.parametrize(("rounds", "slower"), [(5, []), (500, ["a"])])
def test_noisy_rounds_need_more_of_a_change(saved, rounds, slower):
    """IQR 0.27: 0.2 SD; of 5 rounds the median is sure to 0.11, of 500 to 0.011."""
    noisy = {"iqr": 0.2698, "rounds": rounds}
    assert names(compare(saved(a=1.3, **noisy), saved(a=1.0, **noisy)).slower) == slower


def test_standard_error_counts_where_quartiles_agree(saved):
    assert saved(a=1.0, iqr=0.0, stddev=0.4, rounds=4).timings["a"].relative_error == (
        pytest.approx(1.2533 * 0.2)
    )


def test_one_round_says_nothing_about_noise(saved):
    guard = compare(saved(a=5.0, rounds=1), saved(a=1.0))
    assert guard.slower == ()
    assert guard.unclear == ("a",)
    assert "fewer than 3 rounds: a" in guard.lines()[1]


def test_benchmarks_of_one_run_only_are_named(saved):
    guard = compare(saved(a=1.0, c=1.0), saved(a=1.0, b=9.0))
    assert (guard.gone, guard.new) == (("b",), ("c",))
    assert guard.lines()[1:] == ["missing in this run: b", "not in the earlier run: c"]


def test_a_slower_one_is_said_with_its_bound(saved):
    lines = compare(saved(a=2.0), saved(a=1.0)).lines()
    assert lines[1] == "SLOWER a: 2.00 times as long; noise would be up to 1.10."


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


@pytest.mark.parametrize(
    "spoil",
    [
        lambda tree: tree.pop("streamnet"),
        lambda tree: tree.pop("benchmarks"),
        lambda tree: tree["benchmarks"][0]["stats"].pop("iqr"),
        lambda tree: tree["benchmarks"][0]["stats"].update(median=0.0),
        lambda tree: tree["benchmarks"][0]["extra_info"].update(ratios=[{"what": "x"}]),
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
