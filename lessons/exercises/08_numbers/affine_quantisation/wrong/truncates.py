"""Cuts off the digits instead of rounding: the error doubles.

fails: values
says: 'codes'
"""
import numpy as np


def quantize(x):
    low, high = min(x.min(), 0.0), max(x.max(), 0.0)
    scale = (high - low) / 255 or 1.0
    zero = -128 - int(np.rint(low / scale))
    codes = np.clip(np.trunc(x / scale) + zero, -128, 127).astype(np.int8)
    return codes, float(scale), zero


def dequantize(codes, scale, zero):
    return (codes.astype(np.float64) - zero) * scale
