"""The toolbox's datasets in our harness: its loaders read, our methods and tables do the rest."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.config import Data
from streamnet_plugin.data import cache
from streamnet_plugin.data.groups import GroupsOf
from streamnet_plugin.data.preprocess import Failure, PreprocessReport
from streamnet_plugin.errors import ConfigError, DataError
from streamnet_plugin.progress import Reporter
from streamnet_plugin.types import FaceVideo, Recording
from toolbox_adapters.rppg_toolbox.backend import named_checkout
from toolbox_adapters.rppg_toolbox.capture import identity
from toolbox_adapters.rppg_toolbox.checkout import Checkout, open_checkout
from toolbox_adapters.rppg_toolbox.compat import toolbox_environment
from toolbox_adapters.rppg_toolbox.workers import (
    LostVideo,
    ShortVideo,
    sort_recordings,
    watch_preprocessing,
)

PREFIX = "toolbox:"
"""`toolbox:PURE` reads a dataset that both know with the toolbox's loader."""
VERSION = 2
"""Of what is kept of a dataset beside its crops; another is read anew."""


def read_dataset(data: Data, cache_dir: Path, progress: Reporter) -> PreprocessReport:
    """Face crops and labels of a dataset, as the toolbox's loader of it makes them.

    Args:
        data: a DATA section; DATASET is the toolbox's name of it.
        cache_dir: where crops are kept; a dataset with the same keys is not read again.
        progress: hears of every video.

    Raises:
        ConfigError: no checkout is named, or its `main.py` has no such dataset.
        DataError: the loader found nothing it could use.
    """
    checkout = open_checkout(named_checkout())
    dataset = data.DATASET.removeprefix(PREFIX)
    module, name = loader_of(checkout, dataset)
    key = _key(data, checkout.commit)
    folder = cache_dir / f"toolbox-{dataset}-{key[:12]}"
    index = folder / "index.json"
    if not index.exists():
        with cache.writing(folder) as temporary:
            _read(checkout, module, name, data, dataset, temporary, progress)
    return _load(index, dataset, GroupsOf(data.DATA_PATH))


def loader_of(checkout: Checkout, dataset: str) -> tuple[str, str]:
    """Module and class by which `main.py` reads a dataset.

    Raises:
        ConfigError: it knows no such dataset; lists those it does.
    """
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(checkout.main_block):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Compare)):
            continue
        value = node.body[0].value if isinstance(node.body[0], ast.Assign) else None
        side = node.test.comparators[0]
        if (
            isinstance(side, ast.Constant)
            and isinstance(side.value, str)
            and isinstance(value, ast.Attribute)
            and isinstance(value.value, ast.Attribute)
        ):
            found[side.value] = (value.value.attr, value.attr)
    if dataset not in found:
        raise ConfigError(
            f"the toolbox reads no dataset named {dataset!r}",
            path=checkout.root / "main.py",
            remedy="use one of " + ", ".join(sorted(found)) + ".",
        )
    return found[dataset]


