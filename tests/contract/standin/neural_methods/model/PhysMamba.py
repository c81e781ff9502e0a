"""A network on a state space model, which needs packages that want CUDA."""

from causal_conv1d import causal_conv1d_fn
from mamba_ssm.modules.mamba_simple import Mamba
from timm.models.layers import trunc_normal_
from torch import nn


class PhysMamba(nn.Module):
    """(N, 3, D, H, W) -> (N, D)."""

    convolution = causal_conv1d_fn

    def __init__(self):
        super().__init__()
        self.mixer = Mamba(d_model=3)
        self.head = nn.Linear(3, 1)
        trunc_normal_(self.head.weight)

    def forward(self, x):
        return self.head(self.mixer(x.mean(dim=(3, 4)).transpose(1, 2))).squeeze(-1)
