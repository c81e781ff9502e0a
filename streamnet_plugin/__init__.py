"""STREAM-Net for rPPG, and a comparison harness that states its uncertainty.

    >>> import streamnet_plugin as sp
    >>> result = sp.predict("me.mp4")  # doctest: +SKIP
    >>> print(result.hr_bpm, result.hr_std_bpm, result.trusted)  # doctest: +SKIP
    >>> report = sp.benchmark()  # the embedded demo  # doctest: +SKIP

Everything heavy is imported on first use, so that importing this package is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from streamnet_plugin.comparison import BenchmarkRun, benchmark
    from streamnet_plugin.config import load_config
    from streamnet_plugin.errors import StreamnetError
    from streamnet_plugin.prediction import PulseReading, predict
    from streamnet_plugin.protocols import run_protocol
    from streamnet_plugin.registry import get_method, list_methods
    from streamnet_plugin.reporting import difference, make_calibrator
    from streamnet_plugin.rescoring import rescore
    from streamnet_plugin.training.run import TrainRun, run_test, train

# name -> module that defines it; `__getattr__` imports the module when the name is first used.
_EXPORTS = {
    "BenchmarkRun": "streamnet_plugin.comparison",
    "TrainRun": "streamnet_plugin.training.run",
    "PulseReading": "streamnet_plugin.prediction",
    "StreamnetError": "streamnet_plugin.errors",
    "benchmark": "streamnet_plugin.comparison",
    "difference": "streamnet_plugin.reporting",
    "get_method": "streamnet_plugin.registry",
    "list_methods": "streamnet_plugin.registry",
    "load_config": "streamnet_plugin.config",
    "make_calibrator": "streamnet_plugin.reporting",
    "rescore": "streamnet_plugin.rescoring",
    "predict": "streamnet_plugin.prediction",
    "run_protocol": "streamnet_plugin.protocols",
    "run_test": "streamnet_plugin.training.run",
    "train": "streamnet_plugin.training.run",
}

__all__ = [  # noqa: RUF022 - the order a reader meets them in
    "predict",
    "benchmark",
    "train",
    "run_test",
    "run_protocol",
    "rescore",
    "make_calibrator",
    "difference",
    "PulseReading",
    "BenchmarkRun",
    "TrainRun",
    "get_method",
    "list_methods",
    "load_config",
    "StreamnetError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_EXPORTS))
