"""Keeping freed memory: a process that moves large pieces should not ask the kernel for each of them anew.

Rule: what is kept is bounded; on a C library that can't be told, nothing changes.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_FROM_HEAP_BYTES = 16 << 20


def keep_freed(size_bytes: int) -> None:
    """Let this process keep up to `size_bytes` of what it frees, instead of giving each piece back.

    Source: mallopt(3). The kernel clears every page it hands out, which takes longer than to copy it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _FROM_HEAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, size_bytes)
