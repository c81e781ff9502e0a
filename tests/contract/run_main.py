"""Runs the `main.py` of the working directory as `python main.py` does, sooner.

    python run_main.py [--workers N] [--numpy1] -- ARGUMENTS OF main.py

--workers   processes of each DataLoader, instead of the 16 that main.py asks for; with none,
            batches are made contiguous, as they come from processes
--numpy1    `np.mat`, and `np.linalg.solve` of stacked vectors, as NumPy 1 has them
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys

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
    sys.argv, sys.path[0] = ["main.py", *rest], os.getcwd()
    runpy.run_path("main.py", run_name="__main__")
