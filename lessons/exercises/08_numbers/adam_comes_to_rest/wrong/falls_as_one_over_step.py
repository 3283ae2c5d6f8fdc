"""Takes the 1 / step from the theory of SGD, which falls much too early here.

fails: values
says: does not reach the minimum
"""
import numpy as np


def rates(first, steps):
    return first / (1.0 + np.arange(steps))
