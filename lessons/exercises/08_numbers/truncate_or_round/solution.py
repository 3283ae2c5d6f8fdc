import numpy as np


def truncated(x):
    """x without its lower 16 bits. x: float32 [n]."""
    return (x.view(np.uint32) & np.uint32(0xffff0000)).view(np.float32)


def rounded(x):
    """The nearest bfloat16, ties to even. x: float32 [n]."""
    bits = x.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + np.uint32(0x7fff) + odd) & np.uint32(0xffff0000)).view(np.float32)
