"""SS-FEM: multi-scale feature enhancement of the spatial branch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from streamnet_plugin.model.fused import convolved
from streamnet_plugin.model.shift import exporting


class ChannelAttention(nn.Module):
    """Squeeze and excitation (Hu et al. 2018) with grouped 1 x 1 convolutions."""

    def __init__(self, channels: int, hidden: int = 4, groups: int = 2) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1, groups=groups)
        self.fc2 = nn.Conv2d(hidden, channels, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        # (N, C, 1, 1). A mean takes five times as long in bfloat16; ONNX has no pools of any size.
        pooled = x.mean((2, 3), keepdim=True) if exporting() else avg_pool2d(x, x.shape[-2:])
        return x * self.fc2(self.fc1(pooled).relu()).sigmoid()


class SSFEM(nn.Module):
    """Groups of channels pass through ever wider dilated convolutions, each fed by the last.

    (N, C, H, W) -> (N, C, H, W). conv1x1, BN, ReLU; C split into `scales` groups; group i adds
    the output of group i - 1, then a depthwise 3 x 3 convolution with dilation 2^i, BN, ReLU;
    concatenated; conv1x1, BN; channel attention; residual; ReLU. 9,476 parameters for C = 64.
    """

    def __init__(self, channels: int = 64, scales: int = 4) -> None:
        super().__init__()
        width = channels // scales
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=2**i, dilation=2**i, groups=width, bias=False)
            for i in range(scales)
        )
        self.bn2 = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(scales))
        self.conv3 = nn.Conv2d(channels, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.se = ChannelAttention(channels)

    def forward(self, x: Tensor) -> Tensor:
        parts = convolved(self.conv1, x, "relu", self.bn1).chunk(len(self.conv2), dim=1)
        outputs: list[Tensor] = []
        for part, conv, norm in zip(parts, self.conv2, self.bn2, strict=True):
            # Without gaps between pixels: or a sum in bfloat16 takes four times as long.
            part = part.contiguous(memory_format=torch.channels_last)
            part = part + outputs[-1] if outputs else part
            outputs.append(convolved(conv, part, "relu", norm))  # type: ignore[arg-type]
        y = self.se(convolved(self.conv3, torch.cat(outputs, dim=1), "none", self.bn3))
        return (x + y).relu()
