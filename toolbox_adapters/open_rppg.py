"""The pretrained networks of the PyPI package open-rppg as methods `open-rppg:<network>`.

open-rppg (Kegang Wang; written against 0.1.1) holds published networks in Keras on JAX. What is
used of it is `rppg.Model(name)` and of that model
    call(frames (L, h, w, 3) uint8 RGB, state) -> ({"bvp": (L,)}, state)   a pure function
    state      what recurrent networks begin with; empty for the others
    meta       {"fps", "input": (L, h, w, 3), "cumsum_output": the BVP is its running sum}
    detector   BlazeFace: the networks were trained on its face boxes
Its own threads, clocks and post-processing are not: they carry a recurrent state from one video
into the next, and give no heart rate at all where only its variability cannot be computed.

JAX is imported when a network is made, not before: listing names reads the package's source.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.errors import NoResultError, StreamnetError
from streamnet_plugin.types import FaceVideo, FloatArray, FrameArray, Prediction

log = logging.getLogger(__name__)

PREFIX = "open-rppg"
PACKAGE = "open-rppg"
INSTALL = 'pip install "streamnet-rppg[open-rppg]"'
LICENCE = (
    "open-rppg's code is under the MIT licence, its pretrained weights are not: they belong to the "
    "authors of the networks, under the terms of the original papers and their repositories. Read "
    "those before using the weights in your work."
)
"""What open-rppg's LICENSE asks users of the weights to heed, in our words."""

PAPERS = {
    "FacePhys": "Wang et al., FacePhys: State of the Heart Learning, 2025, arXiv:2512.06275",
    "ME-chunk": "Wang et al., Memory-efficient Low-latency Remote Photoplethysmography through "
    "Temporal-Spatial State Space Duality, 2025, arXiv:2504.01774",
    "ME-flow": "as ME-chunk, frame by frame",
    "PhysMamba": "Luo et al., PhysMamba: Efficient Remote Physiological Measurement with SlowFast "
    "Temporal Difference Mamba, 2024, arXiv:2409.12031",
    "RhythmMamba": "Zou et al., RhythmMamba, 2024, arXiv:2404.06483",
    "PhysFormer": "Yu et al., PhysFormer, CVPR 2022, arXiv:2111.12082",
    "TSCAN": "Liu et al., Multi-Task Temporal Shift Attention Networks, NeurIPS 2020, "
    "arXiv:2006.03790",
    "PhysNet": "Yu et al., Remote Photoplethysmograph Signal Measurement from Facial Videos Using "
    "Spatio-Temporal Networks, BMVC 2019, arXiv:1905.02419",
    "EfficientPhys": "Liu et al., EfficientPhys, WACV 2023, arXiv:2110.04447",
}
"""Whose terms hold for a network's weights."""

TRAINED_ON = {"pure": "PURE", "rlap": "RLAP"}
"""The end of a network's name -> the dataset that its weights were trained on."""

RATE_TOLERANCE = 0.01
"""A video within 1 % of the network's frame rate is read as it is."""
LOOK_EVERY_S = 1.0
MARGIN = 0.5
"""Black border around a crop, in crop widths, in which BlazeFace looks for the face: trained on
whole pictures, it puts its box beside a face that fills the picture."""

FACE_SHARE = 0.5
"""BlazeFace's box in a crop of 1.5 Haar boxes: 0.51 of its width, 0.63 of its height (measured)."""
MIN_CROP_PX = 72
"""As for every method (`streamnet_plugin.prediction.CROP_PX`)."""

Box = tuple[int, int, int, int]
Detector = Callable[[FrameArray], Sequence[Any]]


@dataclass(frozen=True)
class Network:
    """One of open-rppg's networks with its weights.

    Attributes:
        name: e.g. "PhysNet.pure".
        call: (frames (L, height, width, 3) uint8 RGB, state) -> ({"bvp": (L,)}, next state).
        state: before the first frame.
        frames: L, read at a time.
        height, width: px.
        fs: Hz.
        differential: the output's running sum is the BVP.
        detect: (frame RGB uint8) -> (box (x0, y0, x1, y1), landmarks, score), the surest first.
    """

    name: str
    call: Callable[[FrameArray, Any], tuple[Mapping[str, Any], Any]]
    state: Any
    frames: int
    height: int
    width: int
    fs: float
    differential: bool
    detect: Detector


