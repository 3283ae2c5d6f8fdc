import numpy as np


def narrow(layers, ratio):
    """The network without floor(ratio * n) neurons of each hidden layer, those with the weakest outgoing weights."""
    stays = [np.arange(len(layers[0][0]))]
    for outgoing, _ in layers[1:]:
        weakest_first = np.argsort(np.linalg.norm(outgoing, axis=1), kind="stable")
        stays.append(np.sort(weakest_first[int(ratio * len(outgoing)):]))
    stays.append(np.arange(len(layers[-1][1])))
    return [(weight[np.ix_(before, behind)], bias[behind])
            for (weight, bias), before, behind in zip(layers, stays, stays[1:], strict=False)]
