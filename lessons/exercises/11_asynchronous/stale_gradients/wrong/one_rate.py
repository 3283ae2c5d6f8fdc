"""Finds the ages, but forgets to use them for the rate.

fails: values
says: does not depend on the age
"""
import numpy as np


def replay(w, curvature, pulled, lr):
    versions = [w]
    for version in pulled:
        versions.append(versions[-1] - lr * curvature * versions[version])
    return versions[-1], np.arange(len(pulled)) - np.array(pulled, np.int64)
