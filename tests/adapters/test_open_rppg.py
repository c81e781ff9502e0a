"""open-rppg's networks: how they are found, fed and cut, on a stand-in; and the real ones."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streamnet_plugin import comparison
from streamnet_plugin.config import load_config
from streamnet_plugin.data.preprocess import PreprocessSettings, preprocess_recording
from streamnet_plugin.errors import NoResultError, StreamnetError, UnknownMethodError
from streamnet_plugin.registry import absent_families, get_method, list_methods, takes_option
from streamnet_plugin.signal.heart_rate import refined_hr
from streamnet_plugin.signal.pulse import clean_bvp
from streamnet_plugin.types import FaceVideo, Recording
from toolbox_adapters import open_rppg

STAND_IN = """
import numpy as np

supported_models = ['Chunk.pure', 'Flow.rlap', 'Block.rlap', 'Diff.pure', 'Nan.pure']
loaded, chunks, looks = [], [], []
faces = [(np.array([26.0, 28.0, 46.0, 52.0]), None, 0.9)]


class Detector:
    def detect(self, image):
        looks.append(image)
        return faces


class Model:
    # Every network says how bright the frames are; recurrent ones add what came before.
    def __init__(self, model):
        loaded.append(model)
        length = {'Flow.rlap': 1}.get(model, 30)
        recurrent = model.endswith('rlap')
        self.meta = {'fps': 30.0, 'input': (length, 8, 6, 3)}
        if model.startswith('Diff'):
            self.meta['cumsum_output'] = True
        self.state = [100.0] if recurrent else {}
        self.detector = Detector()

        def call(frames, state):
            assert frames.shape == self.meta['input'] and frames.dtype == np.uint8
            chunks.append(frames)
            y = frames.mean(axis=(1, 2, 3)).astype(np.float16)
            if model.startswith('Nan'):
                y[3] = np.nan
            if not recurrent:
                return {'bvp': y}, state
            return {'bvp': y + state[0]}, [state[0] + 1]

        self.call = call
