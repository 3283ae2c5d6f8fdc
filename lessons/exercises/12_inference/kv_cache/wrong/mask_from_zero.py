"""Takes the mask of training, whose first row is that of position 0.

fails: values
says: begins at position 0
"""
import numpy as np


def extend(keys, values, x, Wq, Wk, Wv):
    keys, values = np.concatenate([keys, x @ Wk]), np.concatenate([values, x @ Wv])
    weights = np.exp((x @ Wq) @ keys.T / np.sqrt(keys.shape[1])) * np.tri(len(x), len(keys))
    return {"output": weights @ values / weights.sum(axis=1, keepdims=True), "keys": keys, "values": values}
