"""Narrows from the end to the start, and measures norms in matrices that have lost columns.

fails: values
says: lost columns already
"""
import numpy as np


def narrow(layers, ratio):
    layers = list(layers)
    for number in reversed(range(len(layers) - 1)):
        (weight, bias), (following, next_bias) = layers[number:number + 2]
        order = np.argsort(np.linalg.norm(following, axis=1), kind="stable")
        stays = np.sort(order[int(ratio * len(following)):])
        layers[number:number + 2] = [(weight[:, stays], bias[stays]), (following[stays], next_bias)]
    return layers
