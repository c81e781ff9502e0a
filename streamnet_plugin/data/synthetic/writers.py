"""Synthetic recordings as UBFC-rPPG and PURE keep them on disk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from streamnet_plugin.data.synthetic.motion import SETUPS
from streamnet_plugin.data.synthetic.scene import SynthClip, SynthSettings, render
from streamnet_plugin.errors import DataError, OutputError

Codec = Literal["raw", "mjpg"]
JPEG_QUALITY = 95
MANIFEST = "synthetic.json"
# PURE's clock: nanoseconds of a Unix time.
EPOCH_NS = 1_392_643_993_000_000_000
DEMO_VERSION = 1
"""Raised whenever the demo recordings change."""


def write_ubfc(
    folder: str | Path, settings: SynthSettings, codec: Codec = "raw", dataset: int = 2
) -> Path:
    """One subject's folder: `vid.avi` and `ground_truth.txt`, or `gtdump.xmp` for DATASET_1.

    Args:
        folder: of the subject, e.g. `root/subject1`; it appears only when it is complete.
        settings: what to render.
        codec: "raw" as the real set (37 MB per second at 640 x 480), or "mjpg".
        dataset: 1 or 2, the part whose format is written.

    Raises:
        OutputError: the place cannot be written, or the disk is full.
    """
    clip = render(settings)
    with _appearing(Path(folder)) as temporary:
        _write_avi(temporary / "vid.avi", clip, codec)
        rows = (clip.bvp, clip.hr, clip.t)
        if dataset == 2:
            lines = ["   ".join(f"{v: .7e}" for v in row) for row in rows]
            (temporary / "ground_truth.txt").write_text("\n".join(lines) + "\n")
        else:
            table = [
                f"{round(1000 * t)},{round(hr)},98,{bvp:.4f}"
                for t, hr, bvp in zip(
                    clip.t_label, clip.hr_label, 100 * clip.bvp_label, strict=True
                )
            ]
            (temporary / "gtdump.xmp").write_text("\n".join(table) + "\n")
        _write_manifest(temporary, clip)
    return Path(folder)


def write_pure(root: str | Path, name: str, settings: SynthSettings) -> Path:
    """One recording NN-MM of PURE: PNG images named by nanoseconds, and a JSON at 60 Hz.

    The images' clock jitters by a millisecond, as the camera's did. Raises `OutputError`.
    """
    clip = render(settings)
    rng = np.random.default_rng([clip.settings.seed, 8])
    jitter = rng.integers(-1_000_000, 1_000_000, len(clip.t))
    images = EPOCH_NS + np.rint(clip.t * 1e9).astype(np.int64) + jitter
    samples = EPOCH_NS + np.rint(clip.t_label * 1e9).astype(np.int64)
    folder = Path(root) / name
    with _appearing(folder) as temporary:
        (temporary / name).mkdir()
        for stamp, frame in zip(images, clip.frames(), strict=True):
            path = temporary / name / f"Image{stamp}.png"
            _, data = cv2.imencode(".png", frame[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
            path.write_bytes(data.tobytes())
        package = [
            {
                "Timestamp": int(stamp),
                "Value": {
                    "waveform": round(20 + 60 * float(value)),
                    "pulseRate": round(float(hr)),
                    "o2saturation": 98,
                },
            }
            for stamp, value, hr in zip(samples, clip.bvp_label, clip.hr_label, strict=True)
        ]
        content = {"/FullPackage": package, "/Image": [{"Timestamp": int(s)} for s in images]}
        (temporary / f"{name}.json").write_text(json.dumps(content))
        _write_manifest(temporary, clip)
    return folder


def write_ubfc_set(
    out: str | Path,
    subjects: int,
    seed: int = 0,
    codec: Codec = "raw",
    dataset: int = 2,
    progress: Callable[[str], None] = lambda name: None,
    **settings: Any,
) -> list[Path]:
    """`subjects` folders subject1, subject2, ...; those already complete are kept."""
    folders = []
    for i in range(subjects):
        folder = Path(out) / (f"subject{i + 1}" if dataset == 2 else f"{i + 1}-gt")
        if not folder.exists():
            write_ubfc(folder, SynthSettings(**{"seed": seed + i, **settings}), codec, dataset)
        progress(folder.name)
        folders.append(folder)
    return folders


def write_pure_set(
    out: str | Path,
    subjects: int,
    seed: int = 0,
    setups: tuple[int, ...] = tuple(SETUPS),
    progress: Callable[[str], None] = lambda name: None,
    **settings: Any,
) -> list[Path]:
    """`subjects` people in all of `setups`: 01-01, 01-02, ...; complete ones are kept.

    A person keeps head and skin in all setups; the heart rate is drawn anew for each.
    """
    folders = []
    for i in range(subjects):
        person = SynthSettings(**{"seed": seed + i, **settings}).resolved()
        for setup in setups:
            name = f"{i + 1:02d}-{setup:02d}"
            if not (Path(out) / name).exists():
                chosen: dict[str, Any] = {
                    "head": person.head,
                    "skin_tone": person.skin_tone,
                    "motion": SETUPS[setup],
                    **settings,
                    "seed": 1000 * (seed + i) + setup,
                }
                write_pure(out, name, SynthSettings(**chosen))
            progress(name)
            folders.append(Path(out) / name)
    return folders


def demo_settings() -> list[SynthSettings]:
    """The recordings of the demo: from easy to too hard for some methods."""
    common: dict[str, Any] = {"duration_s": 20.0, "width": 320, "height": 240}
    cases: list[dict[str, Any]] = [
        {"hr_bpm": 62.0, "skin_tone": 1, "motion": "steady", "head": 18},
        {"hr_bpm": 97.0, "skin_tone": 3, "motion": "talking", "head": 19},
        {"hr_bpm": 78.0, "skin_tone": 2, "motion": "fast_translation", "head": 20},
        {"hr_bpm": 118.0, "skin_tone": 4, "motion": "small_rotation", "head": 21},
        {"hr_bpm": 54.0, "skin_tone": 5, "motion": "medium_rotation", "head": 22, "light": 0.8},
        {"hr_bpm": 86.0, "skin_tone": 6, "motion": "slow_translation", "head": 23, "light": 0.7},
    ]
    return [
        SynthSettings(seed=2_000_000 + i, illumination_drift=0.02, noise=2.0, **common, **case)
        for i, case in enumerate(cases)
    ]


def write_demo(out: str | Path, progress: Callable[[str], None] = lambda name: None) -> Path:
    """The demo set in the UBFC-rPPG format; recordings that are there already are kept."""
    for i, settings in enumerate(demo_settings()):
        folder = Path(out) / f"subject{i + 1}"
        if not folder.exists():
            write_ubfc(folder, settings, codec="mjpg")
        progress(folder.name)
    return Path(out)


def write_video(path: str | Path, settings: SynthSettings, codec: Codec = "mjpg") -> Path:
    """One video file without labels."""
    _write_avi(Path(path), render(settings), codec)
    return Path(path)


def _write_avi(path: Path, clip: SynthClip, codec: Codec) -> None:
    s = clip.settings
    # OpenCV's own "uncompressed" (fourcc 0) is YUV 4:2:0, which blurs the colours; RGBA is not.
    fourcc = cv2.VideoWriter.fourcc(*("RGBA" if codec == "raw" else "MJPG"))
    writer = cv2.VideoWriter(str(path), fourcc, s.fs, (s.width, s.height))
    if not writer.isOpened():
        raise DataError(
            f"OpenCV {cv2.__version__} cannot write {codec} AVI files",
            path=path,
            remedy="install opencv-python from its wheel.",
        )
    try:
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, JPEG_QUALITY)
        for frame in clip.frames():
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()


def _write_manifest(folder: Path, clip: SynthClip) -> None:
    content = {"synthetic": True, "settings": asdict(clip.settings)}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


@contextmanager
def _appearing(final: Path) -> Iterator[Path]:
    """A folder that gets its name only when it is complete, and is removed otherwise."""
    temporary: Path | None = None
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=final.parent))
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        raise OutputError(
            f"the recording cannot be written: {error}",
            path=final,
            remedy="choose an empty folder on a disk with room.",
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)
