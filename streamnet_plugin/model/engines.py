"""What computes the network: torch as it is, torch's compiler, ONNX Runtime or OpenVINO.

An engine maps frames (N, 6, H, W) float32, whole segments, to (N, 1) float32. All give what the
network itself gives in float32 within 1e-3 of its range.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from streamnet_plugin.atomic import whole_file
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.memory import reuse_freed_blocks
from streamnet_plugin.model.streamnet import STREAMNet
from streamnet_plugin.uncertainty.mc_dropout import Precision

log = logging.getLogger(__name__)
Engine = Callable[[Tensor], Tensor]
EngineName = Literal["torch", "compile", "onnxruntime", "openvino"]
EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}
"""Engines that need a package of their own -> the extra of ours that installs it."""
OPSET = 17
INPUT, OUTPUT = "frames", "difference_normalised_bvp"


def make_engine(name: str, model: STREAMNet, precision: Precision = "float32") -> Engine:
    """The engine of that name for a network in evaluation mode.

    Args:
        name: "torch"; "compile", which takes a minute at first and needs a C++ compiler on a CPU:
            without one it warns, and computes without; "onnxruntime" or "openvino", on a CPU.
        model: on its device.
        precision: of convolutions and matrix products.

    Raises:
        ConfigError: no such engine, its package is not installed, or it has not this precision or
            device.
    """
    if name not in get_args(EngineName):
        raise ConfigError(
            f"no engine is named {name!r}", remedy=f"use one of {', '.join(get_args(EngineName))}."
        )
    device = next(model.parameters()).device
    if device.type == "cpu":
        reuse_freed_blocks()
    if name in EXTRAS:
        if find_spec(name) is None or (name == "onnxruntime" and find_spec("onnx") is None):
            raise ConfigError(
                f"the engine {name} is not installed",
                remedy=f'pip install "streamnet-rppg[{EXTRAS[name]}]".',
            )
        if device.type != "cpu":
            raise ConfigError(
                f"the engine {name} computes on a CPU here, not on {device}",
                remedy="set DEVICE: cpu, or ENGINE: torch.",
            )
        return _openvino(model, precision) if name == "openvino" else _onnxruntime(model, precision)
    return _torch(_Compiled(model) if name == "compile" else model, precision)


def _torch(model: Engine, precision: Precision) -> Engine:
    if precision == "float32":
        return model

    def in_bfloat16(frames: Tensor) -> Tensor:
        with torch.autocast(frames.device.type, torch.bfloat16):
            return model(frames.bfloat16()).float()

    return in_bfloat16


class _Compiled:
    """The network by torch's compiler; by torch as it is where that fails, with a warning."""

    def __init__(self, model: STREAMNet) -> None:
        self.model = model
        self.compute: Engine = torch.compile(model, dynamic=True)
        self.proven = False

    def __call__(self, frames: Tensor) -> Tensor:
        blocks = self.model.blocks(frames)
        try:
            out = [self.compute(block) for block in blocks]
        except Exception as error:  # the compiler raises whatever its parts and the system's do
            if self.proven:
                raise
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            log.warning("torch.compile does not work here, computing without it: %s", reason)
            self.compute = self.model
            return self.model(frames)
        self.proven = True
        return torch.cat(out)


def _onnxruntime(model: STREAMNet, precision: Precision) -> Engine:
    if precision != "float32":
        raise ConfigError(
            "the engine onnxruntime computes in float32 on a CPU",
            remedy="set PRECISION: float32, or ENGINE: torch or openvino.",
        )
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        onnx_bytes(model), options, providers=["CPUExecutionProvider"]
    )

    def run(block: Tensor) -> Any:
        return session.run(None, {INPUT: block.contiguous().numpy()})[0]

    return _by_blocks(model, run)


def _openvino(model: STREAMNet, precision: Precision) -> Engine:
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, about shapes that become constants: they are
        graph = openvino.convert_model(_plain(model), example_input=_example(model))
    c = model.config
    graph.reshape([-1, 6, c.height, c.width])
    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()

    def run(block: Tensor) -> Any:
        return request.infer({0: block.contiguous().numpy()})[0].copy()

    return _by_blocks(model, run)


def _by_blocks(model: STREAMNet, run: Callable[[Tensor], Any]) -> Engine:
    return lambda frames: torch.cat([torch.from_numpy(run(b)) for b in model.blocks(frames)])


def _plain(model: STREAMNet) -> STREAMNet:
    """A copy in memory as exporters expect it."""
    copy = STREAMNet(model.config)
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def _example(model: STREAMNet) -> Tensor:
    c = model.config
    return torch.zeros(2 * c.segment_length, 6, c.height, c.width)


def onnx_bytes(model: STREAMNet) -> bytes:
    """The network as an ONNX file: `frames` (N, 6, H, W) -> (N, 1), N whole segments."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see `_openvino`; and that this exporter is the older one
        torch.onnx.export(
            _plain(model), (_example(model),), buffer,  # type: ignore[arg-type]
            dynamo=False, opset_version=OPSET,
            input_names=[INPUT], output_names=[OUTPUT], dynamic_axes={INPUT: {0: "n"}},
        )  # fmt: skip
    return buffer.getvalue()


def export_onnx(model: STREAMNet, path: str | Path) -> Path:
    """Write the network to an ONNX file, whole or not at all.

    Raises:
        ConfigError: the package onnx is not installed.
        OutputError: the file cannot be written.
    """
    if find_spec("onnx") is None:
        raise ConfigError(
            "the package onnx is not installed", remedy='pip install "streamnet-rppg[onnx]".'
        )
    path, content = Path(path), onnx_bytes(model)
    with whole_file(path, "the network") as whole:
        whole.write_bytes(content)
    return path
