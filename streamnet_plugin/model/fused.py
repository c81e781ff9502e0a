"""A convolution with its batch norm and activation, in one kernel where there is one."""

from __future__ import annotations

import platform
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn

from streamnet_plugin.model.shift import exporting, shifted_for_thirds, wrapping_shift

Activation = Literal["tanh", "relu", "none"]
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "none": lambda x: x}
FUSED_ON = ("x86_64", "AMD64")
SLOW_DILATION = 8
"""From here on oneDNN has no fast depthwise kernel: SS-FEM's last group took 2.0 ms in bfloat16 and
0.82 in float32, as a full convolution, mostly of zeros, 0.23 and 0.58 (20 frames at 72 px)."""


def convolved(
    conv: nn.Conv2d, x: Tensor, activation: Activation, norm: nn.BatchNorm2d | None = None
) -> Tensor:
    """activation(norm(conv(x))), (N, C, H, W) -> (N, C', H', W').

    Without gradients on an x86 CPU, oneDNN computes the activation while the convolution's result
    is still in registers, and the batch norm is part of the weights. At 72 px that made the whole
    network 1.4 times as fast in float32 and 1.3 times in bfloat16 (one core, AVX-512): a tanh of
    its own costs half as much as its convolution.
    """
    dtype = None if exporting() else _type_here(x, norm)
    if dtype is None:
        y = _convolution(conv, x)
        return ACTIVATIONS[activation](y if norm is None else norm(y))
    weight, bias = _weights(conv, norm)
    if activation == "tanh" and dtype == torch.float32 and _slow_tanh():
        doubled = None if bias is None else 2 * bias
        return _fused(conv, x, 2 * weight, doubled, "sigmoid", dtype).mul_(2).sub_(1)
    return _fused(conv, x, weight, bias, activation, dtype)


def last_channels(x: Tensor) -> Tensor:
    """`x` as convolutions are fastest with, whose outputs follow their inputs."""
    return x if exporting() else x.contiguous(memory_format=torch.channels_last)


def convolved_between_shifts(
    conv: nn.Conv2d, x: Tensor, segment: int, activation: Activation
) -> Tensor:
    """shift(activation(conv(shift(x)))), both wrapping, for an `x` of few channels: (N, C, H, W).

    Without gradients on an x86 CPU the second shift is taken before the convolution, too: moving 9
    channels of the input is less than moving 32 of the output.
    """
    dtype = None if exporting() else _type_here(x, None)
    if dtype is None:
        x = wrapping_shift(last_channels(x), segment)
        return wrapping_shift(convolved(conv, x, activation), segment)
    moved = last_channels(shifted_for_thirds(x.to(dtype), segment))
    third, inputs = conv.out_channels // 3, conv.in_channels
    weight = conv.weight.new_zeros(conv.out_channels, 3 * inputs, *conv.kernel_size)
    for i, outputs in enumerate((slice(third), slice(third, 2 * third), slice(2 * third, None))):
        weight[outputs, i * inputs : (i + 1) * inputs] = conv.weight[outputs]
    return _fused(conv, moved, weight, conv.bias, activation, dtype)


def _convolution(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """conv(x), in a type whose gradients can be relied on.

    oneDNN's gradient of the weight of a dilated depthwise convolution in bfloat16 is wrong, up to
    NaN, on maps wider than 32 in channels_last (torch 2.13 on AVX-512): those are SS-FEM's at
    72 px. They are computed in float32.
    """
    dtype = _type_on_cpu(x)
    dilated_depthwise = conv.groups > 1 and max(conv.dilation) > 1
    wrong = dilated_depthwise and x.device.type == "cpu" and dtype == torch.bfloat16
    if not (wrong and torch.is_grad_enabled()):
        out: Tensor = conv(x)
        return out
    with torch.autocast("cpu", enabled=False):
        bias = None if conv.bias is None else conv.bias.float()
        return conv._conv_forward(x.float(), conv.weight.float(), bias).to(dtype)


def _fused(
    conv: nn.Conv2d,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    activation: str,
    dtype: torch.dtype,
) -> Tensor:
    groups = conv.groups
    if groups == weight.shape[0] and max(conv.dilation) >= SLOW_DILATION:
        weight, groups = _dense(weight), 1
    out: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype),
        conv.padding, conv.stride, conv.dilation, groups, activation, [], "",
    )  # fmt: skip
    return out


def _dense(weight: Tensor) -> Tensor:
    """A depthwise convolution's (C, 1, h, w) among the zeros of a full one, (C, C, h, w)."""
    return torch.diag_embed(weight[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1)


@cache
def _slow_tanh() -> bool:
    """Whether tanh(x) = 2 sigmoid(2x) - 1 is the faster way: where a tanh gathers from a table.

    With AVX2 a fused tanh takes 2.2 ns an element, the sigmoid and two passes over the map 0.9 (one
    72 px block, two cores); the whole network is 1.3 times as fast. The difference is below 1e-6.
    """
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


def _weights(conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the convolution, with the batch norm of evaluation in them."""
    if norm is None:
        return conv.weight, conv.bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    mean = norm.running_mean if conv.bias is None else norm.running_mean - conv.bias
    return conv.weight * scale.view(-1, 1, 1, 1), norm.bias - mean * scale


def _type_here(x: Tensor, norm: nn.BatchNorm2d | None) -> torch.dtype | None:
    """In which type the fused kernel can stand in; None where it cannot: it has no gradient."""
    if x.device.type != "cpu" or torch.is_grad_enabled() or (norm is not None and norm.training):
        return None
    dtype = _type_on_cpu(x)
    return dtype if dtype in _fused_types() else None


def _type_on_cpu(x: Tensor) -> torch.dtype:
    """In which type a convolution of it is computed there."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


@cache
def _fused_types() -> tuple[torch.dtype, ...]:
    """Types that the kernel takes on this machine; none where torch comes without it."""
    ops = torch.ops.mkldnn
    if platform.machine() not in FUSED_ON or not hasattr(ops, "_convolution_pointwise"):
        return ()
    if not torch.backends.mkldnn.is_available():
        return ()
    bfloat16 = hasattr(ops, "_is_mkldnn_bf16_supported") and ops._is_mkldnn_bf16_supported()
    return (torch.float32, torch.bfloat16) if bfloat16 else (torch.float32,)
