"""A tiny network of three-dimensional convolutions."""

import torch
from torch import nn


class PhysNet(nn.Module):
    """(N, 3, D, H, W) -> (N, D)."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(3, 4, (1, 4, 4), stride=(1, 4, 4))
        self.second = nn.Conv3d(4, 1, (5, 1, 1), padding=(2, 0, 0))

    def forward(self, x):
        return self.second(torch.tanh(self.first(x))).mean(dim=(1, 3, 4))
