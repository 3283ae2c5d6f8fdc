"""Returns the new keys and values, not those for the next call.

fails: runs
says: shape
"""
import numpy as np


def extend(keys, values, x, Wq, Wk, Wv):
    new_keys, new_values = x @ Wk, x @ Wv
    keys, values = np.concatenate([keys, new_keys]), np.concatenate([values, new_values])
    weights = np.exp((x @ Wq) @ keys.T / np.sqrt(keys.shape[1])) * np.tri(
        len(x), len(keys), len(keys) - len(x)
    )
    output = weights @ values / weights.sum(axis=1, keepdims=True)
    return {"output": output, "keys": new_keys, "values": new_values}
