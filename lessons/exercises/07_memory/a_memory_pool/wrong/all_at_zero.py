"""Puts everything at the beginning, as if no two arrays lived at once.

fails: values
says: overlap
"""


def plan(arrays):
    return [0] * len(arrays)
