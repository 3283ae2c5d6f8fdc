"""Starts a batch, and the next one when all of its requests have ended.

fails: values
says: whole batch has ended
"""
import numpy as np


def serve(counts, arrivals, batch):
    first, last = np.zeros((2, len(counts)), np.int64)
    begin = step = 0
    while begin < len(counts):
        step = max(step, arrivals[begin])
        end = begin
        while end < len(counts) and end - begin < batch and arrivals[end] <= step:
            first[end], last[end] = step, step + counts[end] - 1
            end += 1
        step = int(last[begin:end].max()) + 1
        begin = end
    return first, last
