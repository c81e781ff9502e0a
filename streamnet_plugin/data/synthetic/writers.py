"""Synthetic recordings as UBFC-rPPG and PURE keep them on disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from joblib import delayed

from streamnet_plugin.atomic import appearing, discard, remove_leftovers
from streamnet_plugin.data.synthetic.motion import SETUPS
from streamnet_plugin.data.synthetic.photographs import (
    PhotoClip,
    PhotoSettings,
    find_photographs,
    read_photograph,
)
from streamnet_plugin.data.synthetic.scene import SynthClip, SynthSettings, render
from streamnet_plugin.errors import ConfigError, DataError, OutputError, StreamnetError
from streamnet_plugin.parallel import be_one_of_several, processes

log = logging.getLogger(__name__)
Codec = Literal["raw", "mjpg"]
JPEG_QUALITY = 95
MANIFEST = "synthetic.json"
# PURE's clock: nanoseconds of a Unix time.
EPOCH_NS = 1_392_643_993_000_000_000
DEMO_VERSION = 2
"""Raised whenever the demo recordings change."""


def write_ubfc(
    folder: str | Path,
    settings: SynthSettings,
    codec: Codec = "raw",
    dataset: int = 2,
    quality: int = JPEG_QUALITY,
) -> Path:
    """One subject's folder: `vid.avi` and `ground_truth.txt`, or `gtdump.xmp` for DATASET_1.

    Args:
        folder: of the subject, e.g. `root/subject1`; it appears only when it is complete, and is
            kept if it is there already, made by the same settings.
        settings: what to render.
        codec: "raw" as the real set (37 MB per second at 640 x 480), or "mjpg".
        dataset: 1 or 2, the part whose format is written.
        quality: of the JPEG images of "mjpg", 1 to 100.

    Raises:
        ConfigError: a quality that JPEG does not have.
        OutputError: the place cannot be written, the disk is full, or something else is there.
    """
    return write_ubfc_clip(folder, render(settings), codec, dataset, quality)


def write_ubfc_clip(
    folder: str | Path,
    clip: SynthClip | PhotoClip,
    codec: Codec = "mjpg",
    dataset: int = 2,
    quality: int = JPEG_QUALITY,
) -> Path:
    """`write_ubfc` of a clip that is there."""
    if not 1 <= quality <= 100:
        raise ConfigError(f"the JPEG quality is {quality}", remedy="use 1 to 100.")
    made_by = _made_by(clip, format=f"UBFC-rPPG DATASET_{dataset}", codec=codec)
    if codec == "mjpg":
        made_by["quality"] = quality
    if _kept(Path(folder), made_by):
        return Path(folder)
    with _appearing(Path(folder)) as temporary:
        _write_avi(temporary / "vid.avi", clip, codec, quality)
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
        _write_manifest(temporary, made_by)
    _kept(Path(folder), made_by)  # another process may have been faster, with other settings
    return Path(folder)


def write_pure(root: str | Path, name: str, settings: SynthSettings) -> Path:
    """One recording NN-MM of PURE: PNG images named by nanoseconds, and a JSON at 60 Hz.

    The images' clock jitters by a millisecond, as the camera's did. One that is there already,
    made by the same settings, is kept. Raises `OutputError` as `write_ubfc` does.
    """
    clip = render(settings)
    made_by = _made_by(clip, format="PURE")
    folder = Path(root) / name
    if _kept(folder, made_by):
        return folder
    rng = np.random.default_rng([clip.settings.seed, 8])
    jitter = rng.integers(-1_000_000, 1_000_000, len(clip.t))
    images = EPOCH_NS + np.rint(clip.t * 1e9).astype(np.int64) + jitter
    samples = EPOCH_NS + np.rint(clip.t_label * 1e9).astype(np.int64)
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
        _write_manifest(temporary, made_by)
    _kept(folder, made_by)
    return folder


def write_ubfc_set(
    out: str | Path,
    subjects: int,
    seed: int = 0,
    codec: Codec = "raw",
    dataset: int = 2,
    progress: Callable[[str], None] = lambda name: None,
    quality: int = JPEG_QUALITY,
    **settings: Any,
) -> list[Path]:
    """`subjects` folders subject1, subject2, ...; those already there are kept.

    Raises:
        ConfigError: settings that make no recording.
        OutputError: as `write_ubfc`; also where other settings made what is there.
    """
    people = [SynthSettings(**{"seed": seed + i, **settings}) for i in range(subjects)]
    remove_leftovers(Path(out))
    folders = []
    for i, person in enumerate(people):
        folder = Path(out) / (f"subject{i + 1}" if dataset == 2 else f"{i + 1}-gt")
        write_ubfc(folder, person, codec, dataset, quality)
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
    """`subjects` people in all of `setups`: 01-01, 01-02, ...; those already there are kept.

    A person keeps head and skin in all setups; the heart rate is drawn anew for each. Raises as
    `write_ubfc_set` does.
    """
    remove_leftovers(Path(out))
    folders = []
    for i in range(subjects):
        person = SynthSettings(**{"seed": seed + i, **settings}).resolved()
        for setup in setups:
            name = f"{i + 1:02d}-{setup:02d}"
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


def write_photograph_set(
    photographs: str | Path,
    out: str | Path,
    settings: PhotoSettings,
    progress: Callable[[str], None] = lambda name: None,
) -> dict[str, StreamnetError]:
    """A recording subject1, subject2, ... in the UBFC-rPPG format (MJPG) of every photograph.

    Those already there are kept. Photographs count in natural order of their names; each has its
    number as subject and, added to it, as seed, whether those before it could be used or not.

    Args:
        photographs: folder of pictures, each with a face.
        out: folder for the recordings.
        settings: of all of them; `photograph` and `seed` are set for each.
        progress: called with the name of each photograph.

    Returns:
        Of photographs that could not be used, the name that the recording would have, and why.

    Raises:
        DataError: there is no picture in the folder.
        OutputError: as of `write_ubfc_set`.
    """
    remove_leftovers(Path(out))
    failures: dict[str, StreamnetError] = {}
    for number, path in enumerate(find_photographs(photographs), start=1):
        name = f"subject{number}"
        try:
            image, digest = read_photograph(path)
            own = replace(settings, photograph=digest, seed=settings.seed + number)
            clip = PhotoClip(image, own)
        except DataError as error:
            error.path = path
            failures[name] = error
        else:
            write_ubfc_clip(Path(out) / name, clip)
        progress(path.name)
    return failures


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
        {"hr_bpm": 71.0, "skin_tone": 4, "motion": "talking", "head": 18},
        {"hr_bpm": 132.0, "skin_tone": 2, "motion": "steady", "head": 19, "light": 0.6},
        {"hr_bpm": 66.0, "skin_tone": 1, "motion": "small_rotation", "head": 20},
        {"hr_bpm": 104.0, "skin_tone": 5, "motion": "slow_translation", "head": 21},
    ]
    return [
        SynthSettings(seed=2_000_000 + i, illumination_drift=0.02, noise=2.0, **common, **case)
        for i, case in enumerate(cases)
    ]


def write_demo(
    out: str | Path, progress: Callable[[str], None] = lambda name: None, jobs: int = 1
) -> Path:
    """The demo set in the UBFC-rPPG format; whole recordings are kept, damaged ones made anew.

    Args:
        out: the folder.
        progress: called with the name of each recording.
        jobs: recordings made at a time.

    Raises:
        OutputError: the folder cannot be written.
    """
    remove_leftovers(Path(out))
    wanted = {Path(out) / f"subject{i + 1}": s for i, s in enumerate(demo_settings())}
    missing = sum(not folder.exists() for folder in wanted)
    jobs = max(1, min(jobs, missing))
    work = (delayed(_demo_recording)(*item, jobs > 1) for item in wanted.items())
    with processes(work, jobs, lambda: remove_leftovers(Path(out))) as done:
        for folder, damaged in done:
            if damaged:
                log.warning("%s: damaged demo recording, made anew", folder)
            progress(folder.name)
    return Path(out)


def _demo_recording(folder: Path, settings: SynthSettings, alone: bool) -> tuple[Path, bool]:
    """One recording of the demo, and whether a damaged one had to go for it."""
    if alone:
        be_one_of_several()
    try:
        write_ubfc(folder, settings, codec="mjpg")
    except OutputError:
        if not folder.is_dir():
            raise
        discard(folder)
        write_ubfc(folder, settings, codec="mjpg")
        return folder, True
    return folder, False


def write_video(
    path: str | Path,
    settings: SynthSettings,
    codec: Codec = "mjpg",
    quality: int = JPEG_QUALITY,
) -> Path:
    """One video file without labels."""
    _write_avi(Path(path), render(settings), codec, quality)
    return Path(path)


def _write_avi(path: Path, clip: SynthClip | PhotoClip, codec: Codec, quality: int) -> None:
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
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, quality)
        for frame in clip.frames():
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()


def _appearing(folder: Path) -> AbstractContextManager[Path]:
    return appearing(folder, "the recording", "choose an empty folder on a disk with room.")


def _made_by(clip: SynthClip | PhotoClip, **how: Any) -> dict[str, Any]:
    """What decides every byte of a recording."""
    return {"synthetic": True, "settings": asdict(clip.settings), **how}


def _write_manifest(folder: Path, made_by: Mapping[str, Any]) -> None:
    """Last of all: what made the recording, and how large each of its files is."""
    files = {p.relative_to(folder).as_posix(): p.stat().st_size for p in _files(folder)}
    content = {**made_by, "files": files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _kept(folder: Path, made_by: Mapping[str, Any]) -> bool:
    """Whether the recording is there already; `OutputError` if what is there is another one."""
    if not folder.exists():
        return False
    try:
        found = json.loads((folder / MANIFEST).read_text())
        files = found.pop("files")
        settings = {**asdict(SynthSettings()), **found["settings"]}  # as older versions had them
        cut = [n for n, size in files.items() if (folder / n).stat().st_size != size]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _other(folder, f"what is there was not made by this command ({error})") from error
    if cut:
        raise _other(folder, f"the recording is damaged: {cut[0]} has not the size it was given")
    wanted = json.loads(json.dumps(dict(made_by)))
    differing = [
        f"{key} {settings.get(key)} instead of {value}"
        for key, value in wanted.pop("settings").items()
        if settings.get(key) != value
    ]
    found.pop("settings")
    differing += [
        f"{key} {found.get(key)} instead of {wanted.get(key)}"
        for key in dict.fromkeys((*wanted, *found))
        if found.get(key) != wanted.get(key)
    ]
    if differing:
        raise _other(folder, "a recording of other settings is there: " + ", ".join(differing))
    return True


def _other(folder: Path, what: str) -> OutputError:
    return OutputError(what, path=folder, remedy="choose another folder, or delete it.")
