"""Takes the range as it is: 0 is no longer 0, and pruned weights come back to life.

fails: values
says: result
"""
import numpy as np


def quantize(x):
    low, high = x.min(), x.max()
    scale = (high - low) / 255 or 1.0
    zero = -128 - int(np.rint(low / scale))
    codes = np.clip(np.rint(x / scale) + zero, -128, 127).astype(np.int8)
    return codes, float(scale), zero


def dequantize(codes, scale, zero):
    return (codes.astype(np.float64) - zero) * scale
