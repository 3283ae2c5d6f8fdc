"""Adds half, as one rounds at school.

fails: values
says: middle go up
"""
import numpy as np


def truncated(x):
    return (x.view(np.uint32) & np.uint32(0xffff0000)).view(np.float32)


def rounded(x):
    return ((x.view(np.uint32) + np.uint32(0x8000)) & np.uint32(0xffff0000)).view(np.float32)
