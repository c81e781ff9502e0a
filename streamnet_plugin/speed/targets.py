"""What the suites are to show, on 2 cores, beside the rPPG-Toolbox in the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A bound on something measured.

    Attributes:
        what: is measured.
        bound: of the median over rounds.
        at_least: whether it is a lower bound.
        unit: of the bound; "x" for a ratio.
    """

    what: str
    bound: float
    at_least: bool = True
    unit: str = "x"

    def met(self, value: float) -> bool:
        """A NaN never meets a target."""
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g} {self.unit}".rstrip()


TARGETS = {
    "preprocessing": Target("preprocessing, frames/s beside the toolbox", 4),
    "preprocessing-memory": Target("preprocessing, toolbox's memory per process over ours", 8),
    "preprocessing-constant": Target(
        "preprocessing, our memory for a video twice as long over once", 1.1, at_least=False
    ),
    "cache": Target("cache at 72 px, toolbox's bytes per frame over ours", 15),
    "first-batch": Target("time to the first batch of an epoch, toolbox's over ours", 20),
    "evaluation": Target("evaluation of a video of 1800 frames beside the toolbox", 200),
    "evaluation-growth": Target(
        "evaluation, exponent of the growth of time with length (T log T: just above 1)",
        1.2,
        at_least=False,
        unit="",
    ),
    "POS": Target("POS from colour traces of 1800 frames beside the toolbox", 50),
    "ICA": Target("ICA from colour traces of 1800 frames beside the toolbox", 50),
    "network-bfloat16": Target("STREAM-Net in bfloat16 at 72 px beside the toolbox's TS-CAN", 6),
    "network-float32": Target("STREAM-Net in float32 at 72 px beside the toolbox's TS-CAN", 2),
    "training": Target("training step at 72 px beside the toolbox's TS-CAN", 3),
    "mc-dropout": Target("30 Monte Carlo samples over one pass", 18, at_least=False),
    "help": Target("streamnet --help", 0.4, at_least=False, unit="s"),
}
