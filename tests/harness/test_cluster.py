"""The harness on a Dask cluster of two workers, one of which is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from threading import Barrier

import numpy as np
import pytest
from joblib import delayed
from typer.testing import CliRunner

from streamnet_plugin import cli, rates
from streamnet_plugin import cluster as cluster_module
from streamnet_plugin.cluster import cluster, current_client
from streamnet_plugin.comparison import _of_thread, _predict_elsewhere, make_method, predict_all
from streamnet_plugin.config import load_config
from streamnet_plugin.data import preprocess
from streamnet_plugin.data.cache import by_reference, opened
from streamnet_plugin.data.datasets import find_recordings
from streamnet_plugin.data.face import find_faces
from streamnet_plugin.data.preprocess import (
    PreprocessSettings,
    preprocess_all,
    preprocess_recording,
)
from streamnet_plugin.data.synthetic import SynthClip, SynthSettings
from streamnet_plugin.errors import ConfigError, OutputError, StreamnetError
from streamnet_plugin.parallel import processes
from streamnet_plugin.progress import Silent
from streamnet_plugin.registry import get_method

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
N = 6
SETTINGS = PreprocessSettings(width=24, height=24)


@pytest.fixture(scope="module")
def ubfc(ubfc_people, tmp_path_factory):
    root = tmp_path_factory.mktemp("ubfc") / "damaged"
    shutil.copytree(ubfc_people(N, 4.0), root)
    (root / "subject4" / "vid.avi").write_bytes(b"no video")
    return root


@pytest.fixture(scope="module")
def address():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as local:
        yield local.scheduler_address


def test_a_killed_worker_costs_nothing(ubfc, address, tmp_path):
    recordings = find_recordings("UBFC-rPPG", ubfc)
    made: dict[str, int] = {}

    def done(name):
        if not made:
            with distributed.Client(address, set_as_default=False) as client:
                first = min(client.run(os.getpid).values())
            os.kill(first, signal.SIGKILL)
        entries = sorted(tmp_path.glob("UBFC*/frames*"))
        made.update({str(p): p.stat().st_mtime_ns for p in entries if str(p) not in made})

    with cluster(address):
        there = preprocess_all(recordings, SETTINGS, tmp_path, progress=done)
    here = preprocess_all(recordings, SETTINGS, tmp_path / "here")
    assert [v.recording.id for v in there.videos] == [v.recording.id for v in here.videos]
    assert len(there.videos) == N - 1
    assert [f.recording.id for f in there.failures] == ["subject4"]
    assert there.failures[0].reason == here.failures[0].reason
    for a, b in zip(there.videos, here.videos, strict=True):
        assert np.array_equal(a.frames, b.frames)
        assert np.array_equal(a.bvp, b.bvp)
    # What had been finished when the worker died was not made again.
    assert len(made) == N - 1
    assert all(os.stat(path).st_mtime_ns == stamp for path, stamp in made.items())
    assert not list(tmp_path.glob(".making-*"))


def test_methods_read_on_the_cluster_what_they_read_here(ubfc, address, tmp_path):
    recordings = find_recordings("UBFC-rPPG", ubfc)[:2]
    videos = preprocess_all(recordings, SETTINGS, tmp_path).videos
    config = load_config("benchmark/ubfc")
    methods = [get_method("POS"), get_method("CHROM")]
    here, _, _ = predict_all(methods, videos, config, Silent())
    with cluster(address):
        there, failures, _ = predict_all(methods, videos, config, Silent())
    assert failures == []
    assert [(p.method, p.recording) for p in there] == [(p.method, p.recording) for p in here]
    for a, b in zip(there, here, strict=True):
        assert np.array_equal(a.pred, b.pred)
        assert np.array_equal(a.label, b.label)


def test_threads_read_what_one_process_reads(ubfc, tmp_path):
    """As `dask worker` starts them where nobody says otherwise: a worker of several threads."""
    recordings = find_recordings("UBFC-rPPG", ubfc)
    config = load_config("benchmark/ubfc", ["UNCERTAINTY.MC_SAMPLES=10"])
    settings = PreprocessSettings(width=36, height=36)
    methods = [make_method(name, config) for name in ("STREAMNet", "POS")]
    here = preprocess_all(recordings, settings, tmp_path / "here").videos
    pairs, _, _ = predict_all(methods, here, config, Silent())
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0"
        ) as local,
        cluster(local.scheduler_address),
    ):
        there = preprocess_all(recordings, settings, tmp_path / "there").videos
        pairs_there, failures, _ = predict_all(methods, there, config, Silent())
    assert failures == []
    assert len(there) == N - 1
    for a, b in zip(there, here, strict=True):
        assert np.array_equal(a.frames, b.frames)
    assert len(pairs) == 2 * (N - 1)
    for a, b in zip(pairs_there, pairs, strict=True):
        assert (a.method, a.recording) == (b.method, b.recording)
        assert np.array_equal(a.pred, b.pred)
        if a.method == "STREAMNet":
            assert a.samples.shape == (10, len(a.pred))
            assert np.array_equal(a.samples, b.samples)


class Deadly(distributed.WorkerPlugin):
    """Kills its worker when it is to read that recording, or to hear what that method reads."""

    def setup(self, worker):
        from streamnet_plugin import comparison
        from streamnet_plugin.data import preprocess

        def deadly(function, dies):
            def may_die(*arguments):
                if dies(*arguments):
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*arguments)

            return may_die

        preprocess.preprocess_recording = deadly(
            preprocess.preprocess_recording, lambda recording, *rest: recording.id == "subject2"
        )
        comparison._predict = deadly(
            comparison._predict,
            lambda method, video, *rest: (method.name, video.recording.id) == ("POS", "subject3"),
        )


def test_what_kills_workers_fails_alone(ubfc, tmp_path):
    recordings = find_recordings("UBFC-rPPG", ubfc)
    methods = [get_method("POS"), get_method("CHROM")]
    config = load_config("benchmark/ubfc")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as local,
        distributed.Client(local, set_as_default=False) as client,
    ):
        client.register_plugin(Deadly())
        with cluster(local.scheduler_address):
            report = preprocess_all(recordings, SETTINGS, tmp_path)
            pairs, failures, _ = predict_all(methods, report.videos, config, Silent())
    reasons = {f.recording.id: f.reason for f in report.failures}
    assert set(reasons) == {"subject2", "subject4"}  # and the damaged one, but no bystander
    assert "it killed 1 worker even when it ran alone, the last at tcp://" in reasons["subject2"]
    assert len(report.videos) == N - 2
    (row,) = failures
    assert (row.method, row.recording) == ("POS", "subject3")
    assert "it killed 1 worker" in row.reason
    assert "give workers more" in row.remedy
    assert len(pairs) == 2 * (N - 2) - 1
    assert not list(tmp_path.glob(".making-*"))


def test_a_worker_with_another_cache_is_named_with_both(ubfc, address, tmp_path, monkeypatch):
    """Not all made again here, without a word."""
    monkeypatch.setattr(preprocess, "LATE_S", (0.0,))
    recordings = find_recordings("UBFC-rPPG", ubfc)
    for place in ("mine", "theirs"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    with distributed.Client(address, set_as_default=False) as client:
        before = client.run(os.getcwd)
        client.run(os.chdir, str(tmp_path / "theirs"))
        try:
            with cluster(address), pytest.raises(OutputError) as error:
                preprocess_all(recordings, SETTINGS, Path("cache"))
        finally:
            for worker, folder in before.items():
                client.run(os.chdir, folder, workers=[worker])
    said = str(error.value)
    for part in (str(tmp_path / "theirs/cache"), str(tmp_path / "mine/cache"), gethostname()):
        assert part in said
    assert "$STREAMNET_CACHE" in error.value.remedy
    assert not list((tmp_path / "mine").glob("cache/UBFC*"))


def test_crops_that_show_late_are_waited_for(ubfc, tmp_path, monkeypatch):
    """As on a network file system: here they are hidden until somebody waits."""
    hidden, shown = tmp_path / "hidden", tmp_path / "shown"
    recording = find_recordings("UBFC-rPPG", ubfc)[0]
    made = preprocess._one_elsewhere(recording, SETTINGS, hidden, False)
    monkeypatch.setattr(preprocess.time, "sleep", lambda s: hidden.rename(shown))
    found = preprocess._fetched(made, recording, shown)
    assert found.fingerprint == preprocess_recording(recording, SETTINGS, shown).fingerprint


def test_the_rates_of_uncertainty_are_sampled_there(ubfc, address, tmp_path, monkeypatch):
    monkeypatch.setattr(rates, "predict_all", counted := Counted(rates.predict_all))
    few, tables = tmp_path / "few", []
    for subject in ("subject1", "subject2"):
        shutil.copytree(ubfc / subject, few / subject)
    for where in ([], ["--dask", address]):
        folder = tmp_path / str(len(tables))
        result = CliRunner().invoke(
            cli.app,
            ["uncertainty", "benchmark/ubfc", "UNCERTAINTY.MC_SAMPLES=2", "--rates", "0.4",
             "--data-root", str(few), "-o", str(folder), "--allow-failures", *where],
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        tables.append((folder / "rates.csv").read_text())
    assert tables[0] == tables[1]
    assert counted.there == [False] * 2 + [True] * 2  # the trained rates, too


class Counted:
    """Remembers whether there was a cluster at each call."""

    def __init__(self, function):
        self.function, self.there = function, []

    def __call__(self, *arguments):
        self.there.append(current_client() is not None)
        return self.function(*arguments)


def of_two_threads(function):
    """What it gives in each of two threads that run at the same time."""
    meeting = Barrier(2)

    def run():
        meeting.wait(60)
        return function()

    with ThreadPoolExecutor(2) as threads:
        return [done.result() for done in [threads.submit(run) for _ in range(2)]]


def test_the_threads_of_a_worker_share_no_network():
    """One that is sampled in two threads at once gives both of them wrong waveforms."""
    config = load_config("benchmark/ubfc").model_dump_json()

    def twice():
        return [_of_thread.made_once("STREAMNet", config) for _ in range(2)]

    (first, again), (second, _) = of_two_threads(twice)
    assert first is again
    assert first is not second


def test_threads_find_the_faces_of_their_own_pictures():
    pictures = [
        next(iter(SynthClip(SynthSettings(seed=seed, duration_s=1, **size)).frames()))
        for seed, size in ((0, {}), (1, {"width": 320, "height": 240}))
    ]
    want = [find_faces(picture) for picture in pictures]
    assert all(want)
    assert want[0] != want[1]
    turn = iter(range(2))

    def look():
        mine = next(turn)
        return mine, [find_faces(pictures[mine]) for _ in range(8)]

    for mine, found in of_two_threads(look):
        assert found == [want[mine]] * 8


def test_results_come_in_order_and_errors_come_home(address):
    with cluster(address), processes((delayed(pow)(2, n) for n in range(20)), 1, int) as done:
        assert list(done) == [2**n for n in range(20)]
    stopped = []
    with (
        pytest.raises(ZeroDivisionError),
        cluster(address),
        processes((delayed(divmod)(1, n) for n in (1, 0)), 1, lambda: stopped.append(1)) as done,
    ):
        list(done)
    assert stopped == [1]


@pytest.fixture
def scheduler(tmp_path):
    """One without workers, in a process of its own, and its address."""
    file = tmp_path / "scheduler.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1",
         "--port", "0", "--no-dashboard", "--scheduler-file", str(file)],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (file.exists() and file.read_text().endswith("}")):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process, json.loads(file.read_text())["address"]
    finally:
        process.kill()
        process.wait()


def test_a_scheduler_that_dies_is_one_error_with_a_remedy(scheduler, caplog):
    process, address = scheduler
    lost = r"connection to the Dask scheduler was lost.*run the same command again"

    def work(meanwhile):
        with processes((delayed(pow)(2, n) for n in range(3)), 1, int) as done:
            meanwhile()
            return list(done)

    with cluster(address):
        with pytest.raises(StreamnetError, match=lost):
            work(process.kill)
        cluster_module._close(current_client())  # as by itself, after a while
        with pytest.raises(StreamnetError, match=lost):
            work(int)
    assert "Failed to reconnect" not in caplog.text


def test_a_scheduler_that_dies_while_a_result_is_fetched_is_the_same_error(address, monkeypatch):
    def fetch(call):
        with cluster(address), processes([call], 1, int) as done:
            return list(done)

    with pytest.raises(FileNotFoundError):  # the call's own error
        fetch(delayed(os.stat)("/nowhere"))

    def cut(future):
        raise distributed.comm.CommClosedError("Stream is closed")

    monkeypatch.setattr(distributed.Future, "result", cut)
    with pytest.raises(StreamnetError, match="connection to the Dask scheduler was lost"):
        fetch(delayed(pow)(2, 3))


@pytest.fixture
def without_workers(monkeypatch):
    """(seconds) -> a cluster that has no workers yet, where a run ends after so many seconds."""

    @contextmanager
    def made(end_s):
        monkeypatch.setattr(cluster_module, "LOOK_S", 0.02)
        monkeypatch.setattr(cluster_module, "NO_WORKERS_TOLD_S", 0.1)
        monkeypatch.setattr(cluster_module, "NO_WORKERS_END_S", end_s)
        with (
            distributed.LocalCluster(
                n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0"
            ) as local,
            cluster(local.scheduler_address),
        ):
            yield local

    return made


def test_a_cluster_without_workers_is_told_and_given_up(without_workers, caplog):
    stopped = []
    with (
        without_workers(0.3),
        pytest.raises(StreamnetError, match=r"has had no workers for.*dask worker.*again"),
        processes([delayed(pow)(2, 3)], 1, lambda: stopped.append(1)) as done,
    ):
        list(done)
    assert stopped == [1]
    assert caplog.text.count("the Dask cluster has had no workers for 0 s; start some") == 1


def test_workers_that_come_late_do_the_work(without_workers, caplog):
    def told():
        return "has had no workers" in caplog.text

    with (
        without_workers(600.0) as local,
        processes((delayed(pow)(2, n) for n in range(3)), 1, int) as done,
    ):
        end = time.monotonic() + 20
        while not told() and time.monotonic() < end:
            time.sleep(0.02)
        assert told()
        local.scale(1)
        assert list(done) == [1, 2, 4]


def test_a_memory_map_travels_as_its_place(ubfc, tmp_path):
    (video,) = preprocess_all(find_recordings("UBFC-rPPG", ubfc)[:1], SETTINGS, tmp_path).videos
    sent = by_reference(video)
    assert not isinstance(sent.frames, np.ndarray)
    assert np.array_equal(opened(sent).frames, video.frames)
    assert opened(video) is video
    shutil.rmtree(tmp_path)  # as on a worker that has another cache
    with pytest.raises(OutputError, match=f"on {gethostname()} cannot read the crops of subject1"):
        _predict_elsewhere("POS", sent, load_config("benchmark/ubfc"))


def test_no_cluster_is_told(monkeypatch):
    monkeypatch.setattr("streamnet_plugin.cluster.CONNECT_S", 0.5)
    nobody = cluster("tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        nobody.__enter__()
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with cluster():  # nothing named: everything stays here
        assert current_client() is None
