"""Several results in one table, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.report.merge import merge, read_and_merge, source_labels
from streamnet_plugin.report.results import BenchmarkResults, FailureRow
from streamnet_plugin.report.writer import to_json, write_results
from streamnet_plugin.statistics.results import Analysis

ONE, TWO, THREE = Path("/runs/one"), Path("/runs/two"), Path("/runs/three")


@pytest.fixture
def net(build):
    return build({"net": {"s1": (1.0, 2.0), "s2": (3.0, 4.0)}}, notes=("net note",))


@pytest.fixture
def pos(build):
    return build({"POS": {"s1": (5.0, 6.0), "s2": (7.0, None)}}, notes=("shared", "pos note"))


def methods(results):
    return [s.method for s in results.summaries]


def test_methods_of_both_with_all_that_was_said(net, pos):
    net = replace(net, notes=("shared", *net.notes), failures=(FailureRow("s9", "/v", "no", "x"),))
    pos = replace(pos, failures=(FailureRow("s2", "/w", "dark", "y", "POS"),))
    merged = merge([(ONE, net), (TWO, pos)])
    assert methods(merged) == ["net", "POS"]
    assert merged.rows == (*net.rows, *pos.rows)
    assert merged.summaries == (*net.summaries, *pos.summaries)
    assert merged.notes == ("shared", "runs/one: net note", "runs/two: pos note")
    assert [(f.recording, f.reason) for f in merged.failures] == [
        ("s9", "no (in runs/one)"), ("s2", "dark")
    ]  # fmt: skip
    assert merged.provenance["sources"] == [
        {"source": "runs/one", "path": "/runs/one", "title": "PURE", "provenance": net.provenance},
        {"source": "runs/two", "path": "/runs/two", "title": "PURE", "provenance": pos.provenance},
    ]
    assert merged.title == "PURE"
    assert merged.analysis is None


def test_the_analysis_is_made_of_the_whole(net, pos):
    seen = []

    def analyse(results: BenchmarkResults) -> Analysis:
        seen.append(methods(results))
        return Analysis(0.95, ())

    assert merge([(ONE, net), (TWO, pos)], analyse).analysis == Analysis(0.95, ())
    assert merge([(ONE, net)], analyse).analysis == Analysis(0.95, ())
    assert seen == [["net", "POS"], ["net"]]


def test_one_source_stays_as_it_is(analysed):
    assert merge([(ONE, analysed)]) is analysed


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"convention": "neurips-2023 (0.75-2.5 Hz)"},
            r"convention: toolbox-2025 .* in runs/one and runs/three, neurips-2023 .* in runs/two",
        ),
        ({"hr_method": "Peak"}, "HR method: FFT in runs/one and runs/three, Peak in runs/two"),
        ({"window": "5 s windows"}, "window: 10 s windows in .*, 5 s windows in runs/two"),
    ],
)
def test_what_does_not_compare_is_refused_by_name(net, pos, changes, says):
    with pytest.raises(ConfigError, match=says):
        merge([(ONE, net), (TWO, replace(pos, **changes)), (THREE, net)])


def test_nothing_to_merge():
    with pytest.raises(ConfigError, match="no results"):
        merge([])


def test_equal_names_carry_their_source_in_rows_and_failures_too(net, build):
    other = build(
        {"net": {"s1": (2.0, 2.0), "s2": (3.0, 4.0)}, "POS": {"s1": (1.0, 1.0), "s2": (1.0, 1.0)}},
        failures=(FailureRow("s3", "/v", "dark", "x", "net"),),
    )
    merged = merge([(ONE, net), (TWO, other)])
    assert methods(merged) == ["net (runs/one)", "net (runs/two)", "POS"]
    assert {r.method for r in merged.rows} == set(methods(merged))
    assert [r.abs_error for r in merged.rows if r.method == "net (runs/two)"] == [2, 2, 3, 4]
    assert [f.method for f in merged.failures] == ["net (runs/two)"]


def test_the_same_rows_count_once(net, pos):
    slower = replace(net, summaries=(replace(net.summaries[0], seconds=99.0),))
    merged = merge([(ONE, net), (TWO, slower), (THREE, pos)])
    assert methods(merged) == ["net", "POS"]
    assert len(merged.rows) == 8
    assert "net: 4 rows of runs/two are in runs/one too; counted once." in merged.notes
    assert len(merged.provenance["sources"]) == 3


def test_a_part_of_the_rows_is_a_copy_and_its_failures_follow_its_name(net, build):
    rows = tuple(r for r in net.rows if r.subject == "s1")
    failed = FailureRow("s2", "/v", "lost", "x", "net")
    part = replace(net, rows=rows, failures=(failed,))
    other = build({"net": {"s1": (9.0, 9.0), "s2": (9.0, 9.0)}})
    merged = merge([(ONE, part), (TWO, net), (THREE, other)])
    assert methods(merged) == ["net (runs/two)", "net (runs/three)"]
    assert merged.failures == (replace(failed, method="net (runs/two)"),)
    assert sum(s.n_windows for s in merged.summaries) == 8


def test_rows_that_share_windows_but_not_numbers_are_no_copies(net):
    rows = (replace(net.rows[0], snr_db=7.0), *net.rows[1:])
    merged = merge([(ONE, net), (TWO, replace(net, rows=rows))])
    assert methods(merged) == ["net (runs/one)", "net (runs/two)"]


def test_other_videos_data_and_labels_are_told(net, build):
    fewer = build({"POS": {"s1": (1.0,)}}, provenance={"data_fingerprint": "g"})
    moved = tuple(replace(r, hr_label=72.5) for r in fewer.rows)
    notes = " ".join(merge([(ONE, net), (TWO, replace(fewer, rows=moved))]).notes)
    assert "Not the same videos: 1 are common to all methods, net has 2, POS has 1." in notes
    assert "Data fingerprints differ: f in runs/one, g in runs/two." in notes
    assert "different true HRs in 1 window, by up to 2.50 bpm" in notes


def test_fingerprints_of_saved_waveforms_say_nothing_of_the_videos(net, pos):
    saved = {"config": {"sources": ["x.csv"]}, "data_fingerprint": "waveforms"}
    notes = merge([(ONE, net), (TWO, replace(pos, provenance=saved))]).notes
    assert not any("fingerprint" in note for note in notes)


def test_same_data_needs_no_such_note(net, build):
    other = build({"POS": {"s1": (5.0, 6.0), "s2": (7.0, 8.0)}})
    assert merge([(ONE, net), (TWO, other)]).notes == ("runs/one: net note",)


def test_merged_results_merge_again_and_keep_every_provenance(net, pos, build, tmp_path):
    merged = merge([(ONE, net), (TWO, pos)])
    third = build({"LGI": {"s1": (1.0, 1.0), "s2": (1.0, 1.0)}})
    for name, results in (("first", merged), ("second", third)):
        write_results(results, tmp_path / name, plots=False)
    again = read_and_merge([tmp_path / "first", tmp_path / "second" / "results.json"])
    assert methods(again) == ["net", "POS", "LGI"]
    names = [entry["source"] for entry in again.provenance["sources"]]
    assert names == ["runs/one", "runs/two", f"{tmp_path.name}/second"]
    assert "runs/one" in to_json(again)


def test_a_folder_without_results_is_named(tmp_path):
    with pytest.raises(DataError) as error:
        read_and_merge([tmp_path])
    assert error.value.path == tmp_path / "results.json"


def test_labels_have_as_many_parents_as_tell_them_apart():
    assert source_labels([Path("/x/a/run"), Path("/y/a/run"), Path("/y/a/v1.2")]) == [
        "x/a/run", "y/a/run", "y/a/v1.2"
    ]  # fmt: skip
    assert source_labels([Path("/x/run/results.json")]) == ["x/run"]
    assert source_labels([Path("/x/run"), Path("/x/run")]) == ["x/run", "x/run"]


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), max_size=5))
def test_labels_are_distinct_where_paths_are(parts):
    paths = [Path("/nowhere", *names) for names in parts]
    labels = source_labels(paths)
    assert len(set(labels)) == len(set(paths))
    assert all(str(path).endswith(label) for path, label in zip(paths, labels, strict=True))
