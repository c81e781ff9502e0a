"""Temporal shift of feature maps inside a segment."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def wrapping_shift(x: Tensor, segment: int) -> Tensor:
    """WTSM: a third of the channels from the next frame, a third from the previous one.

    At the ends of a segment the shift wraps around to its other end.

    Args:
        x: (N * segment, C, H, W), the frames of a segment in a row.
        segment: frames per segment.

    Returns:
        Same shape and memory format as `x`.
    """
    return _shift(x, segment, wrap=True)


def shifted_for_thirds(x: Tensor, segment: int) -> Tensor:
    """What a convolution's outputs need to be computed from in order to come out shifted.

    (N * segment, C, H, W) -> (N * segment, 3 C, H, W): `wrapping_shift` of `x`, as the next frame
    has it, as the previous one has it, and as the frame itself has it.
    """
    count, channels = x.shape[:2]
    third = channels // 3
    moves = torch.zeros(channels, dtype=torch.long)
    moves[:third], moves[third : 2 * third] = 1, -1
    twice = torch.tensor([[1], [-1], [0]]) + moves  # (3, C)
    frame = torch.arange(count).view(-1, 1, 1)
    source = frame - frame % segment + (frame + twice) % segment  # (N * segment, 3, C)
    planes = (source * channels + torch.arange(channels)).flatten()
    return x.flatten(0, 1).index_select(0, planes).view(count, 3 * channels, *x.shape[2:])


def zero_shift(x: Tensor, segment: int) -> Tensor:
    """TS-CAN's shift (Liu et al. 2020): as `wrapping_shift`, but zeros come in at the ends."""
    return _shift(x, segment, wrap=False)


def no_shift(x: Tensor, segment: int) -> Tensor:
    """The ablation: every frame sees itself alone."""
    return x


def exporting() -> bool:
    """Whether a graph is made of what is computed: for a compiler, ONNX or OpenVINO."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def _shift(x: Tensor, segment: int, wrap: bool) -> Tensor:
    if exporting():
        return _shift_of_graph(x, segment, wrap)
    out: Tensor = _Shift.apply(x, segment, wrap, False)
    return out


class _Shift(torch.autograd.Function):
    """One copy each way: autograd's own way back through parts written is three copies a part."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, segment: int, wrap: bool, back: bool) -> Tensor:
        ctx.how = segment, wrap, back
        third = x.shape[1] // 3
        frames = x.view(-1, segment, *x.shape[1:])  # (N, segment, C, H, W)
        out = torch.empty_like(x)
        shifted = out.view(-1, segment, *x.shape[1:])
        ahead, behind = slice(0, third), slice(third, 2 * third)
        if back:
            ahead, behind = behind, ahead
        shifted[:, :-1, ahead] = frames[:, 1:, ahead]
        shifted[:, 1:, behind] = frames[:, :-1, behind]
        shifted[:, -1, ahead] = frames[:, 0, ahead] if wrap else 0
        shifted[:, 0, behind] = frames[:, -1, behind] if wrap else 0
        shifted[:, :, 2 * third :] = frames[:, :, 2 * third :]
        return out

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Any:
        """A permutation's gradient is moved back; what was dropped at the ends has none."""
        segment, wrap, back = ctx.how
        return _Shift.apply(grad[0], segment, wrap, not back), None, None, None


def _shift_of_graph(x: Tensor, segment: int, wrap: bool) -> Tensor:
    """The same without writing into a tensor's parts, which graphs cannot say."""
    third, frames = x.shape[1] // 3, x.unflatten(0, (-1, segment))
    ahead, behind = frames[:, :, :third], frames[:, :, third : 2 * third]
    first, last = ahead[:, :1], behind[:, -1:]
    if not wrap:
        first, last = torch.zeros_like(first), torch.zeros_like(last)
    ahead = torch.cat([ahead[:, 1:], first], dim=1)
    behind = torch.cat([last, behind[:, :-1]], dim=1)
    return torch.cat([ahead, behind, frames[:, :, 2 * third :]], dim=2).flatten(0, 1)
