"""Chooses by the norm of the column: a neuron with small incoming weights may matter most behind it.

fails: values
says: incoming weights
"""
import numpy as np


def narrow(layers, ratio):
    stays = [np.arange(len(layers[0][0]))]
    for weight, _ in layers[:-1]:
        order = np.argsort(np.linalg.norm(weight, axis=0), kind="stable")
        stays.append(np.sort(order[int(ratio * len(order)):]))
    stays.append(np.arange(len(layers[-1][1])))
    return [(weight[np.ix_(before, behind)], bias[behind])
            for (weight, bias), before, behind in zip(layers, stays, stays[1:])]
