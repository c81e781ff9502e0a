"""Lets the toolbox's code run on a plain CPU machine with a current Python.

- Modules that only some of its models need get a placeholder when they are not installed.
- Its modules see a NumPy that still has what version 2 removed; nobody else does.
- Weights saved on a GPU load without one, and losses written for a GPU do without.

All of it holds inside `toolbox_environment` only, and in the child processes started from there.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import logging
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from streamnet_plugin.errors import ConfigError

log = logging.getLogger(__name__)

OPTIONAL = {
    "mamba_ssm": "pip install mamba-ssm (needs CUDA)",
    "causal_conv1d": "pip install causal-conv1d (needs CUDA)",
    "timm": "pip install timm",
    "torchvision": "pip install torchvision",
    "thop": "pip install thop",
    "calflops": "pip install calflops",
    "torchsummary": "pip install torchsummary",
    "mat73": "pip install mat73",
    "h5py": "pip install h5py",
    "skimage": "pip install scikit-image",
    "requests": "pip install requests",
    "einops": "pip install einops",
    "retinaface": "pip install retina-face, or set the face detector BACKEND: HC",
}
"""Top-level modules that only some of the toolbox's models or datasets use -> how to get them."""


class MissingPackageError(ConfigError, ImportError):  # type: ignore[misc]  # both have a path
    """A model or dataset of the toolbox used a package that is not installed."""


class _Missing(type):
    """Class of the things that a placeholder module holds: any use says what is not installed."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise MissingPackageError(f"{cls.__module__}.{cls.__name__} was used, but {cls.__doc__}")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _missing(f"{cls.__module__}.{cls.__name__}", name, cls.__doc__ or "")


def _missing(module: str, name: str, why: str) -> Any:
    return _Missing(name, (), {"__module__": module, "__doc__": why})


class _Placeholder(ModuleType):
    """Stands in for a module that is not installed."""

    def __init__(self, name: str) -> None:
        top = name.partition(".")[0]
        super().__init__(name, f"{top} is not installed: {OPTIONAL[top]}.")
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _missing(self.__name__, name, self.__doc__ or "")


class _PlaceholderLoader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _NumpyView(ModuleType):
    """NumPy as the toolbox knew it: `mat`, `fromstring` of bytes, `solve` of stacked vectors."""

    def __init__(self) -> None:
        super().__init__("numpy")
        self.__dict__.update(np.__dict__)
        self.mat = np.asmatrix
        self.fromstring = _fromstring
        self.linalg = ModuleType("numpy.linalg")
        self.linalg.__dict__.update(np.linalg.__dict__)
        self.linalg.solve = _solve  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:  # what NumPy itself loads only when asked
        return getattr(np, name)


def _fromstring(
    string: Any, dtype: Any = float, count: int = -1, *, sep: str = "", **more: Any
) -> Any:
    """`np.fromstring` before NumPy 2.3: without `sep` it copies the numbers out of raw bytes."""
    if sep:
        return np.fromstring(string, dtype, count, sep=sep, **more)
    return np.frombuffer(string, dtype, count, **more).copy()


def _solve(a: Any, b: Any) -> Any:
    """`np.linalg.solve` of NumPy 1: b (..., M) beside a (..., M, M) is a stack of vectors."""
    if np.ndim(b) == np.ndim(a) - 1:
        return np.linalg.solve(a, np.asarray(b)[..., None])[..., 0]
    return np.linalg.solve(a, b)


_NUMPY = _NumpyView()


class _ToolboxLoader(importlib.abc.Loader):
    """Executes a toolbox module, then gives it the older NumPy under the name it used."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self.inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.inner.exec_module(module)
        give_numpy(module)

    def __getattr__(self, name: str) -> Any:  # get_source, get_filename, ...
        return getattr(self.inner, name)


def give_numpy(module: ModuleType) -> None:
    """Replace a module's own reference to NumPy; NumPy itself stays as it is."""
    for name, value in list(vars(module).items()):
        if value is np:
            setattr(module, name, _NUMPY)


