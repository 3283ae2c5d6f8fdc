"""Takes the logarithm of the share 0 of an unused code: 0 times minus infinity.

fails: values
says: a code is not used
"""
import numpy as np


def judge(x, levels):
    codes = np.abs(x[:, None] - levels).argmin(axis=1)
    shares = np.bincount(codes, minlength=len(levels)) / len(codes)
    with np.errstate(all="ignore"):
        return ((levels[codes] - x) ** 2).mean(), -(shares * np.log2(shares)).sum()


def compare(x, bits):
    groups = np.array_split(np.sort(x), 2**bits)
    return {"linear": judge(x, np.linspace(x.min(), x.max(), 2**bits)),
            "quantiles": judge(x, np.array([group.mean() for group in groups]))}
