"""Gathers into a variable: the last weight lives until the next one has arrived.

fails: values
says: still there when the next one is gathered
"""


def step(layers, x, g, gather, reduce):
    inputs, h = [], x
    for i in range(layers):
        w = gather(i)
        inputs.append(h)
        h = h @ w
    y = h
    for i in reversed(range(layers)):
        w = gather(i)
        reduce(i, inputs[i].T @ g)
        g = g @ w.T
    return y, g
