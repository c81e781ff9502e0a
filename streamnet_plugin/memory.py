"""How the C library gives memory back to the system."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""glibc's `malloc.h`."""
KEEP_ALL = 2**31 - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next large tensors; whether that could be done.

    glibc gives every block above 32 MB back to the system at once, and the system hands out
    emptied pages one by one: at 72 px and 180 frames that was 40 % of a float32 training step and
    a quarter of a bfloat16 one. The most memory held at once stays the same. All threads share one
    arena, since those of threads give memory back whatever is set. Linux with glibc only.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: KEEP_ALL, M_ARENA_MAX: 1}
    return all(bool(mallopt(name, value)) for name, value in settings.items())
