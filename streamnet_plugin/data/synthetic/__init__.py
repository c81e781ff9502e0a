"""Synthetic recordings with a known pulse, in the real datasets' formats."""

from streamnet_plugin.data.synthetic.motion import MOTIONS, SETUPS
from streamnet_plugin.data.synthetic.scene import (
    SynthClip,
    SynthSettings,
    easy,
    hard,
    render,
    render_crops,
    render_face_clip,
)

__all__ = [
    "MOTIONS",
    "SETUPS",
    "SynthClip",
    "SynthSettings",
    "easy",
    "hard",
    "render",
    "render_crops",
    "render_face_clip",
]
