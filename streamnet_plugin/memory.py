"""How the C library gives memory back to the system."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Mapping

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8
"""glibc's `malloc.h`."""
KEEP_ALL = 2**31 - 1
LARGEST_BLOCK = 32 * 2**20
"""The most that glibc takes as M_MMAP_THRESHOLD."""
KEPT_BYTES = 128 * 2**20
_keeps_all = False


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next large tensors; whether that could be done.

    For training. glibc gives every block above 32 MB back to the system at once, and the system
    hands out emptied pages one by one: at 72 px and 180 frames that was 40 % of a float32 training
    step and a quarter of a bfloat16 one. The most memory held at once stays the same. All threads
    share one arena, since those of threads give memory back whatever is set. Linux with glibc only.
    """
    global _keeps_all
    _keeps_all = _set({M_MMAP_MAX: 0, M_TRIM_THRESHOLD: KEEP_ALL, M_ARENA_MAX: 1}) or _keeps_all
    return _keeps_all


def reuse_freed_blocks() -> bool:
    """Let this process keep up to 128 MB of freed blocks, each below 32 MB; whether it does.

    For inference, whose maps come in blocks of 16 MB at most (see `STREAMNet.blocks`). By itself
    glibc learns from the sizes that it has seen freed what to keep: a clip of 180 frames at 72 px
    took 59,000 pages anew, and 1.4 times as long, or none, depending on what the process had done
    before (bfloat16, two cores). Changes nothing after `keep_freed_memory`.
    """
    return _keeps_all or _set({M_MMAP_THRESHOLD: LARGEST_BLOCK, M_TRIM_THRESHOLD: KEPT_BYTES})


def _set(options: Mapping[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(bool(mallopt(name, value)) for name, value in options.items())
