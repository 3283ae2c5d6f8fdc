"""The engine for one rank, without MPI or extra threads: for single-process programs.

It is the threads engine with one rank, run by the caller. A message to oneself waits in the mailbox; a
receive without a message is a deadlock of one rank, reported at once.
"""

from minipar.comm.protocol import Communicator
from minipar.comm.threads import ThreadComm, World


def solo(*, synchronous: bool = False, checked: bool = False) -> Communicator:
    """A group of one rank."""
    return ThreadComm(World(1, synchronous=synchronous, checked=checked), rank=0)
