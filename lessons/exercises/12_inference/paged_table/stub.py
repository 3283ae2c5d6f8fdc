import numpy as np


def append(pool, table, free, length, new):
    """A dict: the pool with the new keys [n, K], the longer table, and the keys of the whole text."""
    raise NotImplementedError("write append: how many blocks do length + n tokens need?")
