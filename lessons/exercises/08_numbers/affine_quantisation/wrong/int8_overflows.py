"""Subtracts in int8: 127 - (-28) wraps around.

fails: values
says: 'back'
"""
import numpy as np


def quantize(x):
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = -128 - int(np.rint(low / scale))
    codes = np.clip(np.rint(x / scale) + zero, -128, 127).astype(np.int8)
    return codes, float(scale), zero


def dequantize(codes, scale, zero):
    with np.errstate(all="ignore"):
        return (codes.astype(np.int16) - zero).astype(np.int8).astype(np.float64) * scale
