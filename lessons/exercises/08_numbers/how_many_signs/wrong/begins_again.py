"""Computes each estimate from its first vector on: 78 products for 12 vectors.

fails: values
says: 'products'
"""
import numpy as np


def ranks(scores):
    return np.argsort(np.argsort(scores))


def vectors_needed(times, signs, w, exact, goal):
    wanted, agreement = ranks(exact * w**2), []
    for number in range(1, len(signs) + 1):
        estimate = np.mean([z * times(z) for z in signs[:number]], axis=0)
        agreement.append(np.corrcoef(ranks(estimate * w**2), wanted)[0, 1])
    too_low = np.flatnonzero(np.array(agreement) < goal)
    return {"agreement": np.array(agreement), "needed": int(too_low[-1]) + 2 if len(too_low) else 1}
