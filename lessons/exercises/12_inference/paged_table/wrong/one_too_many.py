"""Takes a block for the next token, too, when the last one has just become full.

fails: values
says: table
"""
import numpy as np


def append(pool, table, free, length, new):
    blocks, size, K = pool.shape
    total = length + len(new)
    table = np.array([*table, *free[: total // size + 1 - len(table)]], np.int64)
    slots = table[np.arange(total) // size] * size + np.arange(total) % size
    rows = pool.reshape(-1, K).copy()
    rows[slots[length:]] = new
    return {"pool": rows.reshape(pool.shape), "table": table, "text": rows[slots]}
