"""Trusts Adam to choose its own steps, and keeps the rate.

fails: values
says: does not come to rest
"""
import numpy as np


def rates(first, steps):
    return np.full(steps, first)
