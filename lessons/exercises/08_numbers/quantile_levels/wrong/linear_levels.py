"""Spreads the levels evenly, as the last exercise did.

fails: values
says: evenly spread
"""
import numpy as np


def quantise(x, bits):
    levels = np.linspace(x.min(), x.max(), 2**bits)
    return levels, np.abs(x[:, None] - levels).argmin(axis=1)
