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
        test: which of the benchmarks measures it, or part of one.
    """

    what: str
    bound: float
    test: str
    at_least: bool = True
    unit: str = "x"

    def met(self, value: float) -> bool:
        """A NaN never meets a target."""
        return value >= self.bound if self.at_least else value <= self.bound

    @property
    def wanted(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g} {self.unit}".rstrip()


LIVE = "test_latency_at_real_pace[STREAMNet-8]"
TARGETS = {
    "preprocessing": Target(
        "preprocessing, frames/s beside the toolbox", 4, "test_speed[UBFC-rPPG]"
    ),
    "preprocessing-memory": Target(
        "preprocessing, toolbox's peak memory per process over ours", 8, "test_memory"
    ),
    "preprocessing-constant": Target(
        "preprocessing, our memory for a video twice as long over once",
        1.1,
        "test_memory",
        at_least=False,
    ),
    "cache": Target(
        "cache at 72 px, toolbox's bytes per frame over ours", 15, "test_speed[UBFC-rPPG]"
    ),
    "first-batch": Target(
        "time to the first batch of an epoch, toolbox's over ours", 20, "test_first_batch"
    ),
    "evaluation": Target(
        "evaluation of a video of 1800 frames beside the toolbox", 200, "test_evaluation[1800]"
    ),
    "evaluation-growth": Target(
        "evaluation, exponent of the growth of time with length (T log T: just above 1)",
        1.2,
        "test_growth[evaluation]",
        at_least=False,
        unit="",
    ),
    "POS": Target(
        "POS from colour traces of 1800 frames beside the toolbox", 50, "test_method[POS-1800]"
    ),
    "ICA": Target(
        "ICA from colour traces of 1800 frames beside the toolbox", 50, "test_method[ICA-1800]"
    ),
    "network-bfloat16": Target(
        "STREAM-Net in bfloat16 at 72 px beside the toolbox's TS-CAN",
        6,
        "test_inference[72-1], bfloat16",
    ),
    "network-openvino": Target("the same by the engine openvino", 6, "test_engine[openvino-72]"),
    "network-float32": Target(
        "STREAM-Net in float32 at 72 px beside the toolbox's TS-CAN", 2, "test_inference[72-1]"
    ),
    "training": Target(
        "training step at 72 px, in bfloat16 where the processor has it, beside the toolbox's "
        "TS-CAN",
        3,
        "test_training_step[72]",
    ),
    "mc-dropout": Target(
        "30 Monte Carlo samples over one pass", 18, "test_mc_dropout[36]", at_least=False
    ),
    "live-latency": Target(
        "live with 8 samples, 95 % of the updates: from when a frame was due to all output",
        200,
        LIVE,
        at_least=False,
        unit="ms",
    ),
    "live-rate": Target(
        "live with 8 samples, frames handled per second of a stream of 31",
        30,
        LIVE,
        unit="frames/s",
    ),
    "help": Target(
        "streamnet --help", 0.4, "test_startup[streamnet --help]", at_least=False, unit="s"
    ),
}
