"""Synthetic recordings with a known pulse, in the real datasets' formats."""

from streamnet_plugin.data.synthetic.motion import SETUPS
from streamnet_plugin.data.synthetic.scene import (
    SynthClip,
    SynthSettings,
    easy,
    hard,
    render,
    render_face_clip,
)

__all__ = ["SETUPS", "SynthClip", "SynthSettings", "easy", "hard", "render", "render_face_clip"]
