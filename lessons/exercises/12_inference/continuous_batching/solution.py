import numpy as np


def serve(counts, arrivals, batch):
    """(first, last), int64 [requests]: the steps in which each request gets its first and its last token."""
    first, last = np.zeros((2, len(counts)), np.int64)
    left = {}  # running request -> tokens that it still wants
    step = arrived = 0
    while left or arrived < len(counts):
        while arrived < len(counts) and arrivals[arrived] <= step and len(left) < batch:
            left[arrived], first[arrived] = counts[arrived], step
            arrived += 1
        for request in list(left):
            left[request] -= 1
            if not left[request]:
                last[request] = step
                del left[request]
        step += 1
    return first, last