"""


@pytest.fixture(autouse=True)
def nothing_remembered():
    def forget():
        for cached in (
            open_rppg.shipped_networks,
            open_rppg.load_network,
            open_rppg._warn_once,
        ):
            cached.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes a package `rppg` that is found before any real one; returns its folder."""
    folder = tmp_path / "site" / "rppg"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from .main import Model, supported_models\n")
    (folder / "main.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(folder.parent)
    real = {m: sys.modules.pop(m) for m in list(sys.modules) if m.split(".")[0] == "rppg"}
    for name in ("PJRT_NPROC", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    for name in [m for m in sys.modules if m.split(".")[0] == "rppg"]:
        del sys.modules[name]
    sys.modules.update(real)


@pytest.fixture
def absent(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


def video(n=100, fs=30.0, size=36, values=None):
    values = np.arange(n) % 200 if values is None else values
    frames = np.broadcast_to(values[:, None, None, None], (n, size, size, 3)).astype(np.uint8)
    recording = Recording("PURE", "01-01", "01", Path("01-01"))
    return FaceVideo(recording, frames, fs, None, (0, 0, size, size), "x")


def stand_in():
    return sys.modules["rppg.main"]


def test_names_are_the_packages_and_listing_them_imports_nothing(package):
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    names = [info.name for info in list_methods() if info.name.startswith("open-rppg:")]
    assert names == [f"open-rppg:{n}" for n in ("Block.rlap", "Chunk.pure", "Diff.pure",
                                                "Flow.rlap", "Nan.pure")]  # fmt: skip
    assert "rppg" not in sys.modules
    assert not absent_families()


def test_an_unknown_network_lists_the_nearest_first(package):
    with pytest.raises(UnknownMethodError, match=r"use one of open-rppg:Chunk.pure, "):
        get_method("open-rppg:Chunk")


@pytest.mark.usefixtures("absent")
def test_without_the_package_there_is_a_command_to_get_it():
    assert not [info for info in list_methods() if info.name.startswith("open-rppg:")]
    assert [family.prefix for family in absent_families()] == ["open-rppg"]
    with pytest.raises(StreamnetError, match=r'pip install "streamnet-rppg\[open-rppg\]"'):
        get_method("open-rppg:PhysNet.pure")


def test_another_package_called_rppg_is_not_ours(package):
    (package / "main.py").unlink()
    assert open_rppg.FAMILY.names() == ()


def test_a_package_that_lacks_what_it_needs_says_so(package):
    (package / "__init__.py").write_text("import no_such_module\n")
    with pytest.raises(StreamnetError, match=r"no_such_module.*open-rppg\]"):
        get_method("open-rppg:Chunk.pure")


def test_a_version_too_different_is_named(package):
    (package / "main.py").write_text(STAND_IN.replace("self.detector", "self.finder"))
    with pytest.raises(StreamnetError, match=r"detector.*open-rppg==0\.1\.1"):
        get_method("open-rppg:Chunk.pure")


@pytest.mark.usefixtures("package")
def test_loaded_once_with_one_notice(caplog):
    first, second = (get_method("open-rppg:chunk.PURE") for _ in range(2))
    get_method("open-rppg:Diff.pure")
    assert first.network is second.network
    assert stand_in().loaded == ["Chunk.pure", "Diff.pure"]
    assert caplog.text.count("original papers") == 1
    assert "original papers" in first.provenance["licence"]
    assert first.provenance["trained_on"] == "PURE"
    assert not takes_option("open-rppg:Chunk.pure", "mc_samples")


def test_every_network_has_its_paper():
    for name in ("FacePhys.rlap", "ME-flow.pure", "TSCAN.rlap"):
        assert name.rpartition(".")[0] in open_rppg.PAPERS


@pytest.mark.usefixtures("package")
def test_chunks_end_with_the_video_and_the_first_overlaps():
    prediction = get_method("open-rppg:Chunk.pure").predict(video(100))
    assert np.array_equal(prediction.bvp, np.arange(100))
    assert not prediction.differential
    read = [(chunk[0].mean(), chunk[-1].mean()) for chunk in stand_in().chunks[1:]]
    assert read == [(0, 29), (10, 39), (40, 69), (70, 99)]


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(("name", "calls"), [("Flow.rlap", 60), ("Block.rlap", 2)])
def test_recurrent_networks_begin_every_video_anew(name, calls):
    method = get_method(f"open-rppg:{name}")
    first, second = (method.predict(video(60)).bvp for _ in range(2))
    length = method.network.frames
    assert np.array_equal(first, second)
    assert np.array_equal(first, np.arange(60) + 100 + np.arange(60) // length)
    assert len(stand_in().chunks) == 1 + 2 * calls


@pytest.mark.usefixtures("package")
def test_too_short_says_how_long_it_must_be():
    with pytest.raises(NoResultError, match=r"reads 30 frames.*has 29.*at least 1\.0 s"):
        get_method("open-rppg:Chunk.pure").predict(video(29))
    assert len(get_method("open-rppg:Chunk.pure").predict(video(30)).bvp) == 30
    assert len(get_method("open-rppg:Flow.rlap").predict(video(7)).bvp) == 7


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("fs", [15.0, 25.0, 60.0])
def test_another_frame_rate_is_read_at_the_networks_and_given_back_at_its_own(fs):
    bvp = get_method("open-rppg:Chunk.pure").predict(video(180, fs)).bvp
    assert len(bvp) == 180
    assert np.abs(bvp - np.arange(180)).max() <= 2


@pytest.mark.usefixtures("package")
def test_networks_of_differences_are_marked_and_do_not_step_between_chunks():
    prediction = get_method("open-rppg:Diff.pure").predict(video(60))
    assert prediction.differential
    assert prediction.bvp[30:32].tolist() == [31, 31]


@pytest.mark.usefixtures("package")
def test_the_face_is_looked_for_inside_a_border_and_cut_out():
    values = np.zeros((36, 36), np.uint8)
    values[10:34, 8:28] = 200  # the stand-in's box less the border of 18 px
    made = video(60)
    frames = np.repeat(values[None, :, :, None], 60, 0).repeat(3, -1)
    frames[0, 20, 20] = 100  # no still image
    made = FaceVideo(made.recording, frames, 30.0, None, made.face_box, "x")
    bvp = get_method("open-rppg:Chunk.pure").predict(made).bvp
    assert np.all(bvp[1:] == 200)
    assert [look.shape for look in stand_in().looks] == [(72, 72, 3)] * 2


@pytest.mark.usefixtures("package")
def test_no_face_in_the_crops_is_said(caplog):
    method = get_method("open-rppg:Chunk.pure")
    stand_in().faces.clear()
    assert np.array_equal(method.predict(video()).bvp, np.arange(100))
    assert "01-01: open-rppg:Chunk.pure finds no face" in caplog.text


@pytest.mark.usefixtures("package")
def test_crops_too_small_are_said_once(caplog):
    method = get_method("open-rppg:Chunk.pure")
    stand_in().faces[0] = (np.array([26.0, 28.0, 30.0, 52.0]), None, 0.9)
    for _ in range(2):
        method.predict(video())
    assert caplog.text.count("are enlarged. RESIZE with W and H of 72 ") == 1


@pytest.mark.usefixtures("package")
def test_no_pulse_no_result():
    with pytest.raises(NoResultError, match="still image"):
        get_method("open-rppg:Chunk.pure").predict(video(values=np.full(100, 7)))
    with pytest.raises(NoResultError, match="not numbers"):
        get_method("open-rppg:Nan.pure").predict(video())


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("omp", "own", "expected"),
    [("3", None, "3"), ("", None, str(max(1, (os.cpu_count() or 2) // 2))), ("3", "5", "5")],
)
def test_jax_takes_no_more_threads_than_told(monkeypatch, omp, own, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", omp)
    if own:
        monkeypatch.setenv("PJRT_NPROC", own)
    else:
        monkeypatch.delenv("PJRT_NPROC", raising=False)
    get_method("open-rppg:Chunk.pure")
    assert os.environ["PJRT_NPROC"] == expected
    assert os.environ["JAX_PLATFORMS"] == "cpu"


@pytest.mark.usefixtures("package")
def test_a_table_says_that_a_network_was_trained_on_its_dataset():
    methods = [get_method(f"open-rppg:{n}") for n in ("Chunk.pure", "Flow.rlap")]
    pure = load_config("benchmark/pure", ["UNSUPERVISED.DATA.DATASET=PURE"])
    (note,) = comparison._notes(methods, pure.test_data, ())
    assert note.startswith("open-rppg:Chunk.pure was trained on PURE")
    ubfc = load_config("benchmark/ubfc")
    assert list(comparison._notes(methods, ubfc.test_data, ())) == []


REAL = importlib.util.find_spec("rppg") is not None and importlib.util.find_spec("jax") is not None
real = pytest.mark.skipif(not REAL, reason='open-rppg: pip install "streamnet-rppg[open-rppg]"')


@real
def test_listing_the_real_ones_imports_no_jax():
    code = (
        "import sys; from streamnet_plugin.registry import list_methods;"
        "print(sum(i.name.startswith('open-rppg:') for i in list_methods()),"
        "[m for m in ('jax', 'keras', 'rppg', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, _, heavy = done.stdout.strip().partition(" ")
    assert int(count) >= 17
    assert heavy == "[]"


@real
@pytest.mark.parametrize("name", ["PhysNet.pure", "TSCAN.rlap", "ME-flow.rlap"])
def test_the_real_ones_read_a_synthetic_face_of_10_s(name, ubfc_subject, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    recording = Recording(
        "UBFC-rPPG", "subject1", "subject1", ubfc_subject / "vid.avi",
        ubfc_subject / "ground_truth.txt",
    )  # fmt: skip
    face = preprocess_recording(recording, PreprocessSettings(), tmp_path)
    method = get_method(f"open-rppg:{name}")
    first, second = method.predict(face), method.predict(face)
    assert np.array_equal(first.bvp, second.bvp)
    assert first.bvp.shape == face.bvp.shape
    assert "no face" not in caplog.text
    bvp = clean_bvp(first.bvp, 30.0, 0.6, 3.3, first.differential)
    truth = clean_bvp(face.bvp, 30.0, 0.6, 3.3, False)
    assert refined_hr(bvp, 30.0, (0.6, 3.3)) == pytest.approx(72, abs=3)
    lags = [np.corrcoef(truth[10:-10], np.roll(bvp, k)[10:-10])[0, 1] for k in range(-5, 6)]
    assert max(lags) > 0.5  # systole up
    assert max(lags) > -min(lags)
