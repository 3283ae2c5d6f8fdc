"""Sets up a job under mpirun. It finds the node of each rank. It makes the board of each node: shared memory
in which the ranks write their states.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
import time

import numpy as np

from minipar.comm.agreement import agree_on_options
from minipar.comm.children import isolated
from minipar.comm.deadlock.board import Board, board_bytes
from minipar.comm.deadlock.detector import BoardLookout, Lookout
from minipar.comm.deadlock.meeting import the_meeting
from minipar.comm.deadlock.start_guard import START, start_is_over
from minipar.comm.mpi.engine import MPI, MpiComm
from minipar.comm.mpi.job_end import end_job
from minipar.errors import CommError

PATH_BYTES = 1024
PAUSE = 2e-3                        # seconds between two looks for the other ranks

_last: MpiComm | None = None        # the engine of this process's previous job


def world(*, timeout: float = 30.0, checked: bool = True, synchronous: bool = False) -> MpiComm:
    """Returns the group of all ranks that mpirun started. Each rank calls this function once per job, with
    the same options.

    timeout: the longest wait, in seconds. checked: waiting ranks search for deadlocks, so a deadlock is
    reported long before the timeout. Also, the program's messages carry their labels. synchronous: a send of
    any size completes only after its receive has begun (MPI_Issend). Raises CommError on every rank if the
    options differ.
    """
    global _last
    everyone = MPI.COMM_WORLD
    members = tuple(range(everyone.size))
    before = _last or watched(MpiComm(everyone, dict.fromkeys(members, 0), Lookout(max(START, timeout)),
                                      False,
                                      members))
    if _last:
        before.lookout.timeout = timeout
        before.lookout.rejoin()
    try:
        agree_on_options(before, {"timeout": timeout, "checked": checked, "synchronous": synchronous})
    except CommError as error:
        if _last:
            end_job(before, error)
        raise
    with before.lookout.watchdog.of("job"):
        nodes, here = nodes_of(everyone)
        if checked and isinstance(before.lookout, BoardLookout):
            lookout: Lookout = before.lookout
        elif checked:
            lookout = put_up_board(here, [rank for rank in nodes if nodes[rank] == nodes[everyone.rank]],
                                   timeout)
        else:
            lookout = Lookout(timeout)
        _last = watched(MpiComm(everyone.Dup(), nodes, lookout, synchronous, members))
        everyone.Barrier()                                          # now every board exists and has a watcher
    lookout.open()
    return _last


def watched(engine: MpiComm) -> MpiComm:
    """Make the watchdog end this engine's job if a call of the MPI library lasts too long. Returns the
    engine.
    """
    lookout = engine.lookout
    lookout.watchdog.overdue = lambda call: end_job(engine, lookout.overdue(engine.rank, call.state()))
    return engine


def nodes_of(everyone: MPI.Intracomm) -> tuple[dict[int, int], MPI.Comm]:
    """Returns the node of each rank, and the communicator of this rank's node."""
    here = everyone.Split_type(MPI.COMM_TYPE_SHARED)
    first = np.array([everyone.rank])                               # a node is identified by its lowest rank
    here.Bcast(first)
    firsts = np.empty(everyone.size, np.int64)
    everyone.Allgather(first, firsts)
    order = sorted(set(firsts.tolist()))
    return {rank: order.index(node) for rank, node in enumerate(firsts.tolist())}, here


def put_up_board(here: MPI.Comm, neighbours: list[int], timeout: float) -> BoardLookout:
    """Make the node's board, in memory if /dev/shm exists. The lowest rank of the node also starts the
    watcher, a process that reports killed ranks.
    """
    path = np.zeros(PATH_BYTES, np.uint8)
    if here.rank == 0:
        handle, name = tempfile.mkstemp(prefix="minipar-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK)
                                        else None)
        # unlink the file at once, so that the job leaves no file behind
        if os.path.exists(f"/proc/self/fd/{handle}"):
            os.unlink(name)
            name = f"/proc/{os.getpid()}/fd/{handle}"
        os.ftruncate(handle, board_bytes(len(neighbours)))
        path[:len(name.encode())] = np.frombuffer(name.encode(), np.uint8)
    here.Bcast(path)
    name = path.tobytes().rstrip(b"\0").decode()
    file = handle if here.rank == 0 else os.open(name, os.O_RDWR)
    board = Board(file, MPI.COMM_WORLD.size, {rank: slot for slot, rank in enumerate(neighbours)})
    lookout = BoardLookout(timeout, board, MPI.COMM_WORLD.rank)
    atexit.register(lookout.end)
    here.Barrier()  # now all ranks of the node have opened the file and signed in
    if here.rank == 0:
        if not name.startswith("/proc/"):
            os.unlink(name)
        meeting = the_meeting()
        words = [str(os.dup(file)), str(board.size), meeting.name[1:] if meeting else "",
                 *map(str, neighbours)]
        lookout.watcher = subprocess.Popen(isolated("minipar.comm.deadlock.watcher", *words),
                                           pass_fds=[int(words[0])],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           start_new_session=True)
        assert lookout.watcher.stdout is not None
        lookout.watcher.stdout.read(1)                              # the watcher sends one byte when it runs
        lookout.watcher.stdout.close()
        start_is_over()
    wait_for_all(here)
    return lookout


def wait_for_all(here: MPI.Comm) -> None:
    """A barrier that sleeps. The barrier of the MPI library would keep a core busy in each rank, while rank 0
    starts the watcher.
    """
    request = here.Ibarrier()
    while not request.Test():
        time.sleep(PAUSE)
