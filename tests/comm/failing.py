"""Tests that must fail, for the test of `tests/ranks.py`. Their names do not begin with test_, so pytest
leaves them alone.
"""

import os
import signal
import time

import numpy as np

from minipar.comm.protocol import Communicator
from tests.ranks import ranks


@ranks(2)
def passes(comm: Communicator) -> None:
    comm.barrier(label="fine")


@ranks(2)
def fails_on_one_rank(comm: Communicator) -> None:
    assert comm.rank == 0, "rank 1 sees it"


@ranks(2)
def fails_while_another_waits(comm: Communicator) -> None:
    assert comm.rank == 0, "rank 1 sees it"
    comm.recv(np.empty(1), 1, label="never sent")


@ranks(2)
def leaves_a_message(comm: Communicator) -> None:
    if comm.rank == 0:
        comm.send(np.ones(1), 1, label="lost")


@ranks(2)
def takes(comm: Communicator, number: int) -> None:
    assert number == 3


@ranks(2)
def dies(comm: Communicator) -> None:
    if comm.rank == 1:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    comm.barrier(label="never")
