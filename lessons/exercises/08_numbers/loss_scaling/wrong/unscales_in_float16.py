"""Divides by the scale before it goes back to float32: small gradients vanish after all.

fails: values
says: 'update'
"""
import numpy as np


def train(gradients, scale, growth):
    update, good, skipped = np.zeros_like(gradients[0]), 0, 0
    for gradient in gradients:
        with np.errstate(over="ignore", under="ignore"):
            rounded = (gradient * np.float32(scale)).astype(np.float16)
        if not np.isfinite(rounded).all():
            scale, good, skipped = scale / 2, 0, skipped + 1
            continue
        update += (rounded.astype(np.float32) / np.float32(scale)).astype(np.float16)
        good += 1
        if good == growth:
            scale, good = scale * 2, 0
    return {"update": update, "scale": float(scale), "skipped": float(skipped)}
