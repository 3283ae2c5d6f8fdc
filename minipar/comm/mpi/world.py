"""Sets up a job under mpirun: which ranks share a node, and the board on which they can see one another."""

from __future__ import annotations

import os
import subprocess
import tempfile

import numpy as np

from minipar.comm.children import isolated
from minipar.comm.deadlock.board import Board, board_bytes
from minipar.comm.deadlock.detector import BoardLookout, Lookout
from minipar.comm.mpi.engine import MPI, MpiComm

PATH_BYTES = 1024


def world(*, timeout: float = 30.0, board: bool = True, synchronous: bool = False) -> MpiComm:
    """All ranks that mpirun started.

    timeout: the longest wait, in seconds. board: waiting ranks look around, so that a deadlock is found long
    before the time-out. synchronous: a send is done only once its receive has begun (MPI_Issend), whatever
    the size.
    """
    everyone = MPI.COMM_WORLD
    here = everyone.Split_type(MPI.COMM_TYPE_SHARED)
    first = np.array([everyone.rank])                               # a node is known by its lowest rank
    here.Bcast(first)
    firsts = np.empty(everyone.size, np.int64)
    everyone.Allgather(first, firsts)
    order = sorted(set(firsts.tolist()))
    nodes = {rank: order.index(node) for rank, node in enumerate(firsts.tolist())}
    neighbours = [rank for rank in nodes if nodes[rank] == nodes[everyone.rank]]
    lookout = put_up_board(here, neighbours, timeout) if board else Lookout(timeout)
    comm = MpiComm(everyone.Dup(), nodes, lookout, synchronous, tuple(range(everyone.size)))
    everyone.Barrier()  # every board is up, and watched; no limit counts for the start
    return comm


def put_up_board(here: MPI.Comm, neighbours: list[int], timeout: float) -> BoardLookout:
    """The node's board, in memory (/dev/shm) where there is such a place. The lowest rank also starts the
    watcher.
    """
    path = np.zeros(PATH_BYTES, np.uint8)
    if here.rank == 0:
        handle, name = tempfile.mkstemp(prefix="minipar-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK)
                                        else None)
        # it needs no name: nothing is left, whoever is killed when
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
    here.Barrier()  # all ranks of the node have opened the file and signed in
    if here.rank == 0:
        if not name.startswith("/proc/"):
            os.unlink(name)
        words = [str(number) for number in (os.dup(file), board.size, *neighbours)]
        lookout.watcher = subprocess.Popen(isolated("minipar.comm.deadlock.watcher", *words),
                                           pass_fds=[int(words[0])],
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           start_new_session=True)
        assert lookout.watcher.stdout is not None
        lookout.watcher.stdout.read(1)                              # it says when it is awake
        lookout.watcher.stdout.close()
    return lookout
