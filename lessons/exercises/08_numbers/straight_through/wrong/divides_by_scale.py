"""Applies the chain rule to w / scale and forgets the factor scale behind it.

fails: gradients
says: 'grad w'
"""
import numpy as np


def forward(w, scale, q):
    return np.clip(np.rint(w / scale), -q, q) * scale


def backward(w, g, scale, q):
    return np.where(np.abs(w / scale) <= q, g / scale, 0.0)
