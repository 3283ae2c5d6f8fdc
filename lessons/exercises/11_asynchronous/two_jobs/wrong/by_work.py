"""Shares by the work of a step, and forgets the steps and the reading.

fails: values
says: can be reached
"""


def share(ranks, jobs):
    first = round(ranks * jobs[0][0] / (jobs[0][0] + jobs[1][0]))
    first = min(max(first, 1), ranks - 1)
    return first, ranks - first
