"""Takes the group of a number as its code.

fails: values
says: own group
"""
import numpy as np


def quantise(x, bits):
    groups = np.array_split(np.argsort(x), 2**bits)
    codes = np.empty(len(x), np.int64)
    for k, group in enumerate(groups):
        codes[group] = k
    return np.array([x[group].mean() for group in groups]), codes
