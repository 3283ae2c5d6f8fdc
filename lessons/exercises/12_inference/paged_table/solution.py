import numpy as np


def append(pool, table, free, length, new):
    """A dict: the pool with the new keys [n, K], the longer table, and the keys of the whole text."""
    blocks, size, K = pool.shape
    total = length + len(new)
    needed = -(-total // size) - len(table)
    table = np.array([*table, *free[:needed]], np.int64)
    positions = np.arange(total)
    slots = table[positions // size] * size + positions % size
    rows = pool.reshape(blocks * size, K).copy()
    rows[slots[length:]] = new
    return {"pool": rows.reshape(pool.shape), "table": table, "text": rows[slots]}
