"""The line of a call in the program, as it is shown in messages."""

import _thread
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from minipar.comm.collectives import all_reduce, broadcast
from minipar.comm.diagnostics.call_site import LAST, PROGRAM, location_of, program_line
from minipar.comm.solo import solo
from minipar.comm.threads import run
from minipar.comm.wrappers.checking import Checking
from minipar.comm.wrappers.counting import Counting
from minipar.errors import CommError


def line_of_a_send(comm: Checking) -> str:
    ((_, _, location),) = comm.book.sent.values()
    return location


def test_the_line_that_calls_into_comm() -> None:
    comm = Checking(solo())
    comm.send(np.ones(1), 0, label="x")
    assert line_of_a_send(comm).startswith("test_call_site.py:")


def test_a_rank_within_a_call_is_where_the_program_called_it() -> None:
    """Not in engine.py, nor in the library's threading.py."""
    def program(comm: Checking) -> str:
        if comm.rank == 0:
            comm.recv(np.empty(1), 1, label="word")
            return ""
        world = comm.inner.world  # type: ignore[attr-defined]
        while world.states[0].doing != "waiting":
            time.sleep(0.001)
        location = location_of(sys._current_frames()[world.threads[0].ident])
        comm.send(np.ones(1), 0, label="word")
        return location

    assert run(2, program)[1].startswith("test_call_site.py:")


def test_a_line_that_nothing_has_called() -> None:
    """As in a script without functions. Its messages named no file once."""
    comm, done = Checking(solo()), threading.Event()

    def script() -> None:                                           # the first frame of its thread
        comm.send(np.ones(1), 0, label="x")
        done.set()

    _thread.start_new_thread(script, ())
    assert done.wait(10) and line_of_a_send(comm).startswith("test_call_site.py:")


def test_lines_at_one_position_of_two_functions() -> None:
    """The cache of lines knows a line by its position in the bytecode. Equal functions have equal positions."""
    def function(file: str) -> Callable[[], str]:
        space = {"program_line": program_line}
        exec(compile("def f():\n    return program_line(0)", file, "exec"), space)
        return space["f"]  # type: ignore[return-value]

    one, two = function("one.py"), function("two.py")
    for _ in range(3):
        assert (one(), two(), two(), one()) == ("one.py:2", "two.py:2", "two.py:2", "one.py:2")
    LAST.clear()
    PROGRAM.clear()
    assert (two(), one()) == ("two.py:2", "one.py:2")


def test_a_label_may_be_left_out_and_is_then_the_call_site() -> None:
    """Ranks that call from different lines still agree: a line is shown, and never compared."""
    def counted(comm: Checking) -> list[str]:
        counting = Counting(comm)
        counting.send(np.ones(1), 1 - comm.rank)
        counting.recv(np.empty(1), 1 - comm.rank)
        return [key.label for key, _ in counting.traffic]

    def labels(comm: Checking) -> None:
        if comm.rank == 0:
            all_reduce(comm, np.ones(2))
            comm.send(np.ones(1), 1)
        else:
            all_reduce(comm, np.ones(2), label="given on one rank only")
            comm.recv(np.empty(1), 0)
        pair = comm.split(0)
        assert pair is not None and pair.name == "ranks 0, 1"
        pair.barrier()

    run(2, labels)
    assert all(label.startswith("test_call_site.py:") for label, in run(2, counted))


@pytest.mark.parametrize("call, says", [
    (lambda comm: comm.send(np.ones(1), 1),
     r"send at test_call_site.py:\d+ names rank 1, but only one process.*mpirun -n 2"),
    (lambda comm: broadcast(comm, np.ones(1), root=3, label="w"),
     r"broadcast 'w' at test_call_site.py:\d+ names root 3.*mpirun -n 4"),
])
def test_a_message_about_arguments_names_the_line(call: Callable[[Checking], object], says: str) -> None:
    with pytest.raises(CommError, match=says) as caught:
        call(Checking(solo()))
    assert "\n" not in str(caught.value)
