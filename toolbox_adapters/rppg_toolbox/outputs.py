"""Reads the waveforms that the rPPG-Toolbox's trainers save (`saved_test_outputs/*.pickle`).

The pickle holds a dict: `predictions[video][chunk]` and `labels[video][chunk]` as tensors (T,) or
(T, 1), `label_type` and `fs`. A pickle can run any code when it is loaded, so only tensors, arrays
and builtin containers are let through; everything else is refused by name.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.errors import DataError
from streamnet_plugin.report.results import TOOLBOX_DATASET, FailureRow
from streamnet_plugin.scoring import WaveformPair
from streamnet_plugin.types import FloatArray
from streamnet_plugin.wording import count

# (module, name) pairs that tensors, arrays and containers need, and that run nothing else.
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch", "FloatStorage"),
    ("torch", "DoubleStorage"),
    ("torch", "HalfStorage"),
    ("torch", "device"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("_codecs", "encode"),  # NumPy's own pickles of bytes
}


def _load_storage(data: bytes) -> Any:
    """Stands in for `torch.storage._load_from_bytes`, which would unpickle without restraint."""
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


class _AllowListUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _load_storage
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")


def read_outputs(path: str | Path) -> Iterator[WaveformPair | FailureRow]:
    """The waveforms of a toolbox output pickle, chunks joined in chunk order, videos sorted.

    Args:
        path: a `*_outputs.pickle`.

    Yields:
        One pair per video; a failure in its place where its chunks do not fit together.

    Raises:
        DataError: not such a pickle, or one that holds anything but tensors, arrays and builtins.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = _AllowListUnpickler(file).load()
        label_type, fs = str(content["label_type"]), float(content["fs"])
        predictions, labels = content["predictions"], content["labels"]
        _check_rate(fs, path)
        videos = {str(key): key for key in (*labels, *predictions)}
        # A video that has only one of them has no result, by name.
        chunks = {
            name: (predictions.get(videos[name], {}), labels.get(videos[name], {}))
            for name in sorted(videos)
        }
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError) as error:
        raise DataError(
            f"this is no rPPG-Toolbox output that can be read safely: {error}",
            path=path,
            remedy="give a saved_test_outputs pickle from a source you trust.",
        ) from error
    except KeyError as error:
        raise DataError(
            f"the pickle lacks the key {error}",
            path=path,
            remedy="it must hold predictions, labels, label_type and fs, as the toolbox saves.",
        ) from error
    method = path.name.removesuffix(path.suffix).removesuffix("_outputs")
    for name, (read, true) in chunks.items():
        try:
            _check_chunks(read, true)
            pred, label = join_chunks(read), join_chunks(true)
        except (DataError, AttributeError, ValueError, TypeError, RuntimeError) as error:
            reason = error.what if isinstance(error, DataError) else f"no waveforms: {error}"
            remedy = f"run the toolbox on {name} again, or leave it out of the pickle."
            yield FailureRow(name, str(path), reason, remedy, method, TOOLBOX_DATASET)
            continue
        yield WaveformPair(
            method=method,
            dataset=TOOLBOX_DATASET,
            recording=name,
            subject=name,
            fs=fs,
            pred=pred,
            label=label,
            differential=label_type == "DiffNormalized",
            variant="rPPG-Toolbox",
            path=str(path),
            subject_assumed=True,
        )


def _check_rate(fs: float, path: Path) -> None:
    if not (math.isfinite(fs) and fs > 0):
        raise DataError(
            f"a frame rate of {fs:g} Hz",
            path=path,
            remedy="save it with the fs of its videos, or give a CSV and --fs.",
        )


def _check_chunks(prediction: Mapping[Any, Any], label: Mapping[Any, Any]) -> None:
    """`DataError` where a chunk is missing or of another length: what follows would move unseen."""
    for what, chunks, other in (("prediction", prediction, label), ("label", label, prediction)):
        if not chunks:
            continue
        keys = {int(key) for key in (*chunks, *other)}
        missing = sorted({*range(min(keys), max(keys) + 1)} - {int(key) for key in chunks})
        if missing:
            raise DataError(f"the {what} lacks the chunk {', '.join(map(str, missing))}")
    if not (prediction and label):
        return
    for key in sorted(prediction, key=int):
        read, true = (np.asarray(chunks[key]).size for chunks in (prediction, label))
        if read != true:
            raise DataError(
                f"the chunk {key} has {count(read, 'sample')} of the prediction and {true} of the "
                "label"
            )


def join_chunks(chunks: Mapping[Any, Any]) -> FloatArray:
    """One waveform (T,), in the precision it was saved in: scoring integrates in that."""
    ordered = [np.asarray(chunks[key]).reshape(-1) for key in sorted(chunks, key=int)]
    if not ordered:
        return np.empty(0)
    joined = np.concatenate(ordered)
    if joined.dtype.kind not in "fiu":
        raise TypeError(f"they hold {joined.dtype} instead of numbers")
    return joined
