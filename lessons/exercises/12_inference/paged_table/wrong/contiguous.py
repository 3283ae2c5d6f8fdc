"""Takes the position for the slot, as in a contiguous cache.

fails: values
says: table is not used
"""
import numpy as np


def append(pool, table, free, length, new):
    blocks, size, K = pool.shape
    total = length + len(new)
    table = np.array([*table, *free[: -(-total // size) - len(table)]], np.int64)
    rows = pool.reshape(-1, K).copy()
    rows[length:total] = new
    return {"pool": rows.reshape(pool.shape), "table": table, "text": rows[:total]}
