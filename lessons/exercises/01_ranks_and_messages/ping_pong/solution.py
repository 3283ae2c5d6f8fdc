import numpy as np


def ping_pong(comm, n):
    """One message of n bytes from rank 0 to rank 1, and one back."""
    ball = np.zeros(n, np.uint8)
    if comm.rank == 0:
        comm.send(ball, dest=1)
        comm.recv(ball, source=1)
    elif comm.rank == 1:
        comm.recv(ball, source=0)
        comm.send(ball, dest=0)


def fit(sizes, seconds):
    """(alpha, beta) from the times of whole rounds. sizes: bytes."""
    beta, alpha = np.polyfit(sizes, np.array(seconds) / 2, 1)
    return float(alpha), float(beta)
