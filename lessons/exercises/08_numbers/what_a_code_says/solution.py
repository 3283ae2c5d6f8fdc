import numpy as np


def entropy(codes):
    """The entropy of the codes [n], in bits."""
    shares = np.unique(codes, return_counts=True)[1] / len(codes)
    return -(shares * np.log2(shares)).sum()


def judge(x, levels):
    """(mean squared error, entropy in bits) of x [n], each number at its nearest level."""
    codes = np.abs(x[:, None] - levels).argmin(axis=1)
    return ((levels[codes] - x) ** 2).mean(), entropy(codes)


def compare(x, bits):
    """{"linear": (mean squared error, entropy in bits), "quantiles": the same} of x [n] in 2^bits levels."""
    groups = np.array_split(np.sort(x), 2**bits)
    return {"linear": judge(x, np.linspace(x.min(), x.max(), 2**bits)),
            "quantiles": judge(x, np.array([group.mean() for group in groups]))}
