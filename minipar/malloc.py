"""Keeps freed memory in the process. This avoids page faults for temporary arrays.

By default, the C library glibc returns the memory of every large array to the kernel when NumPy frees the
array. The next temporary array of the same size then causes one page fault per 4 KiB: the kernel provides a
zeroed page, which the array overwrites. In measurements, a training step took 1.1 to 1.4 times as long. Three
settings of mallopt(3) keep this memory in the process, so that it can be used again.

The price, also measured: mpi4py's Send of 1 MiB takes 1.4 times as long. So `minipar run` does not use these
settings for a user's program.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3      # numbers in glibc's malloc.h
_GIB = 1 << 30


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory. Returns whether the library has these settings. The process
    then uses more memory.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library does not have these settings
        return False
    return all([mallopt(_M_MMAP_THRESHOLD, _GIB), mallopt(_M_TRIM_THRESHOLD, 2 * _GIB - 1),
                mallopt(_M_TOP_PAD, _GIB >> 4)])
