"""The engine for one rank, without MPI and with no thread of its own: what a single-process program runs on.

It is the threads engine with one rank, run by the caller: a message to oneself waits in its mailbox, and a
receive that finds nothing there is a deadlock of one rank, reported at once.
"""

from minipar.comm.protocol import Communicator
from minipar.comm.threads import ThreadComm, World


def solo(*, synchronous: bool = False, checked: bool = False) -> Communicator:
    """A group of one rank."""
    return ThreadComm(World(1, synchronous=synchronous, checked=checked), rank=0)
