"""Weights in and out: safetensors with metadata, and the authors' and TS-CAN `.pth` files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from streamnet_plugin.errors import CheckpointError, ConfigError, OutputError
from streamnet_plugin.model.streamnet import CHANNELS, Shift, STREAMNet, STREAMNetConfig

FORMAT = "streamnet-rppg/1"


def shipped_checkpoint() -> Path:
    """The weights that come with the package (36 px, trained on synthetic recordings only)."""
    return Path(__file__).resolve().parent / "weights" / "streamnet_36px_synthetic.safetensors"


def save_checkpoint(model: STREAMNet, path: str | Path, metadata: Mapping[str, Any]) -> Path:
    """Write weights, network configuration and `metadata` (JSON values) to a safetensors file.

    The file appears under its name only when it is complete.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    header = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "metadata": json.dumps(dict(metadata)),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
        save_file(tensors, temporary, metadata=header)
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"the checkpoint cannot be written: {error}",
            path=path,
            remedy="free disk space or choose another folder.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def load_checkpoint(
    path: str | Path | None = None,
    config: STREAMNetConfig | None = None,
    *,
    segment_length: int | None = None,
    shift: Shift | None = None,
) -> tuple[STREAMNet, dict[str, Any]]:
    """A network in evaluation mode, and what its file says of itself.

    Args:
        path: `.safetensors` of ours, or a `.pth` state dict with the authors' or TS-CAN's names,
            with or without a leading `module.`; None for the shipped weights.
        config: needed for a `.pth` whose crops are not square or whose segments are not 10 frames
            long; otherwise read from the file, or from the shapes in it.
        segment_length, shift: of a `.pth`, which does not say them; None for 10 frames, and for
            the shift that its names imply.

    Raises:
        CheckpointError: missing or damaged file, anything but tensors in it, or names and shapes
            that do not fit; lists what is missing, extra, and of the wrong shape.
    """
    path = shipped_checkpoint() if path is None else Path(path)
    if not path.is_file():
        raise CheckpointError(
            "there is no such file", path=path, remedy="correct the path, or omit it."
        )
    state, own_config, metadata = _read(path)
    if config is None:
        config = own_config or _stated(config_from_shapes(state, path), segment_length, shift)
    model = STREAMNet(config)
    _check_fit(model, state, path)
    model.load_state_dict(state)
    return model.eval(), metadata


@dataclass(frozen=True)
class StatedConfig:
    """What a weights file says of its network.

    Attributes:
        config: the network's.
        stated: whether the file says it; otherwise it is implied by names and shapes, which hold
            the image size only up to pooling, and not the segment length.
    """

    config: STREAMNetConfig
    stated: bool

    def fits(self, width: int, height: int) -> bool:
        """Whether the network can have been made for crops of that size in px."""
        c = self.config
        if self.stated:
            return (width, height) == (c.width, c.height)
        return (_pooled(width), _pooled(height)) == (_pooled(c.width), _pooled(c.height))


def _pooled(side: int) -> int:
    """Side of what the dense layer sees: two valid convolutions and two poolings later."""
    return (side - 6) // 4


def read_stated_config(path: str | Path) -> StatedConfig:
    """The configuration in a weights file: of our own files only the header is read.

    Raises:
        CheckpointError: missing or damaged file, or no STREAM-Net's weights.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError("there is no such file", path=path, remedy="correct the path.")
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
            if header.get("format") == FORMAT:
                return StatedConfig(_config_of(header), stated=True)
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, ConfigError) as error:
            raise _damaged(error, path) from error
    return StatedConfig(config_from_shapes(_read(path)[0], path), stated=False)


def _config_of(header: Mapping[str, str]) -> STREAMNetConfig:
    fields = json.loads(header["config"])
    return STREAMNetConfig(**{**fields, "dropout": tuple(fields["dropout"])})


def _damaged(error: Exception, path: Path) -> CheckpointError:
    return CheckpointError(
        f"this safetensors file is damaged or not ours: {error}",
        path=path,
        remedy="download or train it again.",
    )


def _read(path: Path) -> tuple[dict[str, Tensor], STREAMNetConfig | None, dict[str, Any]]:
    if path.suffix != ".safetensors":
        return _read_pth(path), None, {}
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if header.get("format") != FORMAT:
            return _without_prefix(state), None, {}
        return state, _config_of(header), json.loads(header["metadata"])
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, ConfigError) as error:
        raise _damaged(error, path) from error


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises anything at all on a damaged file
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise CheckpointError(
            f"this is no file of tensors alone: {first_line}",
            path=path,
            remedy="save it again with torch.save(model.state_dict(), path).",
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise CheckpointError("this file holds no state dict (names to tensors)", path=path)
    return _without_prefix(state)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the `module.` that DataParallel puts before them."""
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def config_from_shapes(state: Mapping[str, Tensor], path: Path | None = None) -> STREAMNetConfig:
    """The configuration that names and shapes imply, for square crops and 10-frame segments.

    Without SS-FEM the weights are TS-CAN's, whose shift pads with zeros.
    """
    weight = state.get("final_dense_1.weight")
    if weight is None:
        raise CheckpointError(
            "no final_dense_1.weight in it: these are not STREAM-Net or TS-CAN weights", path=path
        )
    side = math.isqrt(weight.shape[1] // CHANNELS[1])
    if CHANNELS[1] * side * side != weight.shape[1]:
        raise CheckpointError(
            f"final_dense_1 takes {weight.shape[1]} values: the crops were not square",
            path=path,
            remedy="pass a STREAMNetConfig with their height and width.",
        )
    ssfem = any(name.startswith("ssfem.") for name in state)
    # Sizes 4 side + 6 ... 4 side + 9 pool to the same shape; the field's 36, 72, 96 and 128 are
    # all 4 side + 8.
    config = STREAMNetConfig(
        height=4 * side + 8,
        width=4 * side + 8,
        ssfem=ssfem,
        shift="wrap" if ssfem else "zero",
        attention="apperance_att_conv1.weight" in state,
    )
    return replace(config, third_conv="apperance_conv5.weight" in state)


def _stated(
    config: STREAMNetConfig, segment_length: int | None, shift: Shift | None
) -> STREAMNetConfig:
    """The configuration that shapes imply, with what they cannot tell."""
    return replace(
        config,
        segment_length=segment_length or config.segment_length,
        shift=shift or config.shift,
    )


def _check_fit(model: STREAMNet, state: Mapping[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    problems = []
    missing = sorted(set(expected) - set(state))
    extra = sorted(set(state) - set(expected))
    if missing:
        problems.append("missing: " + ", ".join(missing))
    if extra:
        problems.append("extra: " + ", ".join(extra))
    for name in sorted(set(expected) & set(state)):
        if expected[name].shape != state[name].shape:
            problems.append(
                f"wrong shape: {name} is {tuple(state[name].shape)}, "
                f"the network has {tuple(expected[name].shape)}"
            )
    if problems:
        c = model.config
        raise CheckpointError(
            f"the weights do not fit a {c.width} x {c.height} px STREAM-Net; "
            + "; ".join(problems),
            path=path,
            remedy="use the image size and modules that the weights were trained with.",
        )
