"""Counts good steps over skipped ones: they are no longer in a row.

fails: values
says: 'scale'
"""
import numpy as np


def train(gradients, scale, growth):
    update, good, skipped = np.zeros_like(gradients[0]), 0, 0
    for gradient in gradients:
        with np.errstate(over="ignore"):
            rounded = (gradient * np.float32(scale)).astype(np.float16)
        if not np.isfinite(rounded).all():
            scale, skipped = scale / 2, skipped + 1
            continue
        update += rounded.astype(np.float32) / np.float32(scale)
        good += 1
        if good % growth == 0:
            scale = scale * 2
    return {"update": update, "scale": float(scale), "skipped": float(skipped)}
