"""Where in the program a call is, as messages say it."""

import _thread
import threading

import numpy as np

from minipar.comm.checking import Checking
from minipar.comm.solo import solo


def place_of_a_send(comm: Checking) -> str:
    ((_, place),) = comm.ledger.last.values()
    return place


def test_the_line_that_calls_into_comm() -> None:
    comm = Checking(solo())
    comm.send(np.ones(1), 0, why="x")
    assert place_of_a_send(comm).startswith("test_caller.py:")


def test_a_line_that_nothing_has_called() -> None:
    """As in a script without functions. Its messages named no file once."""
    comm, done = Checking(solo()), threading.Event()

    def script() -> None:                                           # the first frame of its thread
        comm.send(np.ones(1), 0, why="x")
        done.set()

    _thread.start_new_thread(script, ())
    assert done.wait(10) and place_of_a_send(comm).startswith("test_caller.py:")
