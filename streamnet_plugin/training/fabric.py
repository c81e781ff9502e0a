"""Lightning Fabric: the devices and processes that a training runs on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from torch import nn

from streamnet_plugin.training.recipe import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS: dict[Precision, Any] = {
    "float32": "32-true",
    "bfloat16": "bf16-mixed",
    "float64": "64-true",
}
"""Fabric's names."""


def make_fabric(device: str, gpus: int, precision: Precision) -> Fabric:
    """Fabric on so many GPUs, or on the processes that torchrun or SLURM started; launched.

    Args:
        device: "cpu", "cuda" or "cuda:1", the first GPU.
        gpus: on this machine; without torchrun a process is started for each.
        precision: of the forward pass.
    """
    from lightning_fabric import Fabric

    cuda = device.startswith("cuda")
    devices, nodes = launched()
    chosen: Any = devices
    if cuda and devices == nodes == 1:
        first = int(device.partition(":")[2] or 0)
        chosen = list(range(first, first + max(1, gpus)))
    several = nodes * (devices if isinstance(chosen, int) else len(chosen)) > 1
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=chosen,
        num_nodes=nodes,
        strategy="ddp" if several else "auto",
        precision=PRECISIONS[precision],
    )
    fabric.launch()
    return fabric


def own_fabric(model: nn.Module, precision: Precision) -> Fabric:
    """Fabric for this process alone, on the device that the model is on; launched."""
    from lightning_fabric import Fabric

    device = next(model.parameters()).device
    fabric = Fabric(
        accelerator="cuda" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        strategy="auto",
        precision=PRECISIONS[precision],
    )
    fabric.launch()
    return fabric


def launched() -> tuple[int, int]:
    """Processes on this machine and machines, as torchrun or SLURM started them; 1, 1 alone."""
    env = os.environ
    if "LOCAL_RANK" in env and "WORLD_SIZE" in env:
        world = int(env["WORLD_SIZE"])
        here = int(env.get("LOCAL_WORLD_SIZE", world))
        return here, max(1, world // here)
    if int(env.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in env:
        nodes = int(env.get("SLURM_NNODES", "1"))
        return int(env["SLURM_NTASKS"]) // nodes, nodes
    return 1, 1


def is_first() -> bool:
    """Whether this process is the one that writes and tells; known for certain after a launch."""
    from lightning_fabric.utilities.rank_zero import rank_zero_only

    return int(getattr(rank_zero_only, "rank", 0)) == 0
