"""Weights in and out: safetensors with metadata, and the authors' and TS-CAN `.pth` files."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from streamnet_plugin.atomic import whole_file
from streamnet_plugin.errors import CheckpointError, ConfigError
from streamnet_plugin.model.streamnet import CHANNELS, STREAMNet, STREAMNetConfig, pooled_twice

FORMAT = "streamnet-rppg/1"
SIDES = ("width", "height")
SHIPPED_PX = (36, 72)
"""Crops that the shipped weights are for, smallest first."""


def shipped_checkpoint(width: int = SHIPPED_PX[0], height: int = SHIPPED_PX[0]) -> Path:
    """The weights that come with the package, trained on synthetic recordings only.

    The largest that crops of that size, px, can be fed to; the smallest where none can.
    """
    fitting = [px for px in SHIPPED_PX if px <= min(width, height)]
    name = f"streamnet_{max(fitting, default=SHIPPED_PX[0])}px_synthetic.safetensors"
    return Path(__file__).resolve().parent / "weights" / name


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
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    with whole_file(path, "the checkpoint", "free disk space or choose another folder.") as whole:
        whole.write_bytes(save(tensors, metadata=header))  # its own files are for the owner alone
    return path


def load_checkpoint(
    path: str | Path | None = None,
    config: STREAMNetConfig | None = None,
    *,
    stated: Mapping[str, Any] | None = None,
    shrinks: bool = False,
) -> tuple[STREAMNet, dict[str, Any]]:
    """A network in evaluation mode, and what its file says of itself.

    Args:
        path: `.safetensors` of ours, or a `.pth` state dict with the authors' or TS-CAN's names,
            with or without a leading `module.`; None for the shipped weights of the stated size.
        config: what the network is; None reads it from the file, or from the shapes in it.
        stated: fields of STREAMNetConfig that are known from elsewhere, e.g. a YAML. Where a
            `.pth` does not say (crop size, segment length, shift), they are believed: without
            them, crops are square, segments 10 frames long, and the shift is what the names
            imply. Where a file does say, they must agree.
        shrinks: whoever feeds the network shrinks crops that are larger than its own.

    Raises:
        CheckpointError: missing or damaged file, anything but tensors in it, names and shapes
            that do not fit (lists what is missing, extra, and of the wrong shape), or weights
            that are not what was stated.
    """
    stated = dict(stated or {})
    path = checkpoint_path(path, stated)
    if not path.is_file():
        raise CheckpointError(
            "there is no such file", path=path, remedy="correct the path, or omit it."
        )
    state, own_config, metadata = _read(path)
    if config is None:
        config = own_config or _config_of_shapes(state, stated, path)
    if shrinks and all(stated.get(side, math.inf) >= getattr(config, side) for side in SIDES):
        stated = {key: value for key, value in stated.items() if key not in SIDES}
    _check_stated(config, stated, path)
    model = STREAMNet(config)
    _check_fit(model, state, path)
    model.load_state_dict(state)
    return model.eval(), metadata


def checkpoint_path(path: str | Path | None, stated: Mapping[str, Any] | None = None) -> Path:
    """The file that `load_checkpoint` reads."""
    if path is not None:
        return Path(path)
    sides = {side: (stated or {})[side] for side in SIDES if side in (stated or {})}
    return shipped_checkpoint(**sides)


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file of weights, as `sha256sum` shows it."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


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
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(t, Tensor) for name, t in state.items()
    ):
        raise CheckpointError(
            "this file holds no state dict (names to tensors)",
            path=path,
            remedy="save it again with torch.save(model.state_dict(), path).",
        )
    return _without_prefix(state)


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without the `module.` that DataParallel puts before them."""
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def config_from_shapes(state: Mapping[str, Tensor], path: Path | None = None) -> STREAMNetConfig:
    """The configuration that names and shapes imply, for square crops and 10-frame segments.

    Without SS-FEM the weights are TS-CAN's, whose shift pads with zeros.
    """
    return _config_of_shapes(state, {}, path)


def _config_of_shapes(
    state: Mapping[str, Tensor], stated: Mapping[str, Any], path: Path | None
) -> STREAMNetConfig:
    weight = state.get("final_dense_1.weight")
    if weight is None or weight.dim() != 2:
        raise CheckpointError(
            "no matrix final_dense_1.weight in it: these are not STREAM-Net or TS-CAN weights",
            path=path,
            remedy="give weights of one of these networks.",
        )
    height, width = _crop_size(weight.shape[1], stated, path)
    ssfem = any(name.startswith("ssfem.") for name in state)
    return STREAMNetConfig(
        height=height,
        width=width,
        segment_length=stated.get("segment_length", 10),
        ssfem=ssfem,
        shift=stated.get("shift", "wrap" if ssfem else "zero"),
        attention="apperance_att_conv1.weight" in state,
        third_conv="apperance_conv5.weight" in state,
    )


def _crop_size(n_inputs: int, stated: Mapping[str, Any], path: Path | None) -> tuple[int, int]:
    """Height and width, px, of the crops that give the dense layer so many inputs."""
    if set(SIDES) <= set(stated):
        height, width = stated["height"], stated["width"]
        if CHANNELS[1] * pooled_twice(height) * pooled_twice(width) == n_inputs:
            return height, width
    side = math.isqrt(n_inputs // CHANNELS[1])
    if CHANNELS[1] * side * side != n_inputs:
        raise CheckpointError(
            f"final_dense_1 takes {n_inputs} values: the crops were not square",
            path=path,
            remedy="state their height and width (RESIZE in a YAML).",
        )
    # Sizes 4 side + 6 ... 4 side + 9 pool to the same shape; the field's 36, 72, 96 and 128 are
    # all 4 side + 8.
    return 4 * side + 8, 4 * side + 8


def _check_stated(config: STREAMNetConfig, stated: Mapping[str, Any], path: Path) -> None:
    own = config.to_dict()
    other = [f"{k} is {own[k]}, not {v}" for k, v in stated.items() if own[k] != v]
    if other:
        raise CheckpointError(
            "these weights are of another network than the configuration's: " + ", ".join(other),
            path=path,
            remedy="use the RESIZE and the MODEL.STREAMNET keys that they were trained with.",
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
    broken = [name for name, t in sorted(state.items()) if not torch.isfinite(t).all()]
    if broken:
        problems.append("not finite: " + ", ".join(broken))
    if problems:
        c = model.config
        raise CheckpointError(
            f"the weights do not fit a {c.width} x {c.height} px STREAM-Net; "
            + "; ".join(problems),
            path=path,
            remedy="use the image size and modules that the weights were trained with.",
        )
