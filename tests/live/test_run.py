"""The command: the heart rate of a file, errors that help, and Ctrl-C."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from streamnet_plugin import cli, prediction
from streamnet_plugin.data.synthetic import easy
from streamnet_plugin.data.synthetic.writers import write_video
from streamnet_plugin.errors import (
    ConfigError,
    DataError,
    NoFaceError,
    NoResultError,
    StreamnetError,
)
from streamnet_plugin.live import run
from streamnet_plugin.live.run import LIVE_SAMPLES, LiveSettings, live
from streamnet_plugin.live.view import Lines, Terminal
from streamnet_plugin.model import engines
from streamnet_plugin.prediction import predict
from streamnet_plugin.uncertainty import window
from streamnet_plugin.uncertainty.calibration import CalibratorFile, save_calibrators
from streamnet_plugin.uncertainty.conformal import calibrate


@pytest.fixture
def settings(ubfc_subject, tmp_path):
    """A video of 10 s and 72 bpm, as fast as it can be read."""
    return LiveSettings(
        ubfc_subject / "vid.avi", method="POS", fast=True, output=tmp_path / "live.csv"
    )


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("method", ["STREAMNet", "POS"])
def test_the_heart_rate_is_the_true_one_and_that_of_predict(settings, monkeypatch, method, seen):
    monkeypatch.setattr(prediction, "MC_SAMPLES", 0)  # they cost most of the time
    summary = live(replace(settings, method=method), [seen])
    assert (summary.frames, summary.lost, summary.interrupted) == (300, 0, False)
    last = seen.updates[-1]
    assert last.trusted
    assert last.hr_bpm == pytest.approx(72, abs=2)
    assert last.hr_bpm == pytest.approx(predict(settings.video, method).hr_bpm, abs=1)
    rows = rows_of(summary.csv)
    assert len(rows) == len(seen.updates) == summary.updates == 9
    assert float(rows[-1]["hr_bpm"]) == pytest.approx(last.hr_bpm, abs=0.01)
    assert "9 updates: 5 trusted, 0 withheld, 4 without a heart rate" in summary.describe()


def test_the_engine_is_ready_before_the_first_frame(settings, monkeypatch):
    """torch.compile takes a minute, in which a camera would not wait."""
    events = []

    class Compiled:
        def __init__(self, model):
            self.model = model

        def __call__(self, frames):
            events.append("computed")
            return self.model(frames)

    monkeypatch.setattr(engines, "_Compiled", Compiled)
    opened = run.open_file
    monkeypatch.setattr(run, "open_file", lambda *a: events.append("opened") or opened(*a))
    wanted = replace(settings, method="STREAMNet", engine="compile", precision="float32")
    assert live(replace(wanted, duration_s=6.5)).trusted
    assert events[:2] == ["computed", "opened"]
    assert len(events) == 2 + 195 // 10


class Leaving:
    """A view whose window is closed after a second."""

    seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, update):
        pass

    def frame(self, frame, box):
        self.seen += 1
        return self.seen < 30


def test_a_person_who_closes_the_window_gets_a_summary(settings):
    summary = live(settings, [Leaving()])
    assert (summary.interrupted, summary.frames) == (True, 30)


def test_a_video_without_a_face_is_an_error_with_a_remedy(settings, tmp_path):
    dark = easy(7, width=320, height=240, duration_s=1.5, light=0.01)
    video = write_video(tmp_path / "dark.avi", dark)
    with pytest.raises(NoFaceError, match=r"no face in 1\.5 s.*show the face") as error:
        live(replace(settings, video=video))
    assert error.value.path == video
    assert [row["reason"] for row in rows_of(settings.output)] == ["no face"]


def test_a_video_too_short_is_an_error(settings):
    with pytest.raises(NoResultError, match=r"4\.0 s are too short.*20 s or more"):
        live(replace(settings, duration_s=4.0))


def calibrator(path, window="5 s windows", method="POS", sampled=()):
    made = CalibratorFile(
        {method: calibrate(np.full(12, 3.0), np.full(12, 2.0), [f"s{i}" for i in range(12)])},
        "toolbox-2025 (0.6-3.3 Hz)", window, sampled=frozenset(sampled),
    )  # fmt: skip
    save_calibrators(made, path)
    return path


def test_a_calibrator_of_the_same_windows_gives_intervals(settings, tmp_path, seen):
    file = calibrator(tmp_path / "c.json")
    summary = live(replace(settings, calibrator=file, window_s=5.0, duration_s=6.5), [seen])
    assert summary.seconds == pytest.approx(6.5, abs=0.05)  # the duration ends it
    last = seen.updates[-1]
    assert last.half_width_bpm == pytest.approx(last.spread_bpm + 1)
    low, high = rows_of(summary.csv)[-1]["low_bpm"], rows_of(summary.csv)[-1]["high_bpm"]
    assert (float(low), float(high)) == pytest.approx(last.interval, abs=0.01)


@pytest.mark.parametrize(
    ("made", "given", "says"),
    [
        ({"window": "whole videos"}, {}, "'whole videos', this run has '5 s windows'.*--window 5"),
        ({}, {"window_s": 10.0}, "'5 s windows', this run has '10 s windows'.*--window 10"),
        ({"method": "CHROM"}, {}, "does not know POS.*it knows CHROM"),
        ({"sampled": ["POS"]}, {}, "made with Monte Carlo samples of POS, live does it the other"),
        ({"method": "STREAMNet"}, {"method": "STREAMNet", "mc_samples": 3}, "made without Monte"),
    ],
)
def test_a_calibrator_of_something_else_is_refused(settings, tmp_path, made, given, says):
    file = calibrator(tmp_path / "c.json", **made)
    wanted = replace(settings, **{"calibrator": file, "window_s": 5.0, **given})
    with pytest.raises(ConfigError, match=says) as error:
        live(wanted)
    assert error.value.path == file
    assert not settings.output.exists()


def test_a_calibrator_made_with_samples_has_the_network_sampled(settings, tmp_path, monkeypatch):
    from streamnet_plugin.model import STREAMNetMethod, stream

    drawn = []
    monkeypatch.setattr(
        stream,
        "read_waveform",
        lambda model, n, frames, **options: (
            drawn.append(options["mc_samples"]),
            (np.ones(n), np.ones((options["mc_samples"], n))),
        )[1],
    )
    file = calibrator(tmp_path / "c.json", method=STREAMNetMethod.name, sampled=["STREAMNet"])
    wanted = replace(settings, method="streamnet", calibrator=file, window_s=5.0, duration_s=1.0)
    with pytest.raises(NoResultError):
        live(wanted)
    assert set(drawn) == {LIVE_SAMPLES}


def command(*arguments):
    result = CliRunner().invoke(cli.app, ["live", *map(str, arguments)])
    if isinstance(result.exception, StreamnetError):
        return cli.EXIT_ERROR, str(result.exception)
    return result.exit_code, result.output


def test_the_command_prints_one_line_a_second_and_a_summary(settings):
    code, text = command(
        "--video", settings.video, "-m", "POS", "--fast", "-o", settings.output, "--duration", 6.2
    )
    assert code == 0
    lines = text.splitlines()
    assert [bool(re.match(r" +\d+\.\d s  ", line)) for line in lines[:6]] == [True] * 6
    assert re.search(r"HR 7\d\.\d bpm, spread .*no interval", lines[5])
    assert f"Written: {settings.output}" in lines


def test_a_stream_that_is_never_trusted_ends_with_code_3(settings, monkeypatch):
    monkeypatch.setattr(window, "doubt", lambda *known: "light flickers")
    code, text = command(
        "--video", settings.video, "-m", "POS", "--fast", "-o", settings.output, "--duration", 6.2
    )
    assert code == cli.EXIT_UNTRUSTED
    assert "withheld, light flickers" in text
    assert "0 trusted, 1 withheld" in text or "0 trusted, 2 withheld" in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--video", "none.avi"], "the video is missing"),
        (["--video", "a.avi", "--camera", "0"], "both --camera and --video"),
        (["--fast"], "--fast and --fps are for files"),
        (["--video", "a.avi", "--method", "NONE"], "no method 'NONE'"),
        (["--video", "a.avi", "--window", "2"], "a window of 2 s"),
        (["--video", "a.avi", "--duration", "0"], "a duration of 0 s"),
        (["--video", "a.avi", "--engine", "torch"], "POS has no engine to choose"),
        (["--video", "a.avi", "--method", "STREAMNet", "--engine", "x"], "no engine is named 'x'"),
        (["--video", "a.avi", "--method", "STREAMNet", "--precision", "x"], "no precision"),
    ],
)
def test_wrong_usage_is_told(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    extra = [] if "--method" in arguments else ["-m", "POS"]
    code, text = command(*arguments, *extra)
    assert code == cli.EXIT_ERROR
    assert says in text
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_ends_early_is_an_error_after_the_summary(settings, tmp_path):
    whole, cut = settings.video.read_bytes(), tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) * 7 // 10])
    result = CliRunner().invoke(
        cli.app, ["live", "--video", str(cut), "-m", "POS", "--fast", "-o", str(settings.output)]
    )
    assert isinstance(result.exception, DataError)
    assert "the video is truncated" in str(result.exception)
    rows = rows_of(settings.output)
    assert f"{len(rows)} updates" in result.output
    assert f"Written: {settings.output}" in result.output


class Told(Lines):
    """A view in which a signal comes with the second update, SIGHUP twice."""

    def __init__(self, number):
        super().__init__(lambda line: None)
        self.number, self.updates = number, 0
        self.times = 2 if number == getattr(signal, "SIGHUP", None) else 1

    def update(self, update):
        self.updates += 1
        if self.updates == 2:
            for _ in range(self.times):
                signal.raise_signal(self.number)


@pytest.fixture
def unhandled():
    """(number, handler): what a signal does where nobody else handles it."""
    before = {}

    def set_to(number, handler):
        before.setdefault(number, signal.getsignal(number))
        signal.signal(number, handler)

    yield set_to
    for number, handler in before.items():
        signal.signal(number, handler)


def never(number, frame):
    raise AssertionError(f"nobody handled signal {number}")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_it_with_a_summary_and_its_code(settings, unhandled, monkeypatch, name, code):
    number = getattr(signal, name)
    unhandled(number, never)
    monkeypatch.setattr("streamnet_plugin.live.view.Lines", lambda say: Told(number))
    got, text = command("--video", settings.video, "-m", "POS", "--fast", "-o", settings.output)
    assert got == code
    assert "2 updates" in text
    assert f"Written: {settings.output}" in text
    assert len(rows_of(settings.output)) == 2
    assert signal.getsignal(number) is never


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_signal_leaves_the_terminal_as_it_was(settings, unhandled):
    unhandled(signal.SIGTERM, never)
    screen = io.StringIO()
    page = Terminal(Console(file=screen, force_terminal=True, width=80))
    summary = live(settings, [page, Told(signal.SIGTERM)])
    assert (summary.signal, summary.interrupted) == (signal.SIGTERM, True)
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert screen.getvalue().rfind(shown) > screen.getvalue().rfind(hidden) >= 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_what_nohup_ignores_stays_ignored(settings, unhandled):
    unhandled(signal.SIGHUP, signal.SIG_IGN)
    summary = live(settings, [Told(signal.SIGHUP)])
    assert (summary.signal, summary.interrupted, summary.frames) == (0, False, 300)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_it_with_a_summary_and_a_complete_file(ubfc_subject, tmp_path):
    output = tmp_path / "live.csv"
    process = subprocess.Popen(
        [sys.executable, "-c", "from streamnet_plugin.cli import main; main()", "live",
         "--video", str(ubfc_subject / "vid.avi"), "-m", "POS", "-o", str(output)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (output.exists() and output.read_text().count("\n") >= 2):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        printed, error = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, error
    assert "Traceback" not in error
    rows = rows_of(output)
    assert len(rows) >= 1
    assert all(None not in row.values() for row in rows)  # no row is cut
    assert output.read_text().endswith("\n")
    assert f"{len(rows)} update" in printed
    assert f"Written: {output}" in printed
