"""Runs the `main.py` of the working directory as `python main.py` does, sooner.

    python run_main.py [--workers N] [--numpy1] -- ARGUMENTS OF main.py

--workers   processes of each DataLoader, instead of the 16 that main.py asks for; with none,
            batches are made contiguous, as they come from processes
--numpy1    `np.mat`, and `np.linalg.solve` of stacked vectors, as NumPy 1 has them

Videos are preprocessed in this process, not in one of their own, which would import all anew.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import runpy
import sys
from types import SimpleNamespace

import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate


def contiguous_collate(batch):
    return [x.contiguous() if torch.is_tensor(x) else x for x in default_collate(batch)]


def cap_workers(workers: int) -> None:
    original = DataLoader.__init__

    def init(self, *args, num_workers, **kwargs):
        print(f"DataLoader: {num_workers} workers asked for, {workers} used")
        if workers == 0:
            kwargs["collate_fn"] = contiguous_collate
        original(self, *args, num_workers=workers, **kwargs)

    DataLoader.__init__ = init


class InlineProcess:
    """Takes the place of a process: what it is to do is done here, when it starts."""

    def __init__(self, target, args):
        self.target, self.args = target, args

    def start(self):
        with contextlib.suppress(Exception):  # as a process that fails, unheard
            self.target(*self.args)

    def join(self): ...

    def is_alive(self):
        return False


INLINE = SimpleNamespace(Process=InlineProcess, Manager=lambda: SimpleNamespace(dict=dict))
"""Of `multiprocessing`, what preprocessing uses."""


def restore_numpy1() -> None:
    solve = np.linalg.solve

    def stacked(a, b):
        return solve(a, b[..., None])[..., 0] if np.ndim(b) == np.ndim(a) - 1 else solve(a, b)

    np.mat, np.linalg.solve = np.asmatrix, stacked


if __name__ == "__main__":
    own, rest = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int)
    parser.add_argument("--numpy1", action="store_true")
    options = parser.parse_args(own)
    if options.workers is not None:
        cap_workers(options.workers)
    if options.numpy1:
        restore_numpy1()
    vars(multiprocessing).update(vars(INLINE))
    sys.argv, sys.path[0] = ["main.py", *rest], os.getcwd()
    runpy.run_path("main.py", run_name="__main__")
