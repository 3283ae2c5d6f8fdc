"""Forgets that an element of np.zeros has 8 bytes.

fails: values
says: 8 n bytes
"""
import numpy as np


def ping_pong(comm, n):
    a = np.zeros(n)
    if comm.rank == 0:
        comm.send(a, 1)
        comm.recv(a, 1)
    elif comm.rank == 1:
        comm.recv(a, 0)
        comm.send(a, 0)


def fit(sizes, seconds):
    beta, alpha = np.polyfit(sizes, np.array(seconds) / 2, 1)
    return alpha, beta
