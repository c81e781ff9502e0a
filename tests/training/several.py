"""Started by torchrun: a tiny training in several processes, or in one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from tiny import SETTINGS, TinyClips, network

from streamnet_plugin.training.fabric import make_fabric
from streamnet_plugin.training.loop import fit
from streamnet_plugin.training.validation import make_validate


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    fabric = make_fabric("cpu", 0, "float32")
    model = network()
    # 14 clips: the last forward pass is of two, one for each of two processes.
    clips, settings = TinyClips(14), replace(SETTINGS, epochs=3, learning_rate=1e-3)
    validate = make_validate(clips, "both", batch=4, fs=10.0, band=(0.6, 3.3))
    reports = fit(model, clips, settings, fabric=fabric, validate=validate)
    if fabric.is_global_zero:
        torch.save(
            {"model": model.state_dict(), "valid": [r.valid_loss for r in reports]},
            folder / f"of-{fabric.world_size}.pth",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
