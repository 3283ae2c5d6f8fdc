"""Five programs that deadlock, for the wait graph player. Each is what one rank runs."""

from __future__ import annotations

import numpy as np

import minipar as mp


def receive_first(comm: mp.Communicator) -> None:
    """Two ranks exchange arrays. Both receive first."""
    other = 1 - comm.rank
    mine, theirs = np.ones(3), np.empty(3)
    comm.recv(theirs, other)
    comm.send(mine, other)


def send_first(comm: mp.Communicator) -> None:
    """Two ranks exchange arrays that are too large for MPI's buffers. Both send first."""
    other = 1 - comm.rank
    mine, theirs = np.ones(3), np.empty(3)
    comm.send(mine, other)
    comm.recv(theirs, other)


def ring(comm: mp.Communicator) -> None:
    """Four ranks pass an array around a ring. Each waits for its left neighbour first."""
    left, right = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
    mine, theirs = np.ones(3), np.empty(3)
    comm.recv(theirs, left)
    comm.send(mine, right)


def only_rank_zero(comm: mp.Communicator) -> None:
    """A collective stands behind `if rank == 0`. The other ranks finish without it."""
    loss = np.array([comm.rank + 1.0])
    if comm.rank == 0:
        total = mp.all_reduce(comm, loss, algorithm="ring")
        print("mean loss", total[0] / comm.size)


def pipeline(comm: mp.Communicator) -> None:
    """Three stages. Stage 1 waits for two micro-batches, but stage 0 sends the second one after a gradient."""
    x, gradient = np.ones(3), np.ones(3)
    if comm.rank == 0:
        comm.send(x, 1)
        comm.recv(gradient, 1)
        comm.send(x, 1)
    elif comm.rank == 1:
        comm.recv(x, 0)
        comm.recv(x, 0)
        comm.send(x, 2)
        comm.recv(gradient, 2)
        comm.send(gradient, 0)
    else:
        comm.recv(x, 1)
        comm.send(gradient, 1)
