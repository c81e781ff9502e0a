"""Keeps the waveforms that pass through the toolbox's evaluation, so that ours can score them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from streamnet_plugin.classical import METHODS
from streamnet_plugin.data.clips import chunk_name
from streamnet_plugin.data.groups import GroupsOf
from streamnet_plugin.data.pure import NAME as PURE
from streamnet_plugin.data.pure import SETUPS
from streamnet_plugin.data.ubfc import NAME as UBFC
from streamnet_plugin.data.ubfc import named_like_ubfc
from streamnet_plugin.scoring import WaveformPair
from streamnet_plugin.types import FloatArray
from toolbox_adapters.rppg_toolbox.outputs import join_chunks

SUBJECTS = {
    "BP4DPlus": r"([FM]\d{3})T\d+",
    "MMPD": r"(subject\d+)_.+",
    "iBVP": r"(\w{3})\w+",
    "UBFC-PHYS": r"(s\d+)_T\d+",
    "PhysDrive": r"(.+)_[^_]+",
}
"""How the toolbox's name of a dataset begins (BigSmall's BP4D+ has its own) -> a pattern of what it
calls the dataset's videos, in which the subject is the group."""

FUNCTIONS = {
    "GREEN": "GREEN",
    "ICA": "ICA_POH",
    "CHROM": "CHROME_DEHAAN",
    "LGI": "LGI",
    "PBV": "PBV",
    "POS": "POS_WANG",
    "OMIT": "OMIT",
}
"""The toolbox's name of a method -> the function in its predictor that computes it."""


class Capture:
    """What a run's networks and classical methods made of its videos.

    Attributes:
        pairs: waveforms beside their labels, one per method and video.
        config: the toolbox's configuration of the run.
        loader: the data loader in use; it knows which video its last batch is of.
    """

    def __init__(self) -> None:
        self.pairs: list[WaveformPair] = []
        self.config: Any = None
        self.loader: Any = None
        self._groups: GroupsOf | None = None
        self._names: list[str] = []  # what the toolbox calls the video of each pair

    def metrics(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The toolbox's `calculate_metrics`, which also leaves us its waveforms."""

        def calculate_metrics(predictions: Any, labels: Any, config: Any) -> Any:
            data = config.TEST.DATA
            for name in predictions:
                self._add(
                    str(name),
                    data,
                    method=config.MODEL.NAME,
                    pred=join_chunks(predictions[name]),
                    label=join_chunks(labels[name]),
                    differential=data.PREPROCESS.LABEL_TYPE == "DiffNormalized",
                    variant="network",
                )
            return original(predictions, labels, config)

        return calculate_metrics

    def watch_methods(self, predictor: ModuleType) -> None:
        """Keep what the classical methods of `unsupervised_predictor` return."""
        for method, function in FUNCTIONS.items():
            original = getattr(predictor, function, None)
            if original is not None:
                setattr(predictor, function, self._watched(method, original))

    def _watched(self, method: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(frames: Any, *args: Any, **kwargs: Any) -> Any:
            bvp = original(frames, *args, **kwargs)
            colours: FloatArray = np.asarray(frames).mean(axis=(1, 2), dtype=np.float64)
            self._keep(method, np.asarray(bvp, dtype=np.float64).reshape(-1), colours)
            return bvp

        return run

    def _keep(self, method: str, bvp: FloatArray, rgb: FloatArray) -> None:
        """A classical method's waveform of the one video that the loader handed out last.

        Networks see normalised frames, of which no colour can be told.
        """
        labels, names, chunks = self.loader.current
        label = np.asarray(labels[0], dtype=np.float64).reshape(-1)
        data = self.config.UNSUPERVISED.DATA
        name = str(names[0])
        covered = min(len(bvp), len(label))  # its CHROM ends before the video does
        inverted = METHODS[method].inverted  # beats are looked for in a waveform with systole up
        bvp = -bvp if inverted else bvp
        part = chunk_name(int(chunks[0])) if data.PREPROCESS.DO_CHUNK else ""
        self._add(
            name,
            data,
            part,
            method=method,
            pred=np.append(bvp[:covered], np.zeros(len(label) - covered)),
            label=label,
            differential=False,
            variant="toolbox",
            covered=covered,
            inverted=inverted,
            rgb=rgb,
        )

    def _add(self, name: str, data: Any, part: str = "", **fields: Any) -> None:
        recording, subject, groups, assumed = identity(data.DATASET, name)
        if self._groups is None or self._groups.root != Path(data.DATA_PATH):
            self._groups = GroupsOf(data.DATA_PATH)
        self._names.append(name)
        self.pairs.append(
            WaveformPair(
                dataset=data.DATASET,
                recording=recording + part,
                subject=subject,
                fs=float(data.FS),
                groups=self._groups.joined(recording, groups),
                subject_assumed=assumed,
                **fields,
            )
        )

    def add_samples(self, samples: Mapping[str, FloatArray]) -> None:
        """Monte Carlo samples (S, T) by the toolbox's name of a video."""
        self.pairs = [
            replace(pair, samples=samples[name]) if name in samples else pair
            for name, pair in zip(self._names, self.pairs, strict=True)
        ]


class Identity(NamedTuple):
    """Who a video shows; `assumed` where that is not known, and it counts as another subject."""

    recording: str
    subject: str
    groups: dict[str, str]
    assumed: bool = False


def identity(dataset: str, name: str) -> Identity:
    """Of what the toolbox calls a video: PURE's 01-02 is its 102, BP4D+'s F006T1 shows F006."""
    if dataset == PURE and name.isdigit():
        digits = name.zfill(4)
        subject, setup = digits[:-2], digits[-2:]
        return Identity(f"{subject}-{setup}", subject, {"setup": SETUPS.get(setup, setup)})
    for start, pattern in SUBJECTS.items():
        if dataset.startswith(start) and (found := re.fullmatch(pattern, name)):
            return Identity(name, found[1], {})
    # UBFC-rPPG has one recording of each person.
    return Identity(name, name, {}, not (dataset == UBFC and named_like_ubfc([name])))
