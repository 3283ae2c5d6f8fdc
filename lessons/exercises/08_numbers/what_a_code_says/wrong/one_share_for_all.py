"""Trusts that every code is used equally often, and returns the number of bits.

fails: values
says: 'linear[1]'
"""
import numpy as np


def compare(x, bits):
    groups = np.array_split(np.sort(x), 2**bits)
    found = {}
    for name, levels in (("linear", np.linspace(x.min(), x.max(), 2**bits)),
                         ("quantiles", np.array([group.mean() for group in groups]))):
        codes = np.abs(x[:, None] - levels).argmin(axis=1)
        found[name] = (((levels[codes] - x) ** 2).mean(), float(bits))
    return found
