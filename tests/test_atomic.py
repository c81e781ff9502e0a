"""Folders appear whole or not at all, whoever else makes the same ones."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from streamnet_plugin.atomic import (
    MAKING,
    appearing,
    discard,
    making,
    numbered,
    remove_leftovers,
)
from streamnet_plugin.errors import OutputError


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def fill(final, text):
    with appearing(final, "the thing", "use another.") as temporary:
        (temporary / "file").write_text(text)


def test_a_folder_appears_when_it_is_complete(tmp_path):
    final = tmp_path / "a" / "b"
    with appearing(final, "the thing", "use another.") as temporary:
        (temporary / "file").write_text("x")
        assert not final.exists()
    assert (final / "file").read_text() == "x"
    assert names(final.parent) == ["b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_is_interrupted_leaves_nothing(tmp_path, error):
    def interrupted():
        with appearing(tmp_path / "b", "the thing", "use another.") as temporary:
            (temporary / "file").write_text("x")
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == []


def test_the_first_of_two_is_kept(tmp_path):
    with appearing(tmp_path / "b", "the thing", "use another.") as temporary:
        (temporary / "file").write_text("second")
        fill(tmp_path / "b", "first")
    assert (tmp_path / "b" / "file").read_text() == "first"
    assert names(tmp_path) == ["b"]


def test_a_file_in_the_way_is_an_error(tmp_path):
    (tmp_path / "b").write_text("")
    with pytest.raises(OutputError, match=r"the thing cannot be written.*Remedy: use another\."):
        fill(tmp_path / "b", "x")
    assert names(tmp_path) == ["b"]


def test_numbers_go_up_and_nothing_is_replaced(tmp_path):
    for text in "xyz":
        with making(tmp_path / "r", "the thing", "use another.") as temporary:
            (temporary / "file").write_text(text)
            numbered(temporary, tmp_path / "r")
    assert [(tmp_path / n / "file").read_text() for n in ("r", "r-2", "r-3")] == ["x", "y", "z"]


def test_discarding_twice_is_no_error(tmp_path):
    fill(tmp_path / "b", "x")
    discard(tmp_path / "b")
    discard(tmp_path / "b")
    assert names(tmp_path) == []


def test_only_the_dead_processes_of_this_machine_leave_leftovers(tmp_path):
    script = "import os; print(os.getpid())"
    dead = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    here = "".join(c if c.isalnum() else "_" for c in platform.node())
    keep = [f"{MAKING}{os.getpid()}@{here}-x", f"{MAKING}{dead.stdout.strip()}@elsewhere0-x", "b"]
    for name in (*keep, f"{MAKING}{dead.stdout.strip()}@{here}-x", f"{MAKING}old"):
        (tmp_path / name).mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == sorted(keep)


SYNTH = "import sys; from streamnet_plugin import cli; cli.main()"


def test_two_runs_at_once_both_succeed(tmp_path):
    command = ["synth", "ubfc", str(tmp_path / "out"), "--subjects", "2", "--seconds", "2",
               "--size", "160x120", "--codec", "mjpg"]  # fmt: skip
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SYNTH, *command],
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for run in runs:
        error = run.communicate(timeout=300)[1]
        assert run.returncode == 0, error
    assert names(tmp_path / "out") == ["subject1", "subject2"]
