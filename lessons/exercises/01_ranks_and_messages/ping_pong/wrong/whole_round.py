"""Takes the time of the whole round for the time of one message.

fails: values
says: of a whole round
"""
import numpy as np


def ping_pong(comm, n):
    ball = np.zeros(n, np.uint8)
    if comm.rank == 0:
        comm.send(ball, dest=1)
        comm.recv(ball, source=1)
    elif comm.rank == 1:
        comm.recv(ball, source=0)
        comm.send(ball, dest=0)


def fit(sizes, seconds):
    beta, alpha = np.polyfit(sizes, np.array(seconds), 1)
    return float(alpha), float(beta)