def _key(data: Data, commit: str) -> str:
    versions = [commit, cache.VERSION, VERSION]
    text = json.dumps([*versions, data.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(
    checkout: Checkout,
    module: str,
    name: str,
    data: Data,
    dataset: str,
    folder: Path,
    progress: Reporter,
) -> None:
    """Let the loader preprocess into a scratch folder, and keep its crops as uint8."""
    lost: list[LostVideo] = []
    short: list[ShortVideo] = []
    scratch = Path(tempfile.mkdtemp(prefix=".toolbox-", dir=folder))
    try:
        with toolbox_environment(checkout.root):
            node = _config_node(data, dataset, scratch)
            base = import_module("dataset.data_loader.BaseLoader")
            watch_preprocessing(base, checkout.root, lost, short)
            kind = getattr(import_module(f"dataset.data_loader.{module}"), name)
            sort_recordings(base.BaseLoader)
            try:
                # Toolboxes older than 2025-03 build their loaders without a device.
                device = {"device": "cpu"} if "device" in signature(kind).parameters else {}
                loader = kind(
                    name="benchmark", data_path=node.DATA_PATH, config_data=node, **device
                )
            except (ValueError, OSError, AssertionError) as error:
                first = f"; the first of {len(lost)} lost videos: {lost[0].reason}" if lost else ""
                raise DataError(
                    f"the toolbox's loader of {dataset} found nothing to use: {error}{first}",
                    path=data.DATA_PATH,
                    remedy="give the folder that this loader expects.",
                ) from error
            subjects = {
                str(d["index"]): str(d["subject"])
                for d in loader.get_raw_data(node.DATA_PATH)
                if "subject" in d
            }
            notes = {video.name: video.told for video in short}
            progress.start(f"Crops of {dataset}", len(loader))
            videos = [
                _keep(loader[i], folder / f"{i:05d}", float(data.FS), subjects, notes)
                for i in _told(range(len(loader)), progress)
            ]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    content = {"videos": videos, "lost": [[v.path, v.reason] for v in lost]}
    (folder / "index.json").write_text(json.dumps(content))


def _config_node(data: Data, dataset: str, scratch: Path) -> Any:
    """The toolbox's DATA section for whole videos of raw crops and raw labels."""
    node = import_module("config")._C.clone().UNSUPERVISED.DATA
    face, p = data.PREPROCESS.CROP_FACE, node.PREPROCESS
    node.merge_from_list(
        [
            "DATASET", dataset,
            "DATA_PATH", str(Path(data.DATA_PATH).resolve()),
            "FS", data.FS,
            "BEGIN", data.BEGIN,
            "END", data.END,
            "DO_PREPROCESS", True,
            "DATA_FORMAT", "NDHWC",
            "CACHED_PATH", str(scratch / "clips"),
            "FILE_LIST_PATH", str(scratch / "list.csv"),
        ]
    )  # fmt: skip
    p.DATA_TYPE, p.DATA_AUG, p.LABEL_TYPE, p.DO_CHUNK = ["Raw"], ["None"], "Raw", False
    p.RESIZE.W, p.RESIZE.H = data.PREPROCESS.RESIZE.W, data.PREPROCESS.RESIZE.H
    p.CROP_FACE.DO_CROP_FACE, p.CROP_FACE.BACKEND = face.DO_CROP_FACE, face.BACKEND
    p.CROP_FACE.USE_LARGE_FACE_BOX = face.USE_LARGE_FACE_BOX
    p.CROP_FACE.LARGE_BOX_COEF = face.LARGE_BOX_COEF
    for key, value in face.DETECTION.model_dump().items():
        setattr(p.CROP_FACE.DETECTION, key, value)
    for key, value in (*data.INFO.items(), *data.FILTERING.items()):
        section = node.INFO if key in node.INFO else node.FILTERING
        section[key] = value
    return node


def _told(numbers: Iterable[int], progress: Reporter) -> Iterator[int]:
    for number in numbers:
        yield number
        progress.step()


def _keep(
    item: Any, entry: Path, fs: float, subjects: dict[str, str], notes: dict[str, str]
) -> dict[str, str | None]:
    """Write a video's crops and labels into the new folder `entry`; say whose they are."""
    frames, label, name = item[0], item[1], str(item[2])
    n = min(len(frames), len(label))
    entry.mkdir()
    # Crops of 8-bit frames are whole numbers in the toolbox's floats.
    crops = (np.rint(frame[..., :3]).astype(np.uint8) for frame in frames[:n])
    cache.append(entry / cache.FRAMES, crops)
    shape = (n, *frames.shape[1:3], 3)
    told = [notes[name]] if name in notes else []
    cache.finish(entry, shape, fs, np.asarray(label[:n], np.float64), (0, 0, 0, 0), told)
    return {"folder": entry.name, "name": name, "subject": subjects.get(name)}


def _load(index: Path, dataset: str, known: GroupsOf) -> PreprocessReport:
    content = json.loads(index.read_text())
    videos: list[FaceVideo] = []
    cache.allow_open_files(len(content["videos"]))
    for entry in content["videos"]:
        recording, subject, groups, assumed = identity(dataset, entry["name"])
        if assumed and entry["subject"] is not None:  # the loader knows who it shows
            subject, assumed = entry["subject"], False
        source = Recording(
            dataset,
            recording,
            subject,
            index.parent / entry["folder"],
            None,
            known.joined(recording, groups),
            subject_assumed=assumed,
        )
        video = cache.load(source.path, source)
        if video is None:
            raise DataError(
                "the cached crops are damaged", path=source.path, remedy="delete this folder."
            )
        videos.append(video)
    lost = [
        Failure(Recording(dataset, Path(path).name, "", Path(path)), Path(path), reason,
                "mend or remove this recording.")
        for path, reason in content["lost"]
    ]  # fmt: skip
    return PreprocessReport(tuple(videos), tuple(lost))
