"""Takes the true derivative of rounding: zero, so nothing is learnt.

fails: gradients
says: 'grad w'
"""
import numpy as np


def forward(w, scale, q):
    return np.clip(np.rint(w / scale), -q, q) * scale


def backward(w, g, scale, q):
    return np.zeros_like(g)
