"""Takes the bias out, and forgets to put it back.

fails: values
says: result
"""
import minipar as mp


def row_parallel(comm, x, w, bias):
    return mp.all_reduce(comm, x @ w)
