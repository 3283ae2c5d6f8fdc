"""Lets the gradient through where the weight was clipped, too: it grows without end.

fails: gradients
says: 'grad w'
"""
import numpy as np


def forward(w, scale, q):
    return np.clip(np.rint(w / scale), -q, q) * scale


def backward(w, g, scale, q):
    return g.copy()
