"""The engine for single-process programs: one rank, without MPI and without extra threads.

It is the threads engine with one rank, which runs in the caller's thread. A message that the rank sends to
itself waits in the mailbox. A receive without a message is a deadlock of one rank and is reported at once.
"""

from minipar.comm.protocol import Communicator
from minipar.comm.threads import ThreadComm, World


def solo(*, synchronous: bool = False, checked: bool = False) -> Communicator:
    """Returns a group of one rank."""
    return ThreadComm(World(1, synchronous=synchronous, checked=checked), rank=0)
