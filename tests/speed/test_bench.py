"""`streamnet bench` from its options to its exit code; nothing is measured here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from streamnet_plugin import cli
from streamnet_plugin.errors import ConfigError, StreamnetError
from streamnet_plugin.speed import run as module
from streamnet_plugin.speed.machine import describe
from streamnet_plugin.speed.run import ROOT, bench, page_from
from streamnet_plugin.speed.saved import read_saved


@pytest.fixture
def checkout(tmp_path):
    """A source checkout whose suites are never run."""
    (tmp_path / "checkout/benchmarks").mkdir(parents=True)
    (tmp_path / "checkout/benchmarks/conftest.py").touch()
    return tmp_path / "checkout"


@pytest.fixture
def pytest_that(monkeypatch):
    """(exit code, measurements) -> pytest stands still; what it was called with is returned."""

    def stands_in(code, tree=None):
        seen = []

        def fake(command, cwd, env):
            seen.append((command, env))
            for option in command:
                if option.startswith("--benchmark-json=") and tree is not None:
                    Path(option.partition("=")[2]).write_text(json.dumps(tree))
            return SimpleNamespace(returncode=code)

        monkeypatch.setattr(module.subprocess, "run", fake)
        monkeypatch.setattr(module, "describe", lambda: tree and tree["streamnet"]["machine"])
        return seen

    return stands_in


def write(path, tree):
    path.write_text(json.dumps(tree))
    return path


def test_names_of_a_suite_are_collected(capfd):
    """The real suites, by the real pytest."""
    done = bench(keyword="startup", collect_only=True)
    assert done.passed
    assert done.saved is None
    said = capfd.readouterr().out
    assert "test_startup[streamnet --help]" in said
    assert "test_live" not in said


def test_what_matches_nothing_is_refused():
    with pytest.raises(ConfigError, match="no benchmark matches 'nonsense'") as error:
        bench(keyword="nonsense", collect_only=True)
    assert error.value.path == ROOT / "benchmarks"


def test_a_page_and_a_file_are_written(checkout, pytest_that, measured, tmp_path):
    tree = measured(a=1.0)
    tree["streamnet"].update(quick=True, options=["--quick"])
    seen = pytest_that(0, tree)
    done = bench(quick=True, save=tmp_path / "saved.json", root=checkout)
    assert done.written == (tmp_path / "saved.json", checkout / "benchmarks/RESULTS.md")
    assert json.loads((tmp_path / "saved.json").read_text()) == tree
    page = (checkout / "benchmarks/RESULTS.md").read_text()
    assert "`streamnet bench --toolbox rPPG-Toolbox --quick`" in page
    command, environment = seen[0]
    assert "--quick" in command
    assert environment["PYTHONPATH"].startswith(str(checkout))


STAMP = "Of the run of 2026-01-01T00:00+00:00, commit abcdef1."


@pytest.mark.parametrize(
    ("first", "shown"),
    [
        (STAMP, True),
        (STAMP.replace("2026-01-01", "2026-01-02"), False),
        (STAMP.replace("abcdef1", "abcdef2"), False),
        ("## Before", False),
    ],
)
def test_the_page_ends_with_what_a_person_concluded_of_this_run(
    checkout, pytest_that, measured, first, shown
):
    (checkout / "benchmarks/NOTES.md").write_text(f"{first}\n\n## Limits\n\nMemory.\n")
    tree = measured(a=1.0)
    tree["streamnet"]["machine"] = tree["streamnet"]["machine"] | {"commit": "abcdef1234"}
    pytest_that(0, tree)
    bench(root=checkout)
    page = (checkout / "benchmarks/RESULTS.md").read_text()
    assert page.startswith("# Measured")
    assert page.endswith(f"{first}\n\n## Limits\n\nMemory.\n") == shown
    assert page.endswith("\n\nNotes on another run are in `benchmarks/NOTES.md`.\n") != shown


def test_the_notes_of_the_repository_name_the_run_of_its_page():
    notes, page = ((ROOT / "benchmarks" / name).read_text() for name in ("NOTES.md", "RESULTS.md"))
    stamp = module.STAMP.match(notes)
    same = f"| date | {stamp['date']} |" in page and f"commit {stamp['commit']}" in page
    assert page.endswith(notes if same else "Notes on another run are in `benchmarks/NOTES.md`.\n")


def test_a_page_is_written_anew_from_what_was_saved(
    checkout, pytest_that, measured, tmp_path, monkeypatch
):
    """After the notes on it were written: nothing is measured."""
    tree = measured(a=1.0)
    tree["streamnet"]["machine"] = tree["streamnet"]["machine"] | {"commit": "abcdef1234"}
    tree["streamnet"]["options"] = ["--slow"]
    seen = pytest_that(0)
    monkeypatch.setattr(module, "page_from", partial(page_from, root=checkout))
    saved = write(tmp_path / "saved.json", tree)
    (checkout / "benchmarks/NOTES.md").write_text(f"{STAMP}\n\nAll is well.\n")
    page = checkout / "benchmarks/RESULTS.md"
    result = CliRunner().invoke(cli.app, ["bench", "--from", str(saved)])
    assert result.exit_code == 0
    assert f"Written: {page}" in result.output
    assert "`streamnet bench --toolbox rPPG-Toolbox --slow`" in page.read_text()
    assert page.read_text().endswith("All is well.\n")
    other = tmp_path / "other.md"
    CliRunner().invoke(cli.app, ["bench", "--from", str(saved), "-o", str(other)])
    assert other.read_text() == page.read_text()
    assert seen == []


def test_from_what_was_saved_nothing_is_measured(tmp_path):
    result = CliRunner().invoke(cli.app, ["bench", "--from", str(tmp_path / "x"), "--quick"])
    assert result.exit_code != 0
    assert "--from measures nothing" in str(result.exception)


def test_a_benchmark_that_fails_behind_its_times_is_saved_as_failed(tmp_path):
    """By the suites' own conftest, and the real pytest."""
    for name in ("conftest.py", "beside.py", "side.py"):
        (tmp_path / name).write_text((ROOT / "benchmarks" / name).read_text())
    (tmp_path / "test_it.py").write_text(
        "def test_it(benchmark):\n"
        "    benchmark.pedantic(lambda: None, rounds=3)\n"
        "    assert 1 == 2, 'unequal'\n"
        "def test_good(benchmark):\n"
        "    benchmark.pedantic(lambda: None, rounds=3)\n"
    )
    measured = tmp_path / "measured.json"
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    alone["PYTHONPATH"] = str(ROOT)
    code = subprocess.call(
        [sys.executable, "-m", "pytest", str(tmp_path), "-q", "-p", "no:xdist", "-k", "it or good",
         "--rootdir", str(tmp_path), "--quick", f"--benchmark-json={measured}"],
        env=alone, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert code == 1
    saved = read_saved(measured)
    assert sorted(saved.timings) == ["test_good", "test_it"]
    assert saved.why_failed("test_it").startswith("AssertionError: unequal")
    assert not saved.why_failed("test_good")
    assert saved.options == ("--quick", "-k", "it or good")


def test_a_part_does_not_replace_the_page_of_the_whole(checkout, pytest_that, measured, tmp_path):
    pytest_that(0, measured(a=1.0))
    assert bench(keyword="a", root=checkout).written == ()
    page = tmp_path / "part.md"
    assert bench(keyword="a", output=page, root=checkout).written == (page,)


def test_failed_benchmarks_are_told_and_the_others_kept(checkout, pytest_that, measured):
    pytest_that(1, measured(a=1.0))
    done = bench(root=checkout)
    assert not done.passed
    assert list(done.saved.timings) == ["a"]


def test_all_skipped_is_no_error(checkout, pytest_that):
    pytest_that(0)
    assert bench(root=checkout).saved is None


def test_an_installed_package_has_no_suites(tmp_path):
    with pytest.raises(ConfigError, match="does not hold them") as error:
        bench(root=tmp_path)
    assert "source checkout" in str(error.value)


def test_pytest_is_needed(checkout, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pytest is not installed"):
        bench(root=checkout)


def test_what_is_no_toolbox_is_refused(checkout, tmp_path, pytest_that):
    seen = pytest_that(0)
    with pytest.raises(ConfigError, match="no rPPG-Toolbox checkout") as error:
        bench(toolbox=tmp_path, root=checkout)
    assert error.value.path == tmp_path
    assert seen == []


def test_a_toolbox_reaches_the_suites(checkout, tmp_path, pytest_that):
    (tmp_path / "main.py").touch()
    seen = pytest_that(0)
    bench(toolbox=tmp_path, root=checkout)
    assert seen[0][1]["RPPG_TOOLBOX"] == str(tmp_path)


def test_broken_pytest_is_an_error(checkout, pytest_that):
    pytest_that(3)
    with pytest.raises(StreamnetError, match="ended with 3"):
        bench(root=checkout)


def test_another_machine_is_refused_before_anything_runs(checkout, pytest_that, measured, tmp_path):
    seen = pytest_that(0, measured(a=1.0))
    other = measured(a=1.0)
    other["streamnet"]["machine"] = {**other["streamnet"]["machine"], "cores": 64}
    before = write(tmp_path / "before.json", other)
    with pytest.raises(ConfigError, match="cores is 2, was 64"):
        bench(against=before, root=checkout)
    assert seen == []
    assert bench(against=before, force=True, root=checkout).guard.slower == ()


@pytest.mark.parametrize(("now", "code"), [(1.0, 0), (2.0, 1)])
def test_the_command_fails_when_something_became_slower(
    checkout, pytest_that, measured, tmp_path, monkeypatch, now, code
):
    pytest_that(0, measured(a=now))
    monkeypatch.setattr(module, "_suites", lambda root: checkout / "benchmarks")
    before = write(tmp_path / "before.json", measured(a=1.0))
    result = CliRunner().invoke(cli.app, ["bench", "--against", str(before)])
    assert result.exit_code == code
    assert ("SLOWER a: 2.00 times" in result.output) == bool(code)
    assert f"Written: {checkout / 'benchmarks/RESULTS.md'}" in result.output


def test_the_command_fails_when_nothing_could_be_compared(
    checkout, pytest_that, measured, tmp_path, monkeypatch
):
    pytest_that(0, measured(a=1.0, rounds=2))
    monkeypatch.setattr(module, "_suites", lambda root: checkout / "benchmarks")
    before = write(tmp_path / "before.json", measured(a=1.0, rounds=2))
    result = CliRunner().invoke(cli.app, ["bench", "--against", str(before)])
    assert result.exit_code == 1
    assert "NOTHING could be compared" in result.output


def test_all_skipped_is_an_error_where_an_earlier_run_measured(
    checkout, pytest_that, measured, tmp_path, monkeypatch
):
    pytest_that(0)
    before = measured(a=1.0)
    monkeypatch.setattr(module, "describe", lambda: before["streamnet"]["machine"])
    done = bench(against=write(tmp_path / "before.json", before), root=checkout)
    assert done.guard.gone == ("a",)
    assert not done.guard.passed


def test_another_speed_is_refused_before_anything_runs(checkout, pytest_that, measured, tmp_path):
    seen = pytest_that(0, measured(a=1.0))
    other = measured(a=1.0)
    other["streamnet"]["machine"] = {**other["streamnet"]["machine"], "gflops": 180.0}
    before = write(tmp_path / "before.json", other)
    with pytest.raises(ConfigError, match="at 90 GFLOP/s, ran at 180") as error:
        bench(against=before, root=checkout)
    assert "does nothing else" in str(error.value)
    assert seen == []


def test_a_toolbox_is_changed_where_a_module_of_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("RPPG_TOOLBOX", str(tmp_path))
    assert describe()["toolbox_commit"] == "unknown"

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True)

    (tmp_path / "deep").mkdir()
    for name in ("main.py", "deep/model.py", "weights.pth"):
        (tmp_path / name).touch()
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    (tmp_path / "weights.pth").unlink()
    (tmp_path / "new.py").touch()
    commit = describe()["toolbox_commit"]
    assert len(commit) == 10
    (tmp_path / "deep/model.py").unlink()
    assert describe()["toolbox_commit"] == f"{commit}+"


def test_this_machine_can_be_described():
    found = describe()
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] >= 1
    assert found["gflops"] > 0
    assert found["python"] == sys.version.split()[0]
    assert found["packages"]["numpy"][0].isdigit()
