"""Fills the rows from the whole list at step 0, as a test with a file of prompts does.

fails: values
says: before they arrive
"""
import numpy as np


def serve(counts, arrivals, batch):
    free, first = [0] * batch, []
    for count in counts:
        row = free.index(min(free))
        first.append(free[row])
        free[row] += count
    return np.array(first, np.int64), np.array(first, np.int64) + np.array(counts, np.int64) - 1
