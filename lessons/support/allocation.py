"""How many bytes of arrays are alive: the measured side of every claim about memory.

NumPy reports each array's memory to tracemalloc under a domain of its own, so that arrays can be told from
all other Python objects, to the byte. Process sizes cannot: they contain what the C library keeps for reuse
(`minipar.malloc`).
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class Allocation:
    """What has been allocated since `allocation()` was entered, by all threads.

    now: bytes of arrays alive, less those that were alive at first. peak: the most that was alive since, of
    all Python objects, so a little more than arrays; `forget_peak` begins anew.
    """

    def __init__(self) -> None:
        self._arrays, self._all = _bytes_of_arrays(), tracemalloc.get_traced_memory()[0]

    @property
    def now(self) -> int:
        return _bytes_of_arrays() - self._arrays

    @property
    def peak(self) -> int:
        return tracemalloc.get_traced_memory()[1] - self._all

    def forget_peak(self) -> None:
        tracemalloc.reset_peak()


@contextmanager
def allocation() -> Iterator[Allocation]:
    """Measure inside. Everything is several times slower there; allocations from before are not seen, nor
    freed, by it.
    """
    already = tracemalloc.is_tracing()
    if not already:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        yield Allocation()
    finally:
        if not already:
            tracemalloc.stop()


def _bytes_of_arrays() -> int:
    arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)