class OpenRppgFamily:
    """The entry point `open-rppg` of the group `rppg.method_families`."""

    install = INSTALL

    def names(self) -> tuple[str, ...]:
        """The networks of the installed package; none where it is not installed."""
        return shipped_networks()

    def make(self, name: str) -> OpenRppgMethod:
        """A network, loaded once per process (20 to 80 s on two cores)."""
        return OpenRppgMethod(load_network(name))


FAMILY = OpenRppgFamily()


class OpenRppgMethod:
    """A network of open-rppg as the harness sees it."""

    variant = "network"

    def __init__(self, network: Network) -> None:
        self.network = network
        self.name = f"{PREFIX}:{network.name}"

    @property
    def trained_on(self) -> str | None:
        """The dataset on which this network's figures are not those of unseen people."""
        return TRAINED_ON.get(self.network.name.rpartition(".")[2])

    @property
    def crop_px(self) -> int:
        """Size of crops that show the face as large as the network reads it."""
        return max(MIN_CROP_PX, round(max(self.network.height, self.network.width) / FACE_SHARE))

    @property
    def provenance(self) -> dict[str, Any]:
        """Which weights speak, and what their licence asks, for the results file."""
        n = self.network
        return {
            "network": n.name,
            "versions": {name: _version(name) for name in (PACKAGE, "jax", "keras")},
            "input": {"frames": n.frames, "height": n.height, "width": n.width, "fs": n.fs},
            "trained_on": self.trained_on,
            "paper": PAPERS.get(n.name.rpartition(".")[0]),
            "licence": LICENCE,
        }

    def predict(self, video: FaceVideo) -> Prediction:
        """The BVP (T,) at the video's frames, systole up; differences if the network gives them.

        The network reads the face as its own detector finds it in the crops, at its own frame rate
        (nearest frames, as open-rppg takes them).

        Raises:
            NoResultError: shorter than the network reads at a time, a still image, or the network
                gives no numbers.
        """
        network, path = self.network, video.recording.path
        if _still(video.frames):
            raise NoResultError(
                "all frames are equal: there is no pulse in a still image", path=path
            )
        at = _frames_at(len(video.frames), video.fs, network.fs)
        if len(at) < network.frames:
            raise NoResultError(
                f"{self.name} reads {network.frames} frames at a time, the video has {len(at)} at "
                f"{network.fs:g} Hz",
                path=path,
                remedy=f"use a video of at least {network.frames / network.fs:.1f} s.",
            )
        box = find_face(network.detect, video.frames, video.fs)
        if box is None:
            log.warning("%s: %s finds no face in the crops and reads them whole", path, self.name)
            box = (0, 0, video.frames.shape[2], video.frames.shape[1])
        elif box[2] - box[0] < network.width or box[3] - box[1] < network.height:
            _warn_once(
                f"{self.name} reads faces of {network.width} x {network.height} px; crops of "
                f"{video.frames.shape[2]} x {video.frames.shape[1]} px show them smaller, so they "
                f"are enlarged. RESIZE with W and H of {self.crop_px} gives it all the detail it "
                "can use."
            )
        bvp = read_waveform(
            network,
            len(at),
            lambda start, stop: _resized(video.frames[at[start:stop]], box, network),
        )
        if not np.isfinite(bvp).all():
            raise NoResultError(f"{self.name} gave values that are not numbers", path=path)
        if len(at) != len(video.frames):
            times = np.arange(len(video.frames)) / video.fs
            bvp = np.interp(times, np.arange(len(at)) / network.fs, bvp)
        return Prediction(bvp, differential=network.differential)


@lru_cache(maxsize=1)
def shipped_networks() -> tuple[str, ...]:
    """Names in the installed package's source, `supported_models`; none without the package."""
    spec = importlib.util.find_spec("rppg")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        main = Path(folder, "main.py")
        for node in ast.parse(main.read_text("utf-8")).body if main.is_file() else ():
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "supported_models":
                return tuple(sorted(ast.literal_eval(node.value)))
    return ()


@cache
def load_network(name: str) -> Network:
    """A network with its weights, compiled; the same object every time.

    Raises:
        StreamnetError: open-rppg or something it needs is missing, or it is too different from
            the version this was written against.
    """
    _warn_once(LICENCE)
    log.info("loading %s", name)
    with warnings.catch_warnings():  # open-rppg turns off every UserWarning of the process
        warnings.simplefilter("ignore")
        rppg = _import_rppg()
        try:
            model = rppg.Model(name)
            length, height, width, _ = model.meta["input"]
            network = Network(
                name=name,
                call=model.call,
                state=model.state,
                frames=length,
                height=height,
                width=width,
                fs=float(model.meta["fps"]),
                differential=bool(model.meta.get("cumsum_output", False)),
                detect=model.detector.detect,
            )
            black = np.zeros((length, height, width, 3), np.uint8)
            network.call(black, network.state)  # compile now, not within the first video
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StreamnetError(
                f"open-rppg {_version(PACKAGE)} cannot be used: {type(error).__name__}: {error}",
                remedy='install the version this was written for: pip install "open-rppg==0.1.1".',
            ) from error
    return network


