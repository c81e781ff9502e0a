"""STLAM: the spatial branch tells the temporal branch where to look."""

from __future__ import annotations

from torch import Tensor, nn

EPS = 1e-6
"""Keeps a frame in which the gate is zero everywhere finite: its mask is then zero."""


def lateral_attention(features: Tensor, gate: nn.Conv2d) -> Tensor:
    """Soft mask sigmoid(gate(features)), normalised per frame to a mean of one half.

    Args:
        features: (N, C, H, W) of the spatial branch.
        gate: 1 x 1 convolution C -> 1.

    Returns:
        (N, 1, H, W): g / sum(g) * H * W / 2, the attention of DeepPhys (Chen & McDuff 2018).
    """
    g = gate(features).sigmoid()
    height, width = g.shape[2:]
    # Summed in float32: a bfloat16 sum over a thousand pixels loses two digits.
    total = g.float().sum(dim=(2, 3), keepdim=True).clamp_min(EPS)
    return (g * (0.5 * height * width / total)).to(features.dtype)
