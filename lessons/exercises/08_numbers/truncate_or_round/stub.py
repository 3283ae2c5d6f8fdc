import numpy as np


def truncated(x):
    """x without its lower 16 bits. x: float32 [n]."""
    raise NotImplementedError("write truncated: a view as np.uint32, and a mask")


def rounded(x):
    """The nearest bfloat16, ties to even. x: float32 [n]."""
    raise NotImplementedError("write rounded: what must be added before the lower bits are cut off?")