def _import_rppg() -> Any:
    """The package, on the CPU, with no more threads than the rest of the harness."""
    keras = sys.modules.get("keras")
    if keras is not None and keras.config.backend() != "jax":
        raise StreamnetError(
            f"Keras is already in use with {keras.config.backend()}, open-rppg needs it with JAX",
            remedy="set KERAS_BACKEND=jax.",
        )
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if not threads.isdigit() or int(threads) < 1:
        threads = str(max(1, (os.cpu_count() or 2) // 2))
    os.environ.setdefault("PJRT_NPROC", threads)  # read once, when JAX makes its thread pools
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        return importlib.import_module("rppg")
    except ImportError as error:
        raise StreamnetError(
            f"open-rppg cannot be imported: {error}", remedy=f"{INSTALL}."
        ) from error


def find_face(detect: Detector, frames: FrameArray, fs: float) -> Box | None:
    """The median of the boxes (x0, y0, x1, y1) in a look per second; None if no look finds one."""
    import cv2

    height, width = frames.shape[1:3]
    border = round(MARGIN * max(height, width))
    found = []
    for frame in frames[:: max(1, round(LOOK_EVERY_S * fs))]:
        padded = cv2.copyMakeBorder(
            np.asarray(frame), border, border, border, border, cv2.BORDER_CONSTANT
        )
        faces = detect(np.asarray(padded, np.uint8))
        if faces:
            found.append(np.asarray(faces[0][0]) - border)
    if not found:
        return None
    x0, y0, x1, y1 = np.median(found, axis=0)
    left, top = max(0, round(float(x0))), max(0, round(float(y0)))
    right, bottom = min(width, round(float(x1))), min(height, round(float(y1)))
    return (left, top, right, bottom) if left < right and top < bottom else None


def read_waveform(
    network: Network, n_frames: int, frames: Callable[[int, int], FrameArray]
) -> FloatArray:
    """The network's output for a row of frames, in chunks side by side up to the last frame.

    The first frames that then fill no chunk are read in one of their own, which overlaps the next.
    (open-rppg fills the last chunk with copies of the last frame: the networks normalise over a
    chunk, so that spoils all of it.)

    Args:
        network: of any kind.
        n_frames: T, at least a chunk.
        frames: (start, stop) -> (n, height, width, 3) uint8 RGB.
    """
    length, state = network.frames, network.state
    first = n_frames % length
    bvp = np.empty(n_frames)
    if first:
        bvp[:first] = _read_chunk(network, frames(0, length), state)[0][:first]
    for start in range(first, n_frames, length):
        stop = start + length
        bvp[start:stop], state = _read_chunk(network, frames(start, stop), state)
    return bvp


def _read_chunk(network: Network, chunk: FrameArray, state: Any) -> tuple[FloatArray, Any]:
    output, state = network.call(chunk, state)
    bvp = np.asarray(output["bvp"], dtype=np.float64)
    if network.differential:
        # open-rppg standardises each chunk's running sum and takes its differences again; the
        # first one is then where the sum begins, a step in the BVP that no network put there.
        bvp[0] = bvp[1]
    return bvp, state


def _frames_at(n: int, fs: float, wanted: float) -> np.ndarray:
    """Index of the frame nearest to each of the network's frames."""
    if abs(fs / wanted - 1) <= RATE_TOLERANCE:
        return np.arange(n)
    times = np.arange(0, (n - 1) / fs + 1e-9, 1 / wanted)
    return np.clip(np.rint(times * fs).astype(int), 0, n - 1)


def _resized(frames: FrameArray, box: Box, network: Network) -> FrameArray:
    """The boxes (n, height, width, 3) as the network wants them, resized as open-rppg does."""
    import cv2

    left, top, right, bottom = box
    size = (network.width, network.height)
    return np.stack(
        [
            cv2.resize(frame[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
            for frame in frames
        ]
    ).astype(np.uint8, copy=False)


def _still(frames: FrameArray) -> bool:
    return all(np.array_equal(frame, frames[0]) for frame in frames)


@cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
