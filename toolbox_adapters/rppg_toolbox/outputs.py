"""Reads the waveforms that the rPPG-Toolbox's trainers save (`saved_test_outputs/*.pickle`).

The pickle holds a dict: `predictions[video][chunk]` and `labels[video][chunk]` as tensors (T,) or
(T, 1), `label_type` and `fs`. A pickle can run any code when it is loaded, so only tensors, arrays
and builtin containers are let through; everything else is refused by name.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from streamnet_plugin.errors import DataError
from streamnet_plugin.report.results import TOOLBOX_DATASET, FailureRow
from streamnet_plugin.scoring import WaveformPair
from streamnet_plugin.types import FloatArray
from streamnet_plugin.wording import count

_PLAIN = ("dict", "list", "tuple", "set", "frozenset", "int", "float", "str")
# What tensors, arrays and containers need, and what runs nothing else: nothing may be added that
# calls, imports or opens what it is given.
_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch", "device"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *(("builtins", name) for name in _PLAIN),
    *(("__builtin__", name) for name in (*_PLAIN, "long", "unicode")),  # as protocol 2 has them
}
"""(module, name) pairs that stand for themselves."""


def _load_storage(data: bytes) -> Any:
    """Stands in for `torch.storage._load_from_bytes`, which would unpickle without restraint."""
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _plain_dict(_factory: object = None, items: Iterable[Any] = ()) -> dict[Any, Any]:
    """Stands in for `collections.defaultdict`; the factory is never called."""
    return dict(items)


def _bare_tensor(tensor: Any, _requires_grad: bool, _hooks: Any) -> Any:
    """Stands in for what makes an `nn.Parameter`."""
    return tensor


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for `codecs.encode`, by which protocol 2 has bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it encodes to {encoding}, which is not allowed")
    return text.encode(encoding)


# Functions of NumPy's that have other names in NumPy 1 and 2, under both.
_NUMPY_FUNCTIONS = {
    "multiarray._reconstruct": np.empty(0).__reduce__()[0],
    "multiarray.scalar": np.float64(0).__reduce__()[0],
    "numeric._frombuffer": np.empty(0).__reduce_ex__(5)[0],
}
_STAND_INS: dict[tuple[str, str], Any] = {
    ("torch.storage", "_load_from_bytes"): _load_storage,
    ("torch._utils", "_rebuild_parameter"): _bare_tensor,
    ("collections", "defaultdict"): _plain_dict,
    ("_codecs", "encode"): _encode,
    **{
        (f"{core}.{path.partition('.')[0]}", path.partition(".")[2]): function
        for core in ("numpy.core", "numpy._core")
        for path, function in _NUMPY_FUNCTIONS.items()
    },
}
"""(module, name) pairs and what they are given in their place."""


_UNREADABLE = (
    pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, IndexError,
    RuntimeError, ArithmeticError, ImportError, MemoryError,
)  # fmt: skip
"""What a damaged pickle raises, or one that calls what is allowed with the wrong arguments."""


class _AllowListUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
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
    except KeyError as error:
        raise DataError(
            f"the pickle lacks the key {error}",
            path=path,
            remedy="it must hold predictions, labels, label_type and fs, as the toolbox saves.",
        ) from error
    except _UNREADABLE as error:
        raise DataError(
            f"this is no rPPG-Toolbox output that can be read safely: {error}",
            path=path,
            remedy="give a saved_test_outputs pickle from a source you trust.",
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
        read, true = (_array(chunks[key]).size for chunks in (prediction, label))
        if read != true:
            raise DataError(
                f"the chunk {key} has {count(read, 'sample')} of the prediction and {true} of the "
                "label"
            )


def join_chunks(chunks: Mapping[Any, Any]) -> FloatArray:
    """One waveform (T,), in the precision it was saved in: scoring integrates in that."""
    ordered = [_array(chunks[key]).reshape(-1) for key in sorted(chunks, key=int)]
    if not ordered:
        return np.empty(0)
    joined = np.concatenate(ordered)
    if joined.dtype.kind not in "fiu":
        raise TypeError(f"they hold {joined.dtype} instead of numbers")
    return joined


def _array(chunk: Any) -> Any:
    """A chunk as an array; also of tensors that NumPy does not read: with a gradient, bfloat16."""
    if hasattr(chunk, "detach"):
        chunk = chunk.detach().cpu()
        if str(chunk.dtype) == "torch.bfloat16":
            chunk = chunk.float()
    return np.asarray(chunk)
