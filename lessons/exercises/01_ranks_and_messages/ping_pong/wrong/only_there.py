"""Sends there and not back, and halves the time all the same.

fails: values
says: time of one message
"""
import numpy as np


def ping_pong(comm, n):
    ball = np.zeros(n, np.uint8)
    if comm.rank == 0:
        comm.send(ball, dest=1)
    elif comm.rank == 1:
        comm.recv(ball, source=0)


def fit(sizes, seconds):
    beta, alpha = np.polyfit(sizes, np.array(seconds) / 2, 1)
    return float(alpha), float(beta)
