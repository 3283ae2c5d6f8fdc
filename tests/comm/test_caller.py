"""Where in the program a call is, as messages say it."""

import _thread
import sys
import threading
import time

import numpy as np

from minipar.comm.caller import place_of
from minipar.comm.checking import Checking
from minipar.comm.solo import solo
from minipar.comm.threads import run


def place_of_a_send(comm: Checking) -> str:
    ((_, place),) = comm.ledger.last.values()
    return place


def test_the_line_that_calls_into_comm() -> None:
    comm = Checking(solo())
    comm.send(np.ones(1), 0, label="x")
    assert place_of_a_send(comm).startswith("test_caller.py:")


def test_a_rank_within_a_call_is_where_the_program_called_it() -> None:
    """Not in engine.py, nor in the library's threading.py."""
    def program(comm: Checking) -> str:
        if comm.rank == 0:
            comm.recv(np.empty(1), 1, label="word")
            return ""
        world = comm.inner.world  # type: ignore[attr-defined]
        while world.states[0].doing != "waiting":
            time.sleep(0.001)
        place = place_of(sys._current_frames()[world.threads[0].ident])
        comm.send(np.ones(1), 0, label="word")
        return place

    assert run(2, program)[1].startswith("test_caller.py:")


def test_a_line_that_nothing_has_called() -> None:
    """As in a script without functions. Its messages named no file once."""
    comm, done = Checking(solo()), threading.Event()

    def script() -> None:                                           # the first frame of its thread
        comm.send(np.ones(1), 0, label="x")
        done.set()

    _thread.start_new_thread(script, ())
    assert done.wait(10) and place_of_a_send(comm).startswith("test_caller.py:")
