"""STREAM-Net, assembled.

M. Usman, M. Sobotka, J. Ruminski, "STREAM-Net: Spatio-temporal feature fusion network for robust
rPPG signal measurement in remote health monitoring", Knowledge-Based Systems 2025,
doi 10.1016/j.knosys.2025.114080.

    temporal: [shift conv tanh] [shift conv tanh] x STLAM1, pool, drop     (d)
              [shift conv tanh] [shift conv tanh] x STLAM2, pool, drop, dense, tanh, drop, dense
    spatial:  conv tanh conv tanh -> STLAM1, pool, drop                    (d)
              conv tanh conv tanh -> SS-FEM -> STLAM2

Everything above the two lines marked (d) comes before the first dropout: `stem` computes it, and
`head` the rest, so that Monte Carlo sampling repeats `head` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from streamnet_plugin.config import MIN_SIZE
from streamnet_plugin.errors import ConfigError
from streamnet_plugin.model.fused import convolved, convolved_between_shifts, last_channels
from streamnet_plugin.model.shift import exporting, no_shift, wrapping_shift, zero_shift
from streamnet_plugin.model.ssfem import SSFEM
from streamnet_plugin.model.stlam import lateral_attention

Shift = Literal["wrap", "zero", "none"]
SHIFTS: dict[Shift, Callable[[Tensor, int], Tensor]] = {
    "wrap": wrapping_shift,
    "zero": zero_shift,
    "none": no_shift,
}
CHANNELS = (32, 64)
FLOAT32_BYTES = 4
BLOCK_BYTES = 16e6
"""On a CPU, frames are computed in blocks whose largest map has at most this size. Two maps then
fit into a cache of 32 MB, and the C library reuses their memory, where it gives a larger block
back to the system after every layer: 72 px, 180 frames, one core, 63 frames/s at once, 110 so."""
HIDDEN = 128


@dataclass(frozen=True)
class STREAMNetConfig:
    """What makes two STREAM-Nets different.

    Attributes:
        height, width: px of the face crop, at least 16.
        segment_length: frames that the shift mixes; clips are whole multiples of it.
        shift: "wrap" (the paper), "zero" (TS-CAN's) or "none".
        attention: STLAM on or off.
        ssfem: SS-FEM on or off.
        third_conv: a third 3 x 3 convolution before SS-FEM, as the paper's figure draws it.
        dropout: rates after the first pooling, the second pooling and the hidden layer.
    """

    height: int = 36
    width: int = 36
    segment_length: int = 10
    shift: Shift = "wrap"
    attention: bool = True
    ssfem: bool = True
    third_conv: bool = False
    dropout: tuple[float, float, float] = (0.25, 0.25, 0.5)

    def __post_init__(self) -> None:
        if min(self.height, self.width) < MIN_SIZE:
            raise ConfigError(
                f"the network needs crops of at least {MIN_SIZE} x {MIN_SIZE} px, "
                f"found {self.width} x {self.height}"
            )
        if self.segment_length < 2:
            raise ConfigError(f"a segment needs at least 2 frames, found {self.segment_length}")
        if self.shift not in SHIFTS:
            raise ConfigError(f"unknown shift {self.shift!r}", remedy="use wrap, zero or none.")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class STREAMNet(nn.Module):
    """Difference-normalised BVP, one value per frame, from difference and standardised frames.

    Input (B, T, 6, H, W) -> (B, T), or frames of several clips in a row (N * T, 6, H, W) ->
    (N * T, 1), T a multiple of `segment_length`. Channels 0-2 are the difference-normalised
    frame, 3-5 the standardised one. Segments never mix two clips. 542,375 parameters at 36 px,
    2,238,119 at 72 px. The state-dict names are those of the authors' repository.
    """

    mc_split = ("stem_in_blocks", "head")
    """See `uncertainty.mc_dropout`; so is `mc_block`."""

    def __init__(self, config: STREAMNetConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or STREAMNetConfig()
        low, high = CHANNELS
        self.motion_conv1 = nn.Conv2d(3, low, 3, padding=1)
        self.motion_conv2 = nn.Conv2d(low, low, 3)
        self.motion_conv3 = nn.Conv2d(low, high, 3, padding=1)
        self.motion_conv4 = nn.Conv2d(high, high, 3)
        self.apperance_conv1 = nn.Conv2d(3, low, 3, padding=1)
        self.apperance_conv2 = nn.Conv2d(low, low, 3)
        self.apperance_conv3 = nn.Conv2d(low, high, 3, padding=1)
        self.apperance_conv4 = nn.Conv2d(high, high, 3)
        if c.third_conv:
            self.apperance_conv5 = nn.Conv2d(high, high, 3, padding=1)
        if c.attention:
            self.apperance_att_conv1 = nn.Conv2d(low, 1, 1)
            self.apperance_att_conv2 = nn.Conv2d(high, 1, 1)
        if c.ssfem:
            self.ssfem = SSFEM(high)
        self.pool = nn.AvgPool2d(2)
        self.dropout_1 = nn.Dropout(c.dropout[0])
        self.dropout_2 = nn.Dropout(c.dropout[0])
        self.dropout_3 = nn.Dropout(c.dropout[1])
        self.dropout_4 = nn.Dropout(c.dropout[2])
        # Two unpadded convolutions and poolings: h -> (h - 2) // 2 -> ((h - 2) // 2 - 2) // 2.
        flat = high * pooled_twice(c.height) * pooled_twice(c.width)
        self.final_dense_1 = nn.Linear(flat, HIDDEN)
        self.final_dense_2 = nn.Linear(HIDDEN, 1)
        if not c.attention:  # nothing uses them; several processes wait for each one's gradients
            for name, parameter in self.named_parameters():
                parameter.requires_grad_(not name.startswith(("apperance_", "ssfem.")))

    def forward(self, x: Tensor) -> Tensor:
        blocks = self.blocks(self._as_frames(x))
        maps = [self._features(*self.stem(block)) for block in blocks]
        # At once: the hidden layer's weights are read once, 8 MB at 72 px.
        out = self._regressed(maps[0] if len(maps) == 1 else torch.cat(maps))  # (N, 1)
        return out.view(x.shape[0], x.shape[1]) if x.dim() == 5 else out

    def stem(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Up to the first dropout: (N, 6, H, W) -> two maps (N, 32, (H-2)//2, (W-2)//2)."""
        motion, appearance = frames[:, :3], last_channels(frames[:, 3:])
        if self.config.shift == "wrap":
            segment = self.config.segment_length
            d = convolved_between_shifts(self.motion_conv1, motion, segment, "tanh")
            d = convolved(self.motion_conv2, d, "tanh")
        else:
            d = self._shifted(last_channels(motion), self.motion_conv1)
            d = self._shifted(d, self.motion_conv2)
        r = convolved(self.apperance_conv1, appearance, "tanh")
        r = convolved(self.apperance_conv2, r, "tanh")
        if self.config.attention:
            d = d * lateral_attention(r, self.apperance_att_conv1)
        return self.pool(d), self.pool(r)

    def stem_in_blocks(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """`stem` of as many frames as a clip has."""
        maps = [self.stem(block) for block in self.blocks(frames)]
        return torch.cat([d for d, _ in maps]), torch.cat([r for _, r in maps])

    def head(self, d: Tensor, r: Tensor) -> Tensor:
        """From the first dropout on: the maps of `stem` -> (N, 1)."""
        return self._regressed(self._features(d, r))

    def _features(self, d: Tensor, r: Tensor) -> Tensor:
        """What the dense layers take: (N, 64 h w), channels first."""
        d = self._shifted(self.dropout_1(d), self.motion_conv3)
        d = self._shifted(d, self.motion_conv4)
        if self.config.attention:
            d = d * lateral_attention(self._spatial_head(r), self.apperance_att_conv2)
        return self.dropout_3(self.pool(d)).flatten(1)

    def _regressed(self, features: Tensor) -> Tensor:
        return self.final_dense_2(self.dropout_4(self.final_dense_1(features).tanh()))

    def _spatial_head(self, r: Tensor) -> Tensor:
        r = convolved(self.apperance_conv3, self.dropout_2(r), "tanh")
        r = convolved(self.apperance_conv4, r, "tanh")
        if self.config.third_conv:
            r = convolved(self.apperance_conv5, r, "tanh")
        return self.ssfem(r) if self.config.ssfem else r

    def _shifted(self, x: Tensor, conv: nn.Conv2d) -> Tensor:
        return convolved(conv, SHIFTS[self.config.shift](x, self.config.segment_length), "tanh")

    def blocks(self, frames: Tensor) -> Sequence[Tensor]:
        """Whole segments to compute at a time: all, in training, whose batch norm sees all."""
        if self.training or frames.device.type != "cpu" or exporting():
            return (frames,)
        c = self.config
        return frames.split(self._block(CHANNELS[0] * c.height * c.width * frames.element_size()))

    @property
    def mc_block(self) -> int:
        """Frames that `head` takes at a time: the same in every precision, for equal masks."""
        c = self.config
        return self._block(CHANNELS[1] * (c.height // 2 - 1) * (c.width // 2 - 1) * FLOAT32_BYTES)

    def _block(self, map_bytes: int) -> int:
        """Frames in a block, whole segments, where the largest map of one has `map_bytes`."""
        segment = self.config.segment_length
        return max(1, int(BLOCK_BYTES // (map_bytes * segment))) * segment

    def _as_frames(self, x: Tensor) -> Tensor:
        c = self.config
        if x.dim() not in (4, 5) or tuple(x.shape[-3:]) != (6, c.height, c.width):
            raise ConfigError(
                f"expected (B, T, 6, {c.height}, {c.width}) or (N, 6, {c.height}, {c.width}), "
                f"found {tuple(x.shape)}",
                remedy="resize the crops to the network's size, or load weights of their size.",
            )
        frames_per_clip = x.shape[1] if x.dim() == 5 else x.shape[0]
        if frames_per_clip == 0 or frames_per_clip % c.segment_length:
            raise ConfigError(
                f"{frames_per_clip} frames are no multiple of the segment length "
                f"{c.segment_length}",
                remedy="set CHUNK_LENGTH to a multiple of MODEL.STREAMNET.FRAME_DEPTH.",
            )
        return x.flatten(0, 1) if x.dim() == 5 else x


def pooled_twice(size: int) -> int:
    return ((size - 2) // 2 - 2) // 2
