"""The protocol, the same on both engines."""

import numpy as np
import pytest

from minipar.comm.protocol import Communicator
from tests.ranks import ranks


@ranks(1, 2, 3, 5)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "f2", "?"])
def test_a_ring_passes_arrays_on(comm: Communicator, dtype: str) -> None:
    mine, got = np.full((2, 3), comm.rank).astype(dtype), np.empty((2, 3), dtype)
    back = comm.sendrecv(mine, (comm.rank + 1) % comm.size, got, (comm.rank - 1) % comm.size, why="ring")
    assert back is got and np.array_equal(got, np.full((2, 3), (comm.rank - 1) % comm.size).astype(dtype))
