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


def run(fabric, settings, **changes):
    """Weights, and validation losses of every epoch."""
    model = network(**changes)
    # 13 clips: the last forward pass is of one, and a second process gets nothing.
    clips = TinyClips(13)
    validate = make_validate(clips, "both", batch=4, fs=10.0, band=(0.6, 3.3))
    reports = fit(model, clips, settings, fabric=fabric, validate=validate)
    return {"model": model.state_dict(), "valid": [r.valid_loss for r in reports]}


def both(make):
    """In float64, where rounding does not matter, for longer than in float32."""
    exact = replace(SETTINGS, epochs=3, precision="float64")
    short = replace(SETTINGS, epochs=1, learning_rate=1e-4)
    found = {s.precision: run(make(s.precision), s) for s in (exact, short)}
    # Without attention a part of the network is used by nothing, and has no gradients to share.
    return found | {"no attention": run(make("float64"), exact, attention=False)}


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    fabrics = {}

    def make(precision):
        fabrics[precision] = make_fabric("cpu", 0, precision)
        return fabrics[precision]

    results = both(make)
    if fabrics["float64"].is_global_zero:
        torch.save(results, folder / "two.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
