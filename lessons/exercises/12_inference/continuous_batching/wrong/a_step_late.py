"""Frees the rows at the end of the next step, after the waiting requests had a look.

fails: values
says: stays free for a step
"""
import numpy as np


def serve(counts, arrivals, batch):
    first, last = np.zeros((2, len(counts)), np.int64)
    busy_until, step, waiting = [-1] * batch, 0, list(range(len(counts)))
    while waiting:
        for row in range(batch):
            if waiting and arrivals[waiting[0]] <= step and busy_until[row] < step:
                request = waiting.pop(0)
                first[request], last[request] = step, step + counts[request] - 1
                busy_until[row] = step + counts[request]
        step += 1
    return first, last
