"""What is written and shown of an update."""

from __future__ import annotations

import csv
import errno
import io
import os
import sys

import numpy as np
import pytest
from rich.console import Console

from streamnet_plugin.errors import OutputError, StreamnetError
from streamnet_plugin.live import view
from streamnet_plugin.live.record import Recorder
from streamnet_plugin.live.session import MEASURING, NO_FACE, Update
from streamnet_plugin.live.view import Lines, Terminal, Window, headline, picture, waveform_rows

WAVE = np.sin(np.arange(300) / 4)
READ = Update(12.0, 10.0, "", 30.0, 3, 71.84, 2.1, None, WAVE, latency_s=0.0432)
INTERVAL = Update(12.0, 10.0, "", 30.0, 0, 71.84, 2.1, 5.0, WAVE)
UNKNOWN = Update(12.0, 10.0, "", 30.0, 0, 71.84, 2.1, float("inf"), WAVE)
WITHHELD = Update(12.0, 10.0, "light flickers", 30.0, 0, 84.0, 0.8, None, WAVE)
AWAY = Update(13.0, 0.0, NO_FACE, 15.0, 0, notes=("low frame rate: 15.0 per second",))


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (READ, "HR 71.8 bpm, spread 2.1 bpm, no interval"),
        (INTERVAL, "HR 71.8 bpm, 90 % interval 66.8-76.8 bpm"),
        (UNKNOWN, "HR 71.8 bpm, spread 2.1 bpm, 90 % interval unknown (too few subjects in the "
                  "calibrator)"),
        (WITHHELD, "withheld, light flickers (it would be 84.0 bpm, spread 0.8 bpm, no interval)"),
        (AWAY, "no heart rate: no face"),
        (Update(3.0, 2.0, MEASURING, 30.0, 0), "measuring: 2.0 of at least 5 s"),
    ],
)  # fmt: skip
def test_the_headline_says_what_is_known(update, text):
    assert headline(update) == text


def test_without_a_terminal_each_update_is_one_plain_line():
    said = []
    with Lines(said.append) as view:
        assert view.frame(np.zeros((4, 4, 3), np.uint8), None)
        view.update(READ)
        view.update(AWAY)
    assert "\n" not in said[0]
    assert said[0].endswith("[window 10.0 s, 30.0 fps, latency 43 ms, 3 lost]")
    assert "low frame rate: 15.0 per second" in said[1]


def test_the_terminal_shows_the_waveform():
    console = Console(record=True, width=80, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with Terminal(console) as view:
        view.update(READ)
        view.update(AWAY)
    shown = console.export_text()
    assert "HR 71.8 bpm" in shown
    assert "█" in shown
    assert "no heart rate: no face" in shown


def test_the_newest_values_are_at_the_right():
    rows = waveform_rows(np.repeat([2.5, 2.5, -2.5, 2.5, -2.5], 20), 5, 2)
    assert rows == ["██ █ ", "██▁█▁"]  # all of it, however long
    assert waveform_rows(np.array([2.5]), 4, 1) == ["   █"]


def test_the_window_frames_the_face_and_draws_the_pulse():
    frame = np.full((120, 160, 3), (10, 20, 30), np.uint8)
    plain, drawn = picture(frame, None, None), picture(frame, (20, 20, 60, 60), READ)
    assert plain[0, 0].tolist() == [30, 20, 10]  # BGR
    assert drawn[20, 50].tolist() == [0, 200, 0]
    assert picture(frame, (20, 20, 60, 60), WITHHELD)[20, 50].tolist() == [0, 0, 220]
    assert drawn[160:].any()
    assert not plain[120:].any()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="X11")
@pytest.mark.parametrize("display", [None, "localhost:59000"])
def test_a_window_without_a_screen_is_refused(monkeypatch, display):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    with pytest.raises(StreamnetError, match=r"no screen for --show: .*could not connect"):
        Window()


@pytest.mark.parametrize(
    ("comes", "says"),
    [
        ("import time; time.sleep(60)", "no screen for --show: it does not answer"),
        ("import os; os.abort()", "no screen for --show: its window system fails"),
        (f"import sys; sys.exit({view.CANNOT_SHOW})", "OpenCV cannot open a window"),
    ],
)
def test_what_stops_a_window_is_known_before_anything_begins(monkeypatch, comes, says):
    if "sleep" in comes:
        monkeypatch.setattr(view, "SCREEN_S", 0.2)
    monkeypatch.setattr(view, "TRY_WINDOW", comes)
    with pytest.raises(StreamnetError, match=says):
        Window()


def test_a_terminal_that_was_closed_costs_nothing_else():
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError(errno.EIO, "Input/output error")

    page = Terminal(Console(file=io.StringIO(), force_terminal=True, width=80))
    with page:
        page.update(READ)
        page.console.file = Closed()
        page.update(READ)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_is_in_the_file_as_soon_as_it_is_known(tmp_path):
    with Recorder(tmp_path / "new" / "me.csv") as recorder:
        for n, update in enumerate((INTERVAL, READ, WITHHELD, AWAY), 1):
            recorder.update(update)
            assert len(rows_of(recorder.path)) == n
    interval, read, withheld, away = rows_of(recorder.path)
    assert (interval["low_bpm"], interval["high_bpm"]) == ("66.84", "76.84")
    assert (read["hr_bpm"], read["spread_bpm"], read["trusted"]) == ("71.84", "2.10", "1")
    assert (read["low_bpm"], read["latency_ms"], read["frames_lost"]) == ("", "43.2", "3")
    assert (withheld["hr_bpm"], withheld["trusted"]) == ("84.00", "0")
    assert withheld["reason"] == "light flickers"
    assert (away["hr_bpm"], away["reason"], away["fps"]) == ("", NO_FACE, "15.00")
    assert away["notes"] == "low frame rate: 15.0 per second"


def test_an_older_file_is_kept(tmp_path):
    (tmp_path / "me.csv").write_text("mine")
    paths = []
    for _ in range(2):
        with Recorder(tmp_path / "me.csv") as recorder:
            paths.append(recorder.path.name)
    assert paths == ["me-2.csv", "me-3.csv"]
    assert (tmp_path / "me.csv").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another file with --output"):
        Recorder(tmp_path / "file" / "me.csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_what_is_no_file_is_refused_and_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(OutputError, match=r"need a file, and this is a folder.*--output"):
            Recorder(tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "pipe"]


def test_the_null_device_takes_the_rows():
    with Recorder(os.devnull) as recorder:
        recorder.update(READ)
    assert str(recorder.path) == os.devnull


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
def test_a_full_disk_is_one_error(tmp_path):
    """Closing the file fails like the row before."""
    recorder = Recorder(tmp_path / "me.csv")
    recorder._file.close()
    recorder._file = open("/dev/full", "w")  # noqa: SIM115
    recorder._writer = csv.writer(recorder._file)
    with pytest.raises(OutputError, match="free disk space"), recorder:
        recorder.update(READ)
