"""Halves the scale, and adds the infinite gradient all the same.

fails: values
says: 'update'
"""
import numpy as np


def train(gradients, scale, growth):
    update, good, skipped = np.zeros_like(gradients[0]), 0, 0
    for gradient in gradients:
        with np.errstate(over="ignore"):
            rounded = (gradient * np.float32(scale)).astype(np.float16)
        update += rounded.astype(np.float32) / np.float32(scale)
        if not np.isfinite(rounded).all():
            scale, good, skipped = scale / 2, 0, skipped + 1
            continue
        good += 1
        if good == growth:
            scale, good = scale * 2, 0
    return {"update": update, "scale": float(scale), "skipped": float(skipped)}
