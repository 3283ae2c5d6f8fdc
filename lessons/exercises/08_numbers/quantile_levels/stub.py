import numpy as np


def quantise(x, bits):
    """(levels [2^bits], codes int64 [n]): levels at the means of equally large groups of x."""
    raise NotImplementedError("write quantise: which numbers belong to group k?")
