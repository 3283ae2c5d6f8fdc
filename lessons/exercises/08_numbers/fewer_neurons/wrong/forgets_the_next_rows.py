"""Takes the columns and biases out, and leaves the rows of the next matrix: the shapes no longer fit.

fails: runs
says: rows for
"""
import numpy as np


def narrow(layers, ratio):
    small = []
    for (weight, bias), (following, _) in zip(layers, layers[1:]):
        order = np.argsort(np.linalg.norm(following, axis=1), kind="stable")
        stays = np.sort(order[int(ratio * len(following)):])
        small.append((weight[:, stays], bias[stays]))
    return [*small, layers[-1]]