class ToolboxFinder(importlib.abc.MetaPathFinder):
    """Finds modules of the checkout, and placeholders for optional ones that are missing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None and name.partition(".")[0] in OPTIONAL:
            return importlib.machinery.ModuleSpec(name, _PlaceholderLoader(), is_package=True)
        if spec is not None and spec.loader is not None and self._is_ours(spec.origin):
            spec.loader = _ToolboxLoader(spec.loader)
            return spec
        return None  # everybody else's modules are found in the usual way

    def _is_ours(self, origin: str | None) -> bool:
        return origin is not None and Path(origin).is_relative_to(self.root)


def install(root: str | Path) -> None:
    """Make the checkout importable in this process; doing it twice is doing it once."""
    root = Path(root)
    if not any(isinstance(f, ToolboxFinder) and f.root == root for f in sys.meta_path):
        sys.meta_path.insert(0, ToolboxFinder(root))
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))


@contextmanager
def _without_cuda() -> Iterator[None]:
    """Without CUDA, `x.cuda()` and `x.to("cuda")` are x: the losses of two models ask for no less.

    That a configuration asks for CUDA is found before, and refused.
    """
    import torch

    if torch.cuda.is_available():
        yield
        return
    originals = {name: getattr(torch.Tensor, name) for name in ("to", "type", "cuda")}

    def here(what: Any) -> Any:
        """A device, or a class such as `torch.cuda.FloatTensor`, on the CPU; all else as it is."""
        if isinstance(what, str | torch.device) and str(what).startswith("cuda"):
            return "cpu"
        if getattr(what, "__module__", None) == "torch.cuda":
            return getattr(torch, what.__name__)
        return what

    def staying(move: Callable[..., Any]) -> Callable[..., Any]:
        def stay(self: Any, *args: Any, **kwargs: Any) -> Any:
            return move(self, *map(here, args), **{k: here(v) for k, v in kwargs.items()})

        return stay

    try:
        for name in ("to", "type"):
            setattr(torch.Tensor, name, staying(originals[name]))
        torch.Tensor.cuda = lambda self, *args, **kwargs: self  # type: ignore[method-assign]
        yield
    finally:
        for name, original in originals.items():
            setattr(torch.Tensor, name, original)


@contextmanager
def toolbox_environment(root: Path) -> Iterator[None]:
    """Working directory, import path and modules as the toolbox needs them; restored afterwards.

    Nothing is written into the checkout, not even byte code.
    """
    import torch

    cwd, path, meta_path = os.getcwd(), list(sys.path), list(sys.meta_path)
    load, bytecode = torch.load, sys.dont_write_bytecode
    start_method = multiprocessing.get_start_method(allow_none=True)  # it forces "spawn"
    environment = dict(os.environ)  # a main.py may choose a GPU there
    # The toolbox's top-level modules have common names (config, main); others' step aside.
    names = {p.stem for p in root.iterdir() if p.suffix == ".py" or p.is_dir()}
    aside = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in names}
    for name in aside:
        del sys.modules[name]

    def load_here(*args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("map_location", None if torch.cuda.is_available() else "cpu")
        return load(*args, **kwargs)

    try:
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        torch.load = load_here
        install(root)
        os.chdir(root)  # it finds its face detector by a relative path
        with _without_cuda():
            yield
    finally:
        torch.load, sys.dont_write_bytecode = load, bytecode
        multiprocessing.set_start_method(start_method, force=True)
        os.chdir(cwd)
        sys.path[:], sys.meta_path[:] = path, meta_path
        os.environ.clear()
        os.environ.update(environment)
        for name, module in list(sys.modules.items()):
            own = name.partition(".")[0] in names
            if own or isinstance(module, _Placeholder):
                del sys.modules[name]
        sys.modules.update(aside)


class _OneGpu:
    """The attribute `num_of_gpu` of a trainer, which is 1 where it is set to 0."""

    def __get__(self, trainer: Any, kind: type) -> Any:
        if trainer is None:
            return self
        try:
            return vars(trainer)["num_of_gpu"]
        except KeyError as error:
            raise AttributeError("num_of_gpu") from error

    def __set__(self, trainer: Any, number: int) -> None:
        vars(trainer)["num_of_gpu"] = max(1, number)


def count_one_gpu(base_trainer: type) -> None:
    """Without CUDA, let trainers count one GPU: BigSmall's counts none, and divides by that.

    Args:
        base_trainer: the class that the trainers derive from.
    """
    import torch

    if not torch.cuda.is_available():
        setattr(base_trainer, "num_of_gpu", _OneGpu())  # noqa: B010


def survive_plots(bland_altman: Any) -> None:
    """Let metrics go on when a Bland-Altman plot cannot be drawn, as with one or two videos.

    Args:
        bland_altman: the class `evaluation.BlandAltmanPy.BlandAltman`.
    """
    for name, method in list(vars(bland_altman).items()):
        if name.endswith("plot") and callable(method):  # scatter_plot, difference_plot
            setattr(bland_altman, name, _surviving(method))


def _surviving(draw: Callable[..., None]) -> Callable[..., None]:
    def attempt(*args: Any, **kwargs: Any) -> None:
        try:
            draw(*args, **kwargs)
        except (ValueError, np.linalg.LinAlgError) as error:
            log.warning("the Bland-Altman plot is left out, too few different videos: %s", error)

    return attempt
