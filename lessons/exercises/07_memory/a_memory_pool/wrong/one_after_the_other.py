"""Gives every array memory of its own.

fails: values
says: par is
"""


def plan(arrays):
    offsets, total = [], 0
    for size, _, _ in arrays:
        offsets.append(total)
        total += size
    return offsets
