"""Gives each job half of the ranks: that is fair.

fails: values
says: can be reached
"""


def share(ranks, jobs):
    return ranks // 2, ranks - ranks // 2
