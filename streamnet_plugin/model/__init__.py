"""STREAM-Net: the network, one file per idea, its checkpoints and its place in the harness."""

from streamnet_plugin.model.checkpoint import load_checkpoint, save_checkpoint, shipped_checkpoint
from streamnet_plugin.model.method import STREAMNetMethod
from streamnet_plugin.model.streamnet import STREAMNet, STREAMNetConfig

__all__ = [
    "STREAMNet",
    "STREAMNetConfig",
    "STREAMNetMethod",
    "load_checkpoint",
    "save_checkpoint",
    "shipped_checkpoint",
]
