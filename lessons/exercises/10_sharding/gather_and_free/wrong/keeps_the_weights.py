"""Keeps the weights of forward for backward, as without sharding.

fails: values
says: kept from forward to backward
"""


def step(layers, x, g, gather, reduce):
    inputs, weights, h = [], [], x
    for i in range(layers):
        weights.append(gather(i))
        inputs.append(h)
        h = h @ weights[i]
    y = h
    for i in reversed(range(layers)):
        reduce(i, inputs[i].T @ g)
        g = g @ weights[i].T
    return y, g
