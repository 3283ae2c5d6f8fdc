"""Writes into the pool that it was given: reshape makes no copy.

fails: values
says: changed
"""
import numpy as np


def append(pool, table, free, length, new):
    blocks, size, K = pool.shape
    total = length + len(new)
    table = np.array([*table, *free[: -(-total // size) - len(table)]], np.int64)
    slots = table[np.arange(total) // size] * size + np.arange(total) % size
    rows = pool.reshape(-1, K)
    rows[slots[length:]] = new
    return {"pool": pool, "table": table, "text": rows[slots]}
