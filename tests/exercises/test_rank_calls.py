"""The memory of a call of a submission."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from minipar.exercises.rank_calls import with_peak

MIB = 1 << 20


def test_the_peak_is_that_of_this_call_only() -> None:
    """Arrays that an earlier call returned are still alive, and do not count."""
    kept, large = with_peak(lambda: np.ones(MIB))
    length, small = with_peak(lambda: len(np.ones(10)))
    assert kept.nbytes <= large < kept.nbytes + MIB and length == 10 and small < MIB


def test_an_array_that_was_freed_within_the_call_counts() -> None:
    total, peak = with_peak(lambda: float(np.ones(MIB).sum()))
    assert total == MIB and peak >= 8 * MIB


def test_a_call_that_fails_leaves_no_tracing() -> None:
    with pytest.raises(ZeroDivisionError):
        with_peak(lambda: 1 // 0)
    assert not tracemalloc.is_tracing()
