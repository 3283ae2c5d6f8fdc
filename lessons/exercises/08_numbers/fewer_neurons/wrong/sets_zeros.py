"""Sets the weights of these neurons to 0: the answers are right, but nothing is smaller.

fails: values
says: still have all their neurons
"""
import numpy as np


def narrow(layers, ratio):
    layers = [(weight.copy(), bias.copy()) for weight, bias in layers]
    for weight, _ in layers[1:]:
        order = np.argsort(np.linalg.norm(weight, axis=1), kind="stable")
        weight[order[:int(ratio * len(weight))]] = 0
    return layers
