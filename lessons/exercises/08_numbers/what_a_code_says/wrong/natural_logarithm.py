"""Takes np.log: the entropy is in nats, 0.69 of what it should be.

fails: values
says: in nats
"""
import numpy as np


def judge(x, levels):
    codes = np.abs(x[:, None] - levels).argmin(axis=1)
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return ((levels[codes] - x) ** 2).mean(), -(shares * np.log(shares)).sum()


def compare(x, bits):
    groups = np.array_split(np.sort(x), 2**bits)
    return {"linear": judge(x, np.linspace(x.min(), x.max(), 2**bits)),
            "quantiles": judge(x, np.array([group.mean() for group in groups]))}
